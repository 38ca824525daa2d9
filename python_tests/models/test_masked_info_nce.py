"""InfoNCE without negatives of the same recording, against ops.info_nce and a definition in loops."""

from math import exp, log

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from avsa_fast import ops
from avsa_fast.models.masked_info_nce import masked_info_nce


def rows(count: int = 12) -> tuple[Tensor, Tensor]:
    return tuple(torch.randn(count, 5, dtype=torch.float64).requires_grad_() for _ in range(2))


@pytest.mark.parametrize("options", [{"symmetric": True}, {"crops": 4}, {"crops": 4, "negatives": "joint"}])
def test_without_common_recordings_it_is_info_nce(options: dict[str, object]) -> None:
    query, key = rows()
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    recordings = torch.arange(12 // int(options.get("crops", 1)))
    masked = masked_info_nce(query, key, recordings, temperature=temperature, **options)
    expected = ops.info_nce(query, key, temperature=temperature, **options)
    torch.testing.assert_close(masked, expected)
    inputs = (query, key, temperature)
    for x, y in zip(torch.autograd.grad(masked, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("negatives", ["all", "joint"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_other_clips_of_the_recording_do_not_compete(negatives: str, symmetric: bool) -> None:
    """Clips of 2 crops; clips 0, 2 and 5 are of one recording."""
    query, key = rows()
    recordings = torch.tensor([7, 1, 7, 2, 3, 7])
    loss = masked_info_nce(
        query, key, recordings, temperature=0.5, symmetric=symmetric, crops=2, negatives=negatives
    )  # fmt: skip
    cosines = (normalize(query, dim=1) @ normalize(key, dim=1).T / 0.5).tolist()

    def one(i: int, values: list[float]) -> float:
        rivals = [
            j
            for j in range(12)
            if i // 2 == j // 2 or (recordings[i // 2] != recordings[j // 2] and (negatives == "all" or i % 2 == j % 2))
        ]
        return log(sum(exp(values[j]) for j in rivals)) - values[i]

    expected = sum(one(i, cosines[i]) for i in range(12)) / 12
    if symmetric:
        expected = (expected + sum(one(i, [row[i] for row in cosines]) for i in range(12)) / 12) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_rows_without_negatives_have_no_loss() -> None:
    query, key = rows(3)
    loss = masked_info_nce(query, key, torch.zeros(3, dtype=torch.int64), temperature=0.1, symmetric=True)
    loss.backward()
    assert loss == 0
    assert not query.grad.any()
