"""Dispatch to CUDA kernels, with fake torch.cuda and kernels: device, stream, and error messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from avsa_fast.command import run_command
from avsa_fast.errors import BuildError
from avsa_fast.ops import _dispatch

BUILD = {"cuda": True, "cuda_archs": "80-real 90a-real 90-virtual", "cuda_runtime": "13.0.88"}


class FakeCuda:
    """Fake torch.cuda, and a kernel that records its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = 0, build: dict[str, Any] = BUILD) -> None:
        self.current = torch.device("cuda", 0)
        self.calls: list[tuple[torch.device, dict[str, Any]]] = []
        self.code = code
        self.module = _dispatch.load()
        monkeypatch.setattr(torch.cuda, "device", self.device)
        monkeypatch.setattr(torch.cuda, "current_stream", self.current_stream)
        monkeypatch.setattr(_dispatch._C, "build_info", lambda: build)

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        before, self.current = self.current, device
        yield
        self.current = before

    def current_stream(self) -> SimpleNamespace:
        return SimpleNamespace(cuda_stream=1000 + self.current.index)

    def mix(self, **arguments: Any) -> int:
        self.calls.append((self.current, arguments))
        if self.code:
            raise self.module.CudaError(self.code)
        return 0


def test_runs_on_the_tensors_device_in_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    _dispatch.run(cuda.mix, torch.device("cuda", 1), signals=7, out=8)
    assert cuda.calls == [(torch.device("cuda", 1), {"signals": 7, "out": 8, "stream": 1001})]
    assert cuda.current == torch.device("cuda", 0)


@pytest.mark.parametrize("code", [35, 222])
def test_old_driver_error_names_the_required_driver(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    cuda = FakeCuda(monkeypatch, code)
    with pytest.raises(
        RuntimeError, match=r"mix: the NVIDIA driver is too old.* 13\.0\.88.*580\.65\.06 or newer"
    ) as caught:
        _dispatch.run(cuda.mix, torch.device("cuda", 0))
    assert "\n" not in str(caught.value)


def test_old_driver_with_unknown_cuda_version(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch, 35, {**BUILD, "cuda_runtime": "14.1.3"})
    with pytest.raises(RuntimeError, match=r"uses CUDA 14\.1\.3, which needs a newer one"):
        _dispatch.run(cuda.mix, torch.device("cuda", 0))


def test_unsupported_gpu_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch, 209)
    with pytest.raises(RuntimeError, match=r"kernels for 80-real 90a-real 90-virtual only.*AVSA_CUDA_ARCHITECTURES"):
        _dispatch.run(cuda.mix, torch.device("cuda", 0))


def test_other_cuda_errors_report_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch, 700)
    with pytest.raises(RuntimeError, match="mix: CUDA error 700"):
        _dispatch.run(cuda.mix, torch.device("cuda", 0))


def test_build_without_cuda_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)

    def mix(**_: Any) -> int:
        raise cuda.module.NoDeviceKernels

    with pytest.raises(BuildError, match=r"no CUDA kernels; AVSA_CUDA=ON .* AVSA_CUDA=PYPI"):
        _dispatch.run(mix, torch.device("cuda", 0))


def test_missing_kernel_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In the source folder of a package not installed in place: ImportError, and a one-line error in commands."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    def command() -> None:
        _dispatch.load()

    monkeypatch.setattr(_dispatch, "import_module", missing)
    monkeypatch.setattr("sys.argv", ["train"])
    with pytest.raises(ImportError, match="run outside its source folder"):
        _dispatch.load()
    with pytest.raises(SystemExit) as end:
        run_command(command, "train")
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("train: avsa_fast's compiled kernels cannot be loaded")
