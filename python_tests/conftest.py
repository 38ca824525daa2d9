"""Fixtures for all tests: fixed random numbers, real media, and CUDA kernels emulated on the host."""

import importlib.util
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.seeds import draw, seed_of
from hypothesis import HealthCheck, is_hypothesis_test, register_random, settings
from hypothesis import seed as hypothesis_seed

from avsa_fast.ops import _dispatch

ROOT = Path(__file__).parent.parent
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic cuBLAS


class TorchRandom:
    """Interface that lets hypothesis control torch's generator, so that each example is reproducible."""

    seed = staticmethod(lambda seed: torch.manual_seed(seed + draw()))
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


register_random(TorchRandom)
settings.register_profile(
    "avsa_fast",
    derandomize=True,
    database=None,
    deadline=None,  # other processes may slow the machine down
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("avsa_fast")


def pytest_configure() -> None:
    """Lets Ctrl-C reach the commands under test, also if a shell that runs the tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives slow tests a longer timeout than the default in pyproject.toml.

    With AVSA_EMULATED, keeps only the tests that run its kernels or its C++ tests.
    """
    if "AVSA_EMULATED" in os.environ:
        fixtures = {"kernel_device", "emulated_module"}
        items[:] = [item for item in items if fixtures & set(item.fixturenames) or item.path.name == "test_cpp.py"]
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(5400))


@pytest.fixture(autouse=True)
def fixed_random_numbers(request: pytest.FixtureRequest) -> None:
    """Seeds all generators by the test's name; prints the variable that reproduces a failing test's numbers."""
    seed = seed_of(request.node.nodeid)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (libraries may draw from it)
    torch.manual_seed(seed)
    if is_hypothesis_test(function := getattr(request.node, "function", None)):
        hypothesis_seed(seed)(function)
    print(f"AVSA_TEST_SEED={draw()}")


@pytest.fixture(autouse=True)
def restored_process() -> Iterator[None]:
    """Restores what code in this process sets: handlers of signals, the hook of ignored errors, torch's threads."""
    threads = torch.get_num_threads()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    yield
    torch.set_num_threads(threads)  # results of another number have other bits
    sys.unraisablehook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A random generator seeded by the test's name."""
    return np.random.default_rng(seed_of(request.node.nodeid))


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real media; skips the test if there is none."""
    folder = Path(os.environ.get("AVSA_ASSETS", ROOT.parent / "shared" / "assets"))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder} (set AVSA_ASSETS)")
    return folder


@pytest.fixture(scope="session")
def emulated_module() -> ModuleType:
    """The extension _C_emulated: CUDA sources compiled for the host by `make test`, or found in AVSA_EMULATED."""
    folder = Path(os.environ.get("AVSA_EMULATED", ROOT / "build" / "emulated"))
    files = list(folder.glob("_C_emulated.*.so"))
    assert files, f"no _C_emulated in {folder}: run `make test`, which builds it"
    spec = importlib.util.spec_from_file_location("_C_emulated", files[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_C_emulated"] = module
    spec.loader.exec_module(module)
    # A function that an older build lacks would be the host's, and the test would pass.
    lacks = sorted(name for name in vars(_dispatch.load()) if not name.startswith("__") and not hasattr(module, name))
    assert not lacks, f"{files[0]} lacks {', '.join(lacks)}: run `make test`, which builds it anew"
    return module


@pytest.fixture(params=["cpu", "emulated", pytest.param("cuda", marks=pytest.mark.cuda)])
def kernel_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Runs a test with the host kernels, with the CUDA kernels emulated on the host, and on a GPU if there is one."""
    if request.param == "cuda":
        return request.getfixturevalue("cuda_device")
    sanitized = "AVSA_EMULATED" in os.environ
    if request.param == "emulated" or sanitized:
        module = request.getfixturevalue("emulated_module")
        module.emulate_device(request.param == "emulated")
        for name, value in vars(module).items():
            if not name.startswith("__"):
                monkeypatch.setattr(_dispatch._C, name, value, raising=False)
    return torch.device("cpu")


@pytest.fixture
def cuda_device() -> Iterator[torch.device]:
    """The GPU, with new tensors filled with NaN; skips the test if there is no GPU."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield torch.device("cuda")
    torch.use_deterministic_algorithms(False)
