"""Two commands that write the same: the second one is told the first one's process, and changes nothing."""

import os
import re
from pathlib import Path

import pytest
from helpers.commands import Command, module
from helpers.commands import run as run_command
from helpers.media import write_sound
from helpers.untrained import config, run, scenes

from avsa_fast.config import Config, save_config
from avsa_fast.embed.cli import main as embed
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cli import main as evaluate
from avsa_fast.locks import owner_file, owner_lock, run_lock
from avsa_fast.run import Run
from avsa_fast.scenes.build import build_scenes
from avsa_fast.train.cli import main as train

__all__ = ["config", "run", "scenes"]

MESSAGE = f"process {os.getpid()} is writing it; wait until it ends"


def test_embed(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "x.parquet"
    sound = str(write_sound(tmp_path / "a.wav", 2, 4))
    with owner_lock(owner_file(out), out), pytest.raises(UserError, match=f"x.parquet: {MESSAGE}"):
        embed(run.folder, (sound,), out=str(out))
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav"}
    embed(run.folder, (sound,), out=str(out))
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "x.parquet"}


def test_embed_keeps_the_names_of_another_array(run: Run, tmp_path: Path) -> None:
    sound = str(write_sound(tmp_path / "a.wav", 2, 4))
    (tmp_path / "x.csv").write_text("mine")
    with pytest.raises(UserError, match=r"x\.csv exists already"):
        embed(run.folder, (sound,), out=str(tmp_path / "x.npy"))
    assert (tmp_path / "x.csv").read_text() == "mine"


def test_evaluate(run: Run) -> None:
    with run_lock(run.folder), pytest.raises(UserError, match=f"{run.folder}: {MESSAGE}"):
        evaluate(run.folder, ("retrieval",), moments=1, workers=0)
    assert not (run.folder / "eval").exists()


def test_evaluate_does_not_write_through_a_link(run: Run, tmp_path: Path) -> None:
    (run.folder / "eval").symlink_to(tmp_path)
    try:
        with pytest.raises(UserError, match="eval: is a link"):
            evaluate(run.folder, ("retrieval",), moments=1, workers=0)
    finally:
        (run.folder / "eval").unlink()
    assert list(tmp_path.iterdir()) == []


def test_train(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    save_config(config, folder / "config.yaml")
    before = (folder / "config.yaml").stat().st_mtime_ns
    with run_lock(folder), pytest.raises(UserError, match=f"{folder}: {MESSAGE}"):
        train(out=folder, resume=True, workers=0, device="cpu")
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]
    assert (folder / "config.yaml").stat().st_mtime_ns == before


def test_scenes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with owner_lock(owner_file(out), out), pytest.raises(UserError, match=f"out: {MESSAGE}"):
        build_scenes(out, count=1, seconds=1.0, seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_resumed_trainings(config: Config, tmp_path: Path) -> None:
    """One of them trains to the end, and the other one changes nothing."""
    folder = tmp_path / "run"
    folder.mkdir()
    save_config(config, folder / "config.yaml")
    line = (*module("train"), "--out", folder, "--resume", "--workers", 0)
    with Command(*line) as one, Command(*line) as two:
        done = [(command.process.pid, command.finish()) for command in (one, two)]
    (winner, first), (_, second) = sorted(done, key=lambda pair: pair[1].returncode)
    if second.returncode:  # else they did not meet
        assert second.returncode == 2
        assert re.fullmatch(rf"train: {folder}: process {winner} is writing it; .*", second.stderr.splitlines()[-1])
    assert first.returncode == 0
    assert len((folder / "log.jsonl").read_text().splitlines()) == config.steps


@pytest.mark.slow
def test_two_embeddings(run: Run, tmp_path: Path) -> None:
    sounds = [write_sound(tmp_path / f"{i}.wav", 30, 4) for i in range(4)]
    line = (*module("embed"), run.folder, *sounds, "--out")
    with Command(*line, tmp_path / "x.parquet") as one, Command(*line, tmp_path / "x.parquet") as two:
        codes = sorted((one.finish().returncode, two.finish().returncode))
    assert codes == [0, 2]
    run_command(*line, tmp_path / "y.parquet", check=True)
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()
