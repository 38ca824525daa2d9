"""Options of `python -m avsa_fast.seld`: train, predict and score."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from avsa_fast.choices import Gains, SeldMode, SeldNeck
from avsa_fast.flags import MAX_STEPS, Channel, Range, Seed, checked


def main(command: Annotated[Positional[Literal["train", "predict", "score"]], arg(metavar="COMMAND")]) -> None:
    """Sound event localisation and detection (SELD): which sounds there are, when, and in which direction.

    train RUN --data DIR --out DIR trains a detector on the audio encoder of a run.
    predict MODEL FILES --out DIR writes the events in files of any length.
    score REFERENCE PREDICTION computes the metrics of DCASE's task 3.

    Each has --help.

    Args:
        command: train, predict or score, before its own options.
    """


@checked
def train(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    data: Path,
    out: Path,
    resume: bool = False,
    mode: SeldMode = "finetune",
    neck: SeldNeck = "gru",
    classes: Annotated[int, Range(1, 1000)] = 13,
    steps: Annotated[int, Range(1, MAX_STEPS)] = 5000,
    batch: Annotated[int, Range(1, 1024)] = 16,
    seconds: Annotated[float, Range(1, 60)] = 5.0,
    minutes: Annotated[float | None, Range(0.01, 100_000)] = None,
    learning_rate: Annotated[float, Range(1e-6, 1)] = 1e-3,
    seed: Seed = 0,
) -> None:
    """Trains a detector of sound events on a tree like STARSS23's: foa_dev/ and metadata_dev/.

    The last feature map of the run's audio encoder, a recurrent or self-attention network over time, and an output of
    three tracks per class (Multi-ACCDDOA, trained with ADPIT). Recordings in folders named like dev-test are held out;
    they are scored at the end. OUT gets seld.yaml, weights.safetensors, log.jsonl and metrics.json.

    Args:
        run: Folder of a training run whose sound is foa_iv.
        data: STARSS22, STARSS23 or DCASE's synthetic recordings, or what scenes --format starss writes.
        out: Folder of the detector; it must not contain one yet, except with --resume.
        resume: Continue an interrupted training in --out, with the same options.
        mode: Whether the run's encoder is trained too, at a tenth of the learning rate (finetune), or not (frozen); or
            starts from random weights (scratch).
        neck: The network over time: gru (bidirectional) or attention.
        classes: Number of classes; STARSS23 has 13.
        steps: Optimiser steps.
        batch: Excerpts per step.
        seconds: Duration of an excerpt.
        minutes: Use only so many minutes of the training recordings. Default: all.
        learning_rate: Peak learning rate of Adam; it rises over the first tenth of the steps, and falls to 0.
        seed: Seed of weights, excerpts and augmentation.

    Raises:
        UserError: If an option is invalid, or the run or the data cannot be used.
    """
    from .config import SeldConfig
    from .start import start

    config = SeldConfig(
        mode=mode, neck=neck, classes=classes, steps=steps, batch=batch, seconds=seconds, minutes=minutes,
        learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    start(run, data, out, config, resume=resume)


@checked
def predict(
    model: Annotated[Positional[Path], arg(metavar="MODEL")],
    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILES")],
    out: Path,
    threshold: Annotated[float, Range(0, 1)] = 0.5,
    channels: tuple[Channel, Channel, Channel, Channel] | None = None,
    gains: Gains | None = None,
) -> None:
    """Predicts the sound events in files of any length, in constant memory.

    OUT gets NAME.csv for each file, in DCASE's output format: frame of 100 ms, class, source, azimuth and elevation in
    degrees, distance in metres, which is the unit that the evaluation of DCASE 2024 expects of predictions (but of
    references centimetres). After an interruption, the same command continues.

    Args:
        model: Folder that seld train wrote.
        files: Ambisonic sounds, videos with ambisonic sound, or folders of them.
        out: Folder of the predictions.
        threshold: Activity from which an event is reported, 0 to 1.
        channels: Decoded channels, from 0, that hold W, Y, Z and X, for files that do not declare them.
        gains: Normalisation of ambisonic sounds, for files that do not declare it; fuma implies the order W X Y Z.

    Raises:
        UserError: If the model or none of the files can be read, or OUT cannot be written.
    """
    from avsa_fast.data.describe import Overrides

    from .predict import predict_files

    predict_files(model, files, out, threshold=threshold, overrides=Overrides(channels, gains))


@checked
def score(
    reference: Annotated[Positional[Path], arg(metavar="REFERENCE")],
    prediction: Annotated[Positional[Path], arg(metavar="PREDICTION")],
    edition: Literal["2023", "2024"] = "2024",
    classes: Annotated[int, Range(1, 1000)] = 13,
    threshold: Annotated[float, Range(0, 180)] = 20.0,
    distance_threshold: Annotated[float, Range(0, 1000)] = 1.0,
    unit: Literal["m", "cm"] = "m",
    interval: Literal["jackknife", "bootstrap"] = "jackknife",
    out: Path | None = None,
) -> None:
    """Computes the metrics of DCASE's task 3, macro and micro averages with 95 % intervals over recordings.

    Args:
        reference: Annotations, NAME.csv or a folder of them as metadata_dev/; distances in centimetres.
        prediction: Predictions, likewise; files of the same name belong together. Folders in REFERENCE of which no
            recording is predicted are passed over.
        edition: 2024 compares frames of 100 ms and distances, 2023 segments of one second.
        classes: Number of classes.
        threshold: Greatest angle of a found event, in degrees.
        distance_threshold: Greatest relative distance error of a found event, in edition 2024.
        unit: Unit of the distances in the predictions.
        interval: jackknife, as DCASE's evaluation, or bootstrap.
        out: A JSON file for all metrics, those of each class too.

    Raises:
        UserError: If a file cannot be read, or recordings have no counterpart.
    """
    from .score import score_files

    score_files(
        reference, prediction, edition=2024 if edition == "2024" else 2023, classes=classes, threshold=threshold,
        distance_threshold=distance_threshold, unit=unit, method=interval, out=out,
    )  # fmt: skip


COMMANDS: dict[str, Callable[..., None]] = {"train": train, "predict": predict, "score": score}
