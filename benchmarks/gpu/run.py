"""Builds, tests, measures and profiles the CUDA kernels in three parts, each within a time limit; see docs/gpu.md."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from report import COUNTERS, launches, read_counters, read_json, read_tests, shares, table, with_peers
from steps import Outcome, Step, take

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECONDS = 520.0  # for the steps of a part; their own limits add up to more, so slow steps shorten the last ones
# What each invocation runs, most important first.
PARTS = {
    "kernels": ("build", "ceilings", "tests", "kernels"),
    "peers": ("compiled", "peers"),
    "checks": ("memcheck", "racecheck", "synccheck", "initcheck", "profile"),
}
DONE = {"passed", "rehearsed", "not run"}


def main() -> None:
    """Exits with 1 if a step failed; the other steps still run, and a tool that is not installed is no failure."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu/run.sh", description=__doc__)
    parser.add_argument("part", nargs="?", choices=PARTS, default="kernels", help="kernels, then peers, then checks")
    parser.add_argument(
        "--rehearse", action="store_true", help="small sizes on the CPU; the default on machines without a device"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build/gpu", help="folder of results.json and logs")
    limit = "of all steps together; each also has its own limit (default: %(default)s)"
    parser.add_argument("--seconds", type=float, default=SECONDS, help=limit)
    names = [name for part in PARTS.values() for name in part]
    parser.add_argument(
        "--steps", nargs="+", metavar="NAME", choices=names, help=f"instead of a part: {', '.join(names)}"
    )
    parser.add_argument("--fresh", action="store_true", help="repeat steps that passed, and measure every case again")
    parser.add_argument("--commit", help="commit to record if the sources are not a git checkout")
    options = parser.parse_args()
    start = time.monotonic()
    out = options.out.resolve()
    wanted = options.steps or PARTS[options.part]
    source = options.commit or commit()
    earlier = read_json(out / "results.json", {})
    if options.fresh or earlier.get("commit") != source:
        clear(out, builds="build" in wanted)
        earlier = {}
    kept = {step["step"]: Outcome(**step) for step in earlier.get("steps", [])}
    (out / "logs").mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": os.pathsep.join([str(out / "site"), os.environ.get("PYTHONPATH", "")])}
    if options.rehearse:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    facts_step = Step("facts", python(HERE / "facts.py", out / "facts.json"), 60, environment)
    kept["facts"] = take(facts_step, False, out / "logs", options.seconds)
    facts = read_json(out / "facts.json", {})
    rehearse = "device" not in facts
    print("No device is used: a rehearsal." if rehearse else card(facts), flush=True)
    planned = steps(out, environment, facts, options.seconds / SECONDS)
    for step in planned:
        if step.name not in wanted:
            continue
        if step.name in kept and kept[step.name].state in DONE - {"not run"}:
            print(f"{step.name}: {kept[step.name].state} earlier (--fresh repeats it)", flush=True)
            continue
        kept[step.name] = take(step, rehearse, out / "logs", options.seconds - (time.monotonic() - start))
        write(out, facts, list(kept.values()), rehearse, source, time.monotonic() - start)
    results = write(out, facts, list(kept.values()), rehearse, source, time.monotonic() - start)
    show(results, out)
    fine = DONE | {"not installed"}
    sys.exit(0 if all(kept[name].state in fine for name in ("facts", *wanted)) else 1)


def clear(out: Path, builds: bool) -> None:
    """Removes the files of an earlier run.

    Args:
        out: Output folder.
        builds: Whether the package is built again, so that the earlier build is removed too.
    """
    for folder in ("logs", "site") if builds else ("logs",):
        shutil.rmtree(out / folder, ignore_errors=True)
    for file in ("facts", "ceilings", "kernels", "peers", "sanitized", "profiled", "results"):
        (out / f"{file}.json").unlink(missing_ok=True)
    for name in ("tests.xml", "compiled.xml", "ncu.csv"):
        (out / name).unlink(missing_ok=True)


def python(*arguments: str | Path) -> list[str]:
    """Returns a command line for this Python interpreter."""
    return [sys.executable, *map(str, arguments)]


def steps(out: Path, environment: dict[str, str], facts: dict[str, Any], patience: float) -> list[Step]:
    """Returns the steps, most important first.

    Args:
        out: Output folder.
        environment: Environment variables of all steps.
        facts: From facts.py; with "device", the build must include the CUDA kernels.
        patience: Factor on each step's time limit.
    """
    architecture = facts.get("architecture", "9.0").replace(".", "")
    build_here = {"AVSA_CUDA_ARCHITECTURES": f"{architecture}{'a' if architecture == '90' else ''}-real"}
    if "device" in facts:
        build_here["AVSA_CUDA"] = "ON"
    pip = python("-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--upgrade", "--quiet")
    pip += ["--target", str(out / "site"), str(ROOT)]
    pytest = python(
        "-P", "-m", "pytest", ROOT / "python_tests/ops", ROOT / "python_tests/cuda", "-q", "--rootdir", ROOT
    )
    pytest += ["-m", "cuda and not slow", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    # Inductor takes most of a test that compiles, and pytest writes no report if it is killed.
    tests = [*pytest, "-k", "not compil", "--junit-xml", str(out / "tests.xml")]
    compiled = [*pytest, "-k", "compil", "--junit-xml", str(out / "compiled.xml")]
    small = ["--small"]
    measure = python(HERE / "measure.py")
    once = [*measure, str(out / "sanitized.json"), "--small", "--once"]
    sanitizer = ["compute-sanitizer", "--error-exitcode", "9", "--tool"]
    # Without torch's caching allocator each tensor is its own allocation, so memcheck detects accesses beyond it.
    apart = {**environment, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    profile = ["ncu", "--clock-control", "none", "--metrics", ",".join(COUNTERS.values()), "--page", "raw", "--csv"]
    profile += ["--print-units", "base", "--log-file", str(out / "ncu.csv")]
    profile += ["--kernel-name-base", "mangled", "--kernel-name", "regex:4avsa"]  # only kernels of avsa_fast
    ceilings = [*measure, str(out / "ceilings.json"), "--only", "ceilings"]
    kernels = [*measure, str(out / "kernels.json")]
    peers = [*measure, str(out / "peers.json"), "--peers"]
    planned = [
        Step("build", pip, 240, {**environment, **build_here}, rehearsal=pip),
        Step("ceilings", ceilings, 60, environment, rehearsal=ceilings + small),
        Step("tests", tests, 180, environment, rehearsal=tests),
        Step("kernels", kernels, 180, environment, rehearsal=kernels + small),
        Step("compiled", compiled, 240, environment, rehearsal=compiled),
        Step("peers", peers, 400, environment, rehearsal=peers + small),
        Step("memcheck", [*sanitizer, "memcheck", *once], 120, apart, rehearsal=once),
        Step("racecheck", [*sanitizer, "racecheck", *once], 120, apart),
        Step("synccheck", [*sanitizer, "synccheck", *once], 90, apart),
        Step("initcheck", [*sanitizer, "initcheck", *once], 90, apart),
        Step("profile", [*profile, *measure, str(out / "profiled.json"), "--once"], 90, environment),
    ]
    return [replace(step, seconds=step.seconds * patience) for step in planned]


def card(facts: dict[str, Any]) -> str:
    """Returns nvidia-smi's output, if it is installed, and a line of versions."""
    try:
        shown = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        shown = "nvidia-smi does not run here: no clocks and no power beside the times."
    return f"{shown}\n{facts['device']}, driver {facts['driver']}, torch {facts['torch']}, nvcc {facts['nvcc']}"


def commit() -> str | None:
    """Returns the commit of the checkout, with "+" if there are uncommitted changes; None if it is unknown."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    except OSError:
        return None


def write(
    out: Path, facts: dict[str, Any], outcomes: list[Outcome], rehearse: bool, source: str | None, seconds: float
) -> dict[str, Any]:
    """Writes and returns results.json, from all that the steps have written so far."""
    ceilings = read_json(out / "ceilings.json", {})
    results = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": source,
        "rehearsal": rehearse,
        "seconds": round(seconds, 1),
        "machine": facts,
        "steps": [asdict(outcome) for outcome in outcomes],
        "ceilings": ceilings,
        "tests": {name: read_tests(out / f"{name}.xml") for name in ("tests", "compiled")},
        "operations": [
            shares(row, ceilings)
            for row in with_peers(read_json(out / "kernels.json", []), read_json(out / "peers.json", []))
        ],
        "kernels": read_counters(out / "ncu.csv"),
    }
    partial = out / "results.json.partial"
    partial.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    partial.replace(out / "results.json")
    return results


def show(results: dict[str, Any], out: Path) -> None:
    """Prints the end of each failed step's log, then the tables."""
    for step in results["steps"]:
        if step["state"] in ("failed", "timed out", "not installed"):
            log = out / "logs" / f"{step['step']}.log"
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"\n--- {step['step']} {step['state']}; the end of {log}", *lines[-15:], sep="\n")
    if results["rehearsal"]:
        print("\nOn the CPU and in small sizes: these times say nothing about the CUDA kernels.")
    if ceilings := results["ceilings"]:
        print(f"\ncopy {ceilings['copy'] / 1e12:.3f} TB/s, bf16 matrices {ceilings['matrix'] / 1e12:.1f} TFLOP/s")
    print(table(results["operations"]))
    if results["kernels"]:
        print(launches(results["kernels"]))
    for step, counts in results["tests"].items():
        if counts:
            print(f"{step}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    print(", ".join(f"{step['step']} {step['state']}" for step in results["steps"]))
    print(f"{results['seconds']:.0f} s; {out}/results.json")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("run: interrupted; results.json has the steps that were done", file=sys.stderr)
        sys.exit(130)
