"""Start of a training run: its folder, configuration, dataset and ranks."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any

import torch

import avsa_fast
from avsa_fast.config import PRESETS, Config, Precision, load_config, save_config
from avsa_fast.data.recordings import recording_of
from avsa_fast.data.samples import HELD_OUT_TIME, Collection
from avsa_fast.data.spans import names_of
from avsa_fast.data.views import AUDIO_CHANNELS
from avsa_fast.errors import UserError
from avsa_fast.locks import run_lock
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.scenes.cache import embedded_default
from avsa_fast.terminal import printable, say
from avsa_fast.writing import make_subfolder

from .loop import Trainer
from .profile import WARM_UP, Profiler
from .ranks import joined_ranks


def start(
    given: dict[str, Any], *, config: Path | None, out: Path | None, resume: bool, device: str | None, workers: int,
    detector: str, trust_weights: bool, profile: int | None,
) -> None:  # fmt: skip
    """Trains a new run, or the rest of an existing one.

    Args:
        given: Keys of the configuration that options set, `preset` among them.
        config: YAML file with keys of the configuration.
        out: Folder of the run; None: a new one in `runs`.
        resume: Whether to continue the run in `out`.
        device: Name of the device; None: a GPU if there is one.
        workers: Processes per rank that decode media.
        detector: YOLO weights, for a dataset without detections.
        trust_weights: Whether to load weights of unknown checksum.
        profile: Number of steps of each stage to profile instead of training; None: train.

    Raises:
        UserError: If options are invalid or contradict the run to resume, or the dataset cannot be used.
    """
    with joined_ranks(_device(device)) as (ranks, rank_device):
        if ranks.count > 1 and out is None:
            raise UserError("--out is required with several ranks, which share the run's folder")
        if resume or (ranks.restarts and out is not None and (out / "config.yaml").exists()):
            resume = True
            run, settings = _resumed_run(out, config, given, rank_device)
        else:
            run, settings = _new_run(out, config, given, rank_device)
        if profile is not None:
            settings, run = replace(settings, steps=2 * (WARM_UP + profile), avc_share=0.5), run / "profile"
        if ranks.first:
            prepare_for_crops(
                Path(settings.data), settings.samples.crops, detector=detector, trust_weights=trust_weights,
                named="data" in given or not resume,
            )  # fmt: skip
        ranks.wait()
        collection = Collection(Path(settings.data), settings.samples.crops, spatial=settings.spatial)
        profiler = None if profile is None else Profiler(run, profile)
        trainer = Trainer(settings, collection, run, rank_device, workers, ranks, profiler)
        if ranks.first and profile is not None:
            make_subfolder(run.parent, run.name)
        with run_lock(run) if ranks.first else nullcontext():
            if ranks.first:
                if profile is None:
                    if not resume:
                        _require_new(run)  # another process may have started and ended since
                    save_config(settings, run / "config.yaml")
                for line in _banner(trainer).splitlines():
                    say(line)
            metrics = trainer.train(resume)
        for name, metric in metrics.items():
            say(f"{name.replace('_', ' ').upper():<14} {metric['value']:6.1%}  (chance {metric['chance']:.1%})")
        if ranks.first:
            say(f"run: {run}")


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


def _new_run(out: Path | None, file: Path | None, given: dict[str, Any], device: torch.device) -> tuple[Path, Config]:
    """Returns the folder and configuration of a new run."""
    preset = given.get("preset") or ("paper" if "data" in given and device.type == "cuda" else "tiny")
    run = out or Path("runs") / f"{preset}-{datetime.now():%Y%m%d-%H%M%S}"
    if run.exists() and not run.is_dir():
        raise UserError(f"--out {run}: is a file; name a folder for the run")
    _require_new(run)
    config = PRESETS[preset] if file is None else load_config(file, PRESETS[preset])
    config = _with_options(config, given)
    if config.batch_norm == "sync" and device.type != "cuda":
        raise UserError("batch_norm sync needs GPUs: torch has no SyncBatchNorm for CPUs")
    config = replace(config, precision=_precision(given.get("precision"), device))
    return run, config if "data" in given else replace(config, data=str(embedded_default()))


def _require_new(run: Path) -> None:
    """Raises UserError if a folder contains a run."""
    if (run / "config.yaml").exists():
        raise UserError(f"--out {run} already contains a run; --resume continues it, another --out starts a new one")


def _resumed_run(
    out: Path | None, file: Path | None, given: dict[str, Any], device: torch.device
) -> tuple[Path, Config]:
    """Returns the folder and configuration of an existing run; options that differ from it are an error."""
    if out is None or not (out / "config.yaml").exists():
        raise UserError(f"--resume needs --out with the folder of a run, not {out or 'nothing'}")
    config = load_config(out / "config.yaml")
    _precision(config.precision, device)
    if file is not None and load_config(file, config) != config:
        raise UserError(f"--config {file} differs from what {out} was started with; leave it out to resume")
    for name in given:
        if _with_options(config, {name: given[name]}) != config:
            raise UserError(f"--{name} {given[name]} differs from what {out} was started with; leave it out to resume")
    return out, config


def _with_options(config: Config, given: dict[str, Any]) -> Config:
    """Returns the configuration with the given options applied."""
    given = dict(given)
    if audio := given.pop("audio", None):
        model = replace(config.model, audio_channels=AUDIO_CHANNELS[audio])
        config = replace(config, views=replace(config.views, audio=audio), model=model)
    if crops := given.pop("crops", None):
        config = replace(config, samples=replace(config.samples, crops=crops))
    return replace(config, **given)


def _precision(requested: Precision | None, device: torch.device) -> Precision:
    """Returns the requested precision, or the fastest one that is safe on the device."""
    if device.type == "cuda":
        return requested or ("bf16" if torch.cuda.is_bf16_supported() else "fp32")
    # torch 2.14.1 on an EPYC with AVX512-BF16: in a (3, 1, 1) convolution of 2 frames of 5 x 5 or 7 x 7, as in R(2+1)D,
    # the weight gradient multiplies uninitialised memory by 0, which gives NaN if that memory holds NaN.
    if requested == "bf16":
        raise UserError("--precision bf16 needs a GPU: on a CPU torch's bf16 convolutions can give NaN; leave it out")
    return "fp32"


def _banner(trainer: Trainer) -> str:
    """Returns the lines printed at the start of a run."""
    config, collection, build = trainer.config, trainer.collection, avsa_fast.build_info()
    parameters = sum(p.numel() for p in trainer.model.parameters())
    kernels = (
        "CUDA" if trainer.device.type == "cuda" else f"CPU ({build['cpu_isa']}, {torch.get_num_threads()} threads)"
    )
    ranks = f" ({trainer.ranks.count} ranks)" if trainer.ranks.count > 1 else ""
    steps = ", then ".join(
        f"{stage.upper()} {n} steps of {config.clips_per_step(stage)} clips"
        for stage, n in trainer.stage_steps.items()
        if n
    )
    return (
        f"avsa_fast {build['version']}, torch {torch.__version__}; kernels: {kernels}; device: {trainer.device}"
        f"{ranks}, {config.precision}\n"
        f"data: {printable(config.data)}: {_clips(len(collection.train))} to train on, {_validation(collection)}"
        f"{len(collection.held_out)} held out{_excluded(config, collection)}\n"
        f"preset {config.preset}: {parameters / 1e6:.1f} M parameters, crops {config.views.crop_size}² "
        f"({config.samples.crops}), sound {config.views.audio}, seed {config.seed}; {steps}"
        f"{_few_recordings(trainer)}"
    )


def _excluded(config: Config, collection: Collection) -> str:
    """Returns the banner's note on clips excluded because their sound has no direction."""
    if not (config.spatial and collection.without_direction):
        return ""
    return f", {collection.without_direction} excluded because their sound has no direction"


def _validation(collection: Collection) -> str:
    """Returns the banner's words on the validation clips; none if the dataset is too small for them."""
    return f"{len(collection.validation)} for validation, " if collection.validation else ""


def _few_recordings(trainer: Trainer) -> str:
    """Returns the banner's lines on recordings that repeat within a step, and on one that is held out from itself."""
    config, collection = trainer.config, trainer.collection
    recordings = len({recording_of(name) for name in names_of(collection.train)})
    per_step = {stage: config.clips_per_step(stage) for stage, steps in trainer.stage_steps.items() if steps}
    repeating = [
        f"{count} of {stage.upper()}"
        for stage, count in per_step.items()
        if ceil(count / config.samples.moments) > recordings
    ]
    masking = "" if config.mask_recordings else ", and their samples are each other's negatives"
    lines = ""
    if repeating:
        lines += (
            f"\nnote: {_counted(recordings, 'recording')} to train on, fewer than a step's clips "
            f"({' and '.join(repeating)}): recordings repeat within a step, each as often as any other"
            f"{masking}; more recordings or a lower --batch avoid this"
        )
    if collection.split_in_time:
        lines += (
            f"\nnote: there is only one recording; the last {HELD_OUT_TIME:.0%} of each clip's time is held out: "
            "held-out figures say nothing about other recordings"
        )
    return lines


def _clips(count: int) -> str:
    """Returns a number of clips in words."""
    return _counted(count, "clip")


def _counted(count: int, noun: str) -> str:
    """Returns a number of things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
