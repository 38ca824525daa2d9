"""README: its code gives the stated shapes, and its install and training commands run. test_docs.py runs the rest."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from helpers.commands import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(prefix: str, text: str) -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("sh", text) for line in block.splitlines()]
    return [line for line in lines if line.startswith(prefix)]


def test_python_code_runs() -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    assert names["crops"].shape == (1, 2, 3, 8, 112, 112)
    assert names["features"].shape == (1, 2, 7, 64, 98)
    assert names["beams"].shape == (1, 2, 24000)
    assert names["query"].grad.abs().sum() > 0


@pytest.mark.slow
def test_commands_on_own_videos_run(assets: Path, tmp_path: Path) -> None:
    """The commands of "Your own videos", on the real clip."""
    (tmp_path / "my_videos").mkdir()
    for suffix in (".mp4", ".m4a"):
        clip = assets / "video" / f"kqAZkf5Odyw-80{suffix}"
        (tmp_path / "my_videos" / clip.name).symlink_to(clip)
    section = README.partition("## Your own videos")[2].partition("\n## ")[0]
    lines = commands("python -m avsa_fast.", section)
    assert len(lines) == 6
    for line, more in zip(lines, ([], [], ["--steps", "4", "--batch", "8"], [], [], []), strict=True):
        run(sys.executable, *line.split()[1:], *more, cwd=tmp_path, check=True)


@pytest.mark.slow
@pytest.mark.timeout(5000)
def test_install_lines_run_in_a_fresh_environment(tmp_path: Path) -> None:
    """Runs the lines in order from a copy of the source, then commands outside it, as README describes."""
    source, venv = tmp_path / "source", tmp_path / "venv"
    for name in run("git", "ls-files", cwd=ROOT, check=True).stdout.splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-m", "venv", venv, check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AVSA"))}
    environment["PATH"] = f"{venv / 'bin'}:{os.environ['PATH']}"
    environment["AVSA_CUDA_ARCHITECTURES"] = "80-real"  # one of three, to reduce compile time

    def shell(line: str, folder: Path) -> str:
        return run("bash", "-c", line, cwd=folder, env=environment, check=True).stdout

    section = README.partition("## Install")[2].partition("\n## ")[0]
    lines = [line.split("#")[0].strip() for block in blocks("sh", section) for line in block.splitlines()]
    expected = {
        "pip install '.[yolo]'": shutil.which("nvcc") is not None,
        "AVSA_CUDA=PYPI pip install '.[yolo]'": True,
        "AVSA_CUDA=OFF pip install '.[yolo]'": False,
    }
    assert lines == list(expected)
    for line, cuda in expected.items():
        shell(line, source)
        assert shell("python -c 'import avsa_fast; print(avsa_fast.build_info()[\"cuda\"])'", tmp_path) == f"{cuda}\n"
    shell("python -m avsa_fast.scenes my_scenes --count 5 --seconds 1.5", tmp_path)
    shell("python -m avsa_fast.train --data my_scenes --preset tiny --steps 2 --batch 8 --out run", tmp_path)
    assert (tmp_path / "run" / "metrics.json").exists()
