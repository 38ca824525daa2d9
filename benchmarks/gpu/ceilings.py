"""Measures the device's two ceilings: memory copy bandwidth and bf16 matrix rate, through torch."""

import torch

from timing import median_seconds


def ceilings(device: torch.device, small: bool) -> dict[str, float]:
    """Measures the ceilings on random numbers.

    Args:
        device: Device to measure.
        small: Whether to use small sizes.

    Returns:
        "copy": bytes per second, reads and writes both counted; "matrix": bf16 operations per second.
    """
    size = 1 << 20 if small else min(1 << 31, torch.cuda.mem_get_info(device)[0] // 4)
    source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = 2 * size / median_seconds(lambda: target.copy_(source), device)
    side = 256 if small else 8192
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return {"copy": copy, "matrix": 2 * side**3 / median_seconds(lambda: a @ b, device)}
