"""Prints pytest-benchmark's JSON as a table of each kernel's speedup over its peers in the same run.

python benchmarks/table.py build/benchmark.json [benchmarks/results/NAME.json]
"""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main(path: Path, results: Path | None) -> None:
    """Prints the table, and optionally writes a summary as JSON.

    Within a benchmark group, a test named test_kernel… is the kernel and every other one is a peer.

    Args:
        path: JSON written by pytest-benchmark.
        results: File for medians, speedups and machine information, or None.
    """
    run = json.loads(path.read_text())
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    shares: dict[str, dict[str, float]] = {}  # per group: speedup over peers timed within the kernel's own rounds
    for benchmark in run["benchmarks"]:
        name = benchmark["name"].split("[")[0].removeprefix("test_").removeprefix("features_")
        groups[benchmark["group"]][name] = benchmark["stats"]["median"]
        for note, value in benchmark["extra_info"].items():
            target = (
                shares.setdefault(benchmark["group"], {})
                if note.startswith("share of ")
                else groups[benchmark["group"]]
            )
            target[note.removeprefix("share of ")] = value
    print(f"{'case':<52} {'peer':<14} {'peer ms':>9} {'kernel ms':>10} {'ratio':>7}")
    for group, medians in sorted(groups.items()):
        for peer, seconds in medians.items():
            if peer != "kernel" and "kernel" in medians:
                ratio = shares.get(group, {}).get(peer, seconds / medians["kernel"])
                print(f"{group:<52} {peer:<14} {seconds * 1e3:9.2f} {medians['kernel'] * 1e3:10.2f} {ratio:6.2f}x")
    if results is not None:
        cpu = run["machine_info"]["cpu"]
        facts = {"cpu": cpu["brand_raw"], "cores": cpu["count"], "date": run["datetime"]}
        facts["commit"] = run["commit_info"]["id"]
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps({**facts, "median_seconds": groups, "shares": shares}, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or not Path(sys.argv[1]).is_file():
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
