"""Entry point of `avsa_fast` and `python -m avsa_fast`: all commands by name, and what is installed."""

import ast
import runpy
import sys
from pathlib import Path

from avsa_fast.terminal import notice, prepare_streams, say

USAGE = "usage: avsa_fast [-h] [--version] COMMAND ..."


def main() -> None:
    """Runs the command that the first word names, with the other words, as `python -m avsa_fast.COMMAND` does.

    Raises:
        SystemExit: With the exit code, if it is not 0.
    """
    prepare_streams()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    known = commands()
    if name in ("-h", "--help", "help"):
        width = max(map(len, known))
        lines = (f"  {each:{width}}  {text}" for each, text in known.items())
        for line in (USAGE, "", *lines, "", "avsa_fast COMMAND --help describes the options of a command."):
            say(line)
    elif name == "--version":
        say(build_line())
    elif name in known:
        sys.argv = [f"avsa_fast {name}", *sys.argv[2:]]
        runpy.run_module(f"avsa_fast.{name}", run_name="__main__")
    else:
        what = f"{name!r} is no command" if name else "no command is named"
        notice(f"avsa_fast: {what}; expected {', '.join(known)}, --help or --version")
        sys.exit(2)


def commands() -> dict[str, str]:
    """Returns the commands, the packages that have a command line, with the first line of their help."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*/cli.py")):
        functions = {
            node.name: ast.get_docstring(node) or ""
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef)
        }
        found[path.parent.name] = functions.get("main", "").partition("\n")[0]
    return found


def build_line() -> str:
    """Returns the version, and what the kernels were built for and run on."""
    from avsa_fast import build_info  # loads torch

    build = build_info()
    cuda = f"CUDA {build['cuda_runtime']} for {', '.join(build['cuda_archs'])}" if build["cuda"] else "no CUDA kernels"
    threads = "OpenMP" if build["openmp"] else "one thread"
    return f"avsa_fast {build['version']} ({cuda}; CPU: {build['cpu_isa']}, {threads})"


if __name__ == "__main__":
    main()
