"""Names of clips hold on every file system and in every table, and depend only on the file's path."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast.data.clip_names import (
    MAX_BYTES,
    are_valid_names,
    distinct_name,
    is_valid_name,
    printable,
    valid_name,
)

NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    "text", ["a", "yJtIK922yxg-54", "odd one", "音楽　会", "e\u0301te\u0301", "a" * MAX_BYTES, "👩\u200d🎤", "~"]
)
def test_ordinary_names_are_kept(text: str) -> None:
    assert is_valid_name(text)
    assert valid_name(text) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a" * 231, "a" * 219 + "~"),
        ("音" * 82, "音" * 73 + "~"),  # 246 bytes; 219 fit
        ("xy" + "👩" * 60, "xy" + "👩" * 54 + "~"),
        (NOT_UTF8, "caf\ufffd~"),
        ("a\nb\tc\x7f", "a\ufffdb\ufffdc\ufffd~"),
        ("a\u2028b", "a\ufffdb~"),
        ("", "~"),
    ],
)
def test_other_names_are_cut_between_characters_and_have_a_hash(text: str, name: str) -> None:
    found = valid_name(text)
    assert found.startswith(name)
    assert len(found) == len(name) + 10
    assert is_valid_name(found)
    assert valid_name(text, "other/path") != found
    assert valid_name(text) == found


def test_hashes_are_the_same_on_every_machine() -> None:
    assert valid_name(NOT_UTF8) == "caf\ufffd~dafd66c0b9"
    assert distinct_name("a__b", "a/b.mp4") == "a__b~b0a066fc48"


@given(st.lists(st.binary(min_size=1, max_size=300).map(os.fsdecode), max_size=3))
def test_any_file_name_gives_a_valid_name(texts: list[str]) -> None:
    assert are_valid_names(texts) == all(map(is_valid_name, texts))
    for text in texts:
        name = valid_name(text)
        assert is_valid_name(name)
        assert len(name.encode()) <= MAX_BYTES
        assert name.splitlines() == [name]
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in name + printable(text))
        assert valid_name(name) == name
        assert name == text or not is_valid_name(text)
