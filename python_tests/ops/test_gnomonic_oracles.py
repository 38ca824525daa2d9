"""Crops of equirectangular frames against a sparse matrix of SciPy, OpenCV and py360convert, at every edge."""

from math import atan, degrees, pi, tan

import cv2
import numpy as np
import pytest
import torch
from helpers.oracles import Array, camera, edge_directions, vectors
from helpers.panoramas import as_eac, v360
from scipy.sparse import csr_array
from torch import Tensor

from avsa_fast import ops

ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24}


def rays(direction: list[float], fov: float, size: tuple[int, int], roll: float = 0.0, flip: bool = False) -> Array:
    """Rays through the pixels' centres, [h, w, 3]: the camera's axes times (1, left, up)."""
    (h, w), focal = size, size[1] / 2 / tan(fov / 2)
    up, left = np.meshgrid(-(np.arange(h) + 0.5 - h / 2) / focal, -(np.arange(w) + 0.5 - w / 2) / focal, indexing="ij")
    return np.stack([np.ones(size), -left if flip else left, up], axis=-1) @ camera(*direction, roll).T


def places(points: Array, H: int, W: int) -> tuple[Array, Array]:
    """Column and row, as array indices, of points [..., 3] in an equirectangular frame."""
    x, y, z = np.moveaxis(points, -1, 0)
    return (0.5 - np.arctan2(y, x) / (2 * pi)) * W - 0.5, (0.5 - np.arctan2(z, np.hypot(x, y)) / pi) * H - 0.5


def bilinear_matrix(points: Array, H: int, W: int) -> csr_array:
    """Weights [N, H W] of a frame's texels at points [N, 3]; columns wrap, beyond a pole is the row half round."""
    u, v = places(points, H, W)
    columns, rows, weights = [], [], []
    for i in (0, 1):
        for j in (0, 1):
            row, column = np.floor(v).astype(int) + i, np.floor(u).astype(int) + j
            beyond = (row < 0) | (row >= H)
            row = np.where(row < 0, 0, np.minimum(row, H - 1))
            columns.append((column + beyond * (W // 2)) % W)
            rows.append(row)
            weights.append((1 - abs(v - np.floor(v) - i)) * (1 - abs(u - np.floor(u) - j)))
    texels = np.stack(rows) * W + np.stack(columns)
    pixels = np.broadcast_to(np.arange(len(points)), texels.shape)
    return csr_array((np.ravel(weights), (pixels.ravel(), texels.ravel())), shape=(len(points), H * W))


def poses(dtype: torch.dtype) -> dict[str, Tensor]:
    """A crop [1, K] at every edge, with roll, flip and fields of view from 10° to 150°."""
    directions = edge_directions(dtype)[None]
    K = directions.shape[1]
    return {
        "directions": directions,
        "fov": torch.linspace(0.17, 2.6, K, dtype=dtype)[None],
        "roll": torch.linspace(-pi, pi, K, dtype=dtype)[None],
        "flip": torch.arange(K)[None] % 3 == 0,
    }


def crops_rays(poses: dict[str, Tensor], size: tuple[int, int]) -> Array:
    """Rays [K, h, w, 3] of the poses' crops."""
    values = (poses[name][0].tolist() for name in ("directions", "fov", "roll", "flip"))
    return np.stack([rays(d, fov, size, roll, flip) for d, fov, roll, flip in zip(*values, strict=True)])


@pytest.mark.parametrize("dtype", ROUNDOFF)
def test_bilinear_crops_and_their_gradients(kernel_device: torch.device, dtype: torch.dtype) -> None:
    """White noise at every edge; no pixel's centre is on a pole, where the azimuth is rounding noise."""
    H, W, size = 16, 32, (4, 6)
    frames = torch.rand(1, 1, H, W, 3, dtype=dtype)
    given = poses(dtype)
    points = crops_rays(given, size)
    matrix = bilinear_matrix(points.reshape(-1, 3), H, W)
    leaf = frames.clone().to(kernel_device).requires_grad_()
    there = {name: value.to(kernel_device) for name, value in given.items()}
    crops = ops.gnomonic(leaf, **there, size=size, antialias=False, dtype=dtype)
    error = np.abs(pixels_of(crops) - matrix @ frames.double().numpy().reshape(-1, 3)).max(-1)
    x, y, z = np.moveaxis(points.reshape(-1, 3), -1, 0)
    across = np.hypot(x, y) / np.sqrt(x * x + y * y + z * z)
    u, u64 = ROUNDOFF[dtype], ROUNDOFF[torch.float64]
    # Rays are float64, their azimuths less exact near a pole. Columns and rows, their arctangents and the weighted sum
    # have 12 roundings of numbers of their size; neighbouring texels differ by up to 1.
    limit = 12 * u64 * (W / across + H) + 12 * u * (W + H + 1)
    assert (error <= limit).all()
    weights = torch.randn_like(crops)
    (gradient,) = torch.autograd.grad(crops, leaf, weights)
    factors = pixels_of(weights)
    error = np.abs(gradient.cpu().double().numpy().reshape(-1, 3) - matrix.T @ factors)
    # Each weight is as exact as a value, for the same texel or its neighbour; a texel's weights are summed.
    assert error.max() <= limit.max() * ((matrix != 0).astype(float).T @ np.abs(factors)).max()


def pixels_of(crops: Tensor) -> Array:
    """Crops [1, K, 3, 1, h, w] as [K h w, 3]."""
    return crops[0, :, :, 0].detach().cpu().double().permute(0, 2, 3, 1).reshape(-1, 3).numpy()


def padded(frame: np.ndarray) -> np.ndarray:
    """A frame [H, W, ...] with the texels around it: the other side of the seam, and of the poles half round."""
    turned = np.roll(frame, frame.shape[1] // 2, axis=1)
    rows = np.concatenate([turned[:1], frame, turned[-1:]])
    return np.concatenate([rows[:, -1:], rows, rows[:, :1]], axis=1)


SLOPE = 3.0  # of the waves, per radian


def waves(H: int, W: int) -> Array:
    """A frame [H, W, 3] of three plane waves across the sphere, within [0, 1], smooth at seam and poles."""
    azimuth, elevation = (0.5 - (np.arange(W) + 0.5) / W) * 2 * pi, (0.5 - (np.arange(H) + 0.5) / H) * pi
    points = vectors(np.stack(np.meshgrid(azimuth, elevation), axis=-1))
    return 0.5 + 0.5 * np.sin(points @ (SLOPE * np.array([[2, -1, 2], [-1, 2, 2], [2, 2, -1]]) / 3) + 0.3)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_crops_match_opencv(kernel_device: torch.device, kind: torch.dtype) -> None:
    """A smooth picture at every edge; the pixel in the middle of some crops lies on a pole or on the seam."""
    H, W, size = 64, 128, (5, 7)
    frame = waves(H, W).astype(np.float32)
    frame = (frame * 255).round().astype(np.uint8) if kind == torch.uint8 else frame
    given = poses(torch.float32)
    there = {name: value.to(kernel_device) for name, value in given.items()}
    frames = torch.from_numpy(frame)[None, None].to(kernel_device)
    crops = pixels_of(ops.gnomonic(frames, **there, size=size, antialias=False, dtype=kind))
    around = padded(frame)
    u, v = places(crops_rays(given, size).reshape(-1, 3), H, W)
    remapped = cv2.remap(around, (u + 1).astype(np.float32)[:, None], (v + 1).astype(np.float32)[:, None],
                         cv2.INTER_LINEAR)[:, 0].astype(float)  # fmt: skip
    # OpenCV rounds columns and rows to 1/32 of a texel. At a pole, the mean of two opposite texels depends on their
    # azimuth by the picture's curvature. Bytes are rounded on both sides.
    largest = 255 if kind == torch.uint8 else 1
    texel = 0.5 * SLOPE * pi / H * largest
    limit = 2 * texel / 64 + 0.5 * (SLOPE * pi / (2 * H)) ** 2 / 2 * largest + (1 if kind == torch.uint8 else 1e-5)
    assert np.abs(crops - remapped).max() <= limit


@pytest.mark.parametrize("fov", [0.5, 1.1, 2.1])
def test_antialiased_crops_match_means_by_opencv(kernel_device: torch.device, fov: float) -> None:
    """Rings down to two texels, at poles and seam: the mean of 16 x 16 rays a pixel, by remap and INTER_AREA."""
    H, W, size = 192, 384, 16
    row, column = np.arange(H)[:, None] - H / 2, np.arange(W) - W / 2
    plate = (0.5 + 0.5 * np.cos(pi / W * (row**2 + column**2))).astype(np.float32)
    directions = edge_directions(torch.float32)[::2][None]
    roll = torch.linspace(-2, 2, directions.shape[1])[None]
    frames = torch.from_numpy(plate)[None, None, :, :, None].expand(1, 1, H, W, 3).contiguous().to(kernel_device)
    crops = ops.gnomonic(frames, directions.to(kernel_device), fov, (size, size), roll=roll.to(kernel_device)).cpu()
    for k, (direction, angle) in enumerate(zip(directions[0].tolist(), roll[0].tolist(), strict=True)):
        u, v = places(rays(direction, fov, (16 * size, 16 * size), angle), H, W)
        fine = cv2.remap(padded(plate), (u + 1).astype(np.float32), (v + 1).astype(np.float32), cv2.INTER_LINEAR)
        mean = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
        noise = np.square(crops[0, k, 0, 0].numpy() - mean).mean()
        assert -10 * np.log10(noise) > 40, (direction, angle)  # the accuracy that docs/gnomonic.md states


# py360convert 1.0.4 without OpenCV, which would round columns to 1/32; NumPy 2.4.6, SciPy 1.16.3:
# picture = numpy.arange(16 * 32).reshape(16, 32, 1) * 37 % 101 / 100.0
# fov = [math.degrees(2 * math.atan(math.tan(0.7) * n / 4)) for n in (3, 1)]  # from the first pixel to the last
# py360convert.e2p(picture, fov, -azimuth, elevation, (2, 4), in_rot_deg=roll).ravel(), angles in degrees
PY360CONVERT_E2P = {
    (0, 0, 0): [0.551534, 0.503695, 0.483956, 0.534792, 0.450307, 0.486693, 0.444678, 0.405458],
    (180, 30, 0): [0.46555, 0.731406, 0.359903, 0.862522, 0.769946, 0.503829, 0.578419, 0.271268],
    (-180, -35, 0): [0.508098, 0.497042, 0.597647, 0.479388, 0.369646, 0.788459, 0.16938, 0.1652],
    (-40, 90, 0): [0.55258, 0.317818, 0.121919, 0.472879, 0.612879, 0.247818, 0.177818, 0.626512],
    (25, -90, 0): [0.621494, 0.515516, 0.445516, 0.416671, 0.556671, 0.585516, 0.375516, 0.481494],
    (100, 80, 0): [0.474807, 0.773323, 0.501843, 0.815818, 0.665706, 0.682057, 0.465145, 0.550526],
    (-130, 20, 30): [0.509028, 0.552756, 0.630766, 0.181046, 0.295287, 0.667906, 0.640976, 0.394841],
    (40, -90, 30): [0.560155, 0.407635, 0.337635, 0.231683, 0.371683, 0.477635, 0.267635, 0.420155],
}
# py360convert.e2c(picture, 4, cube_format="dict"): the first and last pixels of faces are on their edges.
PY360CONVERT_E2C = {
    "F": [0.507691, 0.211199, 0.273761, 0.622212, 0.465093, 0.435455, 0.629682, 0.395093, 0.652754, 0.580318, 0.642879,
          0.582754, 0.587788, 0.384614, 0.447175, 0.517788],
    "R": [0.622212, 0.692825, 0.203761, 0.552212, 0.395093, 0.365455, 0.559682, 0.487246, 0.582754, 0.510318, 0.572879,
          0.512754, 0.517788, 0.314614, 0.377175, 0.447788],
    "B": [0.552212, 0.622825, 0.413761, 0.577691, 0.487246, 0.427121, 0.638016, 0.535093, 0.512754, 0.440318, 0.782879,
          0.722754, 0.447788, 0.796239, 0.26885, 0.337309],
    "L": [0.577691, 0.229954, 0.343761, 0.507691, 0.535093, 0.505455, 0.568016, 0.465093, 0.722754, 0.641935, 0.712879,
          0.652754, 0.337309, 0.454614, 0.517175, 0.587788],
    "U": [0.577691, 0.413761, 0.622825, 0.552212, 0.229954, 0.677288, 0.596819, 0.203761, 0.343761, 0.607288, 0.537288,
          0.692825, 0.507691, 0.211199, 0.273761, 0.622212],
    "D": [0.587788, 0.384614, 0.447175, 0.517788, 0.517175, 0.543181, 0.473181, 0.314614, 0.454614, 0.613181, 0.403181,
          0.377175, 0.337309, 0.26885, 0.796239, 0.447788],
}  # fmt: skip
FACES = {"F": (0, 0), "R": (-90, 0), "B": (180, 0), "L": (90, 0), "U": (0, 90), "D": (0, -90)}
# float32 angles of py360convert, with some 8 roundings of up to 32 columns, and 6 decimals; texels differ by up to 1.
PRINTED = 8 * 32 * 2.0**-24 + 5.1e-7


def crops_of_steps(degrees: list[tuple[float, ...]], fov: float, size: tuple[int, int], device: torch.device) -> Tensor:
    """The picture that py360convert took, cropped at azimuths, elevations and rolls in degrees: [K, h w]."""
    frames = torch.arange(16 * 32).mul(37).fmod(101).div(100).view(1, 1, 16, 32, 1).expand(-1, -1, -1, -1, 3)
    azimuth, elevation, roll = torch.tensor(degrees).float().deg2rad().unbind(-1)
    directions = torch.stack([azimuth, elevation], dim=-1)[None]
    crops = ops.gnomonic(
        frames.to(device), directions.to(device), fov, size, roll=roll[None].to(device), antialias=False
    )
    return crops[0, :, 0, 0].flatten(1).cpu()


def test_crops_match_py360convert(kernel_device: torch.device) -> None:
    crops = crops_of_steps(list(PY360CONVERT_E2P), 1.4, (2, 4), kernel_device)
    torch.testing.assert_close(crops, torch.tensor(list(PY360CONVERT_E2P.values())), rtol=0, atol=PRINTED)


def test_faces_of_a_cube_match_py360convert(kernel_device: torch.device) -> None:
    fov = 2 * atan(4 / 3)  # so that the pixels' centres at the sides are 45° from the middle
    crops = crops_of_steps([(*FACES[face], 0) for face in PY360CONVERT_E2C], fov, (4, 4), kernel_device)
    torch.testing.assert_close(crops, torch.tensor(list(PY360CONVERT_E2C.values())), rtol=0, atol=PRINTED)


@pytest.mark.parametrize("flip", [False, True])
def test_crops_of_cubemaps_match_ffmpeg(kernel_device: torch.device, flip: bool) -> None:
    """FFmpeg's v360 filter crops the cubemap that it wrote, at poles, seams and the edges of faces."""
    cubemap = as_eac((waves(256, 512) * 255).round().astype(np.uint8))
    (h, w), fov = (12, 16), 1.3
    vertical = 2 * atan(tan(fov / 2) * h / w)
    directions = torch.cat([edge_directions(torch.float32), torch.tensor([[pi / 4, 0.0], [0.3, pi / 4], [-2.0, -0.6]])])
    roll = torch.linspace(-2, 2, len(directions))
    crops = ops.gnomonic(
        torch.from_numpy(cubemap)[None, None].to(kernel_device), directions[None].to(kernel_device), fov, (h, w),
        roll=roll[None].to(kernel_device), flip=torch.full((1, len(directions)), flip).to(kernel_device),
        antialias=False, source="eac", dtype=torch.uint8,
    )[0, :, :, 0].cpu()  # fmt: skip
    # FFmpeg truncates to bytes, and rounds weights to 1/16384; within half a texel of a face's edge it may use others.
    limit = 1 + 4 * 255 / 16384 + 0.5 * (0.5 * 255 * SLOPE * pi / 2 / (cubemap.shape[1] / 3 - 4))
    for crop, (azimuth, elevation), angle in zip(crops, directions.tolist(), roll.tolist(), strict=True):
        view = {
            "h_fov": fov,
            "v_fov": vertical,
            "yaw": (pi - azimuth) % (2 * pi) - pi,
            "pitch": elevation,
            "roll": angle,
        }
        options = ":".join(f"{name}={degrees(value)}" for name, value in view.items())
        expected = v360(cubemap, f"eac:flat:interp=line:w={w}:h={h}:{options}").astype(int)
        expected = expected[:, ::-1] if flip else expected
        assert np.abs(crop.permute(1, 2, 0).numpy() - expected).max() <= limit, (azimuth, elevation, angle)
