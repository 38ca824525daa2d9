"""Fixtures for tests of localise: an untrained run, and a made clip in which one of four objects sounds."""

from pathlib import Path

import pytest
from helpers.localised import Clip, make_clip
from helpers.untrained import config, run, scenes

from avsa_fast.embed import media

__all__ = ["config", "run", "scenes"]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return make_clip(tmp_path_factory.mktemp("clip") / "data", seconds=4.0)


@pytest.fixture(autouse=True)
def described_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Describes files without a process of their own, whose start takes seconds."""
    monkeypatch.setattr(media, "Worker", lambda task: task)
    monkeypatch.setattr(media, "work", lambda jobs, pool: [pool[0].start()(job, lambda: None) for job in jobs])
    monkeypatch.setattr(media, "close", lambda pool: None)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"
