from pathlib import Path

import pytest

from avsa_fast.data import lists
from avsa_fast.data.lists import read_lines
from avsa_fast.errors import UserError


@pytest.mark.parametrize("content", [b"a-1\nb c\n", b"\xef\xbb\xbfa-1\r\n\r\nb c", b" a-1 \n\n\n\tb c", b"a-1\rb c\r"])
def test_ends_of_lines_and_byte_order_marks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list").write_bytes(content)
    assert read_lines(tmp_path / "list", "a list") == ["a-1", "b c"]


def test_what_is_not_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_LIST_BYTES", 2**20)
    (tmp_path / "latin").write_bytes(b"a\nb\ncaf\xe9\n")
    with pytest.raises(UserError, match=r"latin: not a list: line 3 is not UTF-8$"):
        read_lines(tmp_path / "latin", "a list")
    (tmp_path / "long").write_bytes(bytes(2**20 + 1))
    with pytest.raises(UserError, match=r"long: not a list: larger than 1 MB$"):
        read_lines(tmp_path / "long", "a list")
    with pytest.raises(UserError, match=r": not a list: not a regular file$"):
        read_lines(tmp_path, "a list")
