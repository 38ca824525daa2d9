import json
import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from rich.console import Console

from avsa_fast.command import run_command
from avsa_fast.data.tables import DETECTIONS, INDEX, write_table
from avsa_fast.prepare import PrepareOptions
from avsa_fast.prepare.check import check, find_hints
from avsa_fast.prepare.cli import main
from avsa_fast.prepare.clip import prepare_clip
from avsa_fast.prepare.find import Job

GOOD = {"state": "ok", "split": "train", "seconds": 10.0, "channel_map": [0, 1, 2, 3], "spatial_validity": 1.0}


def row(name: str, **values: Any) -> dict[str, Any]:
    return dict.fromkeys(INDEX.names) | GOOD | {"name": name} | values


def found(*objects: tuple[str, float, float]) -> pa.Table:
    """Detections, from names, times and azimuths."""
    empty = dict.fromkeys(DETECTIONS.names) | {"elevation": 0.0, "class": "cow", "score": 0.5}
    rows = [empty | {"name": name, "time": time, "azimuth": azimuth} for name, time, azimuth in objects]
    return pa.Table.from_pylist(rows, schema=DETECTIONS)


def codes(rows: list[dict[str, Any]], detections: pa.Table | None = None) -> dict[str, list[str]]:
    return {name: [hint.code for hint in hints] for name, hints in find_hints(rows, detections)[1].items()}


def printed(data: Path, **options: Any) -> str:
    text = StringIO()
    check(data, Console(file=text, width=100), **options)
    return text.getvalue()


def test_clips_without_objects_are_named() -> None:
    rows = [row("a"), row("b"), row("c"), row("d", state="refused")]
    assert codes(rows, found(("b", 0.0, 0.0))) == {"a": ["no_objects"], "c": ["no_objects"]}
    about_all, about_clips = find_hints(rows, found())
    assert [(hint.code, hint.value) for hint in about_all] == [("no_objects", 3)]
    assert about_clips == {}
    assert find_hints(rows, None) == ([], {})


def test_duplicates_across_splits() -> None:
    one, two = [1, 2, 3, 4], [2**32 - 1] * 4
    rows = [
        row("a", sound_print=one, picture_print=two),
        row("b", split="test", sound_print=one),
        row("c", split="test", sound_print=[1, 2, 3, 5], picture_print=two),
        row("d", split="test", sound_print=[0x55555555] * 4),
        row("e", sound_print=one),
    ]
    found_hints = find_hints(rows, None)[1]
    assert {name: hint.value for name, (hint,) in found_hints.items()} == {"b": 0, "c": 1}
    assert "its sound that of a (1 of 128 bits differ), its picture that of a (0 of" in found_hints["c"][0].message


def walk(name: str, sign: int) -> tuple[dict[str, Any], list[tuple[str, float, float]]]:
    """A talker who walks around within 20 s, heard mirrored if the sign is -1."""
    times = [i + 0.5 for i in range(20)]
    azimuths = [math.remainder(i / 20 * 2 * math.pi + 0.1, 2 * math.pi) for i in range(20)]
    heard = [sign * azimuth for azimuth in azimuths]
    columns = {"moment_times": times, "moment_azimuths": heard, "moment_elevations": [0.1] * 20}
    return row(name, **columns), [(name, time, azimuth) for time, azimuth in zip(times, azimuths, strict=True)]


def test_mirrored_sound() -> None:
    (right, objects), (wrong, others) = walk("right", 1), walk("wrong", -1)
    detections = found(*objects, *others)
    assert codes([right, wrong], detections) == {"wrong": ["directions"]}
    (hint,) = find_hints([wrong], detections)[1]["wrong"]
    assert "left and right exchanged" in hint.message
    assert hint.value > 60


@pytest.mark.parametrize("turn", [0.0, math.pi / 2])
def test_all_sounds_turned(turn: float, rng: np.random.Generator) -> None:
    rows, objects = [], []
    for number in range(40):
        azimuth = rng.uniform(-math.pi, math.pi)
        heard = math.remainder(azimuth - turn, 2 * math.pi)
        columns = {"moment_times": [1.5], "moment_azimuths": [heard], "moment_elevations": [0.0]}
        rows += [row(f"{number}-{start}", **columns) for start in (0, 10)]  # two clips of each recording
        objects += [(f"{number}-{start}", 1.0, azimuth) for start in (0, 10)]
    about_all, about_clips = find_hints(rows, found(*objects))
    assert about_clips == {}
    assert [hint.code for hint in about_all] == ["directions"] * bool(turn)
    if turn:
        assert "turned by 90° to the left" in about_all[0].message
        assert "40 recordings" in about_all[0].message


def test_document(tmp_path: Path) -> None:
    rows = [
        row("good"),
        row("loud", clipped=[0.5, 0, 0, 0]),
        row("bad", state="refused", reason="not 360°", split=None),
    ]
    write_table(tmp_path / "index.parquet", rows, INDEX)
    write_table(tmp_path / "detections.parquet", found(("good", 0.0, 0.0)).to_pylist(), DETECTIONS)
    document = json.loads(printed(tmp_path, as_json=True))
    assert document["dataset"] == str(tmp_path)
    assert document["states"] == {"ok": 2, "refused": 1}
    assert document["codes"] == {"clipped": 1, "no_objects": 1}
    assert document["hints"] == []
    good, loud, bad = document["clips"]
    assert good == {"name": "good", "split": "train", "state": "ok", "reason": None, "hints": []}
    assert [(hint["code"], hint["value"]) for hint in loud["hints"]] == [("clipped", 0.5), ("no_objects", 0)]
    assert (bad["state"], bad["reason"], bad["hints"]) == ("refused", "not 360°", [])


def test_lines(tmp_path: Path) -> None:
    rows = [row("a[b]"), row("loud", clipped=[0.5, 0, 0, 0]), row("bad", state="refused", reason="not 360°")]
    write_table(tmp_path / "index.parquet", rows, INDEX)
    write_table(tmp_path / "detections.parquet", found(("loud", 0.0, 0.0)).to_pylist(), DETECTIONS)
    lines = printed(tmp_path).splitlines()
    assert "bad: refused: not 360°" in lines
    assert any(line.startswith("a[b]: no objects found; ") and line.endswith(" [no_objects]") for line in lines)
    assert any(line.startswith("loud: clipped at full scale (W 50.00% of the samples)") for line in lines)
    assert "Objects: 1 in 1 of 2 clips" in " ".join(printed(tmp_path).split())  # a narrow table's title is wrapped


def test_prepared_clips(add_clip: Callable[..., Path]) -> None:
    """From media to hints: mono copied to four channels, clipped noise, and pictures of one colour."""
    data = add_clip("copied", level=100)
    mono = np.random.default_rng(0).normal(0, 0.2, (48000, 1)).clip(-1, 1)
    soundfile.write(data / "audio" / "copied.flac", mono.repeat(4, 1), 24000)
    add_clip("loud")
    noise = np.random.default_rng(1).normal(0, 2, (48000, 4)).clip(-1, 1)
    soundfile.write(data / "audio" / "loud.flac", noise, 24000)
    options = PrepareOptions(detector="helpers.detectors:BrightnessDetector")
    rows = []
    for name in ("copied", "loud"):
        job = Job(name, data / "video" / f"{name}.mp4", data / "audio" / f"{name}.flac")
        rows.append(prepare_clip(job, options, options.make_detector(), data).row)
    assert codes(rows) == {"copied": ["copies", "one_colour"], "loud": ["clipped", "one_colour"]}


def test_segments_keep_the_moments_within_them(add_clip: Callable[..., Path]) -> None:
    data = add_clip("a")
    wave = np.random.default_rng(0).normal(0, 0.1, (48000, 1)) * np.array([1, 1, 0.1, 0.1])
    soundfile.write(data / "audio" / "a.flac", wave, 24000)
    job = Job("a-1", data / "video" / "a.mp4", data / "audio" / "a.flac", begin=1.0, seconds=1.0)
    row = prepare_clip(job, PrepareOptions(detector=None), None, data).row
    assert row["moment_times"] == [-0.5, 0.5]
    assert row["moment_azimuths"] == pytest.approx([math.atan2(1, 0.1)] * 2, abs=1e-3)


@pytest.mark.parametrize("arguments", [["--json"], ["src", "dst", "--json"]])
def test_json_without_check(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["prepare", *arguments])
    with pytest.raises(SystemExit) as end:
        run_command(main, "prepare")
    assert end.value.code == 2
    assert "--json is an option of --check DST" in capsys.readouterr().err
