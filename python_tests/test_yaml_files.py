from pathlib import Path
from time import process_time

import pytest
from helpers.memory import peak_growth

from avsa_fast.errors import UserError
from avsa_fast.yaml_files import read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "line 1: anchors and aliases are not supported"),
        ("a: 1\nb: *a", "line 2: anchors and aliases"),
        ("", "it holds nothing; expected lines such as"),
        ("[1, 2]", "it holds a list"),
        ("word", "it holds a str"),
        ("1: 2", "expected lines such as"),
        ("a: " + "[" * 5000, "line 1: nested deeper than 20"),
        ("a: " + "{b: " * 5000, "line 1: nested deeper than 20"),
        ("\n".join(" " * depth + "a:" for depth in range(300)), "nested deeper than 20"),
        ("a: 2020-99-99", "month must be in"),
        ("a: " + "1" * 5000, "Exceeds the limit"),
        ("a: 1\na: 2", "line 1: 'a' is there twice"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: tags are not supported"),
        ("a: !!timestamp x", "line 1: tags are not supported"),
        ("a: [", "line 1: "),
        ("a: \x07", "special characters are not allowed"),
        ("a: '" + "x" * 100_000 + "'", "larger than 100 kB"),
        ("? [a, b]\n: c", "line 1: found unhashable key"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    began = process_time()
    with peak_growth() as growth, pytest.raises(UserError, match=rf"c\.yaml: not a file: .*{message}") as refusal:
        read_yaml(path, "a file")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) - len(str(path)) < 300
    assert process_time() - began < 5
    assert growth() < 50e6


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone", Path("/dev/zero")):
        with pytest.raises(UserError, match="not a file: not a regular file"):
            read_yaml(path, "a file")
    (tmp_path / "latin").write_bytes(b"a: caf\xe9")
    with pytest.raises(UserError, match=r"not a file: .*utf-8"):
        read_yaml(tmp_path / "latin", "a file")


def test_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfa: {b: [1, 2.5, null]}\r\nc: true\r\n")
    assert read_yaml(tmp_path / "c.yaml", "a file") == {"a": {"b": [1, 2.5, None]}, "c": True}
