"""No operation reads a value of a tensor or makes one from Python's numbers: what CUDA graphs cannot capture.

On the CPU, with the checks of values that only CPU tensors get left out. python_tests/cuda captures graphs on a GPU.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch
from helpers.operations import CALLS
from torch import Tensor

from avsa_fast.ops import _checks, _gnomonic_op

FROM_NUMBERS = [(torch, "tensor"), (torch, "as_tensor"), (torch, "asarray"), (torch, "from_numpy")]
FROM_NUMBERS += [(Tensor, "new_tensor")]
READS = ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "nonzero", "masked_select")
CPU_CHECKS = [(_checks, "directions"), (_checks, "finite"), (_checks, "temperature"), (_gnomonic_op, "_check_values")]


@pytest.fixture
def tripwire(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called after a warm-up, which fills caches; from then on, each forbidden call fails."""

    def forbid(owner: Any, name: str) -> None:
        def fail(*_: Any, **__: Any) -> NoReturn:
            pytest.fail(f"{name} within an operation")

        monkeypatch.setattr(owner, name, fail)

    def arm() -> None:
        for owner, name in CPU_CHECKS:
            monkeypatch.setattr(owner, name, lambda *_: None)
        for owner, name in FROM_NUMBERS + [(Tensor, name) for name in READS]:
            forbid(owner, name)

    return arm


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_copied_from_or_to_the_host(tripwire: Callable[[], None], name: str) -> None:
    call = CALLS[name]()
    call.outputs()
    tripwire()
    call.outputs()


@pytest.mark.parametrize("order", [0, 1, 3])
def test_constants_are_made_once(tripwire: Callable[[], None], order: int) -> None:
    """Overwriting a result does not change the table."""
    from avsa_fast.ops._constants import TABLES, constant, vector

    like = torch.zeros(2)
    for name, table in TABLES.items():
        expected = torch.from_numpy(table(order)).float()
        torch.testing.assert_close(constant(name, order, like), expected, rtol=0, atol=0)
        constant(name, order, like).fill_(7)
        torch.testing.assert_close(constant(name, order, like), expected, rtol=0, atol=0)
    want = torch.tensor([0.1, 3.0], dtype=torch.float64)
    tripwire()
    assert torch.equal(vector([0.1, 3.0], like, torch.float64), want)
