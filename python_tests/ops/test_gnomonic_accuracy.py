"""Perspective crops against the conventions, antialiasing against 16 x 16 rays per pixel, rounding."""

from collections.abc import Callable
from math import pi, radians
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from avsa_fast import ops, reference
from avsa_fast.reference.footprint import Geometry, project


@pytest.mark.parametrize(("H", "W"), [(32, 64), (33, 66), (241, 640), (1920, 3840)])
def test_crop_of_directions_reads_back_directions(kernel_device: torch.device, H: int, W: int) -> None:
    """Crops of a frame that holds directions; errors are in pixels of the frame, including the seam and the poles."""
    azimuth = (0.5 - (torch.arange(W, dtype=torch.float64) + 0.5) / W) * 2 * pi
    elevation = (0.5 - (torch.arange(H, dtype=torch.float64) + 0.5) / H)[:, None] * pi
    x, y, z = elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin().expand(H, W)
    frame = torch.stack([x, y, z], dim=-1).float()[None, None]
    azimuths, elevations = torch.tensor([0.0, 1.3, pi, -pi, 3.1]), torch.tensor([-pi / 2, -1.5, 0.0, 0.7, 1.57, pi / 2])
    directions = torch.cartesian_prod(azimuths, elevations)[None]
    roll = (torch.rand(1, len(directions[0])) - 0.5) * 6
    poses = {"directions": directions.to(kernel_device), "roll": roll.to(kernel_device)}
    crops = ops.gnomonic(frame.to(kernel_device), **poses, fov=radians(70), size=(7, 8), antialias=False).cpu()
    got = normalize(crops[0, :, :, 0].double(), dim=1)
    want = normalize(camera_rays(directions[0], roll[0], radians(70), 7, 8), dim=1)
    angle = 2 * torch.asin(((got - want).norm(dim=1) / 2).clamp(max=1))
    assert angle.max() / (2 * pi / W) < 0.01


def camera_rays(directions: Tensor, roll: Tensor, fov: float, h: int, w: int) -> Tensor:
    """The rays [K, 3, h, w] of CONVENTIONS, by plain matrix products."""
    rays = []
    focal = w / 2 / np.tan(fov / 2)
    i, j = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    ray = np.stack([np.ones((h, w)), -(j + 0.5 - w / 2) / focal, -(i + 0.5 - h / 2) / focal])
    for (azimuth, elevation), angle in zip(directions.double().numpy(), roll.double().numpy(), strict=True):
        (ca, sa), (ce, se), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (azimuth, -elevation, angle))
        about_z = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
        about_y = np.array([[ce, 0, se], [0, 1, 0], [-se, 0, ce]])
        about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        rays.append(np.einsum("ab,bij->aij", about_z @ about_y @ about_x, ray))
    return torch.from_numpy(np.stack(rays))


def test_crop_orientation(kernel_device: torch.device) -> None:
    """A bright spot is at the centre of the crop towards it, and at the right offset in other crops."""
    frame = torch.zeros(1, 1, 90, 180, 3)
    frame[0, 0, 44:46, 44:46] = 1  # azimuth +90°, elevation 0
    frame = frame.to(kernel_device)
    directions = torch.tensor([[[pi / 2, 0], [pi / 2 - 0.3, 0], [pi / 2, -0.3], [pi / 2 - 0.3, 0], [pi / 2 - 0.3, 0]]])
    flip = torch.tensor([[False, False, False, True, False]])
    roll = torch.tensor([[0, 0, 0, 0, pi / 2]])
    crops = ops.gnomonic(
        frame,
        directions.to(kernel_device),
        radians(60),
        (21, 21),
        flip=flip.to(kernel_device),
        roll=roll.to(kernel_device),
    )
    spots = [np.unravel_index(int(crop[0, 0].argmax()), (21, 21)) for crop in crops[0].cpu()]
    # 0.3 radians are 5.6 pixels. For a camera rolled clockwise, content on its left moves down.
    assert [(int(i), int(j)) for i, j in spots] == [(10, 10), (10, 4), (4, 10), (10, 16), (16, 10)]


def test_projection_inverts_pixel_centres() -> None:
    rays = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, -1e-9, 0]], dtype=torch.float64)
    u, v = project(rays, Geometry(90, 180, 0.5))
    torch.testing.assert_close(u, torch.tensor([89.5, 44.5, 89.5, 89.5], dtype=torch.float64))
    torch.testing.assert_close(v, torch.tensor([44.5, 44.5, -0.5, 44.5], dtype=torch.float64))


# Antialiasing, against many rays per pixel.

# Front, oblique at the seam, near and at the poles, oblique in between.
DIRECTIONS = torch.tensor([[[0, 0], [3.1, 0.3], [1.2, 1.5], [-1.0, -1.2], [0.5, pi / 2], [2.0, 0.8], [pi, -pi / 2]]])
ROLL = torch.tensor([[0, 0.7, 0, -0.4, 0.3, 1.2, 0]])


def psnr(a: Tensor, b: Tensor) -> float:
    """Minimum PSNR, in dB, over channels and crops of [..., h, w]."""
    return float(-10 * torch.log10((a - b).square().mean((-2, -1)).max()))


def ground_truth(frames: Tensor, fov: float, size: int, rays: int, source: str = "erp") -> Tensor:
    """Means [K, 3, size, size] of rays x rays bilinear samples per pixel of one frame."""
    crops = []
    for k in range(DIRECTIONS.shape[1]):
        pose = {"directions": DIRECTIONS[:, k : k + 1], "roll": ROLL[:, k : k + 1], "source": source}
        fine = ops.gnomonic(frames, fov=fov, size=(rays * size, rays * size), antialias=False, **pose)
        crops.append(avg_pool2d(fine[0, :, :, 0], rays))
    return torch.cat(crops)


def zone_plate(H: int, W: int) -> Tensor:
    y, x = torch.arange(H, dtype=torch.float64)[:, None] - H / 2, torch.arange(W, dtype=torch.float64) - W / 2
    plate = 0.5 + 0.5 * torch.cos(pi * (x * x + y * y) / W)
    return plate.float()[None, None, :, :, None].expand(1, 1, H, W, 3).contiguous()


@pytest.mark.parametrize("fov", [25, 45, 65, 90, 120])
@pytest.mark.parametrize(("H", "size"), [(256, 32), (480, 112), (960, 64)])
def test_antialiased_zone_plate(H: int, size: int, fov: int) -> None:
    frames = zone_plate(H, 2 * H)
    got = ops.gnomonic(frames, DIRECTIONS, radians(fov), (size, size), roll=ROLL)
    assert psnr(got[0, :, :, 0], ground_truth(frames, radians(fov), size, 16)) > 40


@pytest.mark.slow
@pytest.mark.parametrize("fov", [25, 45, 65, 90, 120])
@pytest.mark.parametrize(("H", "rays"), [(960, 16), (1920, 16), (3840, 32)])
def test_antialiased_zone_plate_up_to_8k(H: int, rays: int, fov: int) -> None:
    frames = zone_plate(H, 2 * H)
    got = ops.gnomonic(frames, DIRECTIONS, radians(fov), (112, 112), roll=ROLL)
    assert psnr(got[0, :, :, 0], ground_truth(frames, radians(fov), 112, rays)) > 40


def panorama(path: Path) -> Tensor:
    """Reads a panorama [1, 1, H, W, 3] uint8, cropped to even W and H."""
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy())
    return pixels[None, None, : len(pixels) // 2 * 2, : pixels.shape[1] // 2 * 2]


@pytest.mark.parametrize("fov", [25, 65, 120])
def test_antialiased_photograph(assets: Path, fov: int) -> None:
    frames = panorama(assets / "panoramas" / "vrview_petra.jpg")
    truth = ground_truth(frames, radians(fov), 24, 16)
    got, aliased = (
        ops.gnomonic(frames, DIRECTIONS, radians(fov), (24, 24), roll=ROLL, antialias=antialias)[0, :, :, 0]
        for antialias in (True, False)
    )
    assert psnr(got, truth) > 40
    assert psnr(aliased, truth) < 35


@pytest.mark.slow
@pytest.mark.parametrize("fov", [25, 45, 65, 90, 120])
def test_antialiased_panoramas(assets: Path, fov: int) -> None:
    paths = sorted((assets / "panoramas").glob("*.jpg"))
    assert len(paths) > 10
    for path in paths:
        frames = panorama(path)
        got = ops.gnomonic(frames, DIRECTIONS, radians(fov), (112, 112), roll=ROLL)[0, :, :, 0]
        assert psnr(got, ground_truth(frames, radians(fov), 112, 16)) > 40, path.name


def test_antialiasing_is_continuous() -> None:
    """Crops of nearly equal fields of view are nearly equal, also where the number of samples changes."""
    frames = torch.rand(1, 1, 64, 128, 3, dtype=torch.float64)
    direction = torch.tensor([[[0.4, 0.3]]], dtype=torch.float64)
    fovs = torch.linspace(radians(5), radians(100), 4000, dtype=torch.float64)
    crops = ops.gnomonic(frames, direction.expand(1, 4000, 2), fovs[None], (1, 2), dtype=torch.float64)
    steps = crops.diff(dim=1).abs().amax()
    assert steps < 2e-2


@pytest.mark.parametrize("operation", [ops.gnomonic, reference.gnomonic])
def test_antialiasing_is_continuous_at_small_roll(
    kernel_device: torch.device, operation: Callable[..., Tensor]
) -> None:
    """A pixel's edge that lies along a row of the frame may be tilted slightly without a jump."""
    frames = torch.rand(1, 1, 64, 128, 3, dtype=torch.float64)
    directions = torch.tensor([[[0.4, 0.3], [0.4, 0.0], [2.0, -0.8], [1.0, 1.2]]], dtype=torch.float64)

    def crops(roll: float) -> Tensor:
        rolls = torch.full((1, 4), roll, dtype=torch.float64)
        poses = {"directions": directions.to(kernel_device), "roll": rolls.to(kernel_device)}
        return operation(frames.to(kernel_device), **poses, fov=radians(80), size=(9, 9), dtype=torch.float64)

    level = crops(0.0)
    for roll in (-1e-9, 1e-9):
        assert (crops(roll) - level).abs().max() < 1e-7


def test_magnified_crop_is_close_to_bilinear(kernel_device: torch.device) -> None:
    """A footprint that is small relative to a texel covers a linear function, whose mean is its centre value."""
    frames = torch.rand(1, 1, 16, 32, 3, dtype=torch.float64, device=kernel_device)
    # Away from the poles, where footprints are wide.
    directions = (torch.rand(1, 3, 2, dtype=torch.float64, device=kernel_device) - 0.5) * torch.tensor(
        [2 * pi, pi / 2], device=kernel_device
    )
    plain = ops.gnomonic(frames, directions, radians(2), (24, 24), antialias=False, dtype=torch.float64)
    smooth = ops.gnomonic(frames, directions, radians(2), (24, 24), dtype=torch.float64)
    assert (smooth - plain).abs().max() < 0.02


@pytest.mark.parametrize("antialias", [False, True])
def test_crop_of_constant_frame_is_constant(kernel_device: torch.device, antialias: bool) -> None:
    frames = torch.full((1, 1, 40, 80, 3), 0.7, device=kernel_device)
    got = ops.gnomonic(frames, DIRECTIONS.to(kernel_device), radians(100), (15, 15), antialias=antialias)
    torch.testing.assert_close(got, torch.full_like(got, 0.7), atol=2e-6, rtol=0)


def test_half_precision_rounding_matches_torch(kernel_device: torch.device) -> None:
    """Subnormal, tied, huge, infinite and NaN values are rounded as by torch."""
    values = [0.0, -0.0, 1e-9, 2**-24, 2**-25, 3 * 2**-26, 6e-5, 2**-14, 1 + 2**-11, 1 + 3 * 2**-11, 65504, 65519.9,
              65520, 1e9, float("inf"), -float("inf"), float("nan")]  # fmt: skip
    random = torch.randn(4000) * 10 ** (torch.rand(4000) * 14 - 9)
    wide = torch.cat([torch.tensor(values), random])
    frames = wide.view(1, -1, 1, 1, 1).expand(1, -1, 2, 2, 3).contiguous().to(kernel_device)
    for dtype in (torch.float16, torch.bfloat16):
        got = ops.gnomonic(frames, torch.zeros(1, 1, 2).to(kernel_device), 0.01, (1, 1), dtype=dtype, antialias=False)
        plain = ops.gnomonic(frames, torch.zeros(1, 1, 2).to(kernel_device), 0.01, (1, 1), antialias=False)
        torch.testing.assert_close(got, plain.to(dtype), rtol=0, atol=0, equal_nan=True)
