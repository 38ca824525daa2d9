"""Damaged and forged files are read or refused in one line, without a traceback, a signal, a hang or much memory."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent / "helpers"
COUNT = 2000


@pytest.mark.slow
def test_damaged_tables_configurations_checkpoints_and_lists() -> None:
    seed = secrets.randbelow(2**32)
    line = [sys.executable, HELPERS / "fuzz_files.py", "--seed", str(seed), "--count", str(COUNT)]
    paths = os.pathsep.join((str(HELPERS.parent), str(HELPERS.parent.parent)))
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False)
    # The last line is the case that was read when a signal ended the process.
    shown = "\n".join(line for line in done.stdout.replace("\r", "\n").splitlines()[-100:])
    assert done.returncode == 0, f"code {done.returncode}; PYTHONPATH={paths}\n{shown}\n{done.stderr[-3000:]}"
    assert done.stdout.endswith(f"{COUNT} cases\n")
