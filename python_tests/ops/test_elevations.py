"""Elevations beyond a pole: degrees given for radians are refused, rounding of pi/2 is not."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from avsa_fast import ops

SCENE, FRAMES = torch.randn(4, 600), torch.rand(1, 1, 8, 16, 3)
CALLS: dict[str, Callable[[Tensor], Tensor]] = {  # on directions [2, 2] or [2, 3, 2]
    "encode": lambda directions: ops.encode(SCENE[:2], directions),
    "rotate": lambda directions: ops.rotate(SCENE, directions),
    "beamform": lambda directions: ops.beamform(SCENE, directions),
    "features": lambda directions: ops.spatial_features(SCENE, directions),
    "features-beam": lambda directions: ops.spatial_features(SCENE, directions, view="beamform"),
    "gnomonic": lambda directions: ops.gnomonic(FRAMES, directions[None], 1.0, (2, 2)),
}


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_degrees_are_refused(name: str, moving: bool) -> None:
    if moving and name == "gnomonic":
        pytest.skip("its directions do not move")
    directions = torch.tensor([[90.0, 45.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"directions must be in radians, .*within ±pi/2.*, but an elevation is 45$"):
        CALLS[name](directions[:, None].expand(2, 3, 2) if moving else directions)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_rounding_of_half_pi_is_accepted(name: str, sign: int) -> None:
    """float32's pi/2 is above pi/2; sums in float16 and bfloat16 may be one step above it."""
    for elevation in (torch.tensor(math.pi / 2).item(), 1.5712890625, 1.578125):
        assert CALLS[name](torch.tensor([[90.0, sign * elevation], [0.0, 0.0]])).isfinite().all()


@pytest.mark.parametrize("name", ["encode", "rotate", "beamform"])
def test_cuda_kernels_write_nan(kernel_device: torch.device, name: str, request: pytest.FixtureRequest) -> None:
    if "cpu" in request.node.callspec.id:
        pytest.skip("an error on the CPU")
    directions = torch.tensor([[0.3, 1.6], [0.3, 1.5]], device=kernel_device)
    scene = SCENE.to(kernel_device)
    if name == "encode":
        alone = [ops.encode(scene[:1], direction[None]) for direction in directions]
        assert alone[0][1:].isnan().all()
        assert alone[1].isfinite().all()
        return
    out = getattr(ops, name)(scene, directions)
    views = out[:, 1:] if name == "rotate" else out  # W does not depend on the direction
    assert views[0].isnan().all()
    assert views[1].isfinite().all()


def test_cuda_crops_are_nan(cuda_device: torch.device) -> None:
    directions = torch.tensor([[[0.3, 1.6], [0.3, 1.5]]], device=cuda_device)
    out = ops.gnomonic(FRAMES.to(cuda_device), directions, 1.0, (2, 2))
    assert out[:, 0].isnan().all()
    assert out[:, 1].isfinite().all()
