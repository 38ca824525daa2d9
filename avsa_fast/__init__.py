"""Spatially aware audio-visual embeddings from 360° video with ambisonic sound."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from avsa_fast.api import load as load

try:
    __version__ = version("avsa_fast")
except PackageNotFoundError:
    raise ImportError("avsa_fast is not installed: pip install -e . in its source folder") from None


class BuildInfo(TypedDict):
    """Return type of `build_info`."""

    version: str  # of avsa_fast
    cuda: bool  # whether the build has CUDA kernels
    cuda_archs: list[str]  # that they are compiled for, such as "90a-real"
    cuda_runtime: str | None  # version of CUDA
    cpu_isa: str  # instruction set of the CPU kernels on this machine
    openmp: bool  # whether CPU kernels run on several threads


def build_info() -> BuildInfo:
    """Describes the compiled kernels, and what they run on.

    Returns:
        version: of avsa_fast; cuda: whether there are CUDA kernels; cuda_archs: GPU architectures they are compiled
            for; cuda_runtime: version of CUDA, or None; cpu_isa: instruction set of the CPU kernels on this machine;
            openmp: whether CPU kernels run on several threads.

    Raises:
        ImportError: The kernels cannot be loaded.
    """
    from avsa_fast.ops import _dispatch

    facts = _dispatch._C.build_info()
    return {
        "version": __version__,
        "cuda": facts["cuda"],
        "cuda_archs": facts["cuda_archs"].split(),
        "cuda_runtime": facts["cuda_runtime"],
        "cpu_isa": facts["cpu_isa"],
        "openmp": facts["openmp"],
    }


def __getattr__(name: str) -> Any:
    """Imports ops, reference and load on first use, so that commands can set up the process before torch is loaded."""
    if name == "load":
        return import_module("avsa_fast.api").load
    if name not in {"ops", "reference"}:
        raise AttributeError(f"module 'avsa_fast' has no attribute {name!r}")
    return import_module(f"avsa_fast.{name}")


__all__ = ["BuildInfo", "__version__", "build_info", "load"]
