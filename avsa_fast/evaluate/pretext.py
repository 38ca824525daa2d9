"""Pretext tasks of Wang et al. 2022 on frozen encoders: AVC-Bin, AVSA-Bin, matching; and cross-modal retrieval."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avsa_fast.errors import UserError
from avsa_fast.run import Run
from avsa_fast.train.matching import CANDIDATES

from .metrics import Metric, bootstrap_metric, bootstrap_trials
from .pairs import Pairs

HIDDEN, DROPOUT, EPOCHS = 512, 0.5, 10  # as in the papers
BATCH, LEARNING_RATE = 16, 1e-3  # samples per batch, each both matched and unmatched; rate of Adam
SHUFFLES = 16  # classifiers trained for the control with shuffled labels
Unmatched = Callable[[Pairs, np.random.Generator], Tensor]  # returns audio embeddings [N, K, E] of unmatched pairs
Control = Literal["none", "shuffled labels", "sound alone"]


def avc_bin(train: Pairs, test: Pairs, *, seed: int, control: Control = "none") -> Metric:
    """AVC-Bin: classifies whether picture and sound come from the same clip.

    Unmatched pairs take the sound of another clip.

    Args:
        train: Embeddings that the classifier is trained on.
        test: Embeddings that it is tested on.
        seed: Seed of the classifier and of the unmatched pairs.
        control: "none", or the control experiment to run instead.

    Returns:
        Accuracy over matched and unmatched test pairs.

    Raises:
        UserError: If all samples are of one clip.
    """
    return _binary(train, test, _other_clips, seed, control)


def avsa_bin(train: Pairs, test: Pairs, *, seed: int, control: Control = "none") -> Metric:
    """AVSA-Bin: classifies whether the sound view has the same direction as the crop.

    Unmatched pairs take the sound of the scene rotated by a random yaw.

    Args:
        train: Embeddings that the classifier is trained on.
        test: Embeddings that it is tested on.
        seed: Seed of the classifier.
        control: "none", or the control experiment to run instead.

    Returns:
        Accuracy over matched and unmatched test pairs.
    """
    return _binary(train, test, lambda pairs, rng: pairs.rotated_audio, seed, control)


def avc_matching(run: Run, test: Pairs) -> Metric:
    """Rate at which a sample's own sound beats those of up to 15 others, by similarity averaged over crops.

    Samples are compared in groups of up to 16; an incomplete last group is dropped.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        The matching accuracy.
    """
    candidates = min(CANDIDATES, len(test.clips))
    count = len(test.clips) - len(test.clips) % candidates
    groups = torch.arange(count).reshape(-1, candidates)
    wins = torch.cat([_wins(_similarity(run, test, group)) for group in groups])
    return bootstrap_metric(wins, test.clips[:count], 1 / candidates)


def avsa_matching(run: Run, test: Pairs) -> Metric:
    """Rate at which a crop's own sound view is the best match among the K views of its sample.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        The matching accuracy.
    """
    video, audio = test.video.to(run.device), test.audio.to(run.device)
    wins = _wins(run.alignment(video, audio).cpu())  # [N, K]
    K = wins.shape[1]
    return bootstrap_metric(wins.flatten(), [clip for clip in test.clips for _ in range(K)], 1 / K)


def retrieval(run: Run, test: Pairs) -> dict[str, Metric]:
    """Cross-modal retrieval from picture to sound and from sound to picture: R@1, R@5, R@10 and median rank.

    Each gallery holds one moment of every held-out clip. There is one gallery per moment; their ranks are pooled.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        Metrics by name, for both directions.
    """
    ranks: dict[str, list[Tensor]] = {"video_to_audio": [], "audio_to_video": []}
    clips: list[str] = []
    sizes = set()
    for moment in sorted(set(test.moments)):
        rows = torch.tensor([i for i, other in enumerate(test.moments) if other == moment])
        scores = _similarity(run, test, rows)
        ranks["video_to_audio"].append(_ranks(scores))
        ranks["audio_to_video"].append(_ranks(scores.T))
        clips += [test.clips[i] for i in rows]
        sizes.add(len(rows))
    size = max(sizes)
    metrics = {}
    for direction, parts in ranks.items():
        pooled = torch.cat(parts)
        for k in (1, 5, 10):
            metrics[f"{direction}_recall_at_{k}"] = bootstrap_metric(pooled <= k, clips, min(1.0, k / size))
        metrics[f"{direction}_median_rank"] = bootstrap_metric(pooled, clips, (size + 1) / 2, statistic="median")
    return metrics


def _similarity(run: Run, pairs: Pairs, rows: Tensor) -> Tensor:
    """Similarity [n, n] of pictures (rows) and sounds (columns) of some samples, averaged over crops."""
    return run.similarity(pairs.video[rows].to(run.device), pairs.audio[rows].to(run.device)).mean(dim=-1).cpu()


def _wins(scores: Tensor) -> Tensor:
    """[..., n, n] -> bool [..., n]: whether the diagonal is strictly the largest value of its row."""
    return _ranks(scores) == 1


def _ranks(scores: Tensor) -> Tensor:
    """[..., n, n] -> [..., n]: rank of the diagonal in each row, from 1; ties count against it."""
    return (scores >= scores.diagonal(dim1=-2, dim2=-1)[..., None]).sum(dim=-1)


def _binary(train: Pairs, test: Pairs, unmatched: Unmatched, seed: int, control: Control) -> Metric:
    """Accuracy over matched and unmatched test pairs.

    With shuffled labels the accuracy varies from one classifier to the next, so this control averages SHUFFLES of
    them, and its interval resamples classifiers as well as clips.
    """
    if control != "shuffled labels":
        return bootstrap_metric(_correct_answers(train, test, unmatched, seed, control), test.clips * 2, 0.5)
    trials = [_correct_answers(train, test, unmatched, seed + number, control) for number in range(SHUFFLES)]
    return bootstrap_trials(torch.stack(trials), test.clips * 2, 0.5)


def _correct_answers(train: Pairs, test: Pairs, unmatched: Unmatched, seed: int, control: Control) -> Tensor:
    """Trains an MLP (512 hidden values, 2 outputs) on single crops and tests it with logits averaged over crops.

    Embeddings are standardised with the training set's mean and deviation, so that one learning rate fits all encoders.
    Returns 1 for each test pair classified correctly, else 0, matched pairs first: float64 [2N].
    """
    rng = np.random.default_rng(seed)
    inputs_per_view = train.video.shape[-1] + train.audio.shape[-1]  # the encoders may have different widths
    standardise_video, standardise_audio = _standardiser(train.video), _standardiser(train.audio)

    def classifier_input(video: Tensor, audio: Tensor) -> Tensor:
        picture = torch.zeros_like(video) if control == "sound alone" else standardise_video(video)
        return torch.cat([picture, standardise_audio(audio)], dim=-1)  # [N, K, inputs_per_view]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs_per_view, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, 2)
        )
        optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        N = len(train.video)
        labels = torch.tensor([1, 0]).repeat_interleave(N)  # matched, then unmatched pairs
        if control == "shuffled labels":
            labels = labels[torch.from_numpy(rng.permutation(2 * N))]
        for _ in range(EPOCHS):
            matched_inputs = classifier_input(train.video, train.audio)
            inputs = torch.cat([matched_inputs, classifier_input(train.video, unmatched(train, rng))])
            for rows in torch.from_numpy(rng.permutation(2 * N)).split(2 * BATCH):
                logits = network(inputs[rows])  # [n, K, 2]
                expected = labels[rows, None].expand(logits.shape[:2])
                optimiser.zero_grad()
                cross_entropy(logits.flatten(0, 1), expected.flatten()).backward()
                optimiser.step()
        network.eval()
        with torch.no_grad():
            matched = network(classifier_input(test.video, test.audio)).mean(dim=1).argmax(dim=-1) == 1
            rejected = network(classifier_input(test.video, unmatched(test, rng))).mean(dim=1).argmax(dim=-1) == 0
    return torch.cat([matched, rejected]).double()


def _standardiser(embeddings: Tensor) -> Callable[[Tensor], Tensor]:
    """Function that standardises values with the mean and deviation of embeddings [N, K, E]."""
    rows = embeddings.flatten(0, 1)
    mean, deviation = rows.mean(dim=0), rows.std(dim=0).clamp(min=1e-6)
    return lambda values: (values - mean) / deviation


def _other_clips(pairs: Pairs, rng: np.random.Generator) -> Tensor:
    """For each sample, the sound of a random sample of another clip. Raises UserError if there is only one clip."""
    clips = np.asarray(pairs.clips)
    if len(set(pairs.clips)) == 1:
        raise UserError(f"{clips[0]} is the only clip: AVC needs the sound of another one")
    others = rng.integers(len(clips), size=len(clips))
    while (same := clips[others] == clips).any():
        others[same] = rng.integers(len(clips), size=int(same.sum()))
    return pairs.audio[torch.from_numpy(others)]
