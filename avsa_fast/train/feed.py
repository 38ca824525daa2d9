"""Input pipeline: workers decode samples from disk, and the device computes their views one step ahead."""

import time
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.profiler import record_function

from avsa_fast.data.batches import Batch, collate
from avsa_fast.data.loader import Loader, LoaderError
from avsa_fast.data.samples import Samples, Unreadable
from avsa_fast.data.views import ViewConfig, make_views

# Samples per chunk that a worker decodes: several workers share a batch, and shared memory holds only parts of batches.
CHUNK = 4
STEPS_AHEAD = 2  # steps decoded in advance


class StepInputs(NamedTuple):
    """Encoder inputs of one step: B samples with K views each."""

    crops: Tensor  # [B, K, 3, F, h, w]
    features: Tensor  # [B, K, channels, n_mels, n_frames]
    names: list[str]  # clip names [B]
    waited: float  # seconds spent waiting for decoded data while the device was idle
    made: float  # seconds to compute the views; on a GPU, to queue the work


class Feed(Iterator[StepInputs]):
    """Iterates over the views of each step's samples.

    It is a context manager: the decoding workers start on entry and end on exit. On a GPU, `prefetch` queues the next
    step's views on a side stream, concurrently with the work already queued.
    """

    def __init__(
        self, samples: Samples, steps: Sequence[range], config: ViewConfig, device: torch.device, workers: int,
        usable: Callable[[Batch | Unreadable], Batch],
    ) -> None:  # fmt: skip
        """Sets up the pipeline without starting it.

        Args:
            samples: Dataset to decode.
            steps: Sample numbers of each step.
            config: How views are computed.
            device: Device on which views are computed.
            workers: Number of decoding processes; 0 decodes in this process.
            usable: Called with each decoded chunk; returns the batch, or raises if the chunk is unreadable.
        """
        self._config, self._device, self._usable = config, device, usable
        chunks = [numbers[i : i + CHUNK] for numbers in steps for i in range(0, len(numbers), CHUNK)]
        self._loader: Loader[Batch | Unreadable] = Loader(
            samples, chunks, collate, workers, ahead=ceil(STEPS_AHEAD * len(chunks) / max(1, len(steps))),
            pin_memory=device.type == "cuda",
        )  # fmt: skip
        self._steps = iter(steps)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._ahead: StepInputs | LoaderError | None = None

    def __enter__(self) -> Self:
        self._loader.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._loader.__exit__(*raised)

    def __next__(self) -> StepInputs:
        """Returns the next step's views; raises LoaderError if decoding cannot continue."""
        views, self._ahead = self._ahead or self._load(), None
        if isinstance(views, LoaderError):
            raise views
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            for tensor in views[:2]:
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return views

    def prefetch(self) -> None:
        """Queues the next step's views on the GPU; does nothing on a CPU or after the last step."""
        if self._stream is None:
            return
        busy = torch.cuda.Event()
        busy.record()
        try:
            views = self._load()
        except StopIteration:
            return
        except LoaderError as error:
            self._ahead = error  # raised by the next __next__, so between two steps
            return
        self._ahead = views._replace(waited=views.waited if busy.query() else 0.0)

    def _load(self) -> StepInputs:
        """Decodes the next step's samples chunk by chunk and computes (on a GPU, queues) their views."""
        numbers, parts, waited, made = next(self._steps), [], 0.0, 0.0
        names: list[str] = []
        while len(names) < len(numbers):
            began = time.perf_counter()
            with record_function("data wait"):
                chunk = next(self._loader)
            waited += time.perf_counter() - began
            batch = self._usable(chunk)
            began = time.perf_counter()
            with record_function("views"), torch.cuda.stream(self._stream):
                parts.append(make_views(batch, self._config, self._device))
            made += time.perf_counter() - began
            names += batch.names
        with torch.cuda.stream(self._stream):
            crops, features = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
        return StepInputs(crops, features, names, waited, made)
