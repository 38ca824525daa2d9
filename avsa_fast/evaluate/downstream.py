"""Downstream classification of labelled recordings: linear probe, nearest neighbours, fine-tuning, early fusion.

Recordings are cut into windows. clip@1 is the accuracy per window; video@1 the accuracy per recording, from the mean
of its windows' probabilities, as is usual for UCF101. Predictions of all folds are pooled.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn
from torch.nn.functional import cross_entropy

from avsa_fast.embed.encode import embed_windows, spread_centres, window_seconds, window_views
from avsa_fast.embed.media import Media, Modality, probe
from avsa_fast.errors import UserError
from avsa_fast.run import Run

from .datasets import Fold, Item, Labelled
from .metrics import Metric, bootstrap_metric

Method = Literal["linear", "knn", "finetune"]
Input = Literal["video", "audio", "both"]
NEIGHBOURS = 5
EPOCHS, BATCH, LEARNING_RATE = 10, 16, 1e-4  # of fine-tuning; the classifier's learning rate is 10 times that
Rows = NDArray[np.float32]


class Classifier(Protocol):
    """Interface of scikit-learn's classifiers."""

    def fit(self, rows: Rows, labels: Sequence[str]) -> "Classifier": ...
    def predict_proba(self, rows: Rows) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Answers:
    """Predicted probabilities [n, classes] of a recording's n windows."""

    item: Item
    probabilities: NDArray[np.float64]


def embed_items(
    run: Run, data: Labelled, modality: Input, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Rows]:
    """Embeds the windows of every recording of a dataset.

    Args:
        run: Trained run.
        data: Labelled dataset.
        modality: What to embed; "both" concatenates the embeddings of picture and sound (early fusion).
        progress: Called with the number of recordings done and their total.

    Returns:
        float32 [windows, E] by the name of the recording; [windows, 2E] for "both".

    Raises:
        UserError: If a file cannot be read, or lacks the picture or the sound.
    """
    items = {item.name: item for fold in data.folds for item in fold.train + fold.test}
    rows = {}
    for number, (name, item) in enumerate(items.items()):
        kinds: list[Modality] = ["video", "audio"] if modality == "both" else [modality]
        media = [open_item(item, kind) for kind in kinds]
        seconds = min(found.seconds(kind) for found, kind in zip(media, kinds, strict=True))
        centres = spread_centres(seconds, data.windows, max(window_seconds(run, kind) for kind in kinds))
        parts = [
            torch.cat(list(embed_windows(run, found, kind, centres))).flatten(1)
            for found, kind in zip(media, kinds, strict=True)
        ]
        rows[name] = torch.cat(parts, dim=1).numpy()
        progress(number + 1, len(items))
    return rows


def probe_rows(
    data: Labelled, rows: dict[str, Rows], method: Literal["linear", "knn"], *, seed: int
) -> dict[str, Metric]:
    """Trains a classifier on frozen embeddings in every fold.

    Args:
        data: Labelled dataset.
        rows: Embeddings [windows, D] by the name of the recording, as `embed_items` returns them.
        method: Logistic regression or nearest neighbours.
        seed: Seed of the shuffled labels.

    Returns:
        clip@1 and video@1, and as a control video@1 after training on shuffled labels.
    """
    metrics = _scores(data, [answer for fold in data.folds for answer in _fit(fold, data, rows, method, None)], method)
    rng = np.random.default_rng(seed)
    shuffled = [answer for fold in data.folds for answer in _fit(fold, data, rows, method, rng)]
    return metrics | {
        f"{name}_shuffled_labels": value for name, value in _scores(data, shuffled, method).items() if "video" in name
    }


def finetune(
    run: Run, data: Labelled, modality: Modality, *, seed: int, epochs: int = EPOCHS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Metric]:  # fmt: skip
    """Fine-tunes the run's encoder with a linear classifier, starting from the run's weights in every fold.

    Args:
        run: Trained run; its own weights are not changed.
        data: Labelled dataset.
        modality: Which encoder to fine-tune.
        seed: Seed of the classifier's weights, of the order of recordings and of their windows.
        epochs: Epochs per fold.
        progress: Called with the number of folds done and their total.

    Returns:
        clip@1 and video@1.

    Raises:
        UserError: If a file cannot be read, or lacks the modality.
    """
    answers = []
    for number, fold in enumerate(data.folds):
        answers += _train_on(run, fold, data, modality, seed, epochs)
        progress(number + 1, len(data.folds))
    return _scores(data, answers, "finetune")


def open_item(item: Item, modality: Modality) -> Media:
    """Probes the file with the picture or the sound of a recording. Raises UserError if there is none."""
    path = item.video if modality == "video" else item.audio
    media = _probe(path) if path is not None else None
    if media is None or modality not in media.modalities:
        raise UserError(f"{path or item.name}: no {'picture' if modality == 'video' else 'sound'} to classify")
    return media


_probe = lru_cache(maxsize=100_000)(probe)  # fine-tuning opens every file once per epoch


def _fit(
    fold: Fold, data: Labelled, rows: dict[str, Rows], method: str, shuffle: np.random.Generator | None
) -> list[Answers]:
    """Fits a classifier on a fold, with shuffled labels if `shuffle` is given, and predicts its test recordings."""
    labels = [item.label for item in fold.train for _ in rows[item.name]]
    if shuffle is not None:
        names = shuffle.permutation([item.label for item in fold.train])
        labels = [label for label, item in zip(names, fold.train, strict=True) for _ in rows[item.name]]
    classifier = _classifier(method, len(labels))
    classifier.fit(np.concatenate([rows[item.name] for item in fold.train]), labels)
    found = classifier.predict_proba(np.concatenate([rows[item.name] for item in fold.test]))
    known = sorted(set(labels))
    probabilities = np.zeros((len(found), len(data.classes)))
    probabilities[:, [data.classes.index(label) for label in known]] = found
    ends = np.cumsum([len(rows[item.name]) for item in fold.test])[:-1]
    return [Answers(item, part) for item, part in zip(fold.test, np.split(probabilities, ends), strict=True)]


def _classifier(method: str, cases: int) -> Classifier:
    """Nearest neighbours for "knn", else logistic regression, on normalised embeddings."""
    if method == "knn":
        return make_pipeline(Normalizer(), KNeighborsClassifier(min(NEIGHBOURS, cases), weights="distance"))
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def _scores(data: Labelled, answers: list[Answers], method: str) -> dict[str, Metric]:
    """clip@1 and video@1, with intervals that resample groups of recordings."""
    clips, names, videos = [], [], []
    for answer in answers:
        truth = data.classes.index(answer.item.label)
        right = answer.probabilities.argmax(axis=1) == truth
        clips += right.tolist()
        names += [answer.item.group or answer.item.name] * len(right)
        videos.append(bool(answer.probabilities.mean(axis=0).argmax() == truth))
    groups = [answer.item.group or answer.item.name for answer in answers]
    chance = 1 / len(data.classes)
    return {
        f"{method}_clip_at_1": bootstrap_metric(clips, names, chance),
        f"{method}_video_at_1": bootstrap_metric(videos, groups, chance),
    }


def _train_on(run: Run, fold: Fold, data: Labelled, modality: Modality, seed: int, epochs: int) -> list[Answers]:
    """Fine-tunes on a fold and predicts its test recordings."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = copy.deepcopy(run.model.video_encoder if modality == "video" else run.model.audio_encoder)
        head = nn.Linear(encoder.embedding, len(data.classes)).to(run.device)
        groups = [
            {"params": encoder.parameters(), "lr": LEARNING_RATE},
            {"params": head.parameters(), "lr": 10 * LEARNING_RATE},
        ]
        optimiser = torch.optim.Adam(groups)
        for _ in range(epochs):
            encoder.train()
            order = rng.permutation(len(fold.train))
            for rows in np.array_split(order, max(1, round(len(order) / BATCH))):
                items = [fold.train[row] for row in rows]
                views = torch.cat([_random_view(run, item, modality, rng) for item in items]).to(run.device)
                labels = torch.tensor([data.classes.index(item.label) for item in items], device=run.device)
                optimiser.zero_grad()
                cross_entropy(head(encoder(views)), labels).backward()
                optimiser.step()
        encoder.eval()
        answers = []
        with torch.inference_mode():
            for item in fold.test:
                media = open_item(item, modality)
                centres = spread_centres(media.seconds(modality), data.windows, window_seconds(run, modality))
                batches = window_views(run, media, modality, centres)
                logits = torch.cat([head(encoder(batch.to(run.device).flatten(0, 1))) for batch in batches])
                answers.append(Answers(item, logits.softmax(dim=-1).double().cpu().numpy()))
    return answers


def _random_view(run: Run, item: Item, modality: Modality, rng: np.random.Generator) -> torch.Tensor:
    """Encoder input [1, ...] of a random window of a recording."""
    media, window = open_item(item, modality), window_seconds(run, modality)
    centre = window / 2 + rng.random() * max(0.0, media.seconds(modality) - window)
    (views,) = window_views(run, media, modality, [centre])
    return views.flatten(0, 1)
