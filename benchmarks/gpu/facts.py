"""Writes facts about the machine to a JSON file: device, driver and versions."""

import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "triton", "torchaudio", "torchvision", "numpy", "open_clip_torch", "inf-cl")


def main(out: Path) -> None:
    """Writes the facts to `out` and prints them."""
    facts: dict[str, object] = {"python": platform.python_version(), "cpu": platform.processor() or platform.machine()}
    facts |= {name: found for name in PACKAGES if (found := installed(name)) is not None}
    facts["cuda of torch"] = torch.version.cuda
    facts["nvcc"] = first_line(["nvcc", "--version"], "release")
    facts["driver"] = first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], "")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        facts |= {"device": device.name, "architecture": f"{device.major}.{device.minor}"}
        facts |= {"multiprocessors": device.multi_processor_count, "memory": device.total_memory}
    out.write_text(json.dumps(facts))
    print(json.dumps(facts, indent=2))


def installed(name: str) -> str | None:
    """Returns the version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def first_line(command: list[str], word: str) -> str | None:
    """Returns the first line of a command's output that contains `word`; None without one, or if the command hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if word in line), None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
