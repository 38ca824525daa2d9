"""Reads what the steps of run.sh wrote, and formats tables of times, shares of the ceilings and ratios to peers."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from predictions import expected_seconds

COUNTERS = {  # metrics that ncu collects per launch
    "seconds": "gpu__time_duration.sum",
    "share_of_dram": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "share_of_sm": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "share_of_tensor_pipe": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "warps_active": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "local_load_sectors": "l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum",
}


def read_json(path: Path, default: Any) -> Any:
    """Reads a step's JSON file; returns the default if it is missing or incomplete."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def shares(row: dict[str, Any], ceilings: dict[str, float]) -> dict[str, Any]:
    """Adds shares of the ceilings and the speedup over each peer to a measured row.

    Args:
        row: From measure.py; returned unchanged if it has no "seconds".
        ceilings: From ceilings.py; may be empty.

    Returns:
        The row with "share_of_copy", "share_of_matrix" and "ratios".
    """
    if "seconds" not in row:
        return row
    out = dict(row)
    if ceilings:
        if (expected := expected_seconds(row, ceilings)) is not None:
            out["expected_seconds"] = expected
        out["share_of_copy"] = row["bytes"] / row["seconds"] / ceilings["copy"]
        if row["operations"]:
            out["share_of_matrix"] = row["operations"] / row["seconds"] / ceilings["matrix"]
    out["ratios"] = {name: seconds / row["seconds"] for name, seconds in row["peers"].items()}
    return out


def with_peers(kernels: list[dict[str, Any]], peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins what the steps kernels and peers measured, by case; a case of which one is missing lacks it."""
    found = {row["case"]: row for row in peers}
    none: dict[str, Any] = {"peers": {}, "peers_failed": {}}
    return [{**none, **row, **{key: found.get(row["case"], none).get(key, {}) for key in none}} for row in kernels]


def read_tests(path: Path) -> dict[str, int]:
    """Reads the numbers of tests, failures, errors and skipped tests from pytest's JUnit file; empty without one."""
    try:
        suite = ElementTree.parse(path).getroot().find("testsuite")  # a trusted file, written by the tests step
    except (OSError, ElementTree.ParseError):
        return {}
    if suite is None:
        return {}
    return {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}


def read_counters(path: Path) -> list[dict[str, Any]]:
    """Reads the launches from ncu's CSV (--page raw --print-units base).

    Returns:
        One row per launch: "kernel", and the metrics in COUNTERS in seconds, sectors, or shares from 0 to 1.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith('"')]
    except OSError:
        return []
    launches = []
    for row in list(csv.DictReader(lines))[1:]:  # the first row holds units
        launch: dict[str, Any] = {"kernel": row["Kernel Name"]}
        for name, metric in COUNTERS.items():
            try:
                value = float(row[metric].replace(",", ""))
            except (KeyError, ValueError):
                continue
            launch[name] = value * 1e-9 if name == "seconds" else value if name.endswith("sectors") else value / 100
        launches.append(launch)
    return launches


def table(rows: list[dict[str, Any]]) -> str:
    """Formats the measured operations."""
    head = f"{'operation':<44} {'ms':>9} {'graph':>9} {'expected':>9} {'MB':>9} {'GFLOP':>8} {'copy':>6} {'matrix':>6}"
    lines = [f"{head} {'MHz':>5} {'W':>4}  times faster than"]
    for row in rows:
        if "seconds" not in row:
            lines.append(f"{row['case']:<44} {row.get('error', '')}")
            continue
        peers = [f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items()]
        peers += [f"{name} -" for name in row["peers_failed"]]
        lines.append(
            f"{row['case']:<44} {row['seconds'] * 1e3:9.3f} {milliseconds(row.get('graph_seconds')):>9} "
            f"{milliseconds(row.get('expected_seconds')):>9} {row['bytes'] / 1e6:9.1f} {row['operations'] / 1e9:8.1f} "
            f"{percent(row.get('share_of_copy')):>6} {percent(row.get('share_of_matrix')):>6} "
            f"{row.get('megahertz', ''):>5} {row.get('watts', ''):>4}  {', '.join(peers)}"
        )
    return "\n".join(lines)


def launches(kernels: list[dict[str, Any]]) -> str:
    """Formats the profiled launches."""
    lines = [f"{'kernel':<64} {'ms':>9} {'DRAM':>6} {'SM':>6} {'tensor':>6} {'warps':>6} {'local':>6}"]
    for kernel in kernels:
        counted = [percent(kernel.get(name)) for name in list(COUNTERS)[1:5]]
        lines.append(
            f"{kernel['kernel'][:64]:<64} {kernel.get('seconds', float('nan')) * 1e3:9.3f} "
            + " ".join(f"{share:>6}" for share in counted)
            + f" {kernel.get('local_load_sectors', float('nan')):6.0f}"
        )
    return "\n".join(lines)


def milliseconds(seconds: float | None) -> str:
    """Formats a time in ms; empty for None."""
    return "" if seconds is None else f"{seconds * 1e3:.3f}"


def percent(share: float | None) -> str:
    """Formats a share as a percentage; empty for None."""
    return "" if share is None else f"{100 * share:.1f}%"
