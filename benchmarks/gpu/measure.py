"""Measures the ceilings, every operation, or their peers; the JSON file is rewritten after each, so none is lost.

measure.py OUT [--small] [--only NAME] [--once] [--peers]: --once runs each kernel once, untimed, for a sanitizer or a
profiler. Cases that OUT has without an error are not measured again.
"""

import argparse
import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch

from cases import Case, cases
from ceilings import ceilings
from report import read_json
from timing import clocks, graph_seconds, median_seconds


def main() -> None:
    """Exits with 1 if a kernel failed; a peer's failure is only recorded."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--peers", action="store_true", help="measure the peers instead of the operations")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.seed()
    if options.only == "ceilings":
        found: Any = ceilings(device, options.small)
        options.out.write_text(json.dumps(found))
        print(f"copy {found['copy'] / 1e12:.3f} TB/s, bf16 matrices {found['matrix'] / 1e12:.1f} TFLOP/s")
        return
    earlier = read_json(options.out, [])
    measured: list[dict[str, Any]] = [row for row in earlier if "error" not in row and not options.once]
    done = {row["case"] for row in measured}
    for name, build in cases(device, options.small):
        if options.only not in name or name in done:
            continue
        row: dict[str, Any] = {"case": name}
        try:
            case = build()
            run = run_once if options.once else measure_peers if options.peers else measure
            row |= run(case, device)
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
        print(json.dumps(row), flush=True)
        measured.append(row)
        options.out.write_text(json.dumps(measured))
        case = None  # type: ignore[assignment]
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    sys.exit(1 if any("error" in row for row in measured) else 0)


def run_once(case: Case, device: torch.device) -> dict[str, Any]:
    """Runs the kernel once, untimed; returns an empty row."""
    case.kernel()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return {}


def measure(case: Case, device: torch.device) -> dict[str, Any]:
    """Measures a case.

    Returns:
        "seconds" of the kernel, "bytes", "operations", "exponentials"; on CUDA also "extra_memory", the kernel's peak
        memory in bytes beyond its inputs, "graph_seconds" of a replayed graph, and "megahertz" and "watts" if
        nvidia-smi tells.
    """
    row: dict[str, Any] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        case.kernel()
        row["extra_memory"] = torch.cuda.max_memory_allocated() - before
    row["seconds"] = median_seconds(case.kernel, device)
    if device.type == "cuda":
        row |= clocks()
        try:
            row["graph_seconds"] = graph_seconds(case.kernel, device)
        except RuntimeError as error:
            row["graph_error"] = str(error).splitlines()[0]
    return row | {"bytes": case.bytes(), "operations": case.operations, "exponentials": case.exponentials}


def measure_peers(case: Case, device: torch.device) -> dict[str, Any]:
    """Measures a case's peers.

    Returns:
        Seconds of "peers", and the reason per peer that did not run in "peers_failed".
    """
    row: dict[str, Any] = {"peers": {}, "peers_failed": {}}
    for name, peer in case.peers.items():
        if name == "compiled" and device.type == "cpu":
            row["peers_failed"][name] = "not run without a device"
            continue
        try:
            row["peers"][name] = median_seconds(peer, device)
        except Exception as error:  # a peer's failure is only recorded
            row["peers_failed"][name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return row


if __name__ == "__main__":
    main()
