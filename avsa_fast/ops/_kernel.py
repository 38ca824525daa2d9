"""How an operation reaches its kernel: raw addresses to the host or the device function of avsa_fast._C."""

import os
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from avsa_fast.errors import BuildError, UserError

# The numbers of csrc/core/dtype.h.
DTYPES = {torch.uint8: 0, torch.float16: 1, torch.bfloat16: 2, torch.float32: 3, torch.float64: 4}

ISAS = ("baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16")  # of csrc/core/dispatch.h, the best last

# Of cudaError_t: cudaErrorInsufficientDriver, cudaErrorUnsupportedPtxVersion; cudaErrorNoKernelImageForDevice.
TOO_OLD, NO_KERNEL = (35, 222), 209
# The least driver on Linux for each CUDA, by NVIDIA's table of compatibility.
DRIVERS = {"12": "525.60.13", "13": "580.65.06"}


@cache
def extension() -> ModuleType:
    """The compiled kernels.

    Raises BuildError, an ImportError, where they are not there, and UserError on a bad AVSA_CPU_ISA.
    """
    chosen = os.environ.get("AVSA_CPU_ISA", ISAS[-1])
    if chosen not in ISAS:
        raise UserError(f"AVSA_CPU_ISA={chosen}: must be one of {', '.join(ISAS)}")
    try:
        return import_module("avsa_fast._C")
    except ImportError as error:
        raise BuildError(
            f"avsa_fast's compiled kernels cannot be loaded ({error}): install the package (pip install .), "
            "and run outside its source folder unless the install is editable (pip install -e .)"
        ) from error


def run(name: str, device: torch.device, *arguments: Any) -> Any:
    """Calls kernel `name` for tensors on `device`, on CUDA in the current stream; returns what a host kernel does.

    Raises BuildError, a RuntimeError, where this build has no kernel for the device, RuntimeError where CUDA fails.
    """
    kernels = extension()
    if device.type == "cpu":
        return getattr(kernels, f"{name}_cpu")(*arguments)
    if not hasattr(kernels, f"{name}_cuda"):
        raise BuildError(
            f"{name}: this build of avsa_fast has no CUDA kernels; AVSA_CUDA=ON pip install . makes them with nvcc, "
            "AVSA_CUDA=PYPI pip install . without"
        )
    with torch.cuda.device(device):
        code = getattr(kernels, f"{name}_cuda")(*arguments, torch.cuda.current_stream().cuda_stream)
    if code:
        raise _failure(name, code, kernels.build())
    return None


def _failure(name: str, code: int, build: dict[str, Any]) -> RuntimeError:
    """What a cudaError_t says, with the way out where build and machine do not fit each other."""
    if code in TOO_OLD:
        runtime = build["cuda_runtime"]
        least = DRIVERS.get(runtime.split(".")[0])
        needed = "a newer one" if least is None else f"{least} or newer"
        return BuildError(
            f"{name}: the NVIDIA driver is too old: this build of avsa_fast uses CUDA {runtime}, which needs {needed} "
            "(nvidia-smi shows yours); update the driver, or build avsa_fast with an nvcc of an older CUDA"
        )
    if code == NO_KERNEL:
        return BuildError(
            f"{name}: this build of avsa_fast has CUDA kernels for {build['cuda_archs']} only, none for this GPU; "
            "AVSA_CUDA_ARCHITECTURES=86-real pip install . builds for another, here of compute capability 8.6"
        )
    return RuntimeError(f"{name}: CUDA error {code}")


def address(tensor: Tensor | None) -> int:
    """A tensor's address; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()
