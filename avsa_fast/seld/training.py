"""The training loop of a detector."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from avsa_fast.errors import UserError
from avsa_fast.run import Run
from avsa_fast.train.log import Log, logging
from avsa_fast.train.seeds import seed_step
from avsa_fast.train.stop import Stop

from .adpit import adpit_loss
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .config import DetectorConfig, SeldConfig
from .excerpts import draw_excerpts, masked
from .model import Detector
from .recordings import Recording

MAX_NORM = 1.0  # to which gradients are scaled down; recurrent networks have rare, large ones


def new_detector(config: DetectorConfig, run: Run) -> Detector:
    """Builds a detector with weights drawn from its seed, on the run's encoder unless it is trained from scratch.

    Args:
        config: Configuration of the detector.
        run: The run.

    Returns:
        The detector, on the run's device.
    """
    torch.manual_seed(config.seld.seed)
    detector = Detector(config)
    if config.seld.mode != "scratch":
        detector.encoder.load_state_dict(run.model.audio_encoder.state_dict())
    return detector.to(run.device)


def train_detector(
    detector: Detector, recordings: Sequence[Recording], config: SeldConfig, folder: Path, *, resume: bool
) -> None:
    """Runs all steps, or those that are left after the folder's checkpoint.

    A resumed training takes the same steps as an uninterrupted one: each is seeded by its number.

    Args:
        detector: The detector; it is left in evaluation mode.
        recordings: Recordings to train on.
        config: How the detector is trained.
        folder: Folder of the detector; it gets log.jsonl, TensorBoard's events and the checkpoint.
        resume: Whether to continue from the checkpoint, if there is one.

    Raises:
        UserError: The checkpoint or a sound is damaged, or the loss is not finite.
        WriteError: A file cannot be written.
        KeyboardInterrupt: After SIGINT or SIGTERM, once a checkpoint is written.
    """
    adam = _adam(detector, config)
    checkpoint = folder / CHECKPOINT
    done = load_checkpoint(checkpoint, detector, adam) if resume and checkpoint.exists() else 0
    detector.train()
    with logging(folder, config.steps, done) as log, Stop() as stop:
        for step in range(done + 1, config.steps + 1):
            _step(detector, adam, recordings, config, step, log)
            if step % config.checkpoint_every == 0 or step == config.steps or stop.requested:
                save_checkpoint(checkpoint, detector, adam, step)
            if stop.requested:
                log.note(f"stopped; the same command with --resume continues {folder}")
                raise KeyboardInterrupt
    detector.eval()


def _adam(detector: Detector, config: SeldConfig) -> torch.optim.Adam:
    """The optimiser: the encoder, if it is trained, and the rest; a fine-tuned encoder is slower."""
    encoder = list(detector.encoder.parameters())
    rest = [parameter for name, parameter in detector.named_parameters() if not name.startswith("encoder.")]
    groups = [{"params": rest, "factor": 1.0}]
    if config.mode != "frozen":
        groups.append({"params": encoder, "factor": config.encoder_rate if config.mode == "finetune" else 1.0})
    return torch.optim.Adam(groups, lr=config.learning_rate)


def _step(
    detector: Detector, adam: torch.optim.Adam, recordings: Sequence[Recording], config: SeldConfig, step: int, log: Log
) -> None:
    """Runs and logs one step."""
    began = time.perf_counter()
    seed_step(config.seed, step, 0)
    device = next(detector.parameters()).device
    sound, events, count = (x.to(device) for x in draw_excerpts(recordings, config, step))
    learning_rate = config.learning_rate_at(step / config.steps)
    for group in adam.param_groups:
        group["lr"] = learning_rate * group["factor"]
    adam.zero_grad()
    loss = adpit_loss(detector(masked(detector.features(sound), config.mask), config.frames), events, count)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_((p for p in detector.parameters() if p.requires_grad), MAX_NORM)
    value, length = loss.item(), norm.item()
    if not math.isfinite(value + length):
        raise UserError(f"step {step}: loss {value}, gradient norm {length}; lower --learning-rate")
    adam.step()
    rate = config.batch / (time.perf_counter() - began)
    metrics = {"loss": value, "gradient_norm": length, "lr": learning_rate, "clips_per_second": rate}
    log.step(step, "seld", metrics)
