"""Writes the tables of docs/uses.md from those that the tests run through: python docs/uses_table.py."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "python_tests"))

from helpers.operations import CALLS, Entry  # noqa: E402
from helpers.uses import GROUPS, USES, outcome  # noqa: E402

from avsa_fast import ops  # noqa: E402

PAGE = ROOT / "docs" / "uses.md"
MARKER = "<!-- written by docs/uses_table.py from here on -->\n"


def page() -> str:
    """The page with its tables written anew."""
    head = PAGE.read_text(encoding="utf-8").partition(MARKER)[0]
    return head + MARKER + "\n" + "\n".join([*map(table, GROUPS), calls()])


def table(group: str) -> str:
    """The uses of one group as rows, the operations as columns."""
    lines = [f"## {group}", "", "| use | " + " | ".join(f"`{name}`" for name in ops.__all__) + " |"]
    lines.append("|---" * (1 + len(ops.__all__)) + "|")
    for name, use in USES.items():
        if use.group == group:
            lines.append(f"| {use.text} | " + " | ".join(cell(name, operation) for operation in ops.__all__) + " |")
    return "\n".join([*lines, ""])


def entries(operation: str) -> list[Entry]:
    return [entry for entry in CALLS.values() if entry().operation == operation]


def cell(use: str, operation: str) -> str:
    """What happens; then what happens in calls in which something else does."""
    found: dict[str, list[str]] = {}
    for entry in entries(operation):
        found.setdefault(outcome(use, entry), []).append(entry.text)
    first, *others = sorted(found, key=lambda result: (result != "right", -len(found[result])))
    return "; ".join([first, *(f"{', '.join(found[result])}: {result}" for result in others)])


def calls() -> str:
    """The calls that stand for each operation."""
    lines = [f"- `{name}`: {', '.join(entry.text for entry in entries(name))}" for name in ops.__all__]
    return "\n".join(["## Calls", "", *lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
