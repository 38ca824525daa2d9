"""Gradients of perspective crops with respect to directions, fields of view and rolls."""

from collections.abc import Callable
from functools import partial
from math import pi, radians

import pytest
import torch
from helpers.gnomonic import STD, random_frames
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference import footprint
from avsa_fast.reference.gnomonic import rays


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


Pose = dict[str, Tensor]


def pose_of(azimuth: float, elevation: float, fov: float, roll: float) -> Pose:
    values = {"directions": [[[azimuth, elevation]]], "fov": [[fov]], "roll": [[roll]]}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def directions_of_texels(H: int, W: int) -> Tensor:
    """Unit vectors [H, W, 3] float64 of the texels of an equirectangular frame."""
    azimuth = (0.5 - (torch.arange(W).double() + 0.5) / W) * 2 * pi
    elevation = (0.5 - (torch.arange(H).double()[:, None] + 0.5) / H) * pi
    x, y = elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin()
    return torch.stack([x, y, elevation.sin().expand(H, W)], dim=-1)


def kernel_gradient(crop: Callable[..., Tensor], pose: Pose, weights: Tensor) -> Tensor:
    """Gradient [4] of sum(crop(pose) * weights) in azimuth, elevation, field of view and roll."""
    leaves = {name: value.clone().requires_grad_() for name, value in pose.items()}
    loss = (crop(**leaves) * weights).sum()
    directions, fov, roll = torch.autograd.grad(loss, list(leaves.values()))
    return torch.cat([directions.flatten(), fov.flatten(), roll.flatten()])


def finite_differences(crop: Callable[..., Tensor], pose: Pose, weights: Tensor, step: float) -> Tensor:
    """The same by central differences."""
    parts = []
    for name, index in (("directions", 0), ("directions", 1), ("fov", 0), ("roll", 0)):
        losses = []
        for sign in (1, -1):
            moved = {key: value.clone() for key, value in pose.items()}
            moved[name].view(-1)[index] += sign * step
            losses.append((crop(**moved) * weights).sum())
        parts.append((losses[0] - losses[1]) / (2 * step))
    return torch.stack(parts)


POLE_TEST_SIZE = (9, 9)
ONE_PIXEL = 2 * torch.tan(torch.tensor(0.6, dtype=torch.float64)).item() / 9  # of POLE_TEST_SIZE with fov 1.2


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e-6, -1e-6, 1e-12], ids=str)
@pytest.mark.parametrize("pixels", [0, 3], ids=["central", "other"])
@pytest.mark.parametrize("pole", [1, -1], ids=["zenith", "nadir"])
def test_gradients_of_linear_pictures_where_a_pixel_meets_a_pole(
    pole: int, pixels: int, offset: float, antialias: bool
) -> None:
    """Crops of a picture that is linear in the direction have derivatives that are known without the frame.

    The centre of the central pixel, or of the one that is some pixels from it, lies on the pole, or beside it. Without
    antialiasing, interpolation between columns changes derivatives by half a column, pi / W. With it, cells of
    footprints add roughness, up to a tenth of the pixels' derivatives, which cancels in the mean over a crop.
    """
    elevation = pole * (pi / 2 - torch.atan(torch.tensor(pixels * ONE_PIXEL, dtype=torch.float64)).item() - offset)
    if abs(elevation) > pi / 2:
        elevation = pole * (pi / 2 + offset)
    pose = pose_of(0.7, elevation, 1.2, 0.0)
    slopes = torch.randn(3, 3, dtype=torch.float64)
    frames = (directions_of_texels(512, 1024) @ slopes)[None, None]
    mean = torch.full((1, 1, 3, 1, *POLE_TEST_SIZE), 1 / 81, dtype=torch.float64)
    each = torch.randn(1, 1, 3, 1, *POLE_TEST_SIZE, dtype=torch.float64)

    def crop(directions: Tensor, fov: Tensor, roll: Tensor) -> Tensor:
        return ops.gnomonic(
            frames, directions, fov, POLE_TEST_SIZE, roll=roll, antialias=antialias, dtype=torch.float64
        )

    def exact(directions: Tensor, fov: Tensor, roll: Tensor) -> Tensor:
        ray = rays(directions, fov, POLE_TEST_SIZE, roll, None)[0]
        return (torch.nn.functional.normalize(ray, dim=-1) @ slopes).permute(0, 1, 4, 2, 3)[:, :, :, None]

    # A pixel's derivative is at most that of the direction, 1 per radian, times the norm of its slopes.
    scales = slopes.mean(dim=1).norm() * mean.sum(), (each.abs().sum((0, 1, 3, 4, 5)) * slopes.norm(dim=0)).sum()
    for weights, scale, bound in zip((mean, each), scales, (1e-2, 0.1 if antialias else 1e-2), strict=True):
        got, want = kernel_gradient(crop, pose, weights), kernel_gradient(exact, pose, weights)
        assert (got - want).abs().max() < bound * scale


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("fov", [0.02, 0.18, 1.2])
def test_gradients_of_noise_around_a_pole_match_reference(
    kernel_device: torch.device, fov: float, antialias: bool
) -> None:
    frames = random_frames((1, 1, 32, 64), torch.float64).to(kernel_device)
    weights = torch.randn(1, 1, 3, 1, 5, 5, dtype=torch.float64).to(kernel_device)
    # Not at the pole itself, where rounding decides the azimuth.
    for elevation in (pi / 2 - 1e-6, pi / 2 - 0.2 * fov, 1e-4 - pi / 2):
        pose = {name: value.to(kernel_device) for name, value in pose_of(0.4, elevation, fov, 0.3).items()}
        options = {"size": (5, 5), "antialias": antialias, "dtype": torch.float64}
        crops = (partial(module.gnomonic, frames, **options) for module in (ops, reference))
        gradients = [kernel_gradient(crop, pose, weights) for crop in crops]
        # The interpolated frame changes by at most 1 over a column, 2 pi / W at a distance of pi / 2 H.
        bound = weights.abs().sum() * (64 / (2 * pi)) / torch.sin(torch.tensor(pi / 64))
        assert gradients[0].abs().max() < bound
        assert (gradients[0] - gradients[1]).abs().max() < 1e-7 * gradients[1].abs().max()


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("elevation", [-1.3, -0.5, 0.0, 0.5, 1.3])
@pytest.mark.parametrize("azimuth", [-pi, -1.0, 0.0, pi - 0.05, pi])
def test_gradients_of_smooth_pictures_match_finite_differences(
    azimuth: float, elevation: float, antialias: bool
) -> None:
    """Without antialiasing, of the pixels that no step moves across the centre of a texel, where interpolation bends.

    With it, of those that do not reach a pole.
    """
    H, W, size, step = 48, 96, (6, 5), 1e-6
    x, y, z = directions_of_texels(H, W).unbind(-1)
    frames = torch.stack([(2 * x + y).sin(), (x * y - z).cos(), (3 * z + x).sin()], dim=-1)[None, None]
    pose = pose_of(azimuth, elevation, 0.9, 0.4)

    def crop(directions: Tensor, fov: Tensor, roll: Tensor) -> Tensor:
        return ops.gnomonic(frames, directions, fov, size, roll=roll, antialias=antialias, dtype=torch.float64)

    weights = torch.randn(1, 1, 3, 1, *size, dtype=torch.float64)
    if antialias:
        rays_of_pixels = rays(pose["directions"], pose["fov"], size, pose["roll"], None)
        ray, right = rays_of_pixels[0], rays_of_pixels[1]
        reach = right.norm(dim=-1) + pi / (2 * H)  # of the pixels with cells within half a texel of a pole
        weights = weights * (ray[..., :2].norm(dim=-1) > reach * ray.norm(dim=-1))[:, :, None, None]
    else:
        ray = rays(pose["directions"], pose["fov"], size, pose["roll"], None)[0]
        u, v = footprint.project(ray, footprint.Geometry(H, W, 0.5))  # [1, 1, h, w]
        # A ray moves by at most 2 steps, its column by W / (2 pi sin(distance from the pole)) of that, at least 0.03.
        margin = 20 * step * W
        inside = ((u - u.round()).abs() > margin) & ((v - v.round()).abs() > margin)
        assert inside.double().mean() > 0.9
        weights = weights * inside[:, :, None, None]
    got, want = kernel_gradient(crop, pose, weights), finite_differences(crop, pose, weights, step)
    assert (got - want).abs().max() < 1e-5 * want.abs().max()


@pytest.mark.parametrize("antialias", [False, True])
def test_gradients_of_bytes_on_a_cubemap_are_0_where_values_are_clamped(
    kernel_device: torch.device, antialias: bool
) -> None:
    """A frame of 0 and 255 in turn, of which crops at the edges of faces are extrapolated beyond the range."""
    frames = (torch.arange(34 * 52).view(1, 1, 34, 52, 1) // 3 % 2 * 255).expand(-1, -1, -1, -1, 3).to(torch.uint8)
    frames = frames.contiguous().to(kernel_device)
    pose = {name: value.to(kernel_device) for name, value in pose_of(0.75, 0.6, 1.0, 0.2).items()}
    weights = torch.randn(1, 1, 3, 1, 24, 24).to(kernel_device)
    options = {"size": (24, 24), "source": "eac", "antialias": antialias}
    raw = reference.gnomonic(frames.double() / 255, **pose, **options, dtype=torch.float64)
    assert raw.min() < 0
    assert raw.max() > 1
    got = kernel_gradient(partial(ops.gnomonic, frames, **options), pose, weights)
    want = kernel_gradient(partial(reference.gnomonic, frames, **options, dtype=torch.float64), pose, weights)
    assert (got - want).abs().max() < 1e-5 * want.abs().max()
