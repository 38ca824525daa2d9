"""Random arguments for tests of gnomonic."""

from math import pi, radians

import torch
from torch import Tensor

MEAN, STD = (0.43, 0.39, 0.38), (0.23, 0.22, 0.22)


def random_frames(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Tensor:
    if dtype == torch.uint8:
        return torch.randint(0, 256, (*shape, 3), dtype=dtype)
    return torch.rand(*shape, 3, dtype=dtype)


def random_poses(B: int, K: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Random poses anywhere on the sphere, with roll and mirroring, and fields of view from 15° to 130°."""
    unit = torch.rand(4, B, K, dtype=dtype)
    return {
        "directions": torch.stack([(2 * unit[0] - 1) * pi, (unit[1] - 0.5) * pi], dim=-1),
        "fov": radians(15) + unit[2] * radians(115),
        "roll": (2 * unit[3] - 1) * pi,
        "flip": torch.rand(B, K) < 0.5,
    }


def random_jitter(B: int, K: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.cat([torch.rand(B, K, 3, dtype=dtype) * 0.8 + 0.6, torch.rand(B, K, 1, dtype=dtype) - 0.5], dim=-1)


def to(device: torch.device, arguments: dict[str, object]) -> dict[str, object]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in arguments.items()}


def in_float64(arguments: dict[str, object]) -> dict[str, object]:
    """Converts floating-point tensors to float64; integer and boolean tensors are unchanged."""
    return {name: x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for name, x in arguments.items()}
