"""python -m avsa_fast.train: from a folder of 360° clips, or the embedded default, to trained embeddings."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import torch

import avsa_fast
from avsa_fast.data.samples import Collection, CropChoice
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView
from avsa_fast.errors import UserError, run_command
from avsa_fast.prepare import Options, prepare_folder
from avsa_fast.scenes.cache import embedded_default

from .config import PRESETS, Config, Precision, Stages, load_config, save_config
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
            are made once into a cache, and trained on.
        preset: Sizes and schedule: "tiny" trains on a CPU in minutes, "paper" is Wang et al. 2022. Default: paper with
            --data on a GPU, else tiny.
        config: YAML file with choices that differ from the preset's; a run's config.yaml has them all.
        out: Folder of the run; it must not hold one yet, unless with --resume. Default: runs/PRESET-TIME.
        resume: Go on from the newest checkpoint of the run in --out, with the choices that it was started with.
        seed: Of weights, samples and augmentation. Default: 0.
        steps: Optimiser steps in all, split between the two stages as the preset does.
        workers: Processes that decode media, of each rank; 0 decodes in the training process.
        batch: Crops a step, over all ranks: so many clips for AVC, a quarter for AVSA, which takes 4 crops of each.
        device: "cpu", "cuda" or "cuda:N". Default: a GPU where there is one.
        precision: "bf16" autocasts, on a GPU. Default: bf16 on a GPU that multiplies it, else fp32.
        audio: What the audio encoder takes: log-mel of the rotated sound with its intensity (foa_iv) or without (foa),
            stereo without or with level and phase differences (stereo_icf), a beam or mono. Default: foa_iv.
        crops: Where crops look: at objects that YOLO found, or anywhere. Default: yolo.
        stages: "avc" ends after the first stage, for sound without direction too. Default: both.
        detector: YOLO weights, a path or a name, that find the objects of a dataset without detections.parquet.
        trust_weights: Load a detector of unknown checksum; such a file can run any code.
        profile: Only find out where time goes: record so many steps of each stage, print the shares, write traces into
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
            used = detector if choices.samples.crops == "yolo" else None
            prepare_folder(Path(choices.data), Options(detector=used, trust_weights=trust_weights))
        ranks.wait()
        collection = Collection(Path(choices.data), choices.samples.crops, spatial=choices.spatial)
        profiler = None if profile is None else Profiler(run, profile)
        trainer = Trainer(choices, collection, run, where, workers, ranks, profiler)
        if ranks.first:
            run.mkdir(parents=True, exist_ok=True)
            if profile is None:
                save_config(choices, run / "config.yaml")
            print(_banner(trainer), flush=True)
        figures = trainer.train(resume)
        for name, figure in figures.items():
            print(f"{name.replace('_', ' ').upper():<14} {figure['value']:6.1%}  (chance {figure['chance']:.1%})")
        if ranks.first:
            print(f"run: {run}")


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def _started(out: Path | None, file: Path | None, chosen: dict[str, Any], device: torch.device) -> tuple[Path, Config]:
    """A new run's folder and choices."""
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
    """A begun run's folder and choices, which must not be changed."""
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
    """A configuration with the chosen values in place of its own."""
    chosen = dict(chosen)
    if audio := chosen.pop("audio", None):
        model = replace(config.model, audio_channels=AUDIO_CHANNELS[audio])
        config = replace(config, views=replace(config.views, audio=audio), model=model)
    if crops := chosen.pop("crops", None):
        config = replace(config, samples=replace(config.samples, crops=crops))
    return replace(config, **chosen)


def _precision(asked: Precision | None, device: torch.device) -> Precision:
    """The precision asked for, else the fastest that is right."""
    if device.type == "cuda":
        return asked or ("bf16" if torch.cuda.is_bf16_supported() else "fp32")
    # Seen with torch 2.14.1 on an EPYC with AVX512-BF16: the weight gradient of a (3, 1, 1) convolution of 2 frames of
    # 5 x 5 or 7 x 7, which R(2+1)D has, multiplies memory that was never written by 0, and is NaN where that is NaN.
    if asked == "bf16":
        raise UserError("--precision bf16 needs a GPU: on a CPU torch's bf16 convolutions can give NaN; leave it out")
    return "fp32"


def _banner(trainer: Trainer) -> str:
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
    if not (config.spatial and collection.without_direction):
        return ""
    return f", {collection.without_direction} left out, since their sound has no direction in it"


if __name__ == "__main__":
    run_command(main, "train")
