"""Downstream classification of labelled recordings: linear probe, nearest neighbours, fine-tuning, early fusion.

Recordings are cut into windows. clip@1 is the accuracy per window; video@1 the accuracy per recording, from the mean
of its windows' probabilities, as is usual for UCF101. Predictions of all folds are pooled.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

from avsa_fast.choices import Input as Input
from avsa_fast.data.describe import Overrides
from avsa_fast.data.reader import MediaReader, Modality
from avsa_fast.embed.encode import embed_windows, spread_centres, window_seconds, window_views
from avsa_fast.embed.media import Source, open_sources
from avsa_fast.errors import UserError
from avsa_fast.run import Run

from .datasets import Fold, Item, Labelled
from .metrics import Cases

Method = Literal["linear", "knn", "finetune"]
NEIGHBOURS = 5
EPOCHS, BATCH = 10, 16  # fine-tuning
LEARNING_RATE = 1e-4  # fine-tuning of the encoder; 10 times as high for the classifier
FloatArray = NDArray[np.float32]


class Classifier(Protocol):
    """Interface of scikit-learn's classifiers."""

    def fit(self, X: FloatArray, y: Sequence[str]) -> "Classifier": ...
    def predict_proba(self, X: FloatArray) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Predictions:
    """Predictions for a recording.

    Attributes:
        item: The recording.
        probabilities: Class probabilities of its windows, float64 [windows, classes].
    """

    item: Item
    probabilities: NDArray[np.float64]


def embed_items(
    run: Run, data: Labelled, modality: Input, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, FloatArray]:
    """Embeds the windows of every recording of a dataset.

    Args:
        run: Trained run.
        data: Labelled dataset.
        modality: What to embed; "both" concatenates the embeddings of picture and sound (early fusion).
        progress: Called with the number of recordings done and their total.

    Returns:
        float32 [windows, E] by name of the recording; [windows, 2E] for "both".

    Raises:
        UserError: If a file cannot be read, or lacks the picture or the sound.
    """
    kinds: list[Modality] = ["video", "audio"] if modality == "both" else [modality]
    readers = open_items(data, kinds)
    embeddings = {}
    for number, name in enumerate(readers):
        media = readers[name]
        seconds = min(media.track(kind).end for kind in kinds)
        centres = spread_centres(seconds, data.windows, max(window_seconds(run, kind) for kind in kinds))
        parts = [torch.cat(list(embed_windows(run, media, kind, centres))).flatten(1) for kind in kinds]
        embeddings[name] = torch.cat(parts, dim=1).numpy()
        progress(number + 1, len(readers))
    return embeddings


def probe(
    data: Labelled, embeddings: dict[str, FloatArray], method: Literal["linear", "knn"], *, seed: int
) -> dict[str, Cases]:
    """Trains a classifier on frozen embeddings in every fold.

    Args:
        data: Labelled dataset.
        embeddings: float32 [windows, D] by name of the recording, as from `embed_items`.
        method: Logistic regression or nearest neighbours.
        seed: Seed of the shuffled labels.

    Returns:
        clip@1 and video@1, and as a control video@1 after training on shuffled labels.
    """
    predictions = [p for fold in data.folds for p in _fit(fold, data, embeddings, method, None)]
    rng = np.random.default_rng(seed)
    shuffled = [p for fold in data.folds for p in _fit(fold, data, embeddings, method, rng)]
    control = _accuracies(data, shuffled, method)[f"{method}_video_at_1"]
    return _accuracies(data, predictions, method) | {f"{method}_video_at_1_shuffled_labels": control}


def finetune(
    run: Run, data: Labelled, modality: Modality, *, seed: int, epochs: int = EPOCHS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Cases]:  # fmt: skip
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
    predictions, readers = [], open_items(data, [modality])
    for number, fold in enumerate(data.folds):
        predictions += _finetune_fold(run, fold, data, readers, modality, seed, epochs)
        progress(number + 1, len(data.folds))
    return _accuracies(data, predictions, "finetune")


def open_items(data: Labelled, modalities: Sequence[Modality]) -> dict[str, MediaReader]:
    """Opens the files of a dataset's recordings, each first in another process, which a damaged file may crash.

    Args:
        data: Labelled dataset.
        modalities: Modalities that are needed.

    Returns:
        Readers by name of the recording.

    Raises:
        UserError: If a recording lacks a modality, or a file cannot be read.
    """
    items = {item.name: item for fold in data.folds for item in fold.train + fold.test}
    for item in items.values():
        for modality in modalities:
            if (item.video if modality == "video" else item.audio) is None:
                raise UserError(f"{item.name}: no {modality} to classify")
    sources = [
        Source(item.video if "video" in modalities else None, item.audio if "audio" in modalities else None)
        for item in items.values()
    ]
    opened = open_sources(sources, Overrides(projection=data.projection))
    readers = {}
    for name, (source, reader, error) in zip(items, opened, strict=True):
        if reader is None:
            raise UserError(error)
        if missing := [modality for modality in modalities if modality not in reader.modalities]:
            raise UserError(f"{source.path}: no {missing[0]} to classify")
        readers[name] = reader
    return readers


def _fit(
    fold: Fold, data: Labelled, embeddings: dict[str, FloatArray], method: str, shuffle: np.random.Generator | None
) -> list[Predictions]:
    """Fits a classifier on a fold, with shuffled labels if `shuffle` is given, and predicts its test recordings."""
    labels = [item.label for item in fold.train for _ in embeddings[item.name]]
    if shuffle is not None:
        permuted = shuffle.permutation([item.label for item in fold.train])
        labels = [label for label, item in zip(permuted, fold.train, strict=True) for _ in embeddings[item.name]]
    classifier = _classifier(method, len(labels))
    classifier.fit(np.concatenate([embeddings[item.name] for item in fold.train]), labels)
    predicted = classifier.predict_proba(np.concatenate([embeddings[item.name] for item in fold.test]))
    trained = sorted(set(labels))
    probabilities = np.zeros((len(predicted), len(data.classes)))
    probabilities[:, [data.classes.index(label) for label in trained]] = predicted
    ends = np.cumsum([len(embeddings[item.name]) for item in fold.test])[:-1]
    return [Predictions(item, part) for item, part in zip(fold.test, np.split(probabilities, ends), strict=True)]


def _classifier(method: str, cases: int) -> Classifier:
    """Nearest neighbours for "knn", else logistic regression, on normalised embeddings."""
    if method == "knn":
        return make_pipeline(Normalizer(), KNeighborsClassifier(min(NEIGHBOURS, cases), weights="distance"))
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def _accuracies(data: Labelled, predictions: list[Predictions], method: str) -> dict[str, Cases]:
    """clip@1 and video@1, with intervals that resample groups of recordings."""
    groups = [p.item.group or p.item.name for p in predictions]
    clip_correct, clip_groups, video_correct = [], [], []
    for prediction, group in zip(predictions, groups, strict=True):
        label = data.classes.index(prediction.item.label)
        correct = prediction.probabilities.argmax(axis=1) == label
        clip_correct += correct.tolist()
        clip_groups += [group] * len(correct)
        video_correct.append(bool(prediction.probabilities.mean(axis=0).argmax() == label))
    chance = 1 / len(data.classes)
    return {
        f"{method}_clip_at_1": Cases(np.array([clip_correct]), clip_groups, chance),
        f"{method}_video_at_1": Cases(np.array([video_correct]), groups, chance),
    }


def _finetune_fold(
    run: Run, fold: Fold, data: Labelled, readers: dict[str, MediaReader], modality: Modality, seed: int, epochs: int
) -> list[Predictions]:
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
                chosen = [_random_view(run, readers[item.name], modality, rng) for item in items]
                views = torch.cat(chosen).to(run.device)
                labels = torch.tensor([data.classes.index(item.label) for item in items], device=run.device)
                optimiser.zero_grad()
                cross_entropy(head(encoder(views)), labels).backward()
                optimiser.step()
        encoder.eval()
        predictions = []
        with torch.inference_mode():
            for item in fold.test:
                media = readers[item.name]
                centres = spread_centres(media.track(modality).end, data.windows, window_seconds(run, modality))
                batches = window_views(run, media, modality, centres)
                logits = torch.cat([head(encoder(batch.to(run.device).flatten(0, 1))) for batch in batches])
                predictions.append(Predictions(item, logits.softmax(dim=-1).double().cpu().numpy()))
    return predictions


def _random_view(run: Run, media: MediaReader, modality: Modality, rng: np.random.Generator) -> torch.Tensor:
    """Encoder input [1, ...] of a random window of a recording."""
    window = window_seconds(run, modality)
    centre = window / 2 + rng.random() * max(0.0, media.track(modality).end - window)
    (views,) = window_views(run, media, modality, [centre])
    return views.flatten(0, 1)
