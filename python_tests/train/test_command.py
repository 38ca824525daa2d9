"""python -m avsa_fast.train, as users run it: a complete run, and one clear line per user error."""

import inspect
import json
import re
import shutil
from pathlib import Path

import pytest
import soundfile
import yaml
from helpers.commands import module, run
from helpers.unprepared import link_media

from avsa_fast.config import Config
from avsa_fast.data.samples import SampleConfig
from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.data.views import ViewConfig
from avsa_fast.errors import UserError
from avsa_fast.scenes import cache
from avsa_fast.train.cli import main


def test_run_from_command_line(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--preset", "tiny", "--steps", 4, "--batch", 8, "--out", out)
    done = run(*module("train"), "--data", scenes, *options, check=True)
    assert "8 clips to train on, 2 held out" in done.stdout
    assert "AVC MATCHING" in done.stdout
    assert "chance 25.0%" in done.stdout
    assert set(json.loads((out / "metrics.json").read_text())) == {"avc_matching", "avsa_matching"}
    assert "AVSA step 4/4" in done.stderr


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (Config, "seed"),
        (Config, "steps"),
        (Config, "batch"),
        (Config, "precision"),
        (Config, "stages"),
        (ViewConfig, "audio"),
        (SampleConfig, "crops"),
    ],
)
def test_help_is_the_documentation_of_configuration_fields(config: type, field: str) -> None:
    """The help repeats it, since the configuration is slow to import."""

    def documented(subject: object) -> str:
        found = re.search(rf"^    {field}: (.+(?:\n {{8}}.+)*)", inspect.getdoc(subject) or "", re.MULTILINE)
        assert found is not None
        return " ".join(found[1].split())

    assert documented(main) == documented(config)


@pytest.mark.slow
def test_profiling_does_not_prevent_training_into_the_same_folder(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    main(data=scenes, out=run, preset="tiny", batch=4, workers=0, profile=1)
    assert "AVSA: " in capsys.readouterr().out
    files = ("trace-avc.json", "trace-avsa.json", "profile-avc.json", "profile-avsa.json")
    assert all((run / "profile" / name).is_file() for name in files)
    assert sum(json.loads((run / "profile" / "profile-avc.json").read_text()).values()) > 1
    main(data=scenes, out=run, preset="tiny", steps=2, batch=4, workers=0)
    assert yaml.safe_load((run / "config.yaml").read_text())["steps"] == 2
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()] == [1, 2]


def test_user_error_is_one_line_with_exit_code_2(tmp_path: Path) -> None:
    failed = run(*module("train"), "--data", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert failed.returncode == 2
    assert failed.stderr.strip().splitlines() == [f"train: {tmp_path / 'nowhere'}: no such folder"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "--steps 0: must be within 1 and 10,000,000"),
        ({"batch": 3}, "batch 3 must be within 4 and"),
        ({"device": "cuda:99"}, "--device cuda:99"),
        ({"device": "toaster"}, "--device toaster"),
        ({"resume": True}, "--resume needs --out"),
        ({"workers": -1}, "--workers"),
        ({"profile": 0}, "--profile 0"),
        ({"device": "cpu", "precision": "bf16"}, "--precision bf16 needs a GPU"),
    ],
)
def test_invalid_options_are_refused(scenes: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(**({"data": scenes, "out": None if "resume" in options else tmp_path / "run"} | options))


def test_out_is_a_folder(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(UserError, match=r"--out .*run: is a file; name a folder for the run"):
        main(data=scenes, out=tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_existing_run_is_neither_overwritten_nor_changed(scenes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    main(data=scenes, out=run, preset="tiny", steps=2, batch=4, workers=0)
    with pytest.raises(UserError, match="already contains a run"):
        main(data=scenes, out=run)
    with pytest.raises(UserError, match="--batch 8 differs"):
        main(out=run, resume=True, batch=8)
    main(out=run, resume=True, workers=0)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"learning_rat": 1}))
    with pytest.raises(UserError, match="learning_rat"):
        main(out=run, resume=True)


def test_missing_index_of_cached_scenes_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "COUNT", 5)
    monkeypatch.setattr(cache, "SECONDS", 1)
    index = cache.embedded_default() / "index.parquet"
    index.unlink()
    main(out=tmp_path / "run", preset="tiny", steps=2, batch=4, workers=0)
    assert index.exists()


def prepared(scenes: Path, folder: Path, clips: int) -> Path:
    """The dataset with the first of its clips only."""
    link_media(scenes, folder)
    (folder / "detections.parquet").symlink_to(scenes / "detections.parquet")
    write_table(folder / "index.parquet", read_table(scenes / "index.parquet", INDEX)[:clips], INDEX)
    return folder


def notes(data: Path, batch: int, capsys: pytest.CaptureFixture[str], config: Path | None = None) -> list[str]:
    """Lines beginning with "note:" that two steps of training print first."""
    main(data=data, config=config, out=data / f"run{batch}", preset="tiny", steps=2, batch=batch, workers=0)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]


def test_fewer_clips_than_a_step_are_told(scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(scenes, tmp_path / "data", 4)
    train = sum(row["split"] == "train" for row in read_table(data / "index.parquet", INDEX))
    assert notes(data, train, capsys) == []
    assert notes(data, 4 * (train + 1), capsys) == [
        f"note: {train} recordings to train on, fewer than a step's clips ({4 * (train + 1)} of AVC and {train + 1} of "
        "AVSA): recordings repeat within a step, each as often as any other, and their samples are each other's "
        "negatives; more recordings or a lower --batch avoid this"
    ]
    moments = tmp_path / "moments.yaml"
    moments.write_text("samples: {moments: 2}\n")  # two samples of each clip are wanted
    assert notes(data, 2 * train, capsys, moments) == []


def test_one_clip_held_out_from_itself_is_told(
    scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = notes(prepared(scenes, tmp_path / "data", 1), 4, capsys)
    assert lines[0].startswith("note: 1 recording to train on, fewer than a step's clips (4 of AVC): recordings repeat")
    assert lines[1:] == [
        "note: there is only one recording; the last 20% of each clip's time is held out: held-out figures say nothing "
        "about other recordings"
    ]


@pytest.mark.slow
def test_mono_sound_trains_avc_only(scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "audio").mkdir(parents=True)
    shutil.copytree(scenes / "video", data / "video")
    for sound in (scenes / "audio").iterdir():
        samples, rate = soundfile.read(sound)
        soundfile.write(data / "audio" / sound.name, samples[:, 0], rate)
    shutil.copy(scenes / "detections.parquet", data)
    with pytest.raises(UserError, match=r"1-channel sound has no direction.*--stages avc --audio mono"):
        main(data=data, out=tmp_path / "run", preset="tiny", steps=2, batch=4, workers=0)
    main(
        data=data, out=tmp_path / "run", preset="tiny", steps=2, batch=4, workers=0, stages="avc", audio="mono"
    )  # fmt: skip
    assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())) == {"avc_matching"}
