"""Second and forward-mode derivatives of every operation: right, or one clear error, never 0."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.operations import CALLS, Call
from torch import Tensor
from torch.autograd import forward_ad

NAMES = [name for name in CALLS if CALLS[name]().leaves]
LEAVES = [(name, leaf) for name in NAMES for leaf in CALLS[name]().leaves]


def function_of(call: Call, leaf: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """A scalar function of one argument, not linear in the result, and the argument."""

    def function(x: Tensor) -> Tensor:
        return call.function(**{**call.arguments, leaf: x}).square().mean()

    return function, call.arguments[leaf].detach()


@pytest.mark.parametrize(("name", "leaf"), LEAVES)
def test_forward_mode_is_refused(name: str, leaf: str) -> None:
    function, x = function_of(CALLS[name](), leaf)
    tangent = torch.ones_like(x)

    def dual(x: Tensor) -> None:
        with forward_ad.dual_level():
            function(forward_ad.make_dual(x, tangent))

    ways: dict[str, Callable[[], Any]] = {
        "jvp": lambda: torch.func.jvp(function, (x,), (tangent,)),
        "dual": lambda: dual(x),
        "dual with a gradient": lambda: dual(x.clone().requires_grad_()),
        "batch of jvp": lambda: torch.func.vmap(lambda t: torch.func.jvp(function, (x,), (t,)))(tangent[None]),
    }
    for way, call in ways.items():
        with pytest.raises(
            NotImplementedError, match=r"no forward-mode derivatives .*: use torch.autograd.grad"
        ) as caught:
            call()
        assert "\n" not in str(caught.value), way


def test_forward_mode_of_other_arguments_is_right() -> None:
    """Tangents that do not reach an operation do not matter to it."""
    call = CALLS["rotate"]()

    def scaled(x: Tensor) -> Tensor:
        return x * call()

    _, tangent = torch.func.jvp(scaled, (torch.tensor(2.0),), (torch.tensor(1.0),))
    torch.testing.assert_close(tangent, call())


@pytest.mark.parametrize(("name", "leaf"), LEAVES)
def test_second_derivatives_are_right_or_refused(name: str, leaf: str) -> None:
    """Along one random direction, against differences of first derivatives in float64."""
    entry = CALLS[name]
    function, x = function_of(entry(dtype=entry.widest), leaf)
    step = torch.randn_like(x)

    def slope(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(function(x), x, create_graph=True)
        return (grad * step).sum() if grad.requires_grad else pytest.fail("no graph of the first derivative")

    leaf_of = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(function(leaf_of), leaf_of, create_graph=True)
    if "double backward" in entry.refused and leaf != "frames":
        with pytest.raises(NotImplementedError, match="no second derivatives") as caught:
            torch.autograd.grad((first * step).sum(), leaf_of)
        assert "\n" not in str(caught.value)
        return
    (second,) = torch.autograd.grad((first * step).sum(), leaf_of)
    curvature = (second * step).sum()
    size = 1e-5 / float(step.abs().max())
    difference = (slope(x + size * step) - slope(x - size * step)) / (2 * size)
    assert abs(float(curvature)) > 0
    torch.testing.assert_close(curvature, difference.detach(), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("pose", ["directions", "fov", "roll"])
def test_gradient_of_frames_is_differentiable_in_the_pose(pose: str) -> None:
    """A penalty on the gradient of frames: the pose's own gradient, against finite differences."""
    call = CALLS["gnomonic-float"]().mapped(lambda x: x.double() if x.is_floating_point() else x)
    call.arguments["directions"][..., 1] /= 4  # no pixel is near a pole, where derivatives are bounded
    call.arguments["fov"] = torch.full_like(call.arguments["fov"], 0.6)
    frames = torch.linspace(0, 6, 2 * 3 * 16 * 32 * 3, dtype=torch.float64).view(2, 3, 16, 32, 3).sin()
    weight = torch.randn(2, 3, 3, 3, 7, 6, dtype=torch.float64)
    mask = torch.randn_like(frames)

    def penalty(value: Tensor) -> Tensor:
        leaf = frames.clone().requires_grad_()
        arguments = {**call.arguments, "frames": leaf, pose: value, "dtype": torch.float64}
        (grad,) = torch.autograd.grad((call.function(**arguments) * weight).sum(), leaf, create_graph=True)
        return (grad * mask).sum()

    assert torch.autograd.gradcheck(
        penalty, call.arguments[pose].clone().requires_grad_(), eps=1e-8, rtol=1e-3, fast_mode=True
    )


def test_gradient_of_frames_alone_does_not_need_the_poses_second_derivative() -> None:
    """A penalty on the gradient of frames, while the direction is learnt too."""
    call = CALLS["gnomonic-float"]()
    leaves = {key: call.arguments[key].clone().requires_grad_() for key in call.leaves}
    out = call.function(**{**call.arguments, **leaves})
    (grad,) = torch.autograd.grad(out.square().sum(), leaves["frames"], create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), leaves["frames"])
    assert second.any()
