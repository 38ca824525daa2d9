"""Benchmarks perspective crops on the CPU, 8 uint8 frames per clip to normalised float crops, against peers.

Peers: OpenCV (map construction, remap of each frame, normalisation), torch's grid_sample, py360convert. Peers that are
not installed are skipped. `copy` is a plain copy of as many bytes as the crops read and write. `limit` reads each cache
line of each crop once, in all frames, and writes the output to fresh memory, without computing anything.
"""

from collections.abc import Callable
from math import cos, pi, radians, sin, tan
from typing import Any

import limits
import numpy as np
import pytest
import torch
from torch import Tensor

from avsa_fast import ops, reference

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)

# clips, frame height, crop size, field of view in degrees, antialiasing, jitter
CASES = {
    "1920x960 -> 4 x 112x112, bilinear": (1, 960, 112, 90, False, False),
    "1920x960 -> 4 x 112x112": (1, 960, 112, 90, True, False),
    "3840x1920 -> 4 x 112x112": (1, 1920, 112, 90, True, False),
    "16 clips 320x160 -> 4 x 48x48": (16, 160, 48, 65, True, False),
    "16 clips 320x160 -> 4 x 48x48, jitter": (16, 160, 48, 65, True, True),
}


def arguments(case: str) -> dict[str, Any]:
    """Returns the arguments of ops.gnomonic for a case."""
    clips, height, size, fov, antialias, jitter = CASES[case]
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(clips, 4, 2, generator=generator) * 2 - 1
    factors = torch.tensor([1.2, 0.8, 1.1, 0.1]).expand(clips, 4, 4)
    return {
        "frames": torch.randint(0, 256, (clips, 8, height, 2 * height, 3), dtype=torch.uint8, generator=generator),
        "directions": unit * torch.tensor([pi, pi / 6]),
        "fov": radians(fov),
        "size": (size, size),
        "mean": MEAN,
        "std": STD,
        "antialias": antialias,
        "jitter": factors if jitter else None,
    }


def columns_and_rows(direction: Tensor, fov: float, size: int, H: int, W: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes the sampling positions of a crop's pixels for a peer.

    Args:
        direction: [2], azimuth and elevation in radians.
        fov: Field of view in radians.
        size: Crop width and height in pixels.
        H: Frame height.
        W: Frame width.

    Returns:
        Fractional column and row indices into the frame, each [size, size].
    """
    azimuth, elevation = direction.tolist()
    focal = size / 2 / tan(fov / 2)
    j, i = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    right, down = (j + 0.5 - size / 2) / focal, (i + 0.5 - size / 2) / focal
    ahead, z = cos(elevation) + sin(elevation) * down, sin(elevation) - cos(elevation) * down
    x, y = cos(azimuth) * ahead + sin(azimuth) * right, sin(azimuth) * ahead - cos(azimuth) * right
    u = (0.5 - np.arctan2(y, x) / (2 * pi)) * W - 0.5
    v = (0.5 - np.arctan2(z, np.hypot(x, y)) / pi) * H - 0.5
    return u, v


def opencv(crops: dict[str, Any]) -> np.ndarray:
    """Crops with cv2.remap."""
    cv2 = pytest.importorskip("cv2")
    cv2.setNumThreads(torch.get_num_threads())
    frames, size = crops["frames"].numpy(), crops["size"][0]
    H, W = frames.shape[2:4]
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    out = np.empty((len(frames), 4, 3, 8, size, size), np.float32)
    for b in range(len(frames)):
        for k in range(4):
            maps = cv2.convertMaps(*columns_and_rows(crops["directions"][b, k], crops["fov"], size, H, W), cv2.CV_16SC2)
            for f in range(8):
                crop = cv2.remap(frames[b, f], *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
                out[b, k, :, f] = ((crop.astype(np.float32) * np.float32(1 / 255) - mean) / std).transpose(2, 0, 1)
    return out


def grid_sample(crops: dict[str, Any]) -> Tensor:
    """Crops with torch's grid_sample."""
    frames, size = crops["frames"], crops["size"][0]
    H, W = frames.shape[2:4]
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    out = torch.empty(len(frames), 4, 3, 8, size, size)
    for b in range(len(frames)):
        images = frames[b].permute(0, 3, 1, 2).float() / 255  # [F, 3, H, W]
        for k in range(4):
            u, v = columns_and_rows(crops["directions"][b, k], crops["fov"], size, H, W)
            grid = torch.from_numpy(np.stack([(u + 0.5) * (2 / W) - 1, (v + 0.5) * (2 / H) - 1], axis=-1))
            sampled = torch.nn.functional.grid_sample(images, grid.expand(8, -1, -1, -1), align_corners=False)
            out[b, k] = ((sampled - mean) / std).transpose(0, 1)
    return out


def py360convert(crops: dict[str, Any]) -> np.ndarray:
    """Crops with py360convert.e2p."""
    peer = pytest.importorskip("py360convert")
    frames, size, fov = crops["frames"].numpy(), crops["size"], np.degrees(crops["fov"])
    angles = np.degrees(crops["directions"].numpy())
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    out = np.empty((len(frames), 4, 3, 8, *size), np.float32)
    for b, k, f in np.ndindex(len(frames), 4, 8):
        azimuth, elevation = angles[b, k]
        crop = peer.e2p(frames[b, f], (fov, fov), -azimuth, elevation, size)
        out[b, k, :, f] = ((crop.astype(np.float32) * np.float32(1 / 255) - mean) / std).transpose(2, 0, 1)
    return out


def bytes_touched(crops: dict[str, Any]) -> list[list[Tensor]]:
    """Numbers of the bytes of a frame that each crop of each clip reads: those whose gradient is not 0."""
    frames = torch.zeros(1, 1, *crops["frames"].shape[2:], requires_grad=True)
    touched = []
    for clip in crops["directions"]:
        crops_of_clip = (
            ops.gnomonic(frames, look[None, None], crops["fov"], crops["size"], antialias=crops["antialias"])
            for look in clip
        )
        touched.append([torch.autograd.grad(crop.sum(), frames)[0].flatten().nonzero()[:, 0] for crop in crops_of_clip])
    return touched


def bytes_touched_and_written(crops: dict[str, Any]) -> int:
    """Counts the bytes that crops read (once each, in 8 frames) and write."""
    touched = sum(len(crop) for clip in bytes_touched(crops) for crop in clip)
    return 8 * touched + 4 * len(crops["frames"]) * 4 * 3 * 8 * crops["size"][0] * crops["size"][1]


@pytest.fixture(params=[pytest.param(case, marks=pytest.mark.benchmark(group=f"gnomonic: {case}")) for case in CASES])
def crops(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Arguments of ops.gnomonic."""
    return arguments(request.param)


def test_kernel(benchmark: Any, crops: dict[str, Any]) -> None:
    benchmark.pedantic(lambda: ops.gnomonic(**crops), rounds=60, warmup_rounds=5)


def test_copy(benchmark: Any, crops: dict[str, Any]) -> None:
    source = torch.ones(bytes_touched_and_written(crops) // 2, dtype=torch.uint8)  # half is read, half written
    target = torch.ones_like(source)
    benchmark.pedantic(lambda: target.copy_(source), rounds=60, warmup_rounds=5)


def test_limit(benchmark: Any, crops: dict[str, Any]) -> None:
    def first_bytes(touched: Tensor) -> Tensor:
        return touched.div(limits.LINE, rounding_mode="floor").unique() * limits.LINE

    lines = [torch.cat([first_bytes(crop) for crop in clip]) for clip in bytes_touched(crops)]

    def limit() -> None:
        for frames, touched in zip(crops["frames"], lines, strict=True):
            limits.touch_lines(frames, touched, (4, 3, 8, *crops["size"]))

    benchmark.pedantic(limit, rounds=60, warmup_rounds=5)


def compare(benchmark: Any, peer: Callable[[dict[str, Any]], Any], crops: dict[str, Any]) -> None:
    """Benchmarks a peer, or skips it if it is not installed or cannot do the case."""
    if crops["jitter"] is not None:
        pytest.skip("no peer jitters colours in the same pass")
    peer(crops)  # skips the test here if the peer is not installed
    benchmark.pedantic(lambda: peer(crops), rounds=15, warmup_rounds=1)


def test_opencv(benchmark: Any, crops: dict[str, Any]) -> None:
    compare(benchmark, opencv, crops)


def test_grid_sample(benchmark: Any, crops: dict[str, Any]) -> None:
    compare(benchmark, grid_sample, crops)


def test_py360convert(benchmark: Any, crops: dict[str, Any]) -> None:
    compare(benchmark, py360convert, crops)


def test_reference(benchmark: Any, crops: dict[str, Any]) -> None:
    if crops["frames"].numel() > 2**25 and crops["antialias"]:
        pytest.skip("takes minutes")
    benchmark.pedantic(lambda: reference.gnomonic(**crops), rounds=1, warmup_rounds=0)
