"""Directions that change over time."""

import math
from collections.abc import Callable

import pytest
import torch
from helpers.ambisonics import plane_wave, random_directions, uniform_directions
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.ops import _moving

pytestmark = pytest.mark.usefixtures("poisoned_memory")


def test_moving_directions_follow_the_great_circle() -> None:
    """From the front over the pole to the back at constant speed, then on to the left."""
    path = torch.tensor([[0.0, 0.0], [0.0, math.pi / 2 - 1e-6], [math.pi / 2, 0.0]], dtype=torch.float64)
    out = ops.encode(torch.ones(1, 9, dtype=torch.float64), path[None])
    angle = torch.arange(5) * math.pi / 8
    rise = torch.stack([torch.ones(5), torch.zeros(5), angle.sin(), angle.cos()]).double()
    torch.testing.assert_close(out[:, :5], rise, rtol=0, atol=1e-5)
    fall = torch.stack([torch.ones(5), angle.sin(), angle.cos(), torch.zeros(5)]).double()
    torch.testing.assert_close(out[:, 4:], fall, rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_rotation_along_a_sources_path_keeps_it_in_front(order: int) -> None:
    path = random_directions(2, 4)
    scene = ops.encode(torch.ones(2, 700, dtype=torch.float64), path, order)
    alone = ops.encode(torch.ones(2, 1, 700, dtype=torch.float64), path.unsqueeze(1), order)
    for source in range(2):
        front = plane_wave(0, 0, order).expand_as(scene)
        torch.testing.assert_close(ops.rotate(alone[source], path[source : source + 1])[0], front, rtol=0, atol=1e-9)
        beam = ops.beamform(alone[source], path[source : source + 1], "max_re")
        torch.testing.assert_close(beam, torch.ones_like(beam), rtol=0, atol=1e-9)


def test_path_between_opposite_directions_jumps() -> None:
    path = torch.tensor([[[0.0, 0.0], [math.pi, 0.0]]], dtype=torch.float64, requires_grad=True)
    out = ops.encode(torch.ones(1, 10, dtype=torch.float64), path)
    expected = torch.cat([plane_wave(0, 0).expand(4, 5), plane_wave(180, 0).expand(4, 5)], dim=1)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-3)
    assert torch.autograd.grad(out.sum(), path)[0].isfinite().all()


def test_float32_follows_the_path_between_nearly_opposite_directions() -> None:
    start = random_directions(500, dtype=torch.float32).unsqueeze(1)  # [500, 1, 2]
    opposite = start * torch.tensor([1, -1]) + torch.tensor([math.pi, 0]) + 1e-3 * torch.randn(500, 1, 2)
    ends, signals = torch.cat([start, opposite], dim=1), torch.randn(4, 50)
    operations = [
        (ops.rotate(signals, ends), reference.rotate(signals.double(), ends.double())),
        (ops.beamform(signals, ends), reference.beamform(signals.double(), ends.double())),
        (ops.encode(signals, ends[:4]), reference.encode(signals.double(), ends[:4].double())),
    ]
    for out, expected in operations:
        torch.testing.assert_close(out.double(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["signals", "directions", "roll"])
def test_non_finite_arguments_are_refused(where: str, bad: float) -> None:
    sound = {"signals": torch.randn(4, 9), "directions": uniform_directions(8).view(4, 2, 2).float()}
    sound["roll"] = torch.zeros(4, 2)
    sound[where].view(-1)[5] = bad
    signals, path, roll = sound.values()
    calls = [lambda: ops.rotate(signals, path, roll=roll)]
    if where != "roll":
        calls += [lambda: ops.encode(signals, path), lambda: ops.beamform(signals, path)]
    for call in calls:
        with pytest.raises(ValueError, match=f"{where} must be finite, but holds?"):
            call()


def rotated(rotate: Callable[..., Tensor]) -> list[Tensor]:
    """Rotates a scene of order 2 along two paths; returns the result and the gradients."""
    generator = torch.Generator().manual_seed(1)
    signals, path, roll, weight = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in [(9, 700), (2, 3, 2), (2, 3), (2, 9, 700)]
    )
    leaves = [leaf.requires_grad_() for leaf in (signals, path, roll)]
    out = rotate(signals, path, roll=roll, flip=torch.tensor([True, False]))
    return [out.detach(), *torch.autograd.grad(out, leaves, weight)]


def test_result_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotation and its gradients in chunks of 256 samples."""
    monkeypatch.setattr(_moving, "CHUNK", 1)
    torch.testing.assert_close(rotated(ops.rotate), rotated(reference.rotate), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("T", [0, 1])
def test_gradients_of_zero_or_one_sample(T: int) -> None:
    signals = torch.randn(4, T, requires_grad=True)
    path = torch.zeros(2, 3, 2, requires_grad=True)
    gradients = torch.autograd.grad(ops.rotate(signals, path).sum(), [signals, path])
    assert [g.shape for g in gradients] == [signals.shape, path.shape]


def test_rotation_needs_no_matrix_per_sample() -> None:
    """A 16 x 16 matrix per sample would need 16 times the memory of the output."""
    signals, path = torch.randn(16, 24000), uniform_directions(3)[None].float()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        out = ops.rotate(signals, path)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert 0 < largest <= 2 * out.numel() * out.element_size()
