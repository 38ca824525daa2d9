"""python -m avsa_fast.evaluate as a user meets it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from avsa_fast.errors import UserError
from avsa_fast.evaluate.__main__ import main
from avsa_fast.evaluate.run import Run
from avsa_fast.train.config import save_config


def test_every_pretext_task_from_the_command_line(run: Run) -> None:
    line = [sys.executable, "-m", "avsa_fast.evaluate", str(run.folder), "--moments", "1", "--workers", "0"]
    done = subprocess.run(
        [*line, "--task", "avc", "avsa", "retrieval"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "avsa_bin" in done.stdout
    written = {path.stem: json.loads(path.read_text()) for path in (run.folder / "eval").glob("*.json")}
    assert set(written) == {"avc", "avsa", "retrieval"}
    for figures in written.values():
        for figure in figures.values():
            assert set(figure) == {"value", "low", "high", "chance", "n"}


def test_untrained_results_lie_apart(run: Run) -> None:
    main(run.folder, ("retrieval",), moments=1, workers=0, untrained=True)
    assert (run.folder / "eval" / "untrained" / "retrieval.json").exists()


def test_mistakes_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not the folder of a run: no config\.yaml"):
        main(tmp_path, ("avc",))
    with pytest.raises(UserError, match="--moments must be at least 1"):
        main(run.folder, ("avc",), moments=0)
    save_config(replace(run.config, views=replace(run.config.views, audio="mono")), tmp_path / "config.yaml")
    with pytest.raises(UserError, match=r"no weights\.safetensors; train --resume"):
        main(tmp_path, ("avc",))
