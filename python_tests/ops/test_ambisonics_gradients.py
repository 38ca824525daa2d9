"""encode, rotate and beamform: gradients, and requirements of torch.compile and torch.library."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.ambisonics import random_directions
from torch import Tensor

from avsa_fast import ops

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def calls() -> list[tuple[Callable[..., Tensor], tuple[Any, ...]]]:
    """Each registered operation with float64 arguments, in all variants."""

    def pose(*shape: int) -> Tensor:
        return random_directions(*shape).requires_grad_()

    def sound(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    library = torch.ops.avsa_fast
    flip, roll = torch.tensor([[True, False, True]] * 2), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    return [
        (library.harmonics.default, (pose(2, 3), 1)),
        (library.harmonics.default, (pose(2), 3)),
        (library.rotation_matrices.default, (pose(2, 3), None, None, 1)),
        (library.rotation_matrices.default, (pose(2, 3), roll, flip, 1)),
        (library.rotation_matrices.default, (pose(2, 3), None, flip, 1)),
        (library.mix.default, (sound(2, 4, 2), sound(2, 3, 4), -1)),
        (library.mix.default, (sound(4, 2), sound(8, 4), 1)),
        (library.rotate_moving.default, (sound(2, 4, 3), pose(2, 3, 3), sound(2, 3, 3), flip, 1)),
        (library.rotate_moving.default, (sound(9, 3), pose(2, 3), None, None, 2)),
        (library.mix_moving.default, (sound(3, 2, 4), sound(4, 2), "...ktc,...ct->...kt")),
        (ops.encode, (sound(2, 3, 2), pose(2, 3), 2)),
        (ops.rotate, (sound(2, 4, 2), pose(2, 3))),
        (ops.rotate, (sound(9, 2), pose(1, 2))),
        (ops.encode, (sound(2, 5), pose(2, 3), 2)),
        (ops.beamform, (sound(4, 2), pose(3), [0.25, 0.75])),
        (ops.beamform, (sound(9, 3), pose(2, 2), "max_re")),
    ]


CASES, LIBRARY = range(16), range(10)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: int) -> None:
    operation, arguments = calls()[case]
    assert torch.autograd.gradcheck(operation, arguments)
    assert torch.autograd.gradgradcheck(operation, arguments, fast_mode=True)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_a_subset_of_arguments(case: int) -> None:
    """Gradients are the same if only one argument requires a gradient."""
    operation, arguments = calls()[case]
    wanted = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    if len(wanted) < 2:
        pytest.skip("one argument")
    out = operation(*arguments)
    weight = torch.randn_like(out)
    together = torch.autograd.grad(out, wanted, weight)
    for one, expected in zip(wanted, together, strict=True):
        alone = [
            a.detach().requires_grad_(a is one) if isinstance(a, Tensor) and a.is_floating_point() else a
            for a in arguments
        ]
        leaf = next(a for a in alone if isinstance(a, Tensor) and a.requires_grad)
        torch.testing.assert_close(torch.autograd.grad(operation(*alone), leaf, weight)[0], expected)


@pytest.mark.parametrize("case", LIBRARY)
def test_opcheck(case: int) -> None:
    operation, arguments = calls()[case]
    torch.library.opcheck(operation, arguments)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_graph_breaks(dynamic: bool) -> None:
    def pipeline(signal: Tensor, directions: Tensor, roll: Tensor) -> Tensor:
        scene = ops.encode(signal, directions)
        return ops.beamform(scene, directions, "max_re") + ops.rotate(scene, directions, roll=roll)[..., 0, :]

    arguments = [torch.randn(2, 3, 40), random_directions(2, 3, dtype=torch.float32), torch.randn(2, 3)]
    inputs = [a.clone().requires_grad_() for a in arguments]
    compiled = torch.compile(pipeline, fullgraph=True, dynamic=dynamic, backend="aot_eager")(*inputs)
    leaves = [a.clone().requires_grad_() for a in arguments]
    eager = pipeline(*leaves)
    torch.testing.assert_close(compiled, eager)
    compiled.square().sum().backward()
    eager.square().sum().backward()
    for a, b in zip(inputs, leaves, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
