"""Benchmark cases: each operation with its arguments, the work that it needs, and peers that compute the same.

Sizes are those of the paper's training or of the targets in docs/gpu.md; small=True gives sizes suitable for a CPU,
compute-sanitizer or a profiler. Arguments are unseeded random numbers.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from math import pi, radians, tan
from typing import Any

import torch
from torch import Tensor

from avsa_fast import ops, reference

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


@dataclass(frozen=True)
class Case:
    """One case of the benchmark.

    Attributes:
        kernel: Runs the operation.
        bytes: Computes the bytes that must be read and written, each once.
        operations: Operations of matrix units.
        exponentials: Of the special-function unit.
        peers: Other implementations by name.
    """

    kernel: Callable[[], Any]
    bytes: Callable[[], int]
    operations: int = 0
    exponentials: int = 0
    peers: Mapping[str, Callable[[], Any]] = field(default_factory=dict)


def cases(device: torch.device, small: bool) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yields names and factories of all cases; a factory allocates its case's arguments only when called.

    Args:
        device: Device of the arguments.
        small: Whether to use small sizes.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] == 9:
        yield "info_nce bf16, wgmma", partial(info_nce, "bf16", device, small, wgmma=True)
    for precision in filter(supported, ("bf16", "fp32", "tf32", "3xtf32")):
        yield f"info_nce {precision}", partial(info_nce, precision, device, small)
    for name, options in GNOMONIC.items():
        yield f"gnomonic {name}", partial(gnomonic, device, small, **options)
    for name in ("encode", "rotate", "beamform"):
        yield name, partial(ambisonics, name, device, small)
    for name, options in FEATURES.items():
        yield f"spatial_features {name}", partial(features, options, device, small)
    if not small:
        for precision in ("bf16", "3xtf32", "fp32"):
            for options in SIZES:
                name = ", ".join(f"{key} = {value}" for key, value in options.items())
                yield f"info_nce {precision}, {name}", partial(info_nce, precision, device, small, **options)


def supported(precision: str) -> bool:
    """Returns whether this version of info_nce supports a precision."""
    try:
        ops.info_nce(torch.ones(1, 1), torch.ones(1, 1), precision=precision)
    except ValueError:
        return False
    return True


# --- gnomonic ---------------------------------------------------------------------------------------------------------

# 8 frames of 3840 x 1920 to 224 x 224, 4 crops per clip.
GNOMONIC: dict[str, dict[str, Any]] = {
    "uint8 bilinear": {"antialias": False},
    "uint8": {},
    "float32": {"dtype": torch.float32},
    "uint8 jitter": {"jitter": True},
    "NV12": {"planes": True},
    "uint8 to bfloat16": {"out": torch.bfloat16},
}


def gnomonic(
    device: torch.device, small: bool, *, dtype: torch.dtype = torch.uint8, out: torch.dtype = torch.float32,
    antialias: bool = True, jitter: bool = False, planes: bool = False,
) -> Case:  # fmt: skip
    """Builds a case of ops.gnomonic.

    Args:
        device: Device of the arguments.
        small: Whether to use small sizes.
        dtype: Type of RGB frames.
        out: Type of the crops.
        antialias: Whether to antialias.
        jitter: Whether to jitter colours.
        planes: Whether frames are NV12 planes instead of RGB.
    """
    B, F, K, H, size = (1, 2, 2, 64, 16) if small else (4, 8, 4, 1920, 224)
    W, fov = 2 * H, radians(90)
    if planes:
        frames: Any = tuple(
            torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
            for shape in ((B, F, H, W), (B, F, H // 2, W // 2, 2))
        )
    elif dtype == torch.uint8:
        frames = torch.randint(0, 256, (B, F, H, W, 3), dtype=dtype, device=device)
    else:
        frames = torch.rand(B, F, H, W, 3, dtype=dtype, device=device)
    directions = (torch.rand(B, K, 2, device=device) * 2 - 1) * torch.tensor([pi, pi / 6], device=device)
    options: dict[str, Any] = {"mean": MEAN, "std": STD, "antialias": antialias}
    if jitter:
        options["jitter"] = torch.rand(B, K, 4, device=device) * 0.4 + torch.tensor(
            [0.8, 0.8, 0.8, -0.2], device=device
        )
    written = B * K * 3 * F * size * size * out.itemsize

    def moved() -> int:
        return touched_bytes((B, F, H, W), directions, fov, size, antialias, planes, dtype.itemsize) + written

    peers = {}
    if not (planes or jitter or out != torch.float32):
        eager = partial(grid_sample, frames, directions, fov, size)
        peers = {"grid_sample": eager, "compiled": partial(torch.compile(grid_sample), frames, directions, fov, size)}
    return Case(partial(ops.gnomonic, frames, directions, fov, (size, size), dtype=out, **options), moved, peers=peers)


def touched_bytes(
    shape: tuple[int, int, int, int],
    directions: Tensor,
    fov: float,
    size: int,
    antialias: bool,
    planes: bool,
    itemsize: int,
) -> int:
    """Computes the bytes in the 32-byte sectors that crops read, each sector once, over all frames.

    A texel is read if the gradient of the crops with respect to it is not 0.

    Args:
        shape: B, F, H, W of the frames.
        directions: [B, K, 2], azimuth and elevation in radians.
        fov: Field of view in radians.
        size: Crop width and height in pixels.
        antialias: Whether crops are antialiased.
        planes: Whether frames are NV12 planes instead of RGB.
        itemsize: Bytes per RGB channel value.

    Returns:
        Bytes read from the frames.
    """
    B, F, H, W = shape
    sectors = 0
    for b in range(B):
        leaf = torch.zeros(1, 1, H, W, 3, device=directions.device, requires_grad=True)
        crops = ops.gnomonic(leaf, directions[b : b + 1], fov, (size, size), antialias=antialias)
        (grad,) = torch.autograd.grad(crops, leaf, torch.rand_like(crops) + 0.5)
        texels = (grad[0, 0] != 0).any(-1)  # [H, W]
        rows = [texels.repeat_interleave(3 * itemsize, dim=1)]
        if planes:  # luma, and one chroma pair per 2 x 2 square
            squares = torch.nn.functional.max_pool2d(texels[None].float(), 2)[0] > 0
            rows = [texels, squares.repeat_interleave(2, dim=1)]
        for plane in rows:
            padded = torch.nn.functional.pad(plane, (0, -plane.shape[1] % 32))
            sectors += int(padded.unflatten(1, (-1, 32)).any(-1).sum())
    return 32 * sectors * F


def grid_sample(frames: Tensor, directions: Tensor, fov: float, size: int) -> Tensor:
    """Crops with torch: rays, a sampling grid, grid_sample and normalisation.

    Args:
        frames: [B, F, H, W, 3], uint8 or float32.
        directions: [B, K, 2], azimuth and elevation in radians.
        fov: Field of view in radians.
        size: Crop width and height in pixels.

    Returns:
        [B, K, 3, F, size, size], float32.
    """
    B, F = frames.shape[:2]
    K = directions.shape[1]
    scale = 1 / 255 if frames.dtype == torch.uint8 else 1.0
    images = (frames.permute(0, 1, 4, 2, 3).float() * scale).flatten(1, 2)  # [B, F · 3, H, W]
    steps = (torch.arange(size, device=frames.device) + 0.5 - size / 2) * (2 / size * tan(fov / 2))
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    azimuth, elevation = directions[..., 0, None, None], directions[..., 1, None, None]
    ahead, z = elevation.cos() + elevation.sin() * down, elevation.sin() - elevation.cos() * down
    x, y = azimuth.cos() * ahead + azimuth.sin() * right, azimuth.sin() * ahead - azimuth.cos() * right
    grid = torch.stack([-torch.atan2(y, x) / pi, -torch.atan2(z, torch.hypot(x, y)) / (pi / 2)], dim=-1).flatten(1, 2)
    crops = torch.nn.functional.grid_sample(images, grid, align_corners=False)  # [B, F · 3, K · size, size]
    mean, std = (torch.tensor(x, device=frames.device).view(3, 1, 1, 1, 1) for x in (MEAN, STD))
    return ((crops.view(B, F, 3, K, size, size).permute(2, 0, 3, 1, 4, 5) - mean) / std).permute(1, 2, 0, 3, 4, 5)


# --- ambisonics and features ------------------------------------------------------------------------------------------

FEATURES: dict[str, dict[str, Any]] = {
    "FOA + IV": {"view": "rotate", "spatial": "iv"},
    "stereo + ICF": {"view": "stereo", "spatial": "icf"},
    "beam": {"view": "beamform", "spatial": None},
}


def ambisonics(name: str, device: torch.device, small: bool) -> Case:
    """Builds a case of ops.encode, rotate or beamform: scenes of 10 s at 24 kHz with 4 directions each."""
    B, K, T = (2, 3, 500) if small else (128, 4, 240_000)
    signals = torch.randn(B, 4, T, device=device)
    directions = torch.rand(B, K, 2, device=device) * 2 - 1
    if name == "encode":
        directions = torch.rand(B, 4, 2, device=device) * 2 - 1
    channels = {"encode": 4, "rotate": 4 * K, "beamform": K}[name]
    plain = getattr(reference, name)
    return Case(
        partial(getattr(ops, name), signals, directions), lambda: 4 * (signals.numel() + B * channels * T),
        peers={
            "eager": partial(plain, signals, directions),
            "compiled": partial(torch.compile(plain), signals, directions),
        },
    )  # fmt: skip


def features(options: dict[str, Any], device: torch.device, small: bool) -> Case:
    """Builds a case of ops.spatial_features: scenes of 1 s at 24 kHz with 4 directions each."""
    B, K, T = (2, 2, 2400) if small else (512, 4, 24_000)
    signals, directions = torch.randn(B, 4, T, device=device), torch.rand(B, K, 2, device=device) * 2 - 1
    peers = {"eager": partial(rotate_first, signals, directions, **options)}
    peers["compiled"] = partial(torch.compile(rotate_first), signals, directions, **options)
    kernel = partial(ops.spatial_features, signals, directions, **options)
    return Case(kernel, lambda: 4 * (signals.numel() + kernel().numel()), peers=peers)


def rotate_first(signals: Tensor, directions: Tensor, **options: Any) -> Tensor:
    """Computes the features in the usual order: each view is rotated in the time domain, then transformed."""
    return reference.spatial_features(signals, directions, **options)


# --- InfoNCE ----------------------------------------------------------------------------------------------------------


# Besides N = 32,768, D = 128, temperature = 0.07.
SIZES: list[dict[str, Any]] = [
    *({"N": N} for N in (112, 1024, 4096, 16_384, 65_536)),
    {"D": 512}, {"temperature": 0.01}, {"N": 112, "D": 512, "temperature": 0.01},
]  # fmt: skip


def info_nce(
    precision: str, device: torch.device, small: bool, wgmma: bool = False, *, N: int = 32_768, D: int = 128,
    temperature: float = 0.07,
) -> Case:  # fmt: skip
    """Builds a case of symmetric InfoNCE, forward and backward.

    The kernels compute 2 N² D operations for the loss and, for each side's gradient, cosines again for each 128
    dimensions, and 2 N² D more; twice the loss's, and two exponentials for one, below the temperature of 1 / 40.
    """
    if small:
        N, D = 96, 128 if wgmma else 32
    common = 1 / temperature < 40
    parts = -(-D // 128)
    operations = (2 if common else 4) * N * N * D + 2 * (2 * N * N * D * parts + 2 * N * N * D)
    exponentials = N * N * (1 + 2 * parts if common else 2 + 4 * parts)
    half = precision == "bf16"
    dtype = torch.bfloat16 if half else torch.float32
    query, key = (torch.randn(N, D, device=device, dtype=dtype, requires_grad=True) for _ in range(2))

    def step(loss: Callable[..., Tensor], **options: Any) -> None:
        query.grad = key.grad = None
        os.environ["AVSA_WGMMA"] = str(int(wgmma))  # not by the comparison: each kernel is measured
        loss(query, key, temperature=temperature, symmetric=True, **options).backward()

    peers: dict[str, Callable[[], Any]] = {}
    if precision in ("fp32", "bf16") and not wgmma:
        peers = {"eager": partial(step, dense), "compiled": partial(step, torch.compile(dense))}
        if find_spec("open_clip") is not None:
            peers["open_clip"] = partial(step, open_clip_loss)
        if find_spec("inf_cl") is not None and device.type == "cuda":
            peers["inf_cl"] = partial(step, inf_cl_loss)
        if find_spec("siglip_kernel") is not None and device.type == "cuda":
            peers["siglip_kernel"] = partial(step, siglip_loss)  # a different loss with as many matrix products
    return Case(
        partial(step, ops.info_nce, precision=precision), lambda: 4 * N * D * dtype.itemsize, operations, exponentials,
        peers,
    )  # fmt: skip


def dense(query: Tensor, key: Tensor, *, temperature: float, symmetric: bool) -> Tensor:
    """Computes InfoNCE with a dense matrix of logits and torch's cross-entropy."""
    logits = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(key).T / temperature
    target = torch.arange(len(query), device=query.device)
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def open_clip_loss(query: Tensor, key: Tensor, *, temperature: float, symmetric: bool) -> Tensor:
    """Computes InfoNCE with open_clip's ClipLoss."""
    from open_clip.loss import ClipLoss

    return ClipLoss()(torch.nn.functional.normalize(query), torch.nn.functional.normalize(key), 1 / temperature)


def inf_cl_loss(query: Tensor, key: Tensor, *, temperature: float, symmetric: bool) -> Tensor:
    """Computes InfoNCE with Inf-CL."""
    from inf_cl import cal_flash_loss

    units = torch.nn.functional.normalize(query), torch.nn.functional.normalize(key)
    sides = (cal_flash_loss(a, b, scale=1 / temperature, head_dim=a.shape[1]) for a, b in (units, units[::-1]))
    return torch.stack([side.mean() for side in sides]).mean()


def siglip_loss(query: Tensor, key: Tensor, *, temperature: float, symmetric: bool) -> Tensor:
    """Computes siglip_kernel's sigmoid loss, comparable by speed only; the dtype selects cuBLAS or Triton products."""
    from siglip_kernel import fused_siglip_loss

    units = torch.nn.functional.normalize(query), torch.nn.functional.normalize(key)
    log_scale, bias = (
        query.new_tensor(1 / temperature, dtype=torch.float32).log(),
        query.new_zeros((), dtype=torch.float32),
    )
    return fused_siglip_loss(*units, log_scale, bias)
