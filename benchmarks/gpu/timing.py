"""Measures the duration of a function."""

import subprocess
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


def graph_seconds(function: Callable[[], Any], device: torch.device) -> float:
    """Measures the median duration of a replayed CUDA graph of the function, in seconds: without the host's share."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return median_seconds(graph.replay, device)


def clocks() -> dict[str, int]:
    """Reads the present clock in MHz and power in W of the first GPU; empty without nvidia-smi."""
    query = ["nvidia-smi", "--id=0", "--query-gpu=clocks.sm,power.draw", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20).stdout.split(",")
        return {"megahertz": round(float(found[0])), "watts": round(float(found[1]))}
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        return {}
