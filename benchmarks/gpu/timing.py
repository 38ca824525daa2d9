"""Measures the duration of a function."""

from collections.abc import Callable
from typing import Any

import torch


def median_seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Measures the median duration over many runs.

    Args:
        function: Function to time.
        device: On CUDA, times lie between device events, with the L2 cache cleared before each run.

    Returns:
        Seconds.
    """
    if device.type == "cuda":
        from triton.testing import do_bench

        return float(do_bench(function, warmup=50, rep=300, return_mode="median")) / 1e3
    from torch.utils.benchmark import Timer

    return Timer("function()", globals={"function": function}).blocked_autorange(min_run_time=0.02).median
