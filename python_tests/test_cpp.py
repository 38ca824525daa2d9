"""C++ unit tests of the kernels' mathematics (csrc/tests): runs the executable that `make test` builds."""

import os
from pathlib import Path

from helpers.commands import run

ROOT = Path(__file__).parent.parent


def test_cpp() -> None:
    executable = Path(os.environ.get("AVSA_EMULATED", ROOT / "build" / "emulated")) / "avsa_tests"
    assert executable.is_file(), f"no {executable}: run `make test`, which builds it"
    done = run(executable)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
