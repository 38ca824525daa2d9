"""Tensors with more than 2^31 elements on a GPU; the same tests with few elements on the CPU."""

import pytest
import torch
from helpers.gnomonic import in_float64, random_poses, to

from avsa_fast import ops, reference

BEYOND = 2**31


def require_free_memory(device: torch.device, size: int) -> None:
    """Skips the test if the GPU has less than `size` bytes of free memory."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info()[0]
        if free < size:
            pytest.skip(f"needs {size / 1e9:.0f} GB of the device's memory, {free / 1e9:.0f} GB are free")


@pytest.mark.parametrize("operation", ["encode", "rotate", "beamform"])
def test_many_samples(kernel_device: torch.device, operation: str) -> None:
    """Samples are independent: the first and last ones of a long signal match those of short signals."""
    views = {"encode": 4, "rotate": 3, "beamform": 5}[operation]
    channels = {"encode": 4, "rotate": 4 * views, "beamform": views}[operation]
    T = BEYOND // channels + 1001 if kernel_device.type == "cuda" else 2001
    require_free_memory(kernel_device, 4 * (4 + channels) * T + 2**30)
    signals = torch.empty(4, T, device=kernel_device).normal_()
    directions = torch.rand(views, 2, device=kernel_device)
    out = getattr(ops, operation)(signals, directions)
    for part in (slice(0, 1000), slice(T - 1000, T)):
        expected = getattr(reference, operation)(signals[:, part].cpu().double(), directions.cpu().double())
        torch.testing.assert_close(out[..., part].cpu().double(), expected, rtol=0, atol=1e-4)


def test_many_texels(kernel_device: torch.device) -> None:
    """Frames beyond 2^31 elements of the input."""
    H, F = (1920, 100) if kernel_device.type == "cuda" else (16, 10)
    require_free_memory(kernel_device, 8 * F * H * H)
    frames = torch.randint(0, 256, (1, F, H, 2 * H, 3), dtype=torch.uint8, device=kernel_device)
    poses = random_poses(1, 2)
    out = ops.gnomonic(frames, size=(9, 8), **to(kernel_device, poses))
    expected = reference.gnomonic(frames[:, -2:].cpu(), size=(9, 8), **in_float64(poses), dtype=torch.float64)
    torch.testing.assert_close(out[:, :, :, -2:].cpu().double(), expected, rtol=0, atol=1e-3)


def test_many_pixels(kernel_device: torch.device) -> None:
    """Crops beyond 2^31 elements of the output."""
    F, K, size = (100, 150, 224) if kernel_device.type == "cuda" else (2, 5, 9)
    require_free_memory(kernel_device, 3 * 2 * F * K * size * size)
    frames = torch.randint(0, 256, (1, F, 32, 64, 3), dtype=torch.uint8, device=kernel_device)
    poses = random_poses(1, K)
    out = ops.gnomonic(frames, size=(size, size), **to(kernel_device, poses), dtype=torch.float16)
    last = {name: value[:, -1:] for name, value in in_float64(poses).items()}
    expected = reference.gnomonic(frames[:, -1:].cpu(), size=(size, size), **last, dtype=torch.float64)
    torch.testing.assert_close(out[:, -1:, :, -1:].cpu().double(), expected, rtol=0, atol=2e-3)


def test_many_views(kernel_device: torch.device) -> None:
    """Features of views beyond 2^31 elements of the output."""
    K = BEYOND // (7 * 64 * 98) + 2 if kernel_device.type == "cuda" else 3
    require_free_memory(kernel_device, 10 * 4 * 7 * 64 * 98 * K // 4)
    signals, directions = torch.randn(4, 24000, device=kernel_device), torch.rand(K, 2, device=kernel_device)
    out = ops.spatial_features(signals, directions)
    expected = reference.spatial_features(signals.cpu().double(), directions[-1:].cpu().double())
    torch.testing.assert_close(out[-1:].cpu().double(), expected, rtol=0, atol=2e-3)


def test_many_pairs(kernel_device: torch.device) -> None:
    """More than 2^31 cosines."""
    N = 50_000 if kernel_device.type == "cuda" else 300
    query = torch.randn(N, 16, device=kernel_device)
    key = query + torch.randn(N, 16, device=kernel_device)
    loss = ops.info_nce(query, key, temperature=0.1)
    units = [torch.nn.functional.normalize(x.double()) for x in (query, key)]
    sums = torch.cat([(part @ units[1].T / 0.1).logsumexp(1) for part in units[0].split(1000)])
    expected = (sums - (units[0] * units[1]).sum(1) / 0.1).mean()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
