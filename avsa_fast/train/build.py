"""The network of a run, and whether the ranks can train it together."""

from collections.abc import Mapping

import torch
from torch import nn

from avsa_fast.config import Config, Stage
from avsa_fast.errors import UserError
from avsa_fast.models import Model

from .ranks import Ranks


def check_ranks(config: Config, stage_steps: Mapping[Stage, int], ranks: Ranks) -> None:
    """Checks that ranks can train together.

    Args:
        config: Configuration of the run.
        stage_steps: Optimiser steps by stage.
        ranks: The ranks.

    Raises:
        UserError: The clips of a step cannot be divided evenly among the ranks.
    """
    for stage, steps in stage_steps.items():
        clips = config.clips_per_step(stage)
        if steps and clips % ranks.count:
            raise UserError(
                f"--batch {config.batch}: {clips} clips of a step of {stage.upper()} cannot be divided evenly among "
                f"{ranks.count} ranks"
            )


def build_model(config: Config, device: torch.device, ranks: Ranks) -> Model:
    """Builds the network with weights drawn from the run's seed.

    Args:
        config: Configuration of the run.
        device: Device to train on.
        ranks: Ranks that train together.

    Returns:
        The network on the device.
    """
    torch.manual_seed(config.seed)
    model = Model(config.model).to(device)
    model.frozen_statistics = config.batch_norm == "frozen"
    model.video_encoder.recompute = model.audio_encoder.recompute = config.recompute
    model.video_encoder.to(memory_format=torch.channels_last_3d)
    model.audio_encoder.to(memory_format=torch.channels_last)
    if config.batch_norm == "sync" and ranks.count > 1:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model, ranks.group)
    if config.compile and not config.recompute and device.type == "cuda":
        model.video_encoder.compile()
        model.audio_encoder.compile()
    return model
