"""wheels.py OUT [VERSION…]: the source distribution, and from it one manylinux wheel for each Python on this machine.

libgomp stays outside the wheels: torch brings the one that is loaded already, so that both share one pool of threads.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")
ROOT = Path(__file__).parents[1]


def run(*command: object) -> None:
    """Runs a command."""
    subprocess.run([str(word) for word in command], check=True)


def main(out: Path, versions: Sequence[str]) -> None:
    """Builds everything.

    Args:
        out: Folder of the results; files of other versions stay.
        versions: Python versions; those that are missing are passed over.
    """
    out.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", out, ROOT)
    sdist = max(out.glob("avsa_fast-*.tar.gz"), key=lambda path: path.stat().st_mtime)
    for version in versions:
        found = subprocess.run(["sh", ROOT / ".ci" / "find_python", version], stdout=subprocess.PIPE, text=True)
        if found.returncode:
            print(f"Python {version} is not on this machine: no wheel for it", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder)
            run(found.stdout.strip(), "-m", "venv", built / "venv")
            run(built / "venv/bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, sdist)
            (wheel,) = built.glob("*.whl")
            run(sys.executable, "-m", "auditwheel", "repair", "--exclude", "libgomp.so.1", "--wheel-dir", out, wheel)
    for wheel in sorted(out.glob("*.whl")):
        print(wheel)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} OUT [VERSION…]")
    main(Path(sys.argv[1]), sys.argv[2:] or VERSIONS)
