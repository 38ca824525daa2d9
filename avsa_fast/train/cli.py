"""Options of `python -m avsa_fast.train`."""

from pathlib import Path
from typing import Annotated, Literal

from avsa_fast.choices import DEFAULT_WEIGHTS, AudioView, CropChoice, Precision, Stages
from avsa_fast.errors import UserError
from avsa_fast.flags import MAX_BATCH, MAX_STEPS, Range, Seed, Workers, checked


@checked
def main(
    data: Path | None = None,
    preset: Literal["tiny", "paper"] | None = None,
    config: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    seed: Seed | None = None,
    steps: Annotated[int | None, Range(1, MAX_STEPS)] = None,
    workers: Workers = 2,
    batch: Annotated[int | None, Range(1, MAX_BATCH)] = None,
    device: str | None = None,
    precision: Precision | None = None,
    audio: AudioView | None = None,
    crops: CropChoice | None = None,
    stages: Stages | None = None,
    detector: str = DEFAULT_WEIGHTS,
    trust_weights: bool = False,
    profile: Annotated[int | None, Range(1, 1000)] = None,
) -> None:
    """Trains audio and video encoders on 360° video with ambisonic sound: AVC, then AVSA from the AVC weights.

    On several GPUs: torchrun --nproc-per-node 8 -m avsa_fast.train --data DIR --out runs/NAME

    --seed, --steps, --batch, --precision, --stages, --audio and --crops set keys of config.yaml. Their defaults are the
    preset's; the precision is bf16 on a GPU that supports it.

    Args:
        data: Dataset folder with video/NAME.mp4 and audio/NAME.flac (.wav, .m4a, .opus). Without it, procedural scenes
            are generated once, cached and used for training.
        preset: Sizes and schedule: "tiny" trains on a CPU in minutes, "paper" is Wang et al. 2022. Default: paper with
            --data on a GPU, else tiny.
        config: YAML file with the options that differ from the preset's; a run's config.yaml has them all.
        out: Folder of the run; it must not contain a run yet, except with --resume. Default: runs/PRESET-TIME.
        resume: Continue from the newest checkpoint of the run in --out, with the options that it was started with.
        seed: Seed of weights, samples and augmentation.
        steps: Total number of optimiser steps of both stages; overrides `epochs`.
        workers: Processes per rank that decode media; 0 decodes in the training process.
        batch: Crops per step, over all ranks: this many clips for AVC, and this many divided by `samples.views` for
            AVSA, which takes several crops of each clip.
        device: "cpu", "cuda" or "cuda:N". Default: a GPU if there is one.
        precision: "bf16" runs the network in mixed precision; GPU only.
        audio: Input of the audio encoder: log-mel of the rotated sound with its intensity (foa_iv) or without (foa),
            stereo without or with level and phase differences (stereo_icf), a beam or mono.
        crops: Directions of the crops: objects that YOLO detected, or random.
        stages: "avc" ends after the first stage and also accepts sound without direction.
        detector: YOLO weights, a path or a name, that detect the objects of a dataset without detections.parquet.
        trust_weights: Load a detector of unknown checksum; such a file can run any code.
        profile: Only profile: record this many steps of each stage, print the shares of time, and write traces into
            the run's folder `profile`.

    Raises:
        UserError: If options are invalid or contradict the run to resume, or the dataset cannot be used.
    """
    from .start import start

    if profile is not None and resume:
        raise UserError(f"--profile {profile}: not with --resume, since profiling does not train")
    given = {
        "seed": seed, "steps": steps, "batch": batch, "precision": precision, "audio": audio, "crops": crops,
        "stages": stages, "preset": preset, "data": None if data is None else str(data.resolve()),
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    start(
        given, config=config, out=out, resume=resume, device=device, workers=workers, detector=detector,
        trust_weights=trust_weights, profile=profile,
    )  # fmt: skip
