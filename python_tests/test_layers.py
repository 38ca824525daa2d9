"""Which packages import which: definitions below operations below everything else, and no cycles."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "avsa_fast"

# All that these packages may import of avsa_fast.
ALLOWED = {
    "spatial": set(),
    "reference": {"spatial"},
    "ops": {"_C", "errors", "spatial"},
    "models": {"bounds", "errors", "files", "ops", "spatial"},
}


def imported(node: ast.AST) -> list[str]:
    """Full names of the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    assert not isinstance(node, ast.ImportFrom) or node.level == 1, "a relative import beyond the package"
    return []


def imports(files: list[Path]) -> set[str]:
    """The packages and modules of avsa_fast that files import, within functions too."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    names = [name for tree in trees for node in ast.walk(tree) for name in imported(node)]
    return {name.split(".")[1] for name in names if name.startswith("avsa_fast.")}


PACKAGES = {path.parent.name: imports(list(path.parent.rglob("*.py"))) for path in ROOT.glob("*/__init__.py")}
MODULES = {path.stem: imports([path]) for path in ROOT.glob("*.py")}


@pytest.mark.parametrize("package", ALLOWED)
def test_lower_packages_import_only_those_below(package: str) -> None:
    assert PACKAGES[package] - {package} <= ALLOWED[package]


def test_only_tests_and_benchmarks_import_the_reference() -> None:
    assert [name for name, found in (PACKAGES | MODULES).items() if "reference" in found] == []


def test_there_are_no_cycles() -> None:
    graph = {name: found - {name} for name, found in (PACKAGES | MODULES).items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle
