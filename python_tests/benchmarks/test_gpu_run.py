"""benchmarks/gpu/run.sh: rehearsals without a device, failing steps, and parsing of reports."""

import json
import os
import shlex
import sys
import time
from pathlib import Path

import pytest
from helpers import commands

from avsa_fast import ops
from predictions import EXPECTATIONS, expected_seconds
from report import launches, read_counters, read_tests, shares, table, with_peers
from run import PARTS, clear
from steps import Step, take

ROOT = Path(__file__).parents[2]


def rehearse(out: Path, *options: str, **environment: str) -> dict:
    """Runs a rehearsal, whose steps must all succeed, and returns its results."""
    command = [ROOT / "benchmarks/gpu/run.sh", "--rehearse", "--seconds", "5000", "--out", out, *options]
    variables = {**os.environ, "PYTHON": sys.executable, **environment}
    commands.run(*command, env=variables, check=True)
    return json.loads((out / "results.json").read_text())


@pytest.mark.slow
def test_rehearsal(tmp_path: Path) -> None:
    results = rehearse(tmp_path, "--steps", "ceilings", "kernels", "peers", "racecheck", PYTHONPATH=str(ROOT))
    states = {step["step"]: step["state"] for step in results["steps"]}
    rehearsed = dict.fromkeys(["ceilings", "kernels", "peers"], "rehearsed")
    assert states == {"facts": "passed", **rehearsed, "racecheck": "not run"}
    assert results["rehearsal"]
    assert min(results["ceilings"].values()) > 0
    operations = {row["case"].split()[0] for row in results["operations"]}
    assert operations == set(ops.__all__)
    assert all(row["seconds"] > 0 and row["bytes"] > 0 and row["share_of_copy"] > 0 for row in results["operations"])
    assert results["machine"]["torch"]
    assert "compute-sanitizer --error-exitcode 9 --tool racecheck" in results["steps"][-1]["command"]


@pytest.mark.slow
def test_full_rehearsal_without_training_packages(tmp_path: Path) -> None:
    """The package is built during the run; packages that only training and data need are missing."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("av", "dacite", "soundfile", "tensorboard", "tyro", "ultralytics"):
        (bare / f"{name}.py").write_text("raise ModuleNotFoundError('a bare machine has none', name=__name__)\n")
    tools = Path(sys.executable).parent  # cmake and ninja
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    for part in PARTS:
        results = rehearse(tmp_path / "out", part, AVSA_CUDA="OFF", PYTHONPATH=str(bare), PATH=path)
    states = {step["step"]: step["state"] for step in results["steps"]}
    rehearsed = dict.fromkeys(["build", "ceilings", "tests", "kernels", "compiled", "peers", "memcheck"], "rehearsed")
    others = dict.fromkeys(["racecheck", "synccheck", "initcheck", "profile"], "not run")
    assert states == {"facts": "passed", **rehearsed, **others}
    assert results["tests"]["tests"]["tests"] > 100
    for counts in results["tests"].values():
        assert counts["errors"] == counts["failures"] == 0


def test_states_of_steps(tmp_path: Path) -> None:
    def outcome(*command: str, seconds: float = 30, left: float = 30) -> str:
        return take(Step("step", list(command), seconds, {"WORD": "seen"}), False, tmp_path, left).state

    assert outcome("sh", "-c", "echo $WORD") == "passed"
    assert (tmp_path / "step.log").read_text() == "seen\n"
    assert outcome("sh", "-c", "exit 3") == "failed"
    assert outcome("no-such-program-here") == "not installed"
    assert outcome("sleep", "100", seconds=1) == "timed out"
    assert outcome("sleep", "100", left=1) == "timed out"
    assert outcome("sleep", "100", left=0.5) == "no time left"


def test_timeout_kills_the_process_group(tmp_path: Path) -> None:
    """The whole process group is killed, including child processes."""
    command = ["sh", "-c", f"sleep 100 & echo $! > {shlex.quote(str(tmp_path / 'pid'))}; wait"]
    assert take(Step("step", command, 1.5), False, tmp_path, 30).state == "timed out"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60  # a killed process takes a moment to disappear
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_clear_removes_only_files_of_a_run(tmp_path: Path) -> None:
    for folder in ("logs", "site"):
        (tmp_path / folder).mkdir()
    for name in ("logs/build.log", "results.json", "tests.xml", "other.json", "notes.txt"):
        (tmp_path / name).touch()
    clear(tmp_path, builds=False)
    assert {path.name for path in tmp_path.iterdir()} == {"other.json", "notes.txt", "site"}
    clear(tmp_path, builds=True)
    assert {path.name for path in tmp_path.iterdir()} == {"other.json", "notes.txt"}


def test_shares_and_ratios() -> None:
    row = {"case": "info_nce", "seconds": 0.002, "bytes": 3e9, "operations": 8e11}
    peers = [{"case": "info_nce", "peers": {"eager": 0.01}, "peers_failed": {"inf_cl": "none"}}]
    (joined,) = with_peers([row], peers)
    found = shares(joined, {"copy": 3e12, "matrix": 8e14})
    assert found["share_of_copy"] == pytest.approx(0.5)
    assert found["share_of_matrix"] == pytest.approx(0.5)
    assert found["ratios"] == {"eager": pytest.approx(5)}
    assert table([found]).splitlines()[1].split()[-6:] == ["50.0%", "50.0%", "eager", "5.00,", "inf_cl", "-"]
    broken = {"case": "encode", "error": "RuntimeError: mix: CUDA error 700"}
    assert shares(broken, {}) == broken
    assert "CUDA error 700" in table([broken])


def test_expected_times() -> None:
    """At 3 TB/s, 30 MB take 10 µs; 1.374 TFLOP at 798 TFLOP/s take 1.72 ms."""
    ceilings = {"copy": 3e12, "matrix": 798e12}
    share = {expectation.case: expectation.share for expectation in EXPECTATIONS}
    moved = {"case": "rotate", "bytes": 30e6, "operations": 0}
    assert expected_seconds(moved, ceilings) == pytest.approx(10e-6 / share["rotate"])
    name, squared = "info_nce bf16, wgmma", 32768**2
    matrix = {"case": name, "bytes": 0, "operations": 10 * squared * 128, "exponentials": 3 * squared}
    assert expected_seconds(matrix, ceilings) == pytest.approx(1.7223e-3 / share[name], rel=1e-4)
    matrix["exponentials"] = 12 * squared  # at 16 x 132 x 1.7 GHz, 3.59e12 a second
    assert expected_seconds(matrix, ceilings) == pytest.approx(3.5886e-3 / share[name], rel=1e-4)
    assert expected_seconds({"case": "spatial_features beam"}, ceilings) is None


def test_longer_names_have_their_own_expectation() -> None:
    names = [expectation.case for expectation in EXPECTATIONS]
    for n, name in enumerate(names):
        assert not any(name.startswith(earlier) for earlier in names[:n])


def test_profiler_counters_are_parsed(tmp_path: Path) -> None:
    file = tmp_path / "ncu.csv"
    file.write_text(
        "==PROF== Connected to process 5\n"
        '"ID","Kernel Name","gpu__time_duration.sum","dram__throughput.avg.pct_of_peak_sustained_elapsed"\n'
        '"","","ns","%"\n'
        '"0","void avsa::mix_kernel<float, avsa::X>(long)","1,250,000","87.5"\n'
        '"1","void avsa::scan_kernel<float>()","2000000","n/a"\n'
    )
    first, second = read_counters(file)
    assert first["seconds"] == pytest.approx(0.00125)
    assert first["share_of_dram"] == pytest.approx(0.875)
    assert "share_of_dram" not in second
    assert "87.5%" in launches([first, second])
    assert read_counters(tmp_path / "none.csv") == []


def test_test_counts_are_parsed(tmp_path: Path) -> None:
    file = tmp_path / "tests.xml"
    file.write_text('<testsuites><testsuite tests="9" failures="1" errors="0" skipped="2"/></testsuites>')
    assert read_tests(file) == {"tests": 9, "failures": 1, "errors": 0, "skipped": 2}
    file.write_text("<testsuites>")
    assert read_tests(file) == {}
