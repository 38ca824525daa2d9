"""What run.sh writes: results.json, and a table of times, shares of the ceilings and ratios to peers."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

COUNTERS = {  # what ncu reads of each launch
    "seconds": "gpu__time_duration.sum",
    "share_of_dram": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "share_of_sm": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "share_of_tensor_pipe": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
    "warps_active": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "local_load_sectors": "l1tex__t_sectors_pipe_lsu_mem_local_op_ld.sum",
}


def read_json(path: Path, default: Any) -> Any:
    """What a step wrote; the default where it wrote nothing whole."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def shares(row: dict[str, Any], ceilings: dict[str, float]) -> dict[str, Any]:
    """A measured row with its shares of the ceilings and how many times faster it is than each peer."""
    if "seconds" not in row:
        return row
    out = dict(row)
    if ceilings:
        out["share_of_copy"] = row["bytes"] / row["seconds"] / ceilings["copy"]
        if row["operations"]:
            out["share_of_matrix"] = row["operations"] / row["seconds"] / ceilings["matrix"]
    out["ratios"] = {name: seconds / row["seconds"] for name, seconds in row["peers"].items()}
    return out


def read_tests(path: Path) -> dict[str, int]:
    """How many tests ran, failed and were skipped, of pytest's JUnit file."""
    try:
        suite = ElementTree.parse(path).getroot().find("testsuite")  # our own file, not untrusted
    except (OSError, ElementTree.ParseError):
        return {}
    if suite is None:
        return {}
    return {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}


def read_counters(path: Path) -> list[dict[str, Any]]:
    """The launches in ncu's CSV (--page raw --print-units base), seconds and shares of 1."""
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
    lines = [f"{'operation':<32} {'ms':>9} {'MB':>9} {'GFLOP':>8} {'copy':>6} {'matrix':>6}  times faster than"]
    for row in rows:
        if "seconds" not in row:
            lines.append(f"{row['case']:<32} {row.get('error', '')}")
            continue
        peers = [f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items()]
        peers += [f"{name} -" for name in row["peers_failed"]]
        lines.append(
            f"{row['case']:<32} {row['seconds'] * 1e3:9.3f} {row['bytes'] / 1e6:9.1f} {row['operations'] / 1e9:8.1f} "
            f"{percent(row.get('share_of_copy')):>6} {percent(row.get('share_of_matrix')):>6}  {', '.join(peers)}"
        )
    return "\n".join(lines)


def launches(kernels: list[dict[str, Any]]) -> str:
    lines = [f"{'kernel':<64} {'ms':>9} {'DRAM':>6} {'SM':>6} {'tensor':>6} {'warps':>6} {'local':>6}"]
    for kernel in kernels:
        counted = [percent(kernel.get(name)) for name in list(COUNTERS)[1:5]]
        lines.append(
            f"{kernel['kernel'][:64]:<64} {kernel.get('seconds', float('nan')) * 1e3:9.3f} "
            + " ".join(f"{share:>6}" for share in counted)
            + f" {kernel.get('local_load_sectors', float('nan')):6.0f}"
        )
    return "\n".join(lines)


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"
