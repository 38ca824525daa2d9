"""The time that an operation's memory takes: its cache lines are read once, its output is written to fresh memory."""

import ctypes
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LINE = 64  # bytes of a cache line


@cache
def _library() -> ctypes.CDLL:
    source = Path(__file__).with_name("limits.cpp")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "limits.so"
        options = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-fPIC", "-shared"]
        subprocess.run([os.environ.get("CXX", "c++"), *options, str(source), "-o", str(library)], check=True)
        loaded = ctypes.CDLL(str(library))
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    loaded.touch_lines.argtypes = [pointer, integer, ctypes.c_int, pointer, integer, pointer, integer]
    loaded.read_and_write.argtypes = [pointer, integer, pointer, integer]
    return loaded


def touch_lines(frames: Tensor, lines: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reads a byte of some cache lines in all frames of a clip and writes an output.

    Args:
        frames: [F, H, W, 3] uint8, contiguous.
        lines: [N] int64, the lines' first bytes within a frame.
        shape: Of the output.

    Returns:
        The output, float32 in memory that was allocated now.
    """
    out = torch.empty(shape)
    size = frames[0].numel()
    _library().touch_lines(
        frames.data_ptr(), size, len(frames), lines.data_ptr(), len(lines), out.data_ptr(), out.numel()
    )
    return out


def read_and_write(data: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Reads float32 data once and writes an output, which it allocates, of a shape."""
    out = torch.empty(shape)
    _library().read_and_write(data.data_ptr(), data.numel(), out.data_ptr(), out.numel())
    return out
