"""Runs and checkpoints received from a stranger, full of tricks: no command changes anything outside of them."""

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.forked import Forked
from helpers.received import (
    RUN_FILES,
    command,
    ended,
    forge_records,
    made,
    outside,
    received_run,
    replaced,
    surroundings,
)

__all__ = ["command", "made", "outside"]
CHECKPOINT_FILES = ("weights.safetensors", "state.pt")
# Names of users that resemble those of temporary files.
RUN_HIDDEN = (
    "checkpoints/.step-0000001.12.part/mine.txt", "checkpoints/.step-mine.part", "eval/.avc.json.8.part",
    ".metrics.json.9.part", ".weights.safetensors.3.part", ".avsa_fast/notes.txt",
)  # fmt: skip


def run_link(name: str, target: str) -> Callable[[Path, Path], None]:
    return lambda run, outside: replaced(run / name, outside / target)


def run_state(run: Path, outside: Path) -> None:
    for folder in (run, run / "checkpoints", run / "eval"):
        replaced(folder / ".avsa_fast", outside / "place")


def forged_record(run: Path, outside: Path) -> None:
    for folder in (run, run / "checkpoints", run / "eval"):
        forge_records(folder, outside)


RUN_TRICKS: dict[str, Callable[[Path, Path], None]] = {
    **{name: run_link(name, name) for name in RUN_FILES},
    "report.html": run_link("report.html", "report.html"),
    "checkpoints": run_link("checkpoints", "checkpoints"),
    "checkpoint": run_link("checkpoints/step-0000001", "checkpoints/step-0000002"),
    "eval": run_link("eval", "place"),
    "eval/avc.json": run_link("eval/avc.json", "avc.json"),
    "dangling log": run_link("log.jsonl", "new-log.jsonl"),
    ".avsa_fast": run_state,
    "forged record": forged_record,
}  # fmt: skip


def run_lines(run: Path) -> dict[str, tuple[object, ...]]:
    return {
        "evaluate": ("evaluate", run, "--task", "avc", "--moments", 1, "--classifiers", 1, "--workers", 0),
        "report": ("report", run, "--clips", 1),
        "resume": ("train", "--resume", "--out", run, "--workers", 0),
    }


@pytest.mark.parametrize("trick", RUN_TRICKS)
def test_run(trick: str, tmp_path: Path, made: Path, outside: Path, command: Forked) -> None:
    data = shutil.copytree(made / "data", tmp_path / "data")
    before = {folder: surroundings(folder) for folder in (outside, data)}
    run = tmp_path / "received_run"
    for kind, line in run_lines(run).items():
        RUN_TRICKS[trick](received_run(made, tmp_path, data), outside)
        output = ended(command.run(*line), 0, 2)
        for folder, content in before.items():
            assert surroundings(folder) == content, f"{kind}: {output}"


def test_run_that_names_a_folder_outside(tmp_path: Path, made: Path, outside: Path, command: Forked) -> None:
    """config.yaml names media without tables, which the user did not: they are not prepared there."""
    before = surroundings(outside)
    for kind, line in run_lines(tmp_path / "received_run").items():
        received_run(made, tmp_path, outside / "media")
        output = ended(command.run(*line), 0, 2)
        assert surroundings(outside) == before, f"{kind}: {output}"
        assert f"python -m avsa_fast.prepare {outside / 'media'} {outside / 'media'}" in output


def test_users_hidden_files_stay_in_a_run(tmp_path: Path, made: Path, command: Forked) -> None:
    data = shutil.copytree(made / "data", tmp_path / "data")
    run = received_run(made, tmp_path, data)
    for name in RUN_HIDDEN:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    for kind, line in run_lines(run).items():
        output = ended(command.run(*line), 0)
        for name in RUN_HIDDEN:
            assert (run / name).read_text() == "mine", f"{kind}: {output}"


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("write", [torch.save, lambda code, path: path.write_bytes(pickle.dumps(code))])
def test_code_in_a_checkpoint_does_not_run(
    write: Callable[[Code, Path], None], tmp_path: Path, made: Path, command: Forked
) -> None:
    data = shutil.copytree(made / "data", tmp_path / "data")
    run = received_run(made, tmp_path, data)
    code, ran = Code(tmp_path / "ran"), tmp_path / "ran"
    write(code, tmp_path / "loaded.pt")
    pickle.loads(pickle.dumps(code))  # it would
    ran.rmdir()
    for folder in (run / "checkpoints").iterdir():
        for name in ("state.pt", "weights.safetensors"):
            shutil.copy(tmp_path / "loaded.pt", folder / name)
        sums = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in CHECKPOINT_FILES)
        (folder / "SHA256SUMS").write_text("".join(sums))
    assert "no checkpoint is intact" in ended(command.run("train", "--resume", "--out", run, "--workers", 0), 2)
    shutil.copy(tmp_path / "loaded.pt", run / "weights.safetensors")
    for line in (("evaluate", run, "--task", "avc"), ("report", run), ("embed", run, data, "--out", run / "out.npy")):
        assert "weights.safetensors: not the weights of this model" in ended(command.run(*line), 2)
    assert not ran.exists()
