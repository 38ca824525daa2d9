"""Matching accuracy on held-out samples, during a run and at its end."""

from collections.abc import Callable, Sequence

import torch

from avsa_fast.config import Config, Stage
from avsa_fast.data.batches import Batch
from avsa_fast.data.samples import Collection, Samples, Unreadable
from avsa_fast.data.spans import ClipSpan
from avsa_fast.models import Model

from .feed import Feed
from .matching import CANDIDATES, avc_matches, avsa_matches, matching_accuracy

MOMENTS = 16  # maximum number of samples per held-out clip


@torch.no_grad()
def held_out_accuracy(
    model: Model,
    stage: Stage,
    config: Config,
    collection: Collection,
    spans: Sequence[ClipSpan],
    device: torch.device,
    workers: int,
    readable: Callable[[Batch | Unreadable], Batch],
) -> dict[str, float] | None:
    """Computes the held-out matching accuracy of a stage.

    AVC matches among up to 16 held-out samples, AVSA among the views of one sample.

    Args:
        model: Model to evaluate; its training mode is restored.
        stage: "avc" or "avsa".
        config: Configuration of the run.
        collection: The dataset.
        spans: Its spans to evaluate on, for validation or held out.
        device: Device of the model.
        workers: Number of decoding processes.
        readable: Called with each decoded chunk, as in `Feed`.

    Returns:
        "value", "chance" and "n" as in `matching.matching_accuracy`, or None without spans.
    """
    count = min(config.held_out_samples, MOMENTS * len(spans))
    if count == 0:
        return None
    candidates = min(CANDIDATES, count)
    count -= count % candidates
    samples = Samples(
        collection, config.samples, seed=config.seed, count=count, spatial=stage == "avsa", augment=False,
        spans=spans, planes=device.type == "cuda",
    )  # fmt: skip
    steps = [range(first, first + candidates) for first in range(0, count, candidates)]
    was_training, matches = model.training, []
    model.eval()
    eager = torch.compiler.set_stance("force_eager")  # batch sizes differ from the compiled ones
    with eager, Feed(samples, steps, config.views, device, workers, readable) as feed:
        for inputs in feed:
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                embeddings = model(inputs.crops, inputs.features)
                if stage == "avc":
                    matches.append(avc_matches(embeddings))
                else:
                    matches.append(avsa_matches(embeddings, model.predictions(embeddings)))
    model.train(was_training)
    return matching_accuracy(torch.cat(matches), candidates if stage == "avc" else inputs.crops.shape[1])
