"""How exact info_nce stays as pairs align: python docs/info_nce_errors.py prints docs/info_nce.md's table.

Rows are unit vectors with keys close to their queries, as late in training. Errors are relative to the reference in
float64; "dense" is torch's cross-entropy of a matrix of logits in float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from avsa_fast import ops, reference

N, D = 1024, 128


def dense(query: Tensor, key: Tensor, *, temperature: Tensor, symmetric: bool) -> Tensor:
    normalize, cross_entropy = torch.nn.functional.normalize, torch.nn.functional.cross_entropy
    logits = normalize(query) @ normalize(key).T / temperature
    target = torch.arange(len(query))
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def bf16(query: Tensor, key: Tensor, *, temperature: Tensor, symmetric: bool) -> Tensor:
    return ops.info_nce(query, key, temperature=temperature, symmetric=symmetric, precision="bf16")


def outcome(loss: Callable[..., Tensor], rows: tuple[Tensor, Tensor], temperature: Tensor) -> list[Tensor]:
    """The loss, and its gradients in query and temperature."""
    dtype = torch.float64 if loss is reference.info_nce else torch.float32
    query, key, warm = (x.detach().clone().to(dtype).requires_grad_() for x in (*rows, temperature))
    value = loss(query, key, temperature=warm, symmetric=True)
    value.backward()
    return [x.detach().double() for x in (value, query.grad, warm.grad)]


def main() -> None:
    torch.manual_seed(0)
    query = torch.randn(N, D)
    noise = torch.randn(N, D)
    print("| scale | noise | loss | loss: dense | ours | bf16 | query gradient: dense | ours | bf16 "
          "| temperature's: dense | ours | bf16 |")  # fmt: skip
    print("|---" * 12 + "|")
    for scale in (14.3, 40, 100):
        for share in (1.0, 0.3, 0.0):
            rows, temperature = (query, query + share * noise), torch.tensor(1 / scale)
            want = outcome(reference.info_nce, rows, temperature)
            errors = [
                [((x - y).norm() / y.norm()).item() for x, y in zip(outcome(f, rows, temperature), want, strict=True)]
                for f in (dense, ops.info_nce, bf16)
            ]
            cells = " | ".join(f"{errors[f][n]:.0e}" for n in range(3) for f in range(3))
            print(f"| {scale} | {share} | {want[0].item():.1e} | {cells} |")


if __name__ == "__main__":
    main()
