"""Gains and turns that differ from sample to sample, as torch operations."""

from functools import cache
from math import pi
from typing import Any

import torch
from scipy.linalg import expm
from torch import Tensor

from avsa_fast.reference.ambisonics import along
from avsa_fast.reference.harmonics import generators, mirror_signs

from . import _check
from ._autograd import gradients
from ._library import register

PIECE = 1 << 18  # numbers of the output that are turned at a time: they, and what leads to them, stay in cache


def path(directions: Tensor, samples: int) -> Tensor:
    """Directions [..., P, 2] as `along` at each sample [..., T, 2], found in float64.

    Great circles between nearly opposite directions multiply what their ends are rounded by.
    """
    return along(directions.double(), samples).to(directions.dtype)


def weigh(gains: Tensor, signals: Tensor, equation: str) -> Tensor:
    """einsum of gains for each sample and signals, like signals. Raises ValueError on the CPU as `mix` does."""
    return torch.ops.avsa_fast.weigh.default(gains, signals, equation)


def turn(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    """Scenes [..., C, T] turned so that each sample's direction [..., K, T, 2] comes to the front: [..., K, C, T].

    roll is None or [..., K, T], flip None or bool [..., K]. Raises ValueError on the CPU for what is not finite.
    """
    return torch.ops.avsa_fast.turn.default(signals, directions, roll, flip, order)


def _weigh(gains: Tensor, signals: Tensor, equation: str) -> Tensor:
    _check.finite("signals", signals)
    return _weighed(gains, signals, equation)


def _weighed(gains: Tensor, signals: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, gains, signals.to(gains.dtype)).to(signals.dtype).contiguous()


def _weigh_save(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    gains, signals, ctx.equation = inputs
    ctx.save_for_backward(gains, signals)


def _weigh_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    def function(gains: Tensor, signals: Tensor) -> Tensor:
        return _weighed(gains, signals, ctx.equation)

    return *gradients(function, ctx.saved_tensors, ctx.needs_input_grad[:2], grad), None


def _turn(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    _check.finite("signals", signals)
    _check.finite("directions", directions)
    if roll is not None:
        _check.finite("roll", roll)
    out = _turn_shape(signals, directions, roll, flip, order)
    for piece in _pieces(out):
        part = None if roll is None else roll[..., piece]
        out[..., piece] = _turned(signals[..., piece], directions[..., piece, :], part, flip, order)
    return out


def _turn_shape(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    return signals.new_empty(*directions.shape[:-2], *signals.shape[-2:])


def _pieces(out: Tensor) -> list[slice]:
    T = out.shape[-1]
    size = max(256, PIECE * T // max(out.numel(), 1))
    return [slice(start, min(start + size, T)) for start in range(0, max(T, 1), size)]


def _turned(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    """mirror Rx(-roll) Ry(elevation) Rz(-azimuth), where turns about x and y are turns about z, seen from aside.

    So a sample needs no matrix of its own: a turn about z only mixes the channels of m and -m.
    """
    kind = directions.dtype
    y_up, x_up = (directions.new_tensor(aside) for aside in _asides(order))
    azimuth, elevation = directions.unbind(-1)
    scene = _about_z(signals.to(kind).unsqueeze(-3), -azimuth, order)
    scene = y_up.mT @ _about_z(y_up @ scene, elevation, order)
    if roll is not None:
        scene = x_up.mT @ _about_z(x_up @ scene, -roll, order)
    if flip is not None:
        signs = torch.tensor(mirror_signs(order), dtype=kind, device=signals.device).unsqueeze(-1)
        scene = torch.where(flip[..., None, None], signs * scene, scene)
    return scene.to(signals.dtype)


def _about_z(scene: Tensor, angle: Tensor, order: int) -> Tensor:
    """[..., C, T] turned by each sample's angle [..., T]: s_m becomes cos(m angle) s_m - sin(m angle) s_-m."""
    degrees = [m for n in range(order + 1) for m in range(-n, n + 1)]
    opposite = torch.tensor([c - 2 * m for c, m in enumerate(degrees)], device=scene.device)
    place = torch.tensor([m + order for m in degrees], device=scene.device)
    turned = angle.unsqueeze(-2) * torch.arange(-order, order + 1, device=scene.device).unsqueeze(-1)
    cosine, sine = (wave.index_select(-2, place) for wave in (turned.cos(), turned.sin()))
    return cosine * scene - sine * scene.index_select(-2, opposite)


@cache
def _asides(order: int) -> tuple[list[list[float]], list[list[float]]]:
    """The matrices [C, C] that bring the axis y to z, and x to z."""
    x, y, _ = generators(order)
    return expm(pi / 2 * x).tolist(), expm(-pi / 2 * y).tolist()


def _turn_save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, Tensor | None, int], output: Tensor) -> None:
    *tensors, ctx.order = inputs
    ctx.save_for_backward(*tensors)


def _turn_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signals, directions, roll, flip = ctx.saved_tensors
    parts = []
    for piece in _pieces(grad):
        with torch.enable_grad():  # so that a piece is known to be differentiated
            inputs = [signals[..., piece], directions[..., piece, :], None if roll is None else roll[..., piece]]
        needed = ctx.needs_input_grad[:3]
        parts.append(gradients(lambda s, d, r: _turned(s, d, r, flip, ctx.order), inputs, needed, grad[..., piece]))
    whole = zip(*parts, strict=True)
    times = (-1, -2, -1)  # the dimension of time of each
    return *(None if p[0] is None else torch.cat(p, dim) for p, dim in zip(whole, times, strict=True)), None, None


register("weigh(Tensor gains, Tensor signals, str equation) -> Tensor", _weigh, _weighed, _weigh_save, _weigh_backward)
register(
    "turn(Tensor signals, Tensor directions, Tensor? roll, Tensor? flip, int order) -> Tensor",
    _turn, _turn_shape, _turn_save, _turn_backward,
)  # fmt: skip
