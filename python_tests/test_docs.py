"""Code and commands of every page run unchanged, in order, in one folder; links and images resolve.

Pages may use videos in my_videos or SRC, and a dataset my_clips, unless they create it. Commands are reduced: training
has few steps and the preset tiny, and prepare does not detect. A block that cannot run follows a line
<!-- not run: why -->.
"""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from helpers.commands import run

from avsa_fast.scenes.build import build_scenes

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^ *(<!-- not run: .+ -->\n+)? *```(\w+)[^\n]*\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)
MODULE = "python -m avsa_fast."


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of a page's blocks that should run."""
    for not_run, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if not not_run:
            yield language, dedent(text)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "my_clips"
    build_scenes(folder, count=5, seconds=1.5, seed=7)
    return folder


# Pages that repeat commands of README or take long: only in the slow tests.
LONG_PAGES = ("data.md", "index.md", "localise.md", "report.md", "training.md")


@pytest.mark.timeout(1200)  # up to a dozen commands
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page.name in LONG_PAGES else [], id=page_name(page))
        for page in PAGES
    ],
)
def test_code_runs(page: Path, datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my_videos", "SRC"):
        (tmp_path / name).mkdir()
        for kind in ("video", "audio"):
            (tmp_path / name / kind).symlink_to(datasets / kind)
    if f"{MODULE}prepare my_videos my_clips" not in page.read_text(encoding="utf-8"):
        (tmp_path / "my_clips").symlink_to(datasets)
    names: dict[str, object] = {"__name__": "page"}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page_name(page), "exec"), names)
        elif language in ("sh", "bash"):
            for line in text.replace("\\\n", " ").splitlines():
                run_line(line, monkeypatch)


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a command of the package in this process; checks targets of `make`; ignores other programs."""
    words = shlex.split(line, comments=True)
    if line.startswith(MODULE):
        module = words[2]
        arguments = reduced(module, words[3:])
        if module == "avsa_fast.prepare":  # starts processes
            run(sys.executable, "-m", module, *arguments, check=True)
            return
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as end:
            if end.code:
                pytest.fail(f"code {end.code}: {line}")
    elif words[:1] == ["make"]:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words[1:] if "=" not in word), line


def reduced(module: str, arguments: list[str]) -> list[str]:
    """Limits training to a few steps without workers, on my_clips by default, and disables detection."""
    if module == "avsa_fast.prepare" and not {"--check", "--detector"} & set(arguments):
        return [*arguments, "--detector", "none", "--workers", "1"]
    if module == "avsa_fast.scenes":
        few = {"--count": "8", "--seconds": "1.5"}
        return [few.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]
    if module == "avsa_fast.evaluate":
        return [*arguments, "--moments", "1", "--workers", "0"]
    if module != "avsa_fast.train" or "--help" in arguments or "--resume" in arguments:
        return arguments
    arguments = ["tiny" if word == "paper" else word for word in arguments]
    for option, value in (("--data", "my_clips"), ("--preset", "tiny"), ("--steps", "2"), ("--batch", "4")):
        if option not in arguments:
            arguments += [option, value]
    if not (Path(arguments[arguments.index("--data") + 1]) / "detections.parquet").exists():
        arguments += ["--crops", "random"]
    return [*arguments, "--workers", "0"]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#", "mailto:")):
            path = page.parent / target.partition("#")[0]
            assert path.exists(), target
    for example in re.findall(r"^<!-- (examples/.+) -->$", text, flags=re.MULTILINE):
        assert (ROOT / example).is_file(), example  # run by test_examples.py


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f": {page.name}" not in navigation] == []
