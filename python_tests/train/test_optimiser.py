"""Optimiser steps: temperature at its bounds, weight decay, and clipping."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.ranks import random_inputs

from avsa_fast.config import MAX_TEMPERATURE, MIN_TEMPERATURE, PRESETS, Config
from avsa_fast.models import Embeddings, Model, ModelConfig
from avsa_fast.train.objective import Objective
from avsa_fast.train.optimiser import StageOptimiser
from avsa_fast.train.ranks import Ranks

CONFIG = replace(
    PRESETS["tiny"],
    model=ModelConfig(video_width=2, video_blocks=(1, 1, 1, 1), audio_width=1, projection=8, transformer_ffn=4),
)


def optimiser_of(config: Config) -> tuple[Objective, StageOptimiser]:
    torch.manual_seed(0)
    objective = Objective(Model(config.model), config)
    return objective, StageOptimiser(objective, config, "avc", torch.device("cpu"), Ranks())


def lowering() -> Embeddings:
    """Rows whose partner is a little nearer than all others: a lower temperature tells them apart."""
    video, audio = torch.eye(8)[:, None], (torch.ones(8, 8) + 0.06 * torch.eye(8))[:, None]
    return Embeddings(video, audio, video, audio)


def apart(shift: int = 0) -> Embeddings:
    """Orthogonal rows, each equal to its partner, which a lower temperature brings out; or to another's partner."""
    rows = torch.eye(8)[:, None]
    return Embeddings(rows, rows, rows, rows.roll(shift, 0))


def raising() -> Embeddings:
    return apart(1)


@pytest.mark.parametrize(
    ("begin", "bound", "phases"),
    [(0.02, MIN_TEMPERATURE, (lowering, raising)), (0.7, MAX_TEMPERATURE, (raising, apart))],
)
def test_a_temperature_at_a_bound_can_leave_it(
    monkeypatch: pytest.MonkeyPatch, begin: float, bound: float, phases: Sequence[Callable[[], Embeddings]]
) -> None:
    """20 steps of 0.1 would go far beyond the bound; as soon as the gradient turns, the temperature comes back."""
    objective, optimiser = optimiser_of(replace(CONFIG, learn_temperature=True, temperature=begin))
    inputs, found = random_inputs(8), []
    for phase in phases:
        monkeypatch.setattr(objective.model, "forward", lambda *_, made=phase(): made)
        found.append([float(optimiser.step(inputs, 0.1)["temperature"]) for _ in range(20)])
    assert min(map(min, found)) >= MIN_TEMPERATURE * (1 - 1e-6)
    assert max(map(max, found)) <= MAX_TEMPERATURE * (1 + 1e-6)
    assert found[0][-1] == pytest.approx(bound)
    assert abs(found[1][-1] / bound - 1) > 0.1


def without_gradient(objective: Objective) -> Any:
    def forward(*_: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return sum((0 * x.sum() for x in objective.parameters()), torch.zeros(())), {}

    return forward


@pytest.mark.parametrize("decay_norms", [False, True])
def test_weight_decay_of_norms_and_biases(monkeypatch: pytest.MonkeyPatch, decay_norms: bool) -> None:
    """Without a gradient, weight decay alone moves weights: by the learning rate, as Adam scales the first step."""
    objective, optimiser = optimiser_of(
        replace(CONFIG, decay_norms=decay_norms, weight_decay=0.1, learn_temperature=True)
    )
    monkeypatch.setattr(objective, "forward", without_gradient(objective))
    before = {name: x.detach().clone() for name, x in objective.named_parameters()}
    optimiser.step(random_inputs(2), 0.01)
    moved = {name for name, x in objective.named_parameters() if not torch.equal(x, before[name])}
    decayed = {
        name
        for name, x in objective.named_parameters()
        if x.requires_grad and x.any() and (x.ndim > 1 or (decay_norms and x.ndim == 1))
    }
    assert moved == decayed
    assert ("model.video_encoder.stem.1.weight" in moved) == decay_norms
    assert "log_temperature" not in moved
    weight = "model.video_head.weight"
    change = objective.get_parameter(weight) - before[weight]
    torch.testing.assert_close(change, -0.01 * before[weight].sign(), rtol=0, atol=1e-4)


def test_large_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient of norm 5 is scaled to 0.5 and logged as 5; one of norm 0.05 stays."""
    for scale, norm, clipped in ((1.0, 5.0, 0.5), (0.01, 0.05, 0.05)):
        objective, optimiser = optimiser_of(replace(CONFIG, clip_norm=0.5))
        bias = objective.model.video_head.bias
        slope = scale * torch.tensor([3.0, 4.0, *[0.0] * 6])
        monkeypatch.setattr(objective, "forward", lambda *_, bias=bias, slope=slope: ((bias * slope).sum(), {}))
        assert float(optimiser.step(random_inputs(2), 0.01)["gradient_norm"]) == pytest.approx(norm)
        torch.testing.assert_close(bias.grad, slope * clipped / norm)
