"""Building of the package: values of AVSA_CUDA, and refused ones."""

import sys
from pathlib import Path

import pybind11
import pytest
from helpers.commands import run

ROOT = Path(__file__).parent.parent
WHEELS = {"nvidia-cuda-nvcc", "nvidia-cuda-crt", "nvidia-cuda-cccl", "nvidia-cuda-runtime", "nvidia-nvvm"}


@pytest.mark.parametrize("choice", ["AUTO", "ON", "OFF", "PYPI"])
def test_only_pypi_requires_compiler_wheels(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pytest.importorskip("scikit_build_core.build")
    monkeypatch.setenv("AVSA_CUDA", choice)
    monkeypatch.chdir(ROOT)
    found = {line for line in backend.get_requires_for_build_wheel() if line.startswith("nvidia")}
    assert found == ({f"{name}==13.0.*" for name in WHEELS} if choice == "PYPI" else set())


@pytest.mark.parametrize(
    ("choice", "line"),
    [("PYPI", "AVSA_CUDA=PYPI needs the wheels"), ("YES", "AVSA_CUDA must be AUTO, ON, PYPI or OFF, not 'YES'")],
)
def test_refused(choice: str, line: str, tmp_path: Path) -> None:
    """PYPI is refused outside the build's own environment, because its wheels are missing."""
    command: list[str | Path] = [
        "cmake",
        "-S",
        ROOT,
        "-B",
        tmp_path,
        f"-DAVSA_CUDA={choice}",
        f"-DPython_EXECUTABLE={sys.executable}",
    ]
    command.append(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    tools = str(Path(sys.executable).parent)
    done = run(*command, env={"PATH": f"{tools}:/usr/bin:/bin"})
    assert done.returncode != 0
    assert line in " ".join(done.stderr.split())
