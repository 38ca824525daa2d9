"""SECURITY.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_the_named_tests_exist() -> None:
    text = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) >= 15
    assert len(named) == text.count("::")
    for file, function in named:
        source = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", source, re.MULTILINE), f"{file}::{function}"


def test_each_promise_names_a_test() -> None:
    text = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("## What may come from a stranger")[2].partition("## What is not promised")[0]
    for promise in re.split(r"\n- |\n###? ", promises):
        is_promise = f"\n- {promise}" in promises
        assert not is_promise or "::" in promise, promise
