"""README's code gives the shapes that it says; its training commands run on a real clip. test_docs.py runs the rest."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_commands_on_ones_own_videos_run(assets: Path, tmp_path: Path) -> None:
    """The commands of "Your own videos", on the real clip."""
    (tmp_path / "my_videos").mkdir()
    for suffix in (".mp4", ".m4a"):
        clip = assets / "video" / f"kqAZkf5Odyw-80{suffix}"
        (tmp_path / "my_videos" / clip.name).symlink_to(clip)
    section = README.partition("## Your own videos")[2].partition("\n## ")[0]
    lines = commands("python -m avsa_fast.", section)
    assert len(lines) == 6
    for line, more in zip(lines, ([], [], ["--steps", "4", "--batch", "8"], [], [], []), strict=True):
        done = subprocess.run(
            [sys.executable, *line.split()[1:], *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
