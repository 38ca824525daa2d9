"""Every operation has a reference, a call in the tests that all operations share, and its documentation."""

from inspect import signature
from pathlib import Path

import pytest
from helpers.operations import CALLS

from avsa_fast import ops, reference

ROOT = Path(__file__).parents[2]


def test_there_is_a_reference_for_each() -> None:
    assert set(reference.__all__) == set(ops.__all__)


def test_shared_tests_call_each() -> None:
    assert {make().operation for make in CALLS.values()} == set(ops.__all__)


@pytest.mark.parametrize("name", ops.__all__)
def test_is_documented(name: str) -> None:
    assert f"::: avsa_fast.ops.{name}\n" in (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert f"`ops.{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ops.__all__)
def test_reference_takes_the_same_arguments(name: str) -> None:
    assert list(signature(getattr(reference, name)).parameters) == list(signature(getattr(ops, name)).parameters)
