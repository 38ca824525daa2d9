"""Gradients of perspective crops with respect to frames; tracing."""

import pytest
import torch
from helpers.gnomonic import MEAN, STD, in_float64, random_frames, random_jitter, random_poses, to
from torch import Tensor

from avsa_fast import ops, reference


@pytest.mark.parametrize("antialias", [False, True])
def test_frame_gradients_match_finite_differences(kernel_device: torch.device, antialias: bool) -> None:
    frames = random_frames((1, 2, 4, 6), torch.float64).to(kernel_device).requires_grad_()
    poses = to(kernel_device, random_poses(1, 2, torch.float64))

    def crop(frames: Tensor) -> Tensor:
        return ops.gnomonic(frames, size=(3, 2), **poses, antialias=antialias, mean=MEAN, std=STD, dtype=torch.float64)

    assert torch.autograd.gradcheck(crop, frames)
    assert torch.autograd.gradgradcheck(crop, frames)


def test_frame_gradients_match_reference_and_are_deterministic(kernel_device: torch.device) -> None:
    frames, poses = (
        random_frames((1, 3, 16, 32), torch.float32).to(kernel_device),
        to(kernel_device, random_poses(1, 3)),
    )
    weights = torch.randn(1, 3, 3, 3, 20, 20)
    gradients = []
    for _ in range(2):
        leaf = frames.clone().requires_grad_()
        (ops.gnomonic(leaf, size=(20, 20), std=STD, **poses).cpu() * weights).sum().backward()
        gradients.append(leaf.grad)
    exact = frames.double().requires_grad_()
    crops = reference.gnomonic(exact, size=(20, 20), std=STD, **in_float64(poses), dtype=torch.float64).cpu()
    (crops * weights).sum().backward()
    assert torch.equal(gradients[0], gradients[1])
    error = (gradients[0].double() - exact.grad).norm() / exact.grad.norm()
    assert error < 1e-4


def test_gradients_of_zero_nan_and_empty_crops(kernel_device: torch.device) -> None:
    frames = random_frames((1, 1, 4, 8), torch.float32).to(kernel_device).requires_grad_()
    direction = torch.zeros(1, 1, 2, device=kernel_device)
    crop = ops.gnomonic(frames, direction, 1.0, (2, 2))
    assert torch.equal(torch.autograd.grad((crop * 0).sum(), frames, retain_graph=True)[0], torch.zeros_like(frames))
    assert torch.autograd.grad((crop * float("nan")).sum(), frames)[0].isnan().all()
    none = ops.gnomonic(frames, direction[:, :0], 1.0, (2, 2))
    assert torch.equal(torch.autograd.grad(none.sum(), frames)[0], torch.zeros_like(frames))


@pytest.mark.parametrize("factors", [(1.0, 1e-18), (1.0, 1e18)])
@pytest.mark.parametrize("dim", [0, 3])
def test_frames_of_any_magnitude_do_not_change_the_gradients_of_others(
    kernel_device: torch.device, dim: int, factors: tuple[float, float]
) -> None:
    """Kernels sum integers, in a unit: two clips (dim 0) or two frames of a clip (dim 3) have units of their own."""
    B, F = (2, 1) if dim == 0 else (1, 2)
    frames = random_frames((B, F, 8, 16), torch.float64).to(kernel_device).requires_grad_()
    crops = ops.gnomonic(frames, size=(5, 4), **to(kernel_device, random_poses(B, 2)), dtype=torch.float64)
    grad = torch.randn_like(crops)
    want = torch.autograd.grad(crops, frames, grad, retain_graph=True)[0]
    scale = torch.tensor(factors, dtype=torch.float64, device=kernel_device)
    got = torch.autograd.grad(crops, frames, grad * scale.view([2 if d == dim else 1 for d in range(6)]))[0]
    got = got / scale.view(B, F, 1, 1, 1)
    # A sum of integers has the unit's rounding, far below that of a factor.
    assert (got - want).abs().max() < 1e-15 * want.abs().max()


def test_torch_library_contract(kernel_device: torch.device) -> None:
    frames = random_frames((1, 2, 4, 8), torch.float64).to(kernel_device)
    poses = to(kernel_device, random_poses(1, 2, torch.float64))
    directions, fov, roll, flip = poses["directions"], poses["fov"], poses["roll"], poses["flip"]
    plain = ([0.0] * 3, [1.0] * 3, True, False, torch.float64)
    jitter = random_jitter(1, 2, torch.float64).to(kernel_device)
    forward = torch.ops.avsa_fast.gnomonic.default
    leaf = frames.clone().requires_grad_()
    torch.library.opcheck(forward, (leaf, None, None, [], directions, fov, 3, 2, roll, flip, None, *plain))
    torch.library.opcheck(forward, (frames, None, None, [], directions, fov, 3, 2, None, None, jitter, *plain))
    grad = torch.randn(1, 2, 3, 2, 3, 2, dtype=torch.float64, device=kernel_device, requires_grad=True)
    torch.library.opcheck(
        torch.ops.avsa_fast.gnomonic_backward.default, (grad, directions, fov, 4, 8, roll, flip, True, False)
    )
    torch.library.opcheck(
        torch.ops.avsa_fast.gnomonic_pose_backward.default,
        (grad.detach(), frames, directions, fov, roll, flip, True, False),
    )


def test_compiles_in_one_graph() -> None:
    frames = random_frames((1, 2, 8, 16), torch.float32).requires_grad_()
    poses = random_poses(1, 2)
    poses["fov"].requires_grad_()

    def crop(frames: Tensor) -> Tensor:
        return ops.gnomonic(frames, size=(3, 2), **poses, mean=MEAN, std=STD).sin()

    compiled = torch.compile(crop, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(frames), crop(frames))
    compiled(frames).sum().backward()
