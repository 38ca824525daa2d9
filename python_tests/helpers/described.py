"""A fixture for tests of commands that describe files in processes of their own, whose start takes seconds."""

import pytest

from avsa_fast.embed import media


@pytest.fixture(autouse=True)
def described_in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Describes files in this process, except in tests of crashes."""
    if "crash" in request.node.name:
        return
    describe_in_this_process(monkeypatch)


def describe_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Replaces the processes that describe files, until the patch is undone."""
    patch.setattr(media, "Worker", lambda task: task)
    patch.setattr(media, "work", lambda jobs, pool: [pool[0].start()(job, lambda: None) for job in jobs])
    patch.setattr(media, "close", lambda pool: None)
