"""Fixtures for tests of embeddings."""

import pytest
from helpers.untrained import config, run, scenes

from avsa_fast.embed import media

__all__ = ["config", "run", "scenes"]


@pytest.fixture(autouse=True)
def described_in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Describes files without a process of their own, whose start takes seconds, except in tests of crashes."""
    if "crash" in request.node.name:
        return
    monkeypatch.setattr(media, "Worker", lambda task: task)
    monkeypatch.setattr(media, "work", lambda jobs, pool: [pool[0].start()(job, lambda: None) for job in jobs])
    monkeypatch.setattr(media, "close", lambda pool: None)
