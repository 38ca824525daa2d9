"""Gradients of perspective crops with respect to frames and poses; tracing."""

from math import radians

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


@pytest.mark.parametrize("source", ["erp", "eac"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.uint8])
def test_pose_gradients_match_reference(
    kernel_device: torch.device, dtype: torch.dtype, antialias: bool, source: str
) -> None:
    """Uses smooth frames, because interpolation is not differentiable at the edges of texels."""
    frames = torch.rand(1, 2, 3, 4, 3, dtype=torch.float64).permute(0, 1, 4, 2, 3).flatten(0, 2)[None]
    frames = torch.nn.functional.interpolate(frames, size=(60, 120), mode="bicubic").clamp(0, 1)
    frames = frames.view(1, 2, 3, 60, 120).permute(0, 1, 3, 4, 2)
    if dtype == torch.uint8:
        frames = (frames * 255).to(torch.uint8)
    poses = {
        "directions": torch.tensor([[[0.31, 0.22], [2.0, -0.91]]], dtype=torch.float64),
        "fov": torch.tensor([[1.0, 0.7]], dtype=torch.float64),
        "roll": torch.tensor([[0.3, -1.1]], dtype=torch.float64),
    }
    flip = torch.tensor([[False, True]]).to(kernel_device)
    frames = frames.to(kernel_device)
    out = torch.float64 if dtype == torch.float64 else torch.float32

    def loss(crops: Tensor) -> Tensor:
        wave = torch.arange(crops.numel(), device=crops.device).view(crops.shape)
        return (crops.double() * wave.sin()).sum()

    leaves = {name: x.clone().to(kernel_device).requires_grad_() for name, x in poses.items()}
    loss(ops.gnomonic(frames, **leaves, size=(3, 4), flip=flip, std=STD, antialias=antialias, source=source,
                      dtype=out)).backward()  # fmt: skip
    exact = {name: x.clone().requires_grad_() for name, x in poses.items()}
    loss(reference.gnomonic(frames.cpu(), **exact, size=(3, 4), flip=flip.cpu(), std=STD, antialias=antialias,
                            source=source, dtype=torch.float64)).backward()  # fmt: skip
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        got, want = leaf.grad.cpu(), exact[name].grad
        assert (got - want).norm() <= (1e-9 if dtype == torch.float64 else 1e-6) * want.norm(), name


@pytest.mark.parametrize("source", ["erp", "eac"])
@pytest.mark.parametrize("antialias", [False, True])
def test_gradcheck_of_poses(antialias: bool, source: str) -> None:
    frames = random_frames((1, 1, 24, 48), torch.float64)
    directions = torch.tensor([[[0.31, 0.22], [2.0, -0.91]]], dtype=torch.float64, requires_grad=True)
    fov = torch.tensor([[1.0, 0.7]], dtype=torch.float64, requires_grad=True)
    roll = torch.tensor([[0.3, -1.1]], dtype=torch.float64, requires_grad=True)

    def crop(directions: Tensor, fov: Tensor, roll: Tensor) -> Tensor:
        return ops.gnomonic(
            frames, directions, fov, (3, 2), roll=roll, antialias=antialias, source=source, dtype=torch.float64
        )

    assert torch.autograd.gradcheck(crop, (directions, fov, roll), eps=1e-7, atol=1e-5)


def test_direction_can_be_learned() -> None:
    """Gradient descent rotates a crop towards the spot that it should show."""
    v, u = torch.meshgrid(torch.arange(64.0), torch.arange(128.0), indexing="ij")
    spot = torch.exp(-((u - 50) ** 2 + (v - 25) ** 2) / 60)
    frames = spot[None, None, :, :, None].expand(1, 1, 64, 128, 3).contiguous()
    direction = torch.zeros(1, 1, 2, requires_grad=True)
    optimiser = torch.optim.Adam([direction], lr=0.05)
    for _ in range(120):
        crop = ops.gnomonic(frames, direction, radians(40), (9, 9))
        loss = -crop[..., 4, 4].mean() - 0.2 * crop.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    expected = torch.tensor([(0.5 - 50.5 / 128) * 2 * torch.pi, (0.5 - 25.5 / 64) * torch.pi])
    assert (direction.detach()[0, 0] - expected).norm() < 0.03


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
