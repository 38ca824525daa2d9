"""The report's file: self-contained, with names escaped, and one line per user error."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from helpers import commands
from helpers.unprepared import link_media

from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.errors import UserError
from avsa_fast.report.cli import main
from avsa_fast.report.curves import MAX_POINTS, read_curves
from avsa_fast.report.metrics import read_metrics


def written(**options: object) -> str:
    main(**options)  # type: ignore[arg-type]
    folder = options.get("run") or options["dataset"]
    return (Path(str(folder)) / "report.html").read_text(encoding="utf-8")


def outside(html: str) -> list[str]:
    """Sources and links that the page would load over a network: neither data URLs nor anchors; scripts are ignored."""
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return [url for url in re.findall(r"(?:src|href)=\"([^\"]*)\"", markup) if not url.startswith(("data:", "#"))]


def test_page_of_a_run(run: Path) -> None:
    html = written(run=run, clips=2)
    assert outside(html) == []
    assert "default-src 'none'" in html
    assert "<h1>a&lt;b&gt;&amp;</h1>" in html
    assert html.count('class="clip card"') == 2
    assert "50.0%" in html  # the metric, next to Wilson's interval
    assert "40.2% – 59.8%*" in html
    assert ">12.5°<" in html
    assert 'style="left:0.0%;right:70.0%"' in html  # the interval from 0 to 0.3
    media = re.findall(r'<script type="application/json" class="media"[^>]*>(.*?)</script>', html)
    assert [sorted(json.loads(text)) for text in media] == [["seconds", "sound", "video"]] * 2
    assert re.findall(r"<img(?![^>]*\balt=)[^>]*>", html) == []
    assert len(html) < 15e6 / 12 * 2 + 2e6


def test_page_of_a_dataset(scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(scenes, data)
    rows = read_table(data / "index.parquet", INDEX)
    rows[0] |= {"state": "unreadable", "reason": "video/<script>alert(1)</script>.mp4: a video with no frames"}
    write_table(data / "index.parquet", rows, INDEX)
    html = written(dataset=data, clips=1)
    assert outside(html) == []
    assert "9 of 10 clips usable" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.mp4: a video with no frames" in html
    assert "<script>alert(1)" not in html
    assert "Objects by azimuth" in html
    assert "Find its sound" not in html  # no network is available


@pytest.mark.slow
def test_page_of_an_unprepared_folder(scenes: Path, tmp_path: Path) -> None:
    data = link_media(scenes, tmp_path / "set")
    (data / "truth.parquet").unlink()
    html = written(dataset=data, clips=1)
    assert "10 of 10 clips usable" in html
    assert "objects were not looked for" in html


def test_nothing_is_written_into_a_runs_dataset(run: Path, scenes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["data"] = str(data := link_media(scenes, tmp_path / "set"))
    config["samples"]["crops"] = "random"
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(
        UserError, match=rf"{data}: has no index\.parquet; .*: python -m avsa_fast\.prepare {data} {data}"
    ):
        main(run=copy, clips=1)
    assert sorted(path.name for path in data.iterdir()) == ["audio", "truth.parquet", "video"]


def test_curves_have_a_trace_per_stage_and_skip_incomplete_lines(run: Path) -> None:
    loss, rate = read_curves(run)
    assert loss["title"] == "Loss"
    assert [trace["name"] for trace in loss["traces"]] == ["AVC", "AVSA"]
    assert loss["traces"][1]["x"] == [5, 6, 7, 8, 9, 10]
    assert rate["traces"][0]["y"] == [1e-3] * 4


def test_long_log_is_averaged(tmp_path: Path) -> None:
    lines = [{"step": i, "stage": "avc", "loss": float(i % 2)} for i in range(1, 5001)]
    lines[7]["loss"] = float("nan")
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (trace,) = read_curves(tmp_path)[0]["traces"]
    assert len(trace["x"]) <= MAX_POINTS
    assert all(0.3 < y < 0.7 for y in trace["y"])


def test_metrics_keep_their_interval_or_get_wilson_interval(run: Path) -> None:
    matching, error, _ = read_metrics(run)
    assert (matching.name, matching.computed, matching.is_proportion) == ("AVC matching", True, True)
    assert (matching.low, matching.high) == pytest.approx((0.402, 0.598), abs=1e-3)
    assert (error.task, error.computed, error.is_proportion, error.low) == ("localisation", False, False, 9.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.jsonl", "[]\n", "log.jsonl, line 1: damaged"),
        ("metrics.json", "{", "metrics.json: not a readable file of metrics"),
        ("weights.safetensors", "", "weights.safetensors"),
    ],
)
def test_damaged_run_is_refused(run: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(message)):
        main(run=copy, clips=1)


def test_user_errors(tmp_path: Path) -> None:
    for options, message in (
        ({}, "name either RUN"),
        ({"run": tmp_path, "dataset": tmp_path}, "name either RUN"),
        ({"run": tmp_path / "nowhere"}, "no such folder"),
        ({"run": tmp_path}, "not the folder of a run"),
        ({"dataset": tmp_path}, "no such folder; a dataset has video/NAME.mp4"),
        ({"run": tmp_path, "clips": 0}, "--clips 0"),
        ({"run": tmp_path, "out": tmp_path}, "is a folder; name a file"),
    ):
        with pytest.raises(UserError, match=message):
            main(**options)  # type: ignore[arg-type]
    failed = commands.run(*commands.module("report"), tmp_path)
    assert failed.returncode == 2
    assert len(failed.stderr.strip().splitlines()) == 1
