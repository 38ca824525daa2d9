"""Prints pytest-benchmark's JSON as a table: how many times faster each kernel is than its peers in the same run."""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main(path: Path) -> None:
    """Groups benchmarks by case; a test named test_kernel… is ours, every other one of the group is a peer."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for benchmark in json.loads(path.read_text())["benchmarks"]:
        name = benchmark["name"].split("[")[0].removeprefix("test_")
        groups[benchmark["group"]][name] = benchmark["stats"]["median"]
    print(f"{'case':<52} {'peer':<14} {'peer ms':>9} {'kernel ms':>10} {'ratio':>7}")
    for group, medians in sorted(groups.items()):
        kernel = medians.pop("kernel")
        for peer, seconds in medians.items():
            print(f"{group:<52} {peer:<14} {seconds * 1e3:9.2f} {kernel * 1e3:10.2f} {seconds / kernel:6.1f}x")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
