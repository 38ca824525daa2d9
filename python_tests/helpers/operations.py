"""Calls of every operation with small random arguments, for tests of behaviour that all operations share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from avsa_fast import ops, reference

from .gnomonic import MEAN, STD, random_frames, random_jitter, random_poses


@dataclass(frozen=True)
class Call:
    """An operation's name in ops and reference, its arguments, and the names of those that receive gradients."""

    operation: str
    arguments: dict[str, Any]
    tolerance: float  # of float32 results, relative to the largest value
    leaves: tuple[str, ...] = ()

    def __call__(self) -> Tensor:
        return self.function(**self.arguments)

    @property
    def function(self) -> Callable[..., Tensor]:
        return getattr(ops, self.operation)

    def expected(self) -> Tensor:
        """Returns the result of the reference in float64 on the CPU."""
        exact = self.mapped(lambda x: x.detach().cpu().double() if x.is_floating_point() else x.cpu())
        return getattr(reference, self.operation)(**exact.arguments)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Call":
        """Returns the call with a function applied to each tensor argument."""

        def converted(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(converted, value))
            return function(value) if isinstance(value, Tensor) else value

        return replace(self, arguments={name: converted(value) for name, value in self.arguments.items()})

    def to(self, device: torch.device) -> "Call":
        return self.mapped(lambda x: x.to(device))

    def outputs(self, function: Callable[..., Tensor] | None = None) -> list[Tensor]:
        """Returns the result (of another function if given), and the gradients of its product with fixed factors."""
        inputs = {name: self.arguments[name].detach().clone().requires_grad_() for name in self.leaves}
        out = (function or self.function)(**{**self.arguments, **inputs})
        if not inputs:
            return [out]
        factors = torch.linspace(-1, 1, out.numel(), device=out.device).view(out.shape)
        return [out.detach(), *torch.autograd.grad(out, list(inputs.values()), factors)]


def assert_as_expected(out: Tensor, call: Call) -> None:
    """Asserts that the error is within the call's tolerance, relative to the reference's maximum; NaN fails."""
    expected = call.expected().double()
    assert out.shape == expected.shape
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(out.detach().cpu().double(), expected, rtol=0, atol=call.tolerance * largest)


def _gnomonic(dtype: torch.dtype = torch.uint8, **options: Any) -> Call:
    leaves = ("frames", "directions", "roll") if dtype.is_floating_point else ()
    frames = random_frames((2, 3, 16, 32), dtype)
    arguments = {"frames": frames, **random_poses(2, 3), "size": (7, 6), "mean": MEAN, "std": STD, **options}
    return Call("gnomonic", arguments, 1e-3, leaves)


def _jittered() -> Call:
    return _gnomonic(jitter=random_jitter(2, 3))


def _planes() -> Call:
    shapes = (2, 3, 16, 32), (2, 3, 8, 16, 2)
    return _gnomonic(frames=tuple(torch.randint(0, 256, shape, dtype=torch.uint8) for shape in shapes))


def _random_directions(*shape: int) -> Tensor:
    return (torch.rand(*shape, 2) * 2 - 1) * torch.tensor([7.0, 1.57])


def _encode() -> Call:
    return Call(
        "encode",
        {"signal": torch.randn(2, 3, 301), "directions": _random_directions(2, 3)},
        1e-5,
        ("signal", "directions"),
    )


def _rotate() -> Call:
    poses = {"directions": _random_directions(2, 3), "roll": torch.randn(2, 3), "flip": torch.rand(2, 3) < 0.5}
    return Call("rotate", {"signals": torch.randn(2, 4, 301), **poses}, 1e-5, ("signals", "directions", "roll"))


def _beamform() -> Call:
    arguments = {"signals": torch.randn(2, 4, 301), "directions": _random_directions(2, 3), "pattern": "max_re"}
    return Call("beamform", arguments, 1e-5, ("signals", "directions"))


def _moving(call: Call, P: int = 3) -> Call:
    """The call with directions, and rolls, that move."""
    poses = {"directions": _random_directions(2, 3, P)}
    if "roll" in call.arguments:
        poses["roll"] = torch.randn(2, 3, P)
    return replace(call, arguments={**call.arguments, **poses})


def _features(**options: Any) -> Call:
    arguments = {"signals": torch.randn(2, 4, 1200), "directions": _random_directions(2, 3), **options}
    return Call("spatial_features", arguments, 1e-4, ("signals", "directions"))


def _info_nce() -> Call:
    query = torch.randn(70, 20)
    arguments = {"query": query, "key": query + torch.randn(70, 20), "temperature": 0.1, "symmetric": True}
    return Call("info_nce", arguments, 1e-5, ("query", "key"))


CALLS: dict[str, Callable[[], Call]] = {
    "gnomonic": _gnomonic,
    "gnomonic-bilinear": lambda: _gnomonic(antialias=False),
    "gnomonic-float": lambda: _gnomonic(torch.float32),
    "gnomonic-jitter": _jittered,
    "gnomonic-nv12": _planes,
    "encode": _encode,
    "rotate": _rotate,
    "beamform": _beamform,
    "encode-moving": lambda: _moving(_encode()),
    "rotate-moving": lambda: _moving(_rotate()),
    "beamform-moving": lambda: _moving(_beamform()),
    "features-iv": _features,
    "features-icf": lambda: _features(view="stereo", spatial="icf"),
    "features-moving": lambda: _moving(_features()),
    "info_nce": _info_nce,
}
