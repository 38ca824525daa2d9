"""What info_nce asks of each rank of a group: python docs/info_nce_scaling.py prints docs/info_nce.md's table."""

from typing import NamedTuple

FLOAT, DOUBLE = 4, 8
STATISTICS = 3 * DOUBLE  # of a row: 1 / norm, the pair's cosine, the loss
SUMS = 2 * DOUBLE  # of a row: top and sum
FACTS = 8 * DOUBLE  # that ranks compare before they begin


class Work(NamedTuple):
    """Of a rank, forward and backward: operations of the matrix products, and bytes received from other ranks."""

    operations: float
    received: float


def work_per_rank(rows: int, dimensions: int, ranks: int, ring: bool) -> Work:
    """Symmetric, float32, as many of the `rows` on each rank. Collectives pass what the best of their kind pass."""
    own, others = rows // ranks, ranks - 1
    keys = own * (dimensions * FLOAT + STATISTICS)
    grads, sums = own * dimensions * FLOAT, own * SUMS
    scalars = others * FACTS + 2 * _all_reduce(DOUBLE, ranks)  # the loss, the temperature's gradient
    if ring:  # keys arrive once a turn but for the first; what is added to theirs comes home too
        received = 2 * others * keys + ranks * (sums + grads)
    else:  # keys gathered twice; sums and gradients scattered, once their tops are known
        received = 2 * others * keys + others * (own * DOUBLE + grads) + _all_reduce(rows * DOUBLE, ranks)
    return Work(8 * own * rows * dimensions, received + scalars)


def _all_reduce(size: float, ranks: int) -> float:
    return 2 * (ranks - 1) / ranks * size


def main() -> None:
    """On GPUs that sustain 400 TFLOP/s and receive 50 GB/s each: what takes longer."""
    print("| rows a rank | ranks | rows | TFLOP a rank | GB received | ms at 400 TFLOP/s | ms at 50 GB/s |")
    print("|---|---|---|---|---|---|---|")
    for own in (1024, 16384):
        for ranks in (2, 8, 64, 1024):
            work = work_per_rank(own * ranks, 128, ranks, ring=False)
            print(
                f"| {own:,} | {ranks:,} | {own * ranks:,} | {work.operations / 1e12:.3g} | {work.received / 1e9:.3g} "
                f"| {work.operations / 400e12 * 1e3:.3g} | {work.received / 50e9 * 1e3:.3g} |"
            )


if __name__ == "__main__":
    main()
