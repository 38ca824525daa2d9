"""Checkpoints that are damaged in every way: one line, and the next older one is used."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.memory import peak_growth
from helpers.runs import lines, run

from avsa_fast.config import Config
from avsa_fast.errors import UserError
from avsa_fast.train.checkpoint import FILES, SUMS, checkpoints, load_newest
from avsa_fast.train.objective import Objective
from avsa_fast.train.state import load_state


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def trained(small: Config, runs: Path, tmp_path: Path) -> Path:
    """A run of 4 steps with checkpoints of steps 2 and 4."""
    if not (runs / "run").exists():
        run(replace(small, steps=4, learn_temperature=True), runs / "run")
    return Path(shutil.copytree(runs / "run", tmp_path / "run"))


def objective(small: Config) -> Objective:
    from avsa_fast.models import Model

    return Objective(Model(small.model), replace(small, learn_temperature=True))


def sign(checkpoint: Path) -> None:
    """Writes the checksums of what is in a checkpoint, as one who forged it would."""
    sums = [f"{hashlib.sha256((checkpoint / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
    (checkpoint / SUMS).write_text("".join(sums))


def changed(**values: Any) -> Callable[[Path], None]:
    """Replaces values of the state."""

    def change(file: Path) -> None:
        torch.save(torch.load(file, weights_only=True) | values, file)

    return change


def compressed(file: Path) -> None:
    """The same state with compressed entries, and one of a gigabyte."""
    with zipfile.ZipFile(file) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in entries.items():
            new.writestr(name, content)
        with new.open(f"{name.partition('/')[0]}/data/9999", "w", force_zip64=True) as entry:
            for _ in range(1024):
                entry.write(bytes(2**20))


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def other_tensors(file: Path) -> None:
    state = torch.load(file, weights_only=True)
    state["optimiser"][0]["exp_avg"] = torch.zeros(3)
    torch.save(state, file)


FORGERIES: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "truncated": truncated,
    "compressed": compressed,
    "pickle": lambda file: file.write_bytes(b"\x80\x04N."),
    "list": lambda file: torch.save([1], file),
    "lacks": lambda file: torch.save({"step": 4}, file),
    "more": changed(other=1),
    "step": changed(step="4"),
    "other step": changed(step=3),
    "negative": changed(step=-4),
    "stage": changed(stage=["avc"]),
    "config": changed(config=None),
    "optimiser": changed(optimiser=[1]),
    "key": changed(optimiser={"a": {}}),
    "number": changed(optimiser={10**6: {}}),
    "tensors": changed(optimiser={0: {"step": torch.zeros(())}}),
    "other tensors": other_tensors,
    "temperature": changed(log_temperature=float("nan")),
    "best": changed(best=(1,)),
    "best value": changed(best=("1", None)),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_newest_checkpoint_is_skipped(small: Config, trained: Path, kind: str) -> None:
    newest = trained / "checkpoints" / "step-0000004"
    FORGERIES[kind](newest / "state.pt")
    sign(newest)
    with peak_growth() as growth:
        state, damage = load_newest(trained / "checkpoints", objective(small))
    assert state is not None
    assert state.step == 2
    assert len(damage) == 1
    assert damage[0].startswith(f"{newest / 'state.pt'}: damaged: ")
    assert "\n" not in damage[0]
    assert len(damage[0]) - len(str(newest)) < 300
    assert growth() < 200e6


def test_what_is_missing_or_no_file(small: Config, trained: Path) -> None:
    newest = trained / "checkpoints" / "step-0000004"
    for name in (SUMS, *FILES):
        content = (newest / name).read_bytes()
        for make in (lambda path: None, Path.mkdir, os.mkfifo):
            (newest / name).unlink()
            make(newest / name)
            state, damage = load_newest(trained / "checkpoints", objective(small))
            assert (state and state.step, len(damage)) == (2, 1)
            if (newest / name).is_dir():
                (newest / name).rmdir()
            (newest / name).unlink(missing_ok=True)
            (newest / name).write_bytes(content)


def test_a_state_larger_than_the_network_needs(trained: Path) -> None:
    with pytest.raises(UserError, match=r"state\.pt: damaged: larger than 1000 bytes"):
        load_state(trained / "checkpoints" / "step-0000004" / "state.pt", 1000)


def test_files_named_like_checkpoints_are_left_alone(
    small: Config, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained / "checkpoints"
    (folder / "step-9999999").write_text("mine")
    (folder / "step-notes").mkdir()
    (folder / "step-9999998").symlink_to(folder / "step-0000002")
    assert [path.name for path in checkpoints(folder)] == ["step-0000002", "step-0000004"]
    shutil.rmtree(folder / "step-0000004")
    run(replace(small, steps=4, learn_temperature=True), trained, resume=True)
    assert [line["step"] for line in lines(trained)] == [1, 2, 3, 4]
    assert (folder / "step-9999999").read_text() == "mine"
    assert (folder / "step-9999998").is_symlink()


def test_resuming_without_checkpoints_is_said(small: Config, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(trained / "checkpoints")
    run(replace(small, steps=4, learn_temperature=True), trained, resume=True)
    assert f"{trained} has no checkpoint yet: training starts from the beginning" in capsys.readouterr().err


def test_an_edited_configuration_is_noticed(small: Config, trained: Path) -> None:
    edited = replace(small, steps=4, learn_temperature=True, samples=replace(small.samples, gain=0.5))
    with pytest.raises(UserError, match=r"config\.yaml: samples\.gain is 0\.5, but the run was trained with 0\.1"):
        run(edited, trained, resume=True)


def test_the_dataset_may_move(small: Config, trained: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(small.data, tmp_path / "moved")
    (trained / "metrics.json").unlink()
    run(replace(small, steps=4, learn_temperature=True, data=str(moved)), trained, resume=True)
    assert (trained / "metrics.json").exists()
