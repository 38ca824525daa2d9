"""The classifier of AVC-Bin and AVSA-Bin: does this sound belong to this picture?

The protocol is that of the public evaluation of Morgado et al. 2020: a network E + E' -> 512 -> 2 on frozen embeddings
of single crops, trained for 10 epochs with Adam; in each epoch half of the samples get a sound that does not belong to
them, drawn anew; a sample's answer is the mean of the logits of its crops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, dropout

from .metrics import Cases

HIDDEN, DROPOUT, EPOCHS, DECAY_EPOCH, BATCH, LEARNING_RATE = 512, 0.5, 10, 8, 32, 1e-4  # as in the papers
# The papers' epochs have thousands of batches. One of a small dataset takes each sample several times.
MIN_BATCHES = 25
Control = Literal["none", "shuffled labels", "sound alone", "picture alone"]
CONTROLS: tuple[Control, ...] = ("none", "shuffled labels", "sound alone", "picture alone")
# Returns unmatched sounds [S, n, K, E'] of the samples [S, n].
Unmatched = Callable[[Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True)
class Question:
    """Samples of a binary task.

    Attributes:
        video: What the classifier sees of the crops [N, K, E].
        audio: Their sounds [N, K, E'].
        unmatched: Draws sounds that do not belong to given samples.
        groups: Name of each sample's recording [N].
    """

    video: Tensor
    audio: Tensor
    unmatched: Unmatched
    groups: list[str]


class Answers(NamedTuple):
    """Whether answers about pairs are right, as trials of each classifier; matched pairs come first. Chance is 1/2.

    Attributes:
        samples: One case per pair, answered from the mean of its crops' logits.
        crops: The same pairs, each the share of its crops that are right when they answer alone.
    """

    samples: Cases
    crops: Cases


def answer(train: Question, test: Question, *, seed: int, classifiers: int, control: Control = "none") -> Answers:
    """Trains classifiers on frozen embeddings and tests them on matched and unmatched pairs.

    Embeddings are standardised with the mean and deviation of the training set, so that one learning rate fits all
    encoders.

    Args:
        train: Samples to train on.
        test: Samples to test on; each is tested with its own sound and with another one.
        seed: Seed of the classifiers and of the unmatched sounds.
        classifiers: Number S of classifiers, whose seeds alone move the accuracy by several points.
        control: "none", or the control experiment to run instead: labels in random order, or only one modality.

    Returns:
        The answers to 2N pairs.
    """
    rng = np.random.default_rng(seed)
    standardise_video, standardise_audio = _standardiser(train.video), _standardiser(train.audio)

    def inputs(question: Question, rows: Tensor, matched: Tensor) -> Tensor:
        sound = torch.where(matched[..., None, None], question.audio[rows], question.unmatched(rows, rng))
        video, audio = standardise_video(question.video[rows]), standardise_audio(sound)
        if control == "sound alone":
            video = torch.zeros_like(video)
        if control == "picture alone":
            audio = torch.zeros_like(audio)
        return torch.cat([video, audio], dim=-1)  # [S, n, K, E + E']

    S, N, width = classifiers, len(train.video), train.video.shape[-1] + train.audio.shape[-1]
    labels = torch.tensor([0, 1]).repeat(S, N, 1)  # [S, N, 2]: of the unmatched and of the matched pair
    if control == "shuffled labels":
        labels = torch.stack([row.flatten()[torch.from_numpy(rng.permutation(2 * N))] for row in labels])
        labels = labels.unflatten(1, (N, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = _Networks(S, width)
        optimiser = torch.optim.Adam(networks.parameters, lr=LEARNING_RATE, fused=True)
        for epoch in range(EPOCHS):
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * (0.1 if epoch >= DECAY_EPOCH else 1)
            order = torch.stack([_order(N, rng) for _ in range(S)])  # [S, batches * BATCH]
            matched = torch.from_numpy(rng.permuted(np.arange(order.numel()).reshape(order.shape) % 2 == 0, axis=1))
            for rows, which in zip(order.split(BATCH, dim=1), matched.split(BATCH, dim=1), strict=True):
                logits = networks(inputs(train, rows, which), training=True)  # [S, n, K, 2]
                expected = labels[torch.arange(S)[:, None], rows, which.long()]
                expected = expected[..., None].expand(logits.shape[:3])
                optimiser.zero_grad()
                cross_entropy(logits.flatten(0, 2), expected.flatten()).backward()
                optimiser.step()
        right: dict[str, list[Tensor]] = {"samples": [], "crops": []}
        rows = torch.arange(len(test.video)).expand(S, -1)
        with torch.no_grad():
            for matches in (True, False):
                logits = networks(inputs(test, rows, torch.full(rows.shape, matches)), training=False)
                for kind, answers in (("samples", logits.mean(dim=2, keepdim=True)), ("crops", logits)):
                    right[kind].append(((answers.argmax(dim=-1) == 1) == matches).double().mean(dim=-1))
    return Answers(*(Cases(torch.cat(parts, dim=1).numpy(), test.groups * 2, 0.5) for parts in right.values()))


def _order(samples: int, rng: np.random.Generator) -> Tensor:
    """Sample numbers of an epoch: whole passes, each in random order, as many as MIN_BATCHES need."""
    passes = -(-MIN_BATCHES * BATCH // samples)
    return torch.from_numpy(np.concatenate([rng.permutation(samples) for _ in range(passes)]))


class _Networks:
    """S classifiers that are trained at once; their parameters do not depend on each other."""

    def __init__(self, S: int, width: int) -> None:
        self.parameters = [
            _uniform(width, (S, width, HIDDEN)), _uniform(width, (S, 1, HIDDEN)),
            _uniform(HIDDEN, (S, HIDDEN, 2)), _uniform(HIDDEN, (S, 1, 2)),
        ]  # fmt: skip

    def __call__(self, inputs: Tensor, *, training: bool) -> Tensor:
        """Inputs [S, n, K, D] -> logits [S, n, K, 2]."""
        weights, bias, output_weights, output_bias = self.parameters
        hidden = torch.baddbmm(bias, inputs.flatten(1, 2), weights).relu()
        logits = torch.baddbmm(output_bias, dropout(hidden, DROPOUT, training), output_weights)
        return logits.unflatten(1, inputs.shape[1:3])


def _uniform(inputs: int, shape: tuple[int, ...]) -> Tensor:
    """Initial values as those of `nn.Linear`."""
    bound = inputs**-0.5
    return torch.empty(shape).uniform_(-bound, bound).requires_grad_()


def _standardiser(embeddings: Tensor) -> Callable[[Tensor], Tensor]:
    """Function that standardises values with the mean and deviation of embeddings [N, K, E]."""
    rows = embeddings.flatten(0, 1)
    mean, deviation = rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-6)
    return lambda values: (values - mean) / deviation
