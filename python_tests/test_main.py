"""avsa_fast COMMAND runs what python -m avsa_fast.COMMAND runs; --help lists all commands, --version the build."""

import sys
from pathlib import Path

import pytest

import avsa_fast
from avsa_fast.__main__ import commands, main

ROOT = Path(avsa_fast.__file__).parent


def invoke(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and output of a command line."""
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["avsa_fast", *words])
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = invoke(capsys, "--help")
    assert (code, err) == (0, "")
    listed = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
    assert set(listed) == {path.parent.name for path in ROOT.glob("*/__main__.py")}
    assert {"train", "embed", "localise"} <= set(listed)
    assert listed["localise"].startswith("Draw into a 360° video where the embeddings place what sounds")
    assert all(len(line) < 160 for line in out.splitlines())


def test_a_command_gets_the_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = invoke(capsys, "embed", "--help")
    assert code == 0
    assert "--hop" in out
    code, _, err = invoke(capsys, "embed", "nowhere", "nothing.mp4", "--hop", "0")
    assert code == 2
    assert err == "embed: --hop 0.0: must be within 0.001 and 3,600\n"


def test_version_names_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    build = avsa_fast.build_info()
    code, out, _ = invoke(capsys, "--version")
    assert code == 0
    assert out.startswith(f"avsa_fast {avsa_fast.__version__} (")
    assert f"CPU: {build['cpu_isa']}" in out
    assert (f"CUDA {build['cuda_runtime']}" if build["cuda"] else "no CUDA kernels") in out


@pytest.mark.parametrize(("words", "what"), [((), "no command is named"), (("tarin",), "'tarin' is no command")])
def test_errors_are_one_line(words: tuple[str, ...], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = invoke(capsys, *words)
    assert (code, out) == (2, "")
    assert err == f"avsa_fast: {what}; expected {', '.join(commands())}, --help or --version\n"
