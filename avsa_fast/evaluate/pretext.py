"""Pretext tasks of Wang et al. 2022 on frozen encoders: AVC-Bin, AVSA-Bin, matching; and cross-modal retrieval."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from avsa_fast.errors import UserError
from avsa_fast.run import Run
from avsa_fast.train.matching import CANDIDATES

from .binary import Answers, Control, Question, Unmatched, answer
from .metrics import Cases
from .pairs import Pairs

Picture = Literal["translated", "encoder"]


def avc_bin(train: Pairs, test: Pairs, *, seed: int, classifiers: int, control: Control = "none") -> Cases:
    """AVC-Bin: classifies whether picture and sound come from the same clip.

    Unmatched pairs take the sound of another clip.

    Args:
        train: Embeddings that the classifiers are trained on.
        test: Embeddings that they are tested on.
        seed: Seed of the classifiers and of the unmatched pairs.
        classifiers: Number of classifiers, over which the accuracy is averaged.
        control: "none", or the control experiment to run instead.

    Returns:
        Whether the answers about matched and unmatched test pairs are right.

    Raises:
        UserError: If all samples are of one clip.
    """

    def question(pairs: Pairs) -> Question:
        return Question(pairs.video, pairs.audio, _other_clips(pairs), pairs.recordings)

    return answer(question(train), question(test), seed=seed, classifiers=classifiers, control=control).samples


def avsa_bin(
    train: Pairs, test: Pairs, *, seed: int, classifiers: int, control: Control = "none",
    picture: Picture = "translated",
) -> Answers:  # fmt: skip
    """AVSA-Bin: classifies whether the sound scene has the orientation of the picture.

    In unmatched pairs the scene is rotated by a random yaw, one for all crops of a sample. Crops must have random
    directions: a crop that shows an object has sound in front of it, so that sound alone would tell the pairs apart.

    Args:
        train: Embeddings of random crops that the classifiers are trained on, with rotated sound.
        test: Embeddings that they are tested on.
        seed: Seed of the classifiers.
        classifiers: Number of classifiers, over which the accuracy is averaged.
        control: "none", or the control experiment to run instead.
        picture: What the classifier sees of a crop: the sound that the transformer expects there ("translated"), or
            the crop's embedding ("encoder").

    Returns:
        Whether the answers about matched and unmatched test pairs are right.
    """

    def question(pairs: Pairs) -> Question:
        video = pairs.translated if picture == "translated" else pairs.video
        return Question(video, pairs.audio, _rotated(pairs), pairs.recordings)

    return answer(question(train), question(test), seed=seed, classifiers=classifiers, control=control)


def avsa_bin_swapped(train: Pairs, test: Pairs, *, seed: int, classifiers: int, control: Control = "none") -> Cases:
    """AVSA-Bin whose unmatched pairs have the sound views of the same sample, exchanged among its crops.

    Both kinds of pairs have the same sounds, so that crops may show objects.

    Args:
        train: Embeddings that the classifiers are trained on.
        test: Embeddings that they are tested on.
        seed: Seed of the classifiers.
        classifiers: Number of classifiers, over which the accuracy is averaged.
        control: "none", or the control experiment to run instead.

    Returns:
        Whether the answers about matched and unmatched test pairs are right.
    """

    def question(pairs: Pairs) -> Question:
        return Question(pairs.translated, pairs.audio, _swapped(pairs), pairs.recordings)

    return answer(question(train), question(test), seed=seed, classifiers=classifiers, control=control).samples


def avc_matching(run: Run, test: Pairs) -> Cases:
    """Rate at which a sample's own sound beats those of up to 15 others, by similarity averaged over crops.

    Samples are compared in groups of up to 16; an incomplete last group is dropped.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        Whether each choice is right.
    """
    candidates = min(CANDIDATES, len(test.clips))
    count = len(test.clips) - len(test.clips) % candidates
    groups = torch.arange(count).reshape(-1, candidates)
    wins = torch.cat([_wins(_similarity(run, test, group)) for group in groups])
    return Cases(wins.numpy()[None], test.recordings[:count], 1 / candidates)


def avsa_matching(run: Run, test: Pairs) -> Cases:
    """Rate at which a crop's own sound view is the best match among the K views of its sample.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        Whether each choice is right.
    """
    video, audio = test.video.to(run.device), test.audio.to(run.device)
    wins = _wins(run.alignment(video, audio).cpu())  # [N, K]
    K = wins.shape[1]
    return Cases(wins.reshape(1, -1).numpy(), [name for name in test.recordings for _ in range(K)], 1 / K)


def retrieval(run: Run, test: Pairs) -> dict[str, Cases]:
    """Cross-modal retrieval from picture to sound and from sound to picture: R@1, R@5, R@10 and median rank.

    Each gallery holds one moment of every held-out clip. There is one gallery per moment; their ranks are pooled.

    Args:
        run: Trained run.
        test: Embeddings of the held-out clips.

    Returns:
        Ranks, and whether they are small enough, by name, for both directions.
    """
    ranks: dict[str, list[Tensor]] = {"video_to_audio": [], "audio_to_video": []}
    recordings: list[str] = []
    sizes = set()
    for moment in sorted(set(test.moments)):
        rows = torch.tensor([i for i, other in enumerate(test.moments) if other == moment])
        scores = _similarity(run, test, rows)
        ranks["video_to_audio"].append(_ranks(scores))
        ranks["audio_to_video"].append(_ranks(scores.T))
        recordings += [test.recordings[i] for i in rows]
        sizes.add(len(rows))
    size = max(sizes)
    metrics = {}
    for direction, parts in ranks.items():
        pooled = torch.cat(parts)
        for k in (1, 5, 10):
            metrics[f"{direction}_recall_at_{k}"] = Cases((pooled <= k).numpy()[None], recordings, min(1.0, k / size))
        metrics[f"{direction}_median_rank"] = Cases(pooled.numpy()[None], recordings, (size + 1) / 2, "median")
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


def _rotated(pairs: Pairs) -> Unmatched:
    """Draws one of the rotated sound scenes of each sample."""

    def draw(rows: Tensor, rng: np.random.Generator) -> Tensor:
        yaw = torch.from_numpy(rng.integers(len(pairs.rotated_audio), size=rows.shape))
        return pairs.rotated_audio[yaw, rows]

    return draw


def _swapped(pairs: Pairs) -> Unmatched:
    """Moves the sound views of each sample by 1 to K - 1 crops."""
    K = pairs.audio.shape[1]

    def draw(rows: Tensor, rng: np.random.Generator) -> Tensor:
        shift = torch.from_numpy(rng.integers(1, K, size=rows.shape))
        views = (torch.arange(K) + shift[..., None]) % K  # [S, n, K]
        return pairs.audio[rows[..., None], views]

    return draw


def _other_clips(pairs: Pairs) -> Unmatched:
    """Draws a sample of another clip for each. Raises UserError if there is only one clip."""
    clips = np.unique(np.asarray(pairs.clips), return_inverse=True)[1]
    if clips.max() == 0:
        raise UserError(f"{pairs.clips[0]} is the only clip: AVC needs the sound of another one")

    def draw(rows: Tensor, rng: np.random.Generator) -> Tensor:
        others = rng.integers(len(clips), size=rows.shape)
        while (same := clips[others] == clips[rows.numpy()]).any():
            others[same] = rng.integers(len(clips), size=int(same.sum()))
        return pairs.audio[torch.from_numpy(others)]

    return draw
