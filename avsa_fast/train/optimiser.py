"""Optimiser steps of a stage: forward and backward pass in mixed precision, gradient cache, and update."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import record_function

from avsa_fast.config import Config, Stage
from avsa_fast.data.recordings import recording_number
from avsa_fast.models import Embeddings

from .feed import StepInputs
from .gradient_cache import cached_backward
from .objective import Objective
from .ranks import Ranks


class StageOptimiser:
    """Adam on the parameters that a stage trains."""

    def __init__(
        self, objective: Objective, config: Config, stage: Stage, device: torch.device, ranks: Ranks,
        state: dict[int, dict[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        """Creates the optimiser and freezes the parameters that the stage does not use.

        Args:
            objective: Model and loss.
            config: Configuration of the run.
            stage: "avc" or "avsa".
            device: Device of the model.
            ranks: Ranks whose gradients are averaged.
            state: `state_dict` of an earlier optimiser of the same stage to continue from, or None.
        """
        self._objective, self._config, self._stage, self._device = objective, config, stage, device
        self._ranks = ranks
        decayed, others = objective.parameter_groups(stage)
        groups: list[dict[str, Any]] = [{"params": decayed}]
        if others:
            groups.append({"params": others, "weight_decay": 0.0})
        self._adam = torch.optim.Adam(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
        if state is not None:  # only the tensors: rates and the like come from the configuration
            self._adam.load_state_dict(self._adam.state_dict() | {"state": state})
        self._forward: nn.Module = objective
        if ranks.count > 1 and config.cache_chunk is None:
            self._forward = DistributedDataParallel(objective, process_group=ranks.group)

    def state_dict(self) -> dict[int, dict[str, Any]]:
        """Returns the state to resume from: what Adam keeps, by the number of the parameter."""
        kept: dict[int, dict[str, Any]] = self._adam.state_dict()["state"]
        return kept

    def step(self, inputs: StepInputs, learning_rate: float) -> dict[str, Tensor]:
        """Runs one optimiser step. On a GPU, the work is only queued.

        Args:
            inputs: Encoder inputs of this rank.
            learning_rate: Learning rate of this step.

        Returns:
            Scalar tensors by name, computed before the update: "loss", the metrics of `Objective.compare`, and
            "gradient_norm", before clipping.
        """
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        self._adam.zero_grad()
        recordings = None
        if self._config.mask_recordings:
            recordings = torch.tensor([recording_number(name) for name in inputs.names], device=self._device)
        if self._config.cache_chunk is None:
            with record_function("forward"), self._autocast():
                loss, metrics = self._forward(self._stage, inputs.crops, inputs.features, recordings)
            with record_function("backward"):
                loss.backward()
        else:
            loss, metrics = self._cached_backward(inputs, recordings, self._config.cache_chunk)
        with record_function("optimiser"):
            trained = [p for p in self._objective.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])
            if self._config.clip_norm is not None:
                torch.nn.utils.clip_grads_with_norm_(trained, self._config.clip_norm, norm)
            self._adam.step()
            if self._config.learn_temperature:
                self._objective.bound_temperature()
        return {"loss": loss.detach(), **metrics, "gradient_norm": norm}

    def _cached_backward(
        self, inputs: StepInputs, recordings: Tensor | None, chunk: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Computes the loss, metrics and gradients with a gradient cache of `chunk` samples per chunk."""
        metrics: dict[str, Tensor] = {}

        def loss(*embeddings: Tensor) -> Tensor:
            value, found = self._objective.compare(self._stage, Embeddings(*embeddings), recordings)
            metrics.update(found)
            return value

        chunks = list(zip(inputs.crops.split(chunk), inputs.features.split(chunk), strict=True))
        with record_function("backward"), self._autocast():
            value = cached_backward(lambda views: self._objective.model(*views), chunks, loss)
        self._ranks.average(p.grad for p in self._objective.parameters() if p.grad is not None)
        return value, metrics

    def _autocast(self) -> AbstractContextManager[None]:
        """Returns the autocast context of the configured precision."""
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.precision == "bf16")
