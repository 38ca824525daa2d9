"""Fixtures of all tests: real media, and the CUDA kernels executed on the host."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from avsa_fast.ops import _kernel

ROOT = Path(__file__).parent.parent
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic


@pytest.fixture(autouse=True)
def fresh_random_numbers() -> None:
    """Others in every run; the line is shown where a test fails."""
    print(f"torch.manual_seed({torch.seed()})")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real media, where there is one."""
    folder = Path(os.environ.get("AVSA_ASSETS", ROOT.parent / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder} (set AVSA_ASSETS)")
    return folder


@pytest.fixture(scope="session")
def emulated_module() -> ModuleType:
    """_C_emulated: the CUDA sources compiled for the host by `make emulated`, or as AVSA_EMULATED says."""
    folder = Path(os.environ.get("AVSA_EMULATED", ROOT / "build" / "emulated"))
    files = list(folder.glob("_C_emulated.*.so"))
    assert files, f"no _C_emulated in {folder}: run `make emulated` first"
    spec = importlib.util.spec_from_file_location("_C_emulated", files[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_C_emulated"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["cpu", "emulated", pytest.param("cuda", marks=pytest.mark.cuda)])
def kernel_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Runs a test with the host kernels, the CUDA kernels emulated on the host, and on a GPU where there is one."""
    if request.param == "cuda":
        return request.getfixturevalue("cuda_device")
    sanitized = "AVSA_EMULATED" in os.environ
    if request.param == "emulated" or sanitized:
        module = request.getfixturevalue("emulated_module")
        kind = "cuda" if request.param == "emulated" else "cpu"
        monkeypatch.setattr(_kernel, "extension", lambda: _on_host(module, kind))
    return torch.device("cpu")


@pytest.fixture
def cuda_device() -> Iterator[torch.device]:
    """The GPU, where there is one, with NaN in fresh memory."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield torch.device("cuda")
    torch.use_deterministic_algorithms(False)


def _on_host(module: ModuleType, kind: str) -> SimpleNamespace:
    """The emulated module's device kernels (kind "cuda") or host kernels ("cpu") as the extension's host kernels."""

    def device_kernel(name: str):
        def call(*arguments: int | float) -> None:
            assert getattr(module, name)(*arguments, 0) == 0

        return call

    names = [name.removesuffix("_cpu") for name in dir(module) if name.endswith("_cpu")]
    if kind == "cpu":
        return SimpleNamespace(**{f"{name}_cpu": getattr(module, f"{name}_cpu") for name in names})
    return SimpleNamespace(**{f"{name}_cpu": device_kernel(f"{name}_cuda") for name in names})
