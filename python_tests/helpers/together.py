"""Functions that run in several processes at a time."""

from collections.abc import Callable

from torch.multiprocessing.spawn import start_processes

from avsa_fast.processes import end


def together(function: Callable[..., None], ranks: int, arguments: tuple[object, ...], start_method: str) -> None:
    """Runs function(rank, *arguments) in one process per rank; all of them end before the call returns."""
    context = start_processes(
        function, arguments, nprocs=ranks, join=False, daemon=True, start_method=start_method
    )  # fmt: skip
    try:
        while not context.join():
            pass
    finally:
        end(context.processes)
