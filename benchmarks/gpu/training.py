"""Benchmarks training on a GPU, preset paper on procedural scenes, and writes the metrics to a JSON file.

python benchmarks/gpu/training.py OUT.json [--preset paper] [--workers 16] [--steps 60] [--profile 20]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

WARM_UP = 10  # steps at the start of a stage that are ignored: compilation, first reads


def train(*options: object) -> None:
    """Runs `python -m avsa_fast.train` with options."""
    subprocess.run([sys.executable, "-m", "avsa_fast.train", *map(str, options)], check=True)


def main() -> None:
    """Computes medians of the logged metrics per step, and the time shares found by the profiler."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60, help="of both stages together")
    parser.add_argument("--profile", type=int, default=20)
    args = parser.parse_args()
    options = ["--preset", args.preset, "--workers", args.workers]
    with tempfile.TemporaryDirectory() as folder:
        run, profiled = Path(folder) / "run", Path(folder) / "profiled"
        train(*options, "--steps", args.steps, "--out", run)
        train(*options, "--profile", args.profile, "--out", profiled)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        results: dict[str, object] = {"device": device, **vars(args), "out": str(args.out)}
        for stage in ("avc", "avsa"):
            seen = [line for line in lines if line["stage"] == stage][WARM_UP:] or lines[-1:]
            names = ("clips_per_second", "data_wait", "views", "utilisation")
            logged = {name: median(line[name] for line in seen) for name in names}
            results[stage] = {
                "logged": logged,
                "profiled": json.loads((profiled / f"profile-{stage}.json").read_text()),
            }
    args.out.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
