"""Workers that die, hang or cannot be interrupted: the loader reports them, and ends in time."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast.data import loader
from avsa_fast.data.loader import Loader, LoaderError
from avsa_fast.data.samples import Sample


class Numbers:
    """Samples that hold their number; sample `at` calls a function when it is read."""

    def __init__(self, function: Callable[[], object] = lambda: None, at: int = -1) -> None:
        self.function, self.at = function, at

    def __getitem__(self, number: int) -> Sample:
        if number == self.at:
            self.function()
        none = np.zeros(1, np.float32)
        return Sample(str(number), "erp", torch.zeros(8), torch.full((4, 8), number), none, none, none, None, {})


def names(batch: list[Sample]) -> tuple[list[str], torch.Tensor]:
    return [sample.name for sample in batch], torch.stack([sample.sound for sample in batch])


def load(samples: Numbers, workers: int, batches: int = 8) -> Loader[tuple[list[str], torch.Tensor]]:
    numbers = [range(2 * i, 2 * i + 2) for i in range(batches)]
    return Loader(samples, numbers, names, workers, prefetch=4)  # type: ignore[arg-type]


@pytest.fixture
def left() -> Callable[[], set[BaseProcess]]:
    """Returns the processes that the test has started and not ended; other tests may keep theirs."""
    others = set(active_children())
    return lambda: set(active_children()) - others


def sleep_through_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


STUCK = [sleep_through_sigterm, stop]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_in_order(workers: int, left: Callable[[], set[BaseProcess]]) -> None:
    with load(Numbers(), workers) as batches:
        found = list(batches)
    assert [name for part, _ in found for name in part] == [str(i) for i in range(16)]
    assert [int(sound[i, 0, 0]) for _, sound in found for i in range(2)] == list(range(16))
    assert not left()


@pytest.mark.parametrize("function", STUCK)
def test_stuck_workers_end_after_an_exception(
    function: Callable[[], object], left: Callable[[], set[BaseProcess]]
) -> None:
    """The workers hang, and the exception's traceback keeps the iterator alive."""
    begin = 0.0
    with pytest.raises(ZeroDivisionError) as raised, load(Numbers(function, at=6), 2) as batches:
        next(batches)
        time.sleep(0.3)
        begin = time.monotonic()
        raise ZeroDivisionError
    assert time.monotonic() - begin < 5
    assert not left()
    del raised


def test_stalled_workers_time_out(monkeypatch: pytest.MonkeyPatch, left: Callable[[], set[BaseProcess]]) -> None:
    monkeypatch.setattr(loader, "TIMEOUT", 1.0)
    begin = time.monotonic()
    with pytest.raises(LoaderError, match="no sample was decoded in 1 s"), load(Numbers(stop, at=6), 2) as batches:
        list(batches)
    assert time.monotonic() - begin < 12
    assert not left()


def test_slow_consumer_does_not_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with load(Numbers(), 1, batches=2) as batches:
        first = next(batches)
        monkeypatch.setattr(loader, "TIMEOUT", 1.0)
        time.sleep(3)
        second = next(batches)
    assert [name for part, _ in (first, second) for name in part] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("die", "how"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL"), (lambda: os._exit(7), "exit code 7")],
    ids=["killed", "exited"],
)
def test_dead_worker_is_reported(die: Callable[[], object], how: str, left: Callable[[], set[BaseProcess]]) -> None:
    with pytest.raises(LoaderError, match=rf"a decoding worker died \({how}\)"), load(Numbers(die, at=6), 2) as batches:
        list(batches)
    assert not left()


def test_exceptions_of_samples_are_propagated(left: Callable[[], set[BaseProcess]]) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of a sample")

    with pytest.raises(ZeroDivisionError, match="of a sample"), load(Numbers(fail, at=6), 2) as batches:
        list(batches)
    assert not left()


def test_workers_blocked_in_a_read_are_ended(tmp_path: Path, left: Callable[[], set[BaseProcess]]) -> None:
    """Simulates a blocking read from a disk that has gone away."""
    os.mkfifo(tmp_path / "pipe")
    with load(Numbers((tmp_path / "pipe").read_bytes, at=2), 1) as batches:
        next(batches)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    assert not left()
