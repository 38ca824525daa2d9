"""The metrics of the tasks avc, avsa, retrieval and localisation, as `evaluate` and the ablation compute them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.progress import show_progress
from avsa_fast.run import Run

from .binary import CONTROLS, Control
from .localisation import localise
from .metrics import Cases
from .pairs import Pairs, embed_pairs
from .pretext import avc_bin, avc_matching, avsa_bin, avsa_bin_swapped, avsa_matching, retrieval
from .truth import Truth

YAWS = 4  # rotated sounds per sample, of which each epoch of a classifier draws one
Split = Literal["train", "test"]


class EmbeddedPairs:
    """Embeddings of a run's dataset, computed once for all metrics."""

    def __init__(
        self, run: Run, data: Path, collection: Callable[[CropChoice], Collection], *, moments: int, seed: int,
        classifiers: int, workers: int,
    ) -> None:  # fmt: skip
        """Notes what to embed.

        Args:
            run: Trained run.
            data: Dataset folder.
            collection: Returns its clips, for crops in random directions or of objects.
            moments: Moments per clip.
            seed: Seed of the yaws, of the random directions and of the classifiers.
            classifiers: Classifiers per metric.
            workers: Worker processes that decode media.
        """
        self.run, self.seed, self.classifiers = run, seed, classifiers
        self.collection, self.moments, self._workers = collection, moments, workers
        self._data = data
        self._pairs: dict[tuple[Split, CropChoice], Pairs] = {}

    @property
    def detected(self) -> bool:
        """Whether the dataset has a table of detected objects."""
        return (self._data / "detections.parquet").exists()

    @property
    def objects(self) -> CropChoice:
        """Crops of objects, also for runs that were trained without, if the dataset has detections."""
        return "yolo" if self.detected else self.run.config.samples.crops

    def __call__(self, split: Split, crops: CropChoice) -> Pairs:
        """Embeds a split.

        Args:
            split: Which clips.
            crops: Where the crops look. Random crops come with rotated sound.

        Returns:
            The embeddings.
        """
        if (split, crops) not in self._pairs:
            kind = "objects in" if crops == "yolo" else "random crops of"
            with show_progress(f"embedding {kind} the {split} clips") as progress:
                self._pairs[split, crops] = embed_pairs(
                    self.run, self.collection(crops), split, moments=self.moments, seed=self.seed,
                    yaws=YAWS if crops == "random" else 0, workers=self._workers, progress=progress,
                )  # fmt: skip
        return self._pairs[split, crops]


def avc_scores(pairs: EmbeddedPairs) -> dict[str, Cases]:
    """AVC-Bin with its controls, and AVC matching.

    Args:
        pairs: Embeddings of the run.

    Returns:
        Cases by name of the metric.
    """
    train, test = pairs("train", "random"), pairs("test", "random")
    seed, classifiers = pairs.seed, pairs.classifiers
    scores = {
        _name("avc_bin", c): avc_bin(train, test, seed=seed, classifiers=classifiers, control=c) for c in CONTROLS
    }
    return scores | {"avc_matching": avc_matching(pairs.run, pairs("test", pairs.run.config.samples.crops))}


def avsa_scores(pairs: EmbeddedPairs) -> dict[str, Cases]:
    """AVSA-Bin on random crops and with exchanged sounds on crops of objects, with controls, and AVSA matching.

    Args:
        pairs: Embeddings of the run.

    Returns:
        Cases by name of the metric.
    """
    train, test = pairs("train", "random"), pairs("test", "random")
    seed, classifiers = pairs.seed, pairs.classifiers
    answers = {c: avsa_bin(train, test, seed=seed, classifiers=classifiers, control=c) for c in CONTROLS}
    scores = {_name("avsa_bin", control): given.samples for control, given in answers.items()}
    scores["avsa_bin_one_crop"] = answers["none"].crops
    scores["avsa_bin_encoder"] = avsa_bin(train, test, seed=seed, classifiers=classifiers, picture="encoder").samples
    train, test = pairs("train", pairs.objects), pairs("test", pairs.objects)
    for control in CONTROLS:
        scores[_name("avsa_bin_swapped", control)] = avsa_bin_swapped(
            train, test, seed=seed, classifiers=classifiers, control=control
        )
    return scores | {"avsa_matching": avsa_matching(pairs.run, pairs("test", pairs.run.config.samples.crops))}


def retrieval_scores(pairs: EmbeddedPairs) -> dict[str, Cases]:
    """Cross-modal retrieval.

    Args:
        pairs: Embeddings of the run.

    Returns:
        Cases by name of the metric.
    """
    return retrieval(pairs.run, pairs("test", pairs.run.config.samples.crops))


def localisation_scores(pairs: EmbeddedPairs, truth: Truth, path: Path) -> dict[str, Cases]:
    """Localisation of annotated objects among those that are seen.

    Args:
        pairs: The run and its dataset; nothing of it is embedded.
        truth: Directions of the sounding objects.
        path: Where they were read from, for messages.

    Returns:
        Cases by name of the metric.
    """
    collection = pairs.collection("yolo" if pairs.detected else "random")
    with show_progress("localising objects") as progress:
        return localise(
            pairs.run, collection.held_out, truth, path, moments=pairs.moments,
            detections=collection.detections if pairs.detected else None, progress=progress,
        )  # fmt: skip


def _name(metric: str, control: Control) -> str:
    """Key of a metric under a control."""
    return metric if control == "none" else f"{metric}_{control.replace(' ', '_')}"
