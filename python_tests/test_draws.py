"""Every run of the tests draws the same random numbers, and AVSA_TEST_SEED draws others."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ("test_encode.py", "test_mix.py", "test_info_nce.py::test_half_precision_rows_are_computed_in_float32")


def started(seed: int, hash_seed: int) -> subprocess.Popen[str]:
    """Runs drawn tests, hypothesis' too, in a new process."""
    environment = {"AVSA_TEST_SEED": str(seed), "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": "python_tests"}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "helpers.draws", "-p", "no:cacheprovider",
               "-k", "cpu and not streaming and not huge", *(f"python_tests/ops/{test}" for test in TESTS)]  # fmt: skip
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)


def test_two_runs_draw_the_same() -> None:
    processes = [started(0, 1), started(0, 2), started(1, 1)]
    hashes = []
    for process in processes:
        output = process.communicate(timeout=250)[0]
        assert process.returncode == 0, output
        hashes += re.findall("draws: (\\w+)", output)
    first, again, other = hashes
    assert first == again
    assert first != other
