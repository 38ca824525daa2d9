"""Frames other than equirectangular RGB: stereoscopic halves, cubemaps, YUV planes."""

from fractions import Fraction
from math import pi, radians

import numpy as np
import pytest
import torch
from helpers.gnomonic import random_frames, random_jitter, random_poses, to
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from avsa_fast import ops, reference
from avsa_fast.spatial import eac


@pytest.mark.parametrize("source", ["erp_top", "erp_bottom", "erp_left", "erp_right"])
def test_stereoscopic_half_equals_mono_frame(kernel_device: torch.device, source: str) -> None:
    frames, poses = random_frames((2, 3, 24, 48)).to(kernel_device), to(kernel_device, random_poses(2, 3))
    half = {
        "erp_top": frames[:, :, :12], "erp_bottom": frames[:, :, 12:],
        "erp_left": frames[..., :24, :], "erp_right": frames[..., 24:, :],
    }[source]  # fmt: skip
    for antialias in (False, True):
        got = ops.gnomonic(frames, size=(7, 9), **poses, source=source, antialias=antialias)
        assert torch.equal(got, ops.gnomonic(half.contiguous(), size=(7, 9), **poses, antialias=antialias))


# Cubemaps.


def sphere(count: int) -> Tensor:
    """Random directions, and those of a cube's faces, edges and corners: [1, count + 26, 2] float64."""
    axis = torch.tensor([-1.0, 0, 1], dtype=torch.float64)
    cube = torch.cartesian_prod(axis, axis, axis)
    x, y, z = torch.cat([torch.randn(count, 3, dtype=torch.float64), cube[cube.abs().sum(1) > 0]]).unbind(1)
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], dim=-1)[None]


def unit_vectors(directions: Tensor) -> Tensor:
    azimuth, elevation = directions.unbind(-1)
    across = elevation.cos()
    return torch.stack([across * azimuth.cos(), across * azimuth.sin(), elevation.sin()], dim=-1)


def read_back_error(frames: Tensor, directions: Tensor, device: torch.device, **options: object) -> Tensor:
    """Angles [K] between directions [1, K, 2] and the values that one-pixel crops read from a frame of directions."""
    crops = ops.gnomonic(
        frames.to(device), directions.to(device), 1e-4, (1, 1), antialias=False, source="eac", **options
    )
    got = normalize(crops[0, :, :, 0, 0, 0].cpu().double(), dim=1)
    return 2 * torch.asin(((got - unit_vectors(directions[0])).norm(dim=1) / 2).clamp(max=1))


def cubemap_of_directions(H: int, W: int) -> Tensor:
    """A cubemap whose texels hold their own directions: [1, 1, H, W, 3] float64."""
    plane = eac.Geometry(H, W, 0.5, 1.0)
    row, column = torch.meshgrid(torch.arange(H).double(), torch.arange(W).double(), indexing="ij")
    face = ((column - plane.padding + 0.5) / plane.face_width).clamp(0, 2.999).floor().long() + 3 * (row >= H / 2)
    left, top = eac.corner(face, plane)
    right, down = (
        torch.tan(((x - begin) / length - 0.5) * pi / 2)
        for x, begin, length in ((column, left, plane.face_width), (row, top, plane.face_height))
    )
    frame = torch.zeros(H, W, 3, dtype=torch.float64)
    axes = torch.tensor(eac.FACES)[face]
    for part, value in enumerate((right, down, torch.ones_like(right))):
        frame.scatter_(2, axes[..., part, :1], (value * axes[..., part, 1])[..., None])
    return normalize(frame, dim=-1)[None, None]


@pytest.mark.parametrize(("H", "W"), [(128, 196), (514, 772), (960, 1440)])
def test_cubemap_of_directions_reads_back_directions(kernel_device: torch.device, H: int, W: int) -> None:
    """Also at the faces' edges and corners; the error is in texels of 90° / face width."""
    frames = cubemap_of_directions(H, W)
    texel = pi / 2 / ((W - 4) / 3)
    assert read_back_error(frames, sphere(500), kernel_device, dtype=torch.float64).max() < 0.01 * texel


def v360(frame: np.ndarray, options: str) -> np.ndarray:
    """Applies FFmpeg's v360 filter to an image [H, W, 3] uint16."""
    av = pytest.importorskip("av")
    H, W, _ = frame.shape
    graph = av.filter.Graph()
    source = graph.add_buffer(width=W, height=H, format="gbrp16le", time_base=Fraction(1, 25))
    projection, sink = graph.add("v360", options), graph.add("buffersink")
    source.link_to(projection)
    projection.link_to(sink)
    graph.configure()
    image = av.VideoFrame(W, H, "gbrp16le")
    for plane, channel in zip(image.planes, (1, 2, 0), strict=True):
        rows = np.zeros((H, plane.line_size // 2), np.uint16)
        rows[:, :W] = frame[..., channel]
        plane.update(rows.tobytes())
    image.pts, image.time_base = 0, Fraction(1, 25)
    graph.push(image)
    converted = graph.pull()
    out = np.empty((converted.height, converted.width, 3), np.uint16)
    for plane, channel in zip(converted.planes, (1, 2, 0), strict=True):
        out[..., channel] = np.frombuffer(bytes(plane), np.uint16).reshape(converted.height, -1)[:, : converted.width]
    return out


@pytest.mark.parametrize(("h", "w"), [(128, 196), (128, 192)])
def test_cubemap_written_by_ffmpeg_reads_back_directions(kernel_device: torch.device, h: int, w: int) -> None:
    H, W = 1024, 2048
    # FFmpeg treats the first and last columns of an equirectangular frame as the same meridian.
    azimuth = (0.5 - np.arange(W) / (W - 1)) * 2 * pi
    elevation = ((0.5 - np.arange(H) / (H - 1)) * pi)[:, None]
    rays = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth], -1
    )
    # Scaled by 0.9, because FFmpeg's sums of 65535 can overflow. FFmpeg truncates fractions of 1/65536.
    cubemap = v360(np.round((0.9 * rays + 1) / 2 * 65535).astype(np.uint16), f"e:eac:interp=line:w={w}:h={h}")
    frames = torch.from_numpy((cubemap + 0.5) / 65536 * 2 - 1)[None, None]
    directions = sphere(500)
    error = read_back_error(frames, directions, kernel_device, dtype=torch.float64) / (pi / 2 / ((w - 4) / 3))
    _, middle, largest = unit_vectors(directions[0]).abs().sort(dim=1).values.unbind(1)
    inside = middle < 0.95 * largest  # inside a face; truncation errors count twice at its edges
    assert error[inside].max() < 0.01
    assert error.max() < 0.03


@pytest.mark.parametrize("fov", [25, 32, 65, 120])
def test_antialiased_cubemap(fov: int) -> None:
    """Zone plates around each axis, at the texels' limit on the opposite side, against 16 x 16 rays per pixel."""
    rings = cubemap_of_directions(514, 772).clamp(-1, 1).acos().square()
    frames = (0.5 + 0.5 * torch.cos(256 / pi * rings)).float()  # at angle π, π per texel of π / 2 / 256
    directions, roll = sphere(6).float(), torch.rand(1, 32)
    got = ops.gnomonic(frames, directions, radians(fov), (32, 32), roll=roll, source="eac")[0, :, :, 0]
    fine = ops.gnomonic(frames, directions, radians(fov), (512, 512), roll=roll, source="eac", antialias=False)
    worst = (got - avg_pool2d(fine[0, :, :, 0], 16)).square().mean((-2, -1)).max()
    assert -10 * torch.log10(worst) > 40


@pytest.mark.parametrize("antialias", [False, True])
def test_crops_of_bytes_from_cubemaps_are_within_their_range(kernel_device: torch.device, antialias: bool) -> None:
    """At the edges of faces, texels are extrapolated: here those of a black and white pattern."""
    frames = (torch.randint(0, 2, (1, 1, 32, 48, 3)) * 255).to(torch.uint8)
    poses, options = random_poses(1, 6), {"size": (24, 24), "antialias": antialias, "source": "eac"}
    beyond = reference.gnomonic(frames.float() / 255, **poses, **options)
    assert beyond.min() < -0.1
    assert beyond.max() > 1.1
    got = ops.gnomonic(frames.to(kernel_device), **to(kernel_device, poses), **options).cpu()
    assert got.min() == 0
    assert got.max() == 1
    assert (got - beyond.clamp(0, 1)).abs().max() < 1e-3


@pytest.mark.parametrize("antialias", [False, True])
def test_cubemap_matches_reference(kernel_device: torch.device, antialias: bool) -> None:
    frames, poses = random_frames((2, 3, 32, 48)), random_poses(2, 3)
    options = {"size": (9, 8), "antialias": antialias, "source": "eac"}
    got = ops.gnomonic(frames.to(kernel_device), **to(kernel_device, poses), **options).cpu()
    exact = {name: x.double() if x.is_floating_point() else x for name, x in poses.items()}
    want = reference.gnomonic(frames, **exact, **options, dtype=torch.float64)
    assert (got.double() - want).abs().max() <= 1e-3


# YUV planes.


def random_planes(kind: str, B: int, F: int, H: int, W: int) -> tuple[Tensor, ...]:
    def plane(*shape: int) -> Tensor:
        return torch.randint(0, 256, (B, F, *shape), dtype=torch.uint8)

    half = (H // 2, W // 2)
    return (plane(H, W), plane(*half, 2)) if kind == "nv12" else (plane(H, W), plane(*half), plane(*half))


@pytest.mark.parametrize("kind", ["nv12", "i420"])
@pytest.mark.parametrize("source", ["erp", "erp_bottom", "erp_right", "eac"])
@pytest.mark.parametrize("antialias", [False, True])
def test_planes_match_reference(kernel_device: torch.device, kind: str, source: str, antialias: bool) -> None:
    planes, poses = random_planes(kind, 2, 3, 32, 64), random_poses(2, 2)
    options = {
        "size": (9, 8),
        "antialias": antialias,
        "source": source,
        "matrix": "bt601",
        "full_range": kind == "i420",
    }
    there = tuple(plane.to(kernel_device) for plane in planes)
    got = ops.gnomonic(there, **to(kernel_device, poses), **options).cpu()
    exact = {name: x.double() if x.is_floating_point() else x for name, x in poses.items()}
    want = reference.gnomonic(planes, **exact, **options, dtype=torch.float64)
    assert (got.double() - want).abs().max() <= 1e-3


def test_nv12_equals_i420(kernel_device: torch.device) -> None:
    y, uv = (plane.to(kernel_device) for plane in random_planes("nv12", 1, 2, 16, 32))
    poses = to(kernel_device, random_poses(1, 3) | {"jitter": random_jitter(1, 3)})
    two = ops.gnomonic((y, uv), size=(6, 5), **poses)
    torch.testing.assert_close(ops.gnomonic((y, uv[..., 0], uv[..., 1]), size=(6, 5), **poses), two, atol=1e-5, rtol=0)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_match_ffmpeg(matrix: str, full_range: bool) -> None:
    """Constant frames of random colours, converted to YUV by FFmpeg, give the original RGB."""
    av = pytest.importorskip("av")
    ranges, spaces = av.video.reformatter.ColorRange, av.video.reformatter.Colorspace
    for colour in np.random.default_rng(0).integers(0, 256, (12, 3), dtype=np.uint8):
        image = av.VideoFrame.from_ndarray(np.broadcast_to(colour, (16, 32, 3)).copy(), "rgb24")
        converted = image.reformat(
            format="yuv420p", dst_colorspace=spaces.ITU601 if matrix == "bt601" else spaces.ITU709,
            dst_color_range=ranges.JPEG if full_range else ranges.MPEG,
        ).to_ndarray()  # fmt: skip
        parts = converted[:16], converted[16:20].reshape(8, 16), converted[20:].reshape(8, 16)
        y, u, v = (torch.from_numpy(part.copy())[None, None] for part in parts)
        crop = ops.gnomonic((y, u, v), torch.zeros(1, 1, 2), 1.0, (4, 4), matrix=matrix, full_range=full_range)
        assert (crop[0, 0, :, 0, 0, 0] * 255 - torch.from_numpy(colour)).abs().max() < 3


def test_chroma_is_sited_left(kernel_device: torch.device) -> None:
    """Chroma that increases with the column has luma's even columns as sample positions."""
    H, W = 64, 128
    y = torch.full((1, 1, H, W), 128, dtype=torch.uint8)
    rise = 96 + torch.arange(W // 2, dtype=torch.uint8)
    u = rise.expand(1, 1, H // 2, W // 2).contiguous()
    v = torch.full_like(u, 128)
    columns = torch.tensor([20.0, 21.0, 60.0, 101.5], dtype=torch.float64)
    azimuth = (0.5 - (columns + 0.5) / W) * 2 * pi
    directions = torch.stack([azimuth, torch.zeros_like(azimuth)], dim=-1)[None].float()
    planes = tuple(plane.to(kernel_device) for plane in (y, u, v))
    crops = ops.gnomonic(planes, directions.to(kernel_device), 1e-3, (1, 1), antialias=False, full_range=True).cpu()
    read = (crops[0, :, 2, 0, 0, 0].double() - 128 / 255) / 1.8556 * 255 + 128
    torch.testing.assert_close(read, 96 + columns / 2, atol=0.01, rtol=0)
