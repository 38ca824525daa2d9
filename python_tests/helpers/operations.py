"""The operations and example calls of each: the table that tests of behaviour shared by all operations run through.

One entry adds a call to tests of devices, streams and graphs (python_tests/cuda), to every use (helpers/uses) and to
the tables of docs/uses.md.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsa_fast import ops, reference

from .gnomonic import MEAN, STD, random_frames, random_jitter, random_poses

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
Outcomes = dict[str, str]


class Sizes(NamedTuple):
    """Sizes of a call's arguments."""

    batch: int  # scenes, clips
    views: int  # directions, sources, crops
    length: int  # samples of sound, frames of video or of features, dimensions of rows


@dataclass(frozen=True)
class Call:
    """An operation's name in ops and reference, its arguments, and the names of those that receive gradients."""

    operation: str
    arguments: dict[str, Any]
    roundings: float  # by which a result may be wrong, relative to the largest
    leaves: tuple[str, ...] = ()

    def __call__(self) -> Tensor:
        return self.function(**self.arguments)

    @property
    def function(self) -> Callable[..., Tensor]:
        return getattr(ops, self.operation)

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors in the arguments."""
        found: list[Tensor] = []

        def keep(x: Tensor) -> Tensor:
            found.append(x)
            return x

        self.mapped(keep)
        return found

    def with_tensors(self, tensors: Iterable[Tensor]) -> "Call":
        """Returns the call of other tensors, in the order of `tensors`."""
        others = iter(tensors)
        return self.mapped(lambda _: next(others))

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
        function = self.function if function is None else function  # a compiled module has no truth value
        out = function(**{**self.arguments, **inputs})
        if not inputs:
            return [out]
        return [out.detach(), *torch.autograd.grad(out, list(inputs.values()), factors(out))]

    def exact(self) -> "Call":
        """Returns the call in float64 on the CPU."""
        call = self.mapped(lambda x: x.detach().cpu().double() if x.is_floating_point() else x.detach().cpu())
        if getattr(call.arguments.get("dtype"), "is_floating_point", False):
            call.arguments["dtype"] = torch.float64
        return call

    def expected(self) -> Tensor:
        """Returns the result of the reference in float64 on the CPU."""
        return getattr(reference, self.operation)(**self.exact().arguments)

    def expected_outputs(self) -> list[Tensor]:
        """Returns the result and the gradients of the reference in float64 on the CPU."""
        return self.exact().outputs(getattr(reference, self.operation))


def factors(out: Tensor) -> Tensor:
    """Fixed factors from -1 to 1 for the values of a result, exact in every dtype."""
    steps = torch.arange(out.numel(), device=out.device) % 65 - 32
    return (steps / 32).to(out.dtype).view(out.shape)


def tolerance(call: Call, dtype: torch.dtype) -> float:
    """Bound on the error of a result of this dtype, relative to the largest value: computed in float32 or float64."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    return call.roundings * UNIT_ROUNDOFF[wide] + (0 if dtype == wide else UNIT_ROUNDOFF[dtype])


def assert_as_expected(out: Tensor, call: Call) -> None:
    """Asserts that the error is within the call's tolerance, relative to the reference's maximum; NaN fails."""
    assert_near(out, call.expected(), call)


def assert_near(
    got: Tensor, expected: Tensor, call: Call, condition: Callable[[], "Condition"] = lambda: Condition(0.0, 0.0)
) -> None:
    """Asserts that the error is within the call's tolerance, relative to the largest expected value; NaN fails.

    Where terms of the result cancel, the error is relative to its condition instead, which is only called then.
    """
    relative = tolerance(call, got.dtype)
    got, expected = got.detach().cpu().double(), expected.detach().cpu().double()
    assert got.shape == expected.shape
    bound = relative * (float(expected.abs().max()) if expected.numel() else 0.0)
    if not torch.allclose(got, expected, rtol=0, atol=bound):
        slope, noise = condition()
        bound = max(bound, relative * slope) + 2 * noise
    torch.testing.assert_close(got, expected, rtol=0, atol=bound)


class Condition(NamedTuple):
    """How an expected result depends on rounding.

    slope: how far it moves, at most, relative to the relative movement of the arguments: the largest sum of its terms
        without cancellation, up to the signs that are drawn. noise: by how much three results in a row are not on a
        line, which are the rounding errors of the reference itself.
    """

    slope: float
    noise: float


def conditions(call: Call, outputs: Callable[[Call], list[Tensor]]) -> list[Condition]:
    """The condition of each expected output of a call, from moves of 2^-40 whose curvature is below rounding."""
    generator, step = torch.Generator().manual_seed(0), 2.0**-40
    exact = call.exact()
    base = outputs(exact)
    slopes, noises = [0.0] * len(base), [0.0] * len(base)
    for _ in range(4):
        signs = [torch.randint(0, 2, x.shape, generator=generator, dtype=torch.float64) * 2 - 1 for x in exact.tensors]
        moved = []
        for way in (step, -step):
            pairs = zip(exact.tensors, signs, strict=True)
            moved.append(
                outputs(exact.with_tensors(x * (1 + way * s) if x.is_floating_point() else x for x, s in pairs))
            )
        for i, (below, x, above) in enumerate(zip(moved[0], base, moved[1], strict=True)):
            slopes[i] = max(slopes[i], float((above - below).abs().max()) / 2 / step)
            noises[i] = max(noises[i], float((above + below - 2 * x).abs().max()))
    return [Condition(*pair) for pair in zip(slopes, noises, strict=True)]


UNIT = Sizes(1, 1, 1)


@dataclass(frozen=True)
class Entry:
    """A line of the table."""

    text: str  # what is special about the call, in docs/uses.md
    make: Callable[[Sizes, torch.dtype], Call]  # a call with random arguments
    sizes: Sizes
    refused: Outcomes = field(default_factory=dict)  # by the names of uses: a part of the error's line
    unit: Sizes = UNIT  # the smallest sizes; larger where gradients would cancel to 0

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        return self().leaves

    @property
    def widest(self) -> torch.dtype:
        """float64 if the call supports it."""
        return torch.float32 if "float64" in self.refused else torch.float64

    def __call__(self, sizes: Sizes | None = None, dtype: torch.dtype = torch.float32) -> Call:
        return self.make(sizes or self.sizes, dtype)

    def grown(self, steps: int) -> Sizes:
        """Sizes that are all larger."""
        return Sizes(*(size + steps for size in self.sizes))


def _angles(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _directions(*shape: int, dtype: torch.dtype) -> Tensor:
    """Azimuths beyond a full rotation, and elevations."""
    return ((torch.rand(*shape, 2) * 2 - 1) * torch.tensor([7.0, 1.57])).to(_angles(dtype))


# Coordinates on a frame of 32 columns have 5 fewer bits, and corners of a footprint up to 10 fewer (MIN_RISE_RATIO).
GNOMONIC_ROUNDINGS = 2.0**14


def _gnomonic(leaves: tuple[str, ...] = ("directions", "fov", "roll"), **options: Any) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        B, K, F = sizes
        frames = random_frames((B, F, 16, 32), dtype if "frames" in leaves else torch.uint8)
        poses = random_poses(B, K, _angles(dtype))
        poses["directions"][..., 1] /= 2  # the reference is slow at the poles
        arguments = {"frames": frames, **poses, "size": (7, 6), "mean": MEAN, "std": STD}
        return Call("gnomonic", {**arguments, "dtype": dtype, **options}, GNOMONIC_ROUNDINGS, leaves)

    return make


def _jittered(sizes: Sizes, dtype: torch.dtype) -> Call:
    jitter = random_jitter(sizes.batch, sizes.views, _angles(dtype))
    return _gnomonic((), jitter=jitter)(sizes, dtype)


def _planes(sizes: Sizes, dtype: torch.dtype) -> Call:
    B, _, F = sizes
    shapes = (B, F, 16, 32), (B, F, 8, 16, 2)
    planes = tuple(torch.randint(0, 256, shape, dtype=torch.uint8) for shape in shapes)
    return _gnomonic((), frames=planes)(sizes, dtype)


# Up to 4 terms, each with 6 roundings of its gain, one of its product and one of its sum, relative to the largest
# signal, which may be twice the largest result.
AMBISONICS_ROUNDINGS = 2 * 4 * 8


def _encode(*moves: int) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        B, S, T = sizes
        arguments = {"signal": torch.randn(B, S, T).to(dtype), "directions": _directions(B, S, *moves, dtype=dtype)}
        return Call("encode", arguments, AMBISONICS_ROUNDINGS, ("signal", "directions"))

    return make


def _rotate(*moves: int) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        B, K, T = sizes
        roll, flip = torch.randn(B, K, *moves).to(_angles(dtype)), torch.rand(B, K) < 0.5
        poses = {"directions": _directions(B, K, *moves, dtype=dtype), "roll": roll, "flip": flip}
        arguments = {"signals": torch.randn(B, 4, T).to(dtype), **poses}
        return Call("rotate", arguments, AMBISONICS_ROUNDINGS, ("signals", "directions", "roll"))

    return make


def _beamform(*moves: int) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        B, K, T = sizes
        signals, directions = torch.randn(B, 4, T).to(dtype), _directions(B, K, *moves, dtype=dtype)
        arguments = {"signals": signals, "directions": directions, "pattern": "max_re"}
        return Call("beamform", arguments, AMBISONICS_ROUNDINGS, ("signals", "directions"))

    return make


# A spectrum of 512 samples has 9 stages of 2 roundings relative to the largest value; a band's or a phase's value may
# be 64 times smaller.
FEATURES_ROUNDINGS = 64 * 2 * 9


def _features(leaves: tuple[str, ...] = ("signals", "directions"), **options: Any) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        B, K, frames = sizes
        T = max(512 + 240 * (frames - 1), 0) if frames else 0
        arguments = {"signals": torch.randn(B, 4, T).to(dtype), "directions": _directions(B, K, dtype=dtype)}
        return Call("spatial_features", {**arguments, **options}, FEATURES_ROUNDINGS, leaves)

    return make


# Cosines of 20 products with 10 roundings each, times a scale of 10; its gradients have twice as many.
INFO_NCE_ROUNDINGS = 20 * 10 * 2


def _info_nce(crops: int = 1, **options: Any) -> Callable[..., Call]:
    def make(sizes: Sizes, dtype: torch.dtype) -> Call:
        rows, D = sizes.batch * sizes.views * crops, sizes.length
        query = torch.randn(rows, D)
        key = query + torch.randn(rows, D)
        temperature = torch.tensor(0.125, dtype=_angles(dtype))
        arguments = {"query": query.to(dtype), "key": key.to(dtype), "temperature": temperature, "crops": crops}
        return Call("info_nce", {**arguments, **options}, INFO_NCE_ROUNDINGS, ("query", "key", "temperature"))

    return make


BYTES = {"float64": "dtype float64 needs float64 frames"}
FLOATS = {name: f"frames must be uint8 or float32 or float64, not {name}" for name in ("float16", "bfloat16")}
POSES = {"double backward": "gnomonic has no second derivatives of directions, fov and roll"}
SHORT = {"no samples": "signals must hold at least one frame of n_fft = 512 samples, not 0"}
ONCE = {"double backward": "info_nce has no second derivatives"}

PAIR = Sizes(1, 1, 2)  # cosines of rows of one dimension are all ±1, and have no gradient
CLIPS, SOUND, FEATURES, ROWS = Sizes(2, 3, 3), Sizes(2, 3, 301), Sizes(2, 3, 3), Sizes(3, 5, 20)

CALLS: dict[str, Entry] = {
    "gnomonic": Entry("bytes", _gnomonic(), CLIPS, BYTES | POSES),
    "gnomonic-bilinear": Entry("bilinear", _gnomonic(antialias=False), CLIPS, BYTES | POSES),
    "gnomonic-float": Entry("float frames", _gnomonic(("frames",)), CLIPS, FLOATS),
    "gnomonic-poses": Entry(
        "float frames and poses", _gnomonic(("frames", "directions", "fov", "roll")), CLIPS, FLOATS | POSES
    ),
    "gnomonic-eac": Entry("float cubemap", _gnomonic(("frames",), source="eac"), CLIPS, FLOATS),
    "gnomonic-jitter": Entry("jitter", _jittered, CLIPS, BYTES),
    "gnomonic-nv12": Entry("NV12", _planes, CLIPS, BYTES),
    "encode": Entry("fixed directions", _encode(), SOUND),
    "encode-moving": Entry("moving directions", _encode(3), SOUND),
    "rotate": Entry("fixed directions", _rotate(), SOUND),
    "rotate-moving": Entry("moving directions", _rotate(3), SOUND),
    "beamform": Entry("fixed directions", _beamform(), SOUND),
    "beamform-moving": Entry("moving directions", _beamform(3), SOUND),
    "features-iv": Entry("intensity", _features(), FEATURES, SHORT),
    "features-icf": Entry("stereo", _features(view="stereo", spatial="icf"), FEATURES, SHORT),
    "features-beamform": Entry("beams", _features(view="beamform"), FEATURES, SHORT),
    "info_nce": Entry("symmetric", _info_nce(symmetric=True), ROWS, ONCE, PAIR),
    "info_nce-joint": Entry("joint negatives", _info_nce(4, negatives="joint"), ROWS, ONCE, PAIR),
}
