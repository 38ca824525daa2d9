"""Command `python -m avsa_fast.train`: trains embeddings on a folder of 360° clips or on procedural scenes."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch

import avsa_fast
from avsa_fast.config import PRESETS, Config, Precision, Stages, load_config, save_config
from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView
from avsa_fast.errors import UserError
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.scenes.cache import embedded_default

from .loop import Trainer
from .profile import WARM_UP, Profiler
from .ranks import joined


def main(
    data: Path | None = None,
    preset: Literal["tiny", "paper"] | None = None,
    config: Path | None = None,
    out: Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    steps: int | None = None,
    workers: int = 2,
    batch: int | None = None,
    device: str | None = None,
    precision: Precision | None = None,
    audio: AudioView | None = None,
    crops: CropChoice | None = None,
    stages: Stages | None = None,
    detector: str = "yolo26n.pt",
    trust_weights: bool = False,
    profile: int | None = None,
) -> None:
    """Train audio and video encoders on 360° video with ambisonic sound: AVC, then AVSA from the AVC weights.

    On several GPUs: torchrun --nproc-per-node 8 -m avsa_fast.train --data DIR --out runs/NAME

    Args:
        data: Dataset folder with video/NAME.mp4 and audio/NAME.flac (.wav, .m4a, .opus). Without it, procedural scenes
            are generated once, cached and used for training.
        preset: Sizes and schedule: "tiny" trains on a CPU in minutes, "paper" is Wang et al. 2022. Default: paper with
            --data on a GPU, else tiny.
        config: YAML file with the options that differ from the preset's; a run's config.yaml has them all.
        out: Folder of the run; it must not contain a run yet, except with --resume. Default: runs/PRESET-TIME.
        resume: Continue from the newest checkpoint of the run in --out, with the options that it was started with.
        seed: Seed of weights, samples and augmentation. Default: 0.
        steps: Total number of optimiser steps, split between the two stages as in the preset.
        workers: Processes per rank that decode media; 0 decodes in the training process.
        batch: Crops per step, over all ranks: this many clips for AVC, a quarter for AVSA, which takes 4 crops of each.
        device: "cpu", "cuda" or "cuda:N". Default: a GPU if there is one.
        precision: "bf16" autocasts, on a GPU. Default: bf16 on a GPU that supports it, else fp32.
        audio: Input of the audio encoder: log-mel of the rotated sound with its intensity (foa_iv) or without (foa),
            stereo without or with level and phase differences (stereo_icf), a beam or mono. Default: foa_iv.
        crops: Where crops look: at objects that YOLO found, or anywhere. Default: yolo.
        stages: "avc" ends after the first stage and also accepts sound without direction. Default: both.
        detector: YOLO weights, a path or a name, that detect the objects of a dataset without detections.parquet.
        trust_weights: Load a detector of unknown checksum; such a file can run any code.
        profile: Only profile: record this many steps of each stage, print the shares of time, and write traces into
            the run's folder `profile`.
    """
    if workers < 0:
        raise UserError(f"--workers {workers} must be at least 0")
    if profile is not None and (profile < 1 or resume):
        raise UserError(f"--profile {profile} must be at least 1, and without --resume: it trains nothing")
    chosen = {
        "seed": seed, "steps": steps, "batch": batch, "precision": precision, "audio": audio, "crops": crops,
        "stages": stages, "preset": preset, "data": None if data is None else str(data.resolve()),
    }  # fmt: skip
    chosen = {name: value for name, value in chosen.items() if value is not None}
    with joined(_device(device)) as (ranks, where):
        if ranks.count > 1 and out is None:
            raise UserError("--out must name the run's folder where several ranks train: they share it")
        if resume or (ranks.restarts and out is not None and (out / "config.yaml").exists()):
            resume = True
            run, choices = _resumed(out, config, chosen, where)
        else:
            run, choices = _started(out, config, chosen, where)
        if profile is not None:
            choices, run = replace(choices, steps=2 * (WARM_UP + profile), avc_share=0.5), run / "profile"
        if ranks.first:
            prepare_for_crops(Path(choices.data), choices.samples.crops, detector=detector, trust_weights=trust_weights)
        ranks.wait()
        collection = Collection(Path(choices.data), choices.samples.crops, spatial=choices.spatial)
        profiler = None if profile is None else Profiler(run, profile)
        trainer = Trainer(choices, collection, run, where, workers, ranks, profiler)
        if ranks.first:
            run.mkdir(parents=True, exist_ok=True)
            if profile is None:
                save_config(choices, run / "config.yaml")
            print(_banner(trainer), flush=True)
        metrics = trainer.train(resume)
        for name, metric in metrics.items():
            print(f"{name.replace('_', ' ').upper():<14} {metric['value']:6.1%}  (chance {metric['chance']:.1%})")
        if ranks.first:
            print(f"run: {run}")


def _device(name: str | None) -> torch.device:
    """Returns the named device, checked to be usable, or the default device."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def _started(out: Path | None, file: Path | None, chosen: dict[str, Any], device: torch.device) -> tuple[Path, Config]:
    """Returns the folder and configuration of a new run."""
    preset = chosen.get("preset") or ("paper" if "data" in chosen and device.type == "cuda" else "tiny")
    run = out or Path("runs") / f"{preset}-{datetime.now():%Y%m%d-%H%M%S}"
    if (run / "config.yaml").exists():
        raise UserError(f"--out {run} holds a run already; --resume goes on with it, another --out starts anew")
    config = PRESETS[preset] if file is None else load_config(file, PRESETS[preset])
    config = _choose(config, chosen)
    if config.batch_norm == "sync" and device.type != "cuda":
        raise UserError("batch_norm sync needs GPUs: torch has no SyncBatchNorm for CPUs")
    config = replace(config, precision=_precision(chosen.get("precision"), device))
    return run, config if "data" in chosen else replace(config, data=str(embedded_default()))


def _resumed(out: Path | None, file: Path | None, chosen: dict[str, Any], device: torch.device) -> tuple[Path, Config]:
    """Returns the folder and configuration of an existing run; options that differ from it are an error."""
    if out is None or not (out / "config.yaml").exists():
        raise UserError(f"--resume needs --out with the folder of a run; {out or 'none given'} is not one")
    config = load_config(out / "config.yaml")
    _precision(config.precision, device)
    if file is not None and load_config(file, config) != config:
        raise UserError(f"--config {file} differs from what {out} was started with; leave it out to resume")
    for name in chosen:
        if _choose(config, {name: chosen[name]}) != config:
            raise UserError(f"--{name} {chosen[name]} differs from what {out} was started with; leave it out to resume")
    return out, config


def _choose(config: Config, chosen: dict[str, Any]) -> Config:
    """Returns the configuration with the chosen values applied."""
    chosen = dict(chosen)
    if audio := chosen.pop("audio", None):
        model = replace(config.model, audio_channels=AUDIO_CHANNELS[audio])
        config = replace(config, views=replace(config.views, audio=audio), model=model)
    if crops := chosen.pop("crops", None):
        config = replace(config, samples=replace(config.samples, crops=crops))
    return replace(config, **chosen)


def _precision(asked: Precision | None, device: torch.device) -> Precision:
    """Returns the requested precision, or the fastest one that is safe on the device."""
    if device.type == "cuda":
        return asked or ("bf16" if torch.cuda.is_bf16_supported() else "fp32")
    # torch 2.14.1 on an EPYC with AVX512-BF16: in a (3, 1, 1) convolution of 2 frames of 5 x 5 or 7 x 7, as in R(2+1)D,
    # the weight gradient multiplies uninitialised memory by 0, which gives NaN if that memory holds NaN.
    if asked == "bf16":
        raise UserError("--precision bf16 needs a GPU: on a CPU torch's bf16 convolutions can give NaN; leave it out")
    return "fp32"


def _banner(trainer: Trainer) -> str:
    """Returns the lines printed at the start of a run."""
    config, collection, build = trainer.config, trainer.collection, avsa_fast.build_info()
    parameters = sum(p.numel() for p in trainer.model.parameters())
    kernels = (
        "CUDA" if trainer.device.type == "cuda" else f"CPU ({build['cpu_isa']}, {torch.get_num_threads()} threads)"
    )
    together = f" ({trainer.ranks.count} ranks)" if trainer.ranks.count > 1 else ""
    steps = ", then ".join(
        f"{stage.upper()} {n} steps of {config.clips_a_step(stage)} clips"
        for stage, n in trainer.stage_steps.items()
        if n
    )
    return (
        f"avsa_fast {build['version']}, torch {torch.__version__}; kernels: {kernels}; device: {trainer.device}"
        f"{together}, {config.precision}\n"
        f"data: {config.data}: {len(collection.train)} clips to train on, {len(collection.held_out)} held out"
        f"{_left_out(config, collection)}\n"
        f"preset {config.preset}: {parameters / 1e6:.1f} M parameters, crops {config.views.crop_size}² "
        f"({config.samples.crops}), sound {config.views.audio}, seed {config.seed}; {steps}"
    )


def _left_out(config: Config, collection: Collection) -> str:
    """Returns the banner's note on clips excluded because their sound has no direction."""
    if not (config.spatial and collection.without_direction):
        return ""
    return f", {collection.without_direction} left out, since their sound has no direction in it"
