"""seld predict: lists in DCASE's format, resumed to the same bytes, for several files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.commands import invoke
from helpers.described import describe_in_this_process

from avsa_fast.data.sound_events import read_events
from avsa_fast.run import Run
from avsa_fast.seld import predict as predicting
from avsa_fast.seld.cli import predict
from avsa_fast.seld.config import SeldConfig
from avsa_fast.seld.start import start


@pytest.fixture(scope="module")
def model(run: Run, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector after two steps."""
    out = tmp_path_factory.mktemp("detector") / "out"
    config = SeldConfig(classes=2, width=16, depth=1, steps=2, batch=2, seconds=2)
    with pytest.MonkeyPatch.context() as patch:
        describe_in_this_process(patch)
        start(run.folder, tree, out, config, resume=False)
    return out


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Two sounds, of 7.25 s and of less than a window."""
    (tmp_path / "sounds").mkdir()
    for name, seconds in (("long", 7.25), ("short", 0.55)):
        noise = np.random.default_rng(0).normal(0, 0.05, (round(24000 * seconds), 4))
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", noise, 24000, "PCM_16")
    return tmp_path / "sounds"


def test_files_of_any_length(model: Path, sounds: Path, tmp_path: Path) -> None:
    done = invoke(predict, "seld predict", model, sounds, "--out", tmp_path / "out", "--threshold", 0)
    assert done.returncode == 0, done.stderr
    assert f"events of 2 files in {tmp_path / 'out'}" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["long.csv", "predictions.json", "short.csv"]
    for name, frames in (("long", 72), ("short", 5)):
        events = list(read_events(tmp_path / "out" / f"{name}.csv"))
        # With threshold 0 each class is active in each frame.
        assert sorted({(event.frame, event.kind) for event in events}) == [
            (f, k) for f in range(frames) for k in (0, 1)
        ]
        assert all(event.distance is not None for event in events)


def test_an_interrupted_prediction_is_resumed(
    model: Path, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predicting, "PART", 2)
    words = (model, sounds, "--threshold", 0, "--out")
    assert invoke(predict, "seld predict", *words, tmp_path / "whole").returncode == 0
    write, left = predicting.write_text, [3]

    def interrupted(path: Path, text: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(predicting, "write_text", interrupted)
    assert invoke(predict, "seld predict", *words, tmp_path / "parts").returncode == 130
    assert not (tmp_path / "parts" / "long.csv").exists()
    assert len(list((tmp_path / "parts" / "long.csv.parts").iterdir())) == 1
    monkeypatch.setattr(predicting, "write_text", write)
    assert invoke(predict, "seld predict", *words, tmp_path / "parts").returncode == 0
    for name in ("long.csv", "short.csv", "predictions.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = invoke(predict, "seld predict", *words, tmp_path / "parts")
    assert again.stderr.count("is complete already") == 2
    other = invoke(predict, "seld predict", model, sounds, "--threshold", 0.5, "--out", tmp_path / "parts")
    assert other.returncode == 2
    assert "holds predictions of another detector or options; remove it, or name another" in other.stderr


def test_files_that_cannot_be_used(model: Path, sounds: Path, tmp_path: Path) -> None:
    soundfile.write(sounds / "mono.wav", np.zeros(24000), 24000)
    done = invoke(predict, "seld predict", model, sounds, "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "mono.wav: its sound has no direction; first-order ambisonics are needed" in done.stderr
    assert "events of 2 files" in done.stdout
    alone = invoke(predict, "seld predict", model, sounds / "mono.wav", "--out", tmp_path / "alone")
    assert alone.returncode == 2
    assert alone.stderr.splitlines()[-1] == "seld predict: no predictions: no file could be read"
    (sounds / "again").mkdir()
    shutil.copy(sounds / "long.wav", sounds / "again" / "long.wav")
    twice = invoke(predict, "seld predict", model, sounds, "--out", tmp_path / "twice")
    assert "would both be predicted in long.csv" in twice.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    full = invoke(predict, "seld predict", model, sounds / "long.wav", "--out", tmp_path / "full")
    assert "full: is not empty, and holds no predictions.json; name another folder" in full.stderr
