"""Gains and rotations that differ from sample to sample, as operations written in PyTorch."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from avsa_fast.spatial.motion import interpolate_directions, interpolate_vectors

from . import _checks
from ._ambisonics_op import generator_products
from ._constants import constant
from ._dispatch import _C, gradients, register, run

CHUNK = 1 << 18  # output elements computed at a time, so that intermediate results stay in the cache


def directions_per_sample(directions: Tensor, samples: int) -> Tensor:
    """Moving directions [..., P, 2] at each sample, [..., T, 2]."""
    return interpolate_directions(_exact(directions), samples).to(directions.dtype)


def harmonics_per_sample(directions: Tensor, samples: int, order: int) -> Tensor:
    """Harmonics of moving directions [..., P, 2] at each sample, [..., T, C]."""
    return harmonics_of_vectors(interpolate_vectors(_exact(directions), samples), order, directions.dtype)


def _exact(directions: Tensor) -> Tensor:
    """Checked directions in float64: paths between nearly opposite directions amplify rounding errors of their ends."""
    return checked_directions(directions).double()


def _checked_directions(directions: Tensor) -> Tensor:
    _checks.directions(directions)
    valid = directions.isfinite() & (directions[..., 1:].abs() <= _C.MAX_ELEVATION)
    return torch.where(valid, directions, torch.nan)


def _checked_directions_fake(directions: Tensor) -> Tensor:
    return torch.empty_like(directions)


def _checked_directions_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    return {"directions": grad}


def _harmonics_of_vectors(vectors: Tensor, order: int, dtype: torch.dtype) -> Tensor:
    x, y, z = vectors.unbind(-1)
    directions = torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], dim=-1)
    out = _harmonics_of_vectors_fake(vectors, order, torch.float64)
    run(_C.harmonics, vectors.device, directions=directions, out=out, order=order)
    return out.to(dtype)


def _harmonics_of_vectors_fake(vectors: Tensor, order: int, dtype: torch.dtype) -> Tensor:
    return vectors.new_empty((*vectors.shape[:-1], (order + 1) ** 2), dtype=dtype)


def _harmonics_of_vectors_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.order = int(inputs.order)
    ctx.save_for_backward(inputs.vectors, output)


def _harmonics_of_vectors_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    """Without angles, whose derivatives are infinite at the poles: a step d of a vector v rotates it about v x d."""
    vectors, values = ctx.saved_tensors
    torque = torch.stack(generator_products(grad, values, ctx.order), dim=-1).to(vectors.dtype)
    return {"vectors": torch.linalg.cross(torque, vectors) / vectors.square().sum(-1, keepdim=True)}


def _mix_moving(gains: Tensor, signals: Tensor, equation: str) -> Tensor:
    _checks.finite("signals", signals)
    return _mixed(gains, signals, equation)


def _mixed(gains: Tensor, signals: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, gains, signals.to(gains.dtype)).to(signals.dtype).contiguous()


def _mix_moving_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.equation = inputs.equation
    ctx.save_for_backward(inputs.gains, inputs.signals)


def _mix_moving_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    def function(gains: Tensor, signals: Tensor) -> Tensor:
        return _mixed(gains, signals, ctx.equation)

    gains, signals = ctx.saved_tensors
    return gradients(function, {"gains": gains, "signals": signals}, ctx.needs_grad, grad)


def _rotate_moving(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    _checks.finite("signals", signals)
    if roll is not None:
        _checks.finite("roll", roll)
    out = _rotate_moving_fake(signals, directions)
    for chunk in _chunks(out):
        part = None if roll is None else roll[..., chunk]
        out[..., chunk] = _rotated(signals[..., chunk], directions[..., chunk, :], part, flip, order)
    return out


def _rotate_moving_fake(signals: Tensor, directions: Tensor, **_: Any) -> Tensor:
    return signals.new_empty(*directions.shape[:-2], *signals.shape[-2:])


def _chunks(out: Tensor) -> list[slice]:
    if torch.compiler.is_compiling():  # the gradient: slices by T would be a graph for this T only
        return [slice(None)]
    T = out.shape[-1]
    size = max(256, CHUNK * T // max(out.numel(), 1))
    return [slice(start, min(start + size, T)) for start in range(0, max(T, 1), size)]


def _rotated(signals: Tensor, directions: Tensor, roll: Tensor | None, flip: Tensor | None, order: int) -> Tensor:
    """mirror Rx(-roll) Ry(elevation) Rz(-azimuth), computed as rotations about z in rotated frames.

    So no sample needs a matrix of its own: a rotation about z only mixes the channels m and -m.
    """
    dtype = directions.dtype
    y_to_z, x_to_z = constant("axis_rotations", order, directions)
    azimuth, elevation = directions.unbind(-1)
    scene = _rotated_about_z(signals.to(dtype).unsqueeze(-3), -azimuth, order)
    scene = y_to_z.mT @ _rotated_about_z(y_to_z @ scene, elevation, order)
    if roll is not None:
        scene = x_to_z.mT @ _rotated_about_z(x_to_z @ scene, -roll, order)
    if flip is not None:
        signs = constant("mirror_signs", order, directions).unsqueeze(-1)
        scene = torch.where(flip[..., None, None], signs * scene, scene)
    return scene.to(signals.dtype)


def _rotated_about_z(scene: Tensor, angle: Tensor, order: int) -> Tensor:
    """Rotates [..., C, T] by an angle per sample [..., T]: s_m becomes cos(m angle) s_m - sin(m angle) s_-m."""
    opposite, index = (constant(name, order, scene, torch.int64) for name in ("opposite", "degree_index"))
    multiples = angle.unsqueeze(-2) * torch.arange(-order, order + 1, device=scene.device).unsqueeze(-1)
    cosine, sine = (wave.index_select(-2, index) for wave in (multiples.cos(), multiples.sin()))
    return cosine * scene - sine * scene.index_select(-2, opposite)


def _rotate_moving_setup(ctx: Any, inputs: SimpleNamespace, output: Tensor) -> None:
    ctx.order = int(inputs.order)
    ctx.save_for_backward(inputs.signals, inputs.directions, inputs.roll, inputs.flip)


def _rotate_moving_backward(ctx: Any, grad: Tensor) -> dict[str, Tensor | None]:
    signals, directions, roll, flip = ctx.saved_tensors

    def function(signals: Tensor, directions: Tensor, roll: Tensor | None) -> Tensor:
        return _rotated(signals, directions, roll, flip, ctx.order)

    parts = []
    for chunk in _chunks(grad):
        with torch.enable_grad():  # so that autograd records the slices
            inputs = {
                "signals": signals[..., chunk],
                "directions": directions[..., chunk, :],
                "roll": None if roll is None else roll[..., chunk],
            }
        parts.append(gradients(function, inputs, ctx.needs_grad, grad[..., chunk]))
    time_dims = {"signals": -1, "directions": -2, "roll": -1}
    return {name: torch.cat([part[name] for part in parts], dim=time_dims[name]) for name in parts[0]}  # type: ignore[misc]


# Directions [..., 2], NaN where they are invalid; on the CPU these are an error.
checked_directions = register(_checked_directions, _checked_directions_fake, backward=_checked_directions_backward)

# Harmonics [..., C] of vectors [..., 3] float64 of any length.
harmonics_of_vectors = register(
    _harmonics_of_vectors,
    _harmonics_of_vectors_fake,
    _harmonics_of_vectors_setup,
    _harmonics_of_vectors_backward,
)

# einsum of gains per sample and signals, like signals.
mix_moving = register(_mix_moving, _mixed, _mix_moving_setup, _mix_moving_backward)

# Rotates scenes [..., C, T] so that each sample's direction [..., K, T, 2] comes to the front: [..., K, C, T].
# roll is None or [..., K, T], flip None or bool [..., K].
rotate_moving = register(_rotate_moving, _rotate_moving_fake, _rotate_moving_setup, _rotate_moving_backward)
