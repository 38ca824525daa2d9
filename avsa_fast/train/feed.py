"""From samples on disk to views on the device: workers decode, the device projects, one step ahead."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.profiler import record_function
from torch.utils.data import DataLoader

from avsa_fast.data.batches import Batch, collate
from avsa_fast.data.samples import Samples, Unreadable
from avsa_fast.data.views import ViewConfig, make_views

# Samples that are handed over at a time: several workers share in a batch, and shared memory holds parts of batches.
CHUNK = 4
STEPS_AHEAD = 2  # decoded


class Views(NamedTuple):
    """What the encoders take, of B samples with K views each."""

    crops: Tensor  # [B, K, 3, F, h, w]
    features: Tensor  # [B, K, channels, n_mels, n_frames]
    names: list[str]  # of the clips
    waited: float  # seconds in which nothing else went on
    made: float  # seconds in which the views were made; on a GPU, were queued


class Feed(Iterator[Views]):
    """The views of each step's samples, in turn; a context, whose workers end with it.

    steps: the numbers of each step's samples. On a GPU, `prefetch` queues the next step's views beside the work that is
    already queued. `usable` is asked for each part of a batch, and raises where there is none.
    """

    def __init__(
        self, samples: Samples, steps: Sequence[range], config: ViewConfig, device: torch.device, workers: int,
        usable: Callable[[Batch | Unreadable], Batch],
    ) -> None:  # fmt: skip
        self._config, self._device, self._usable = config, device, usable
        chunks: list[Any] = [numbers[i : i + CHUNK] for numbers in steps for i in range(0, len(numbers), CHUNK)]
        loader = DataLoader(
            samples, batch_sampler=chunks, collate_fn=collate, num_workers=workers, worker_init_fn=_ignore_signals,
            prefetch_factor=ceil(STEPS_AHEAD * len(chunks) / len(steps) / workers) if workers and steps else None,
            pin_memory=device.type == "cuda",
        )  # fmt: skip
        self._steps = iter(steps)
        self._chunks: Iterator[Batch | Unreadable] = iter(loader)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ahead: Views | None = None

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        # Not left to the garbage collector: an exception's traceback keeps this object, and the process would wait for
        # workers that nobody told to end.
        self._chunks = iter(())

    def __next__(self) -> Views:
        views = self._ahead or self._load()
        self._ahead = None
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            for tensor in views[:2]:
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return views

    def prefetch(self) -> None:
        """Queues the views of the next step, where there is one and a GPU makes them while this process goes on."""
        if self._stream is None:
            return
        busy = torch.cuda.Event()
        busy.record()
        try:
            views = self._load()
        except StopIteration:
            return
        self._ahead = views._replace(waited=views.waited if busy.query() else 0.0)

    def _load(self) -> Views:
        numbers, parts, waited, made = next(self._steps), [], 0.0, 0.0
        names: list[str] = []
        while len(names) < len(numbers):
            began = time.perf_counter()
            with record_function("data wait"):
                chunk = next(self._chunks)
            waited += time.perf_counter() - began
            batch = self._usable(chunk)
            began = time.perf_counter()
            with record_function("views"), torch.cuda.stream(self._stream):
                parts.append(make_views(batch, self._config, self._device))
            made += time.perf_counter() - began
            names += batch.names
        with torch.cuda.stream(self._stream):
            crops, features = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
        return Views(crops, features, names, waited, made)


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and a stopped job reach every process of the group; workers end when the loop does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
