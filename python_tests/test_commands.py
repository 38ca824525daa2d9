"""A test whose command hangs fails at its timeout, shows a stack trace, and leaves no process; also under xdist."""

import os
import sys
from pathlib import Path

import pytest
from helpers.commands import run

HANGING = '''
import sys
from helpers.commands import run

CODE = """
import subprocess, time
def hang_here():
    time.sleep(3600)
subprocess.Popen(["sleep", "3600"])
hang_here()
"""

def test_hangs():
    run(sys.executable, "-c", CODE)

def test_runs():
    pass
'''


@pytest.mark.parametrize("options", [(), pytest.param(("-n", "1"), marks=pytest.mark.slow)])
def test_a_hanging_command(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    line = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=4", *options, tmp_path)
    done = run(*line, cwd=tmp_path, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "in hang_here" in done.stdout
    assert "Timeout" in done.stdout
