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
    """Encoder inputs of one step: B samples with K views each.

    Attributes:
        crops: float32 [B, K, 3, F, h, w].
        features: float32 [B, K, channels, n_mels, n_frames].
        names: Clip names [B].
        wait_seconds: Time spent waiting for decoded data while the device was idle.
        view_seconds: Time to compute the views; on a GPU, to queue the work.
    """

    crops: Tensor
    features: Tensor
    names: list[str]
    wait_seconds: float
    view_seconds: float


class Feed(Iterator[StepInputs]):
    """Iterator over the encoder inputs of each step.

    It is a context manager: the decoding workers start on entry and end on exit. On a GPU, `prefetch` queues the next
    step's views on a side stream, concurrently with the work already queued.
    """

    def __init__(
        self, samples: Samples, steps: Sequence[range], config: ViewConfig, device: torch.device, workers: int,
        readable: Callable[[Batch | Unreadable], Batch],
    ) -> None:  # fmt: skip
        """Sets up the pipeline without starting it.

        Args:
            samples: Dataset to decode.
            steps: Sample numbers of each step.
            config: How views are computed.
            device: Device on which views are computed.
            workers: Number of decoding processes; 0 decodes in this process.
            readable: Called with each decoded chunk; returns its batch, or raises if it is unreadable.
        """
        self._config, self._device, self._readable = config, device, readable
        chunks = [numbers[i : i + CHUNK] for numbers in steps for i in range(0, len(numbers), CHUNK)]
        self._loader: Loader[Batch | Unreadable] = Loader(
            samples, chunks, collate, workers, prefetch=ceil(STEPS_AHEAD * len(chunks) / max(1, len(steps))),
            pin_memory=device.type == "cuda",
        )  # fmt: skip
        self._steps = iter(steps)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._prefetched: StepInputs | LoaderError | None = None

    def __enter__(self) -> Self:
        self._loader.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._loader.__exit__(*raised)

    def __next__(self) -> StepInputs:
        """Returns the next step's inputs.

        Raises:
            LoaderError: If decoding cannot continue.
        """
        inputs, self._prefetched = self._prefetched or self._load(), None
        if isinstance(inputs, LoaderError):
            raise inputs
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            for tensor in (inputs.crops, inputs.features):
                tensor.record_stream(torch.cuda.current_stream(self._device))
        return inputs

    def prefetch(self) -> None:
        """Queues the next step's views on the GPU; does nothing on a CPU or after the last step."""
        if self._stream is None:
            return
        busy = torch.cuda.Event()
        busy.record()
        try:
            inputs = self._load()
        except StopIteration:
            return
        except LoaderError as error:
            self._prefetched = error  # raised by the next __next__, so between two steps
            return
        self._prefetched = inputs if busy.query() else inputs._replace(wait_seconds=0.0)

    def _load(self) -> StepInputs:
        """Decodes the next step's samples chunk by chunk and computes (on a GPU, queues) their views."""
        numbers, parts, wait_seconds, view_seconds = next(self._steps), [], 0.0, 0.0
        names: list[str] = []
        while len(names) < len(numbers):
            began = time.perf_counter()
            with record_function("data wait"):
                chunk = next(self._loader)
            wait_seconds += time.perf_counter() - began
            batch = self._readable(chunk)
            began = time.perf_counter()
            with record_function("views"), torch.cuda.stream(self._stream):
                parts.append(make_views(batch, self._config, self._device))
            view_seconds += time.perf_counter() - began
            names += batch.names
        with torch.cuda.stream(self._stream):
            crops, features = (torch.cat(part) if len(parts) > 1 else part[0] for part in zip(*parts, strict=True))
        return StepInputs(crops, features, names, wait_seconds, view_seconds)
