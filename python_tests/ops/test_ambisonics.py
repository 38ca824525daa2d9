"""encode, rotate and beamform: kernels against the reference, and the reference against CONVENTIONS' closed forms."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops, reference

quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
dtypes = st.sampled_from([torch.float32, torch.float64])
leadings = st.sampled_from([(), (1,), (3,), (0,), (2, 2)])


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """Fresh memory holds NaN, so that an output never written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def random_directions(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Azimuths and elevations all around, and beyond one turn."""
    return (torch.rand(*shape, 2, dtype=torch.float64) * 2 - 1).mul(torch.tensor([7.0, 1.7])).to(dtype)


def uniform_directions(count: int) -> Tensor:
    """[count, 2] float64, uniform on the sphere."""
    v = torch.nn.functional.normalize(torch.randn(count, 3, dtype=torch.float64), dim=-1)
    return torch.stack([torch.atan2(v[:, 1], v[:, 0]), torch.atan2(v[:, 2], torch.hypot(v[:, 0], v[:, 1]))], dim=-1)


def strided(x: Tensor) -> Tensor:
    """The same values, not contiguous."""
    return torch.stack([x, torch.full_like(x, 9)], dim=-1)[..., 0]


def assert_close(out: Tensor, expected: Tensor, device: torch.device) -> None:
    """Within 1e-5 (float32) or 1e-12 (float64) of the largest value."""
    assert out.shape == expected.shape
    assert out.device.type == device.type
    tolerance = (1e-5 if out.dtype == torch.float32 else 1e-12) * float(expected.abs().max()) if out.numel() else 0.0
    torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)


# --- kernels against the float64 reference ---------------------------------------------------------------------------


@quick
@given(leading=leadings, S=st.integers(0, 40), T=st.sampled_from([0, 1, 7, 300, 2500]), dtype=dtypes)
def test_encode_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], S: int, T: int, dtype: torch.dtype
) -> None:
    signal, directions = torch.randn(*leading, S, T, dtype=dtype), random_directions(*leading, S, dtype=dtype)
    out = ops.encode(strided(signal.to(kernel_device)), strided(directions.to(kernel_device)))
    assert out.dtype == dtype
    assert_close(out, reference.encode(signal.double(), directions.double()), kernel_device)


@quick
@given(
    leading=leadings, K=st.integers(0, 5), T=st.sampled_from([0, 1, 7, 300, 2500]), dtype=dtypes,
    rolled=st.booleans(), flipped=st.booleans(),
)  # fmt: skip
def test_rotate_matches_reference(
    kernel_device: torch.device,
    leading: tuple[int, ...],
    K: int,
    T: int,
    dtype: torch.dtype,
    rolled: bool,
    flipped: bool,
) -> None:
    signals, directions = torch.randn(*leading, 4, T, dtype=dtype), random_directions(*leading, K, dtype=dtype)
    roll = random_directions(*leading, K, dtype=dtype)[..., 0] if rolled else None
    flip = torch.rand(*leading, K) < 0.5 if flipped else None
    out = ops.rotate(
        strided(signals.to(kernel_device)),
        strided(directions.to(kernel_device)),
        roll=None if roll is None else strided(roll.to(kernel_device)),
        flip=None if flip is None else strided(flip.to(kernel_device)),
    )
    assert out.dtype == dtype
    expected = reference.rotate(
        signals.double(), directions.double(), roll=None if roll is None else roll.double(), flip=flip
    )
    assert_close(out, expected, kernel_device)


@quick
@given(
    leading=leadings, K=st.integers(0, 5), T=st.sampled_from([0, 1, 7, 300, 2500]), dtype=dtypes,
    pattern=st.sampled_from(["cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", [0.3, -2.0]]),
)  # fmt: skip
def test_beamform_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], K: int, T: int, dtype: torch.dtype, pattern: Any
) -> None:
    signals, directions = torch.randn(*leading, 4, T, dtype=dtype), random_directions(*leading, K, dtype=dtype)
    out = ops.beamform(strided(signals.to(kernel_device)), strided(directions.to(kernel_device)), pattern)
    assert out.dtype == dtype
    assert_close(out, reference.beamform(signals.double(), directions.double(), pattern), kernel_device)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_signals_that_are_not_finite_pass_through(kernel_device: torch.device, bad: float) -> None:
    signals = torch.randn(4, 9, device=kernel_device)
    signals[2, 5] = bad
    directions = random_directions(3, dtype=torch.float32).to(kernel_device)
    touched = torch.arange(9) == 5
    for out in (ops.encode(signals, random_directions(4, dtype=torch.float32).to(kernel_device)),
                ops.rotate(signals, directions)[:, 1:], ops.beamform(signals, directions)):  # fmt: skip
        assert not out[..., touched].isfinite().any()
        assert out[..., ~touched].isfinite().all()


# --- conventions ------------------------------------------------------------------------------------------------------

S3 = 3**0.5
HARMONICS = [  # azimuth, elevation in degrees; W, Y, Z, X
    (0, 0, (1, 0, 0, 1)),
    (90, 0, (1, 1, 0, 0)),
    (-90, 0, (1, -1, 0, 0)),
    (180, 0, (1, 0, 0, -1)),
    (0, 90, (1, 0, 1, 0)),
    (0, -90, (1, 0, -1, 0)),
    (45, 0, (1, 0.5**0.5, 0, 0.5**0.5)),
    (30, 20, (1, 0.469846310, 0.342020143, 0.813797681)),
    (60, -45, (1, S3 / 2 * 0.5**0.5, -(0.5**0.5), 0.5 * 0.5**0.5)),
]
# gains, gain at the back, angle of the null in degrees; closed forms of order 1
BEAMS = {
    "cardioid": ((1 / 2, 1 / 2), 0.0, 180.0),
    "in_phase": ((1 / 2, 1 / 2), 0.0, 180.0),
    "hypercardioid": ((1 / 4, 3 / 4), -1 / 2, math.degrees(math.acos(-1 / 3))),
    "supercardioid": (((S3 - 1) / 2, (3 - S3) / 2), S3 - 2, math.degrees(math.acos(-1 / S3))),
    "max_re": (((S3 - 1) / 2, (3 - S3) / 2), S3 - 2, math.degrees(math.acos(-1 / S3))),
}


def degrees(*angles: float) -> Tensor:
    return torch.tensor([angles], dtype=torch.float64).deg2rad()


def plane_wave(azimuth: float, elevation: float) -> Tensor:
    """[4, 1] float64 of a unit impulse; angles in degrees."""
    return ops.encode(torch.ones(1, 1, dtype=torch.float64), degrees(azimuth, elevation))


@pytest.mark.parametrize(("azimuth", "elevation", "gains"), HARMONICS)
def test_encode_gives_the_harmonics(azimuth: float, elevation: float, gains: tuple[float, ...]) -> None:
    torch.testing.assert_close(plane_wave(azimuth, elevation)[:, 0].tolist(), [*map(float, gains)], rtol=0, atol=1e-9)


@pytest.mark.parametrize("pattern", BEAMS)
def test_beams(pattern: str) -> None:
    gains, back, null = BEAMS[pattern]
    azimuth, elevation = 40.0, 25.0
    beam = degrees(azimuth, elevation)

    def gain(angle: float) -> float:  # of a wave `angle` above the beam, on the great circle through the poles
        return ops.beamform(plane_wave(azimuth, elevation + angle), beam, pattern).item()

    assert gain(0) == pytest.approx(1, abs=1e-12)
    assert gain(180) == pytest.approx(back, abs=1e-12)
    assert gain(null) == pytest.approx(0, abs=1e-12)
    for angle in (30, 77, 141):
        assert gain(angle) == pytest.approx(gains[0] + gains[1] * math.cos(math.radians(angle)), abs=1e-12)
    same = ops.beamform(plane_wave(10, 20), beam, gains)
    torch.testing.assert_close(ops.beamform(plane_wave(10, 20), beam, pattern), same, rtol=0, atol=1e-12)


def test_shared_vectors(assets: Path) -> None:
    file = assets.parent / "vectors" / "ambisonic_vectors.json"
    if not file.is_file():
        pytest.skip(f"no vectors at {file}")
    vectors = json.loads(file.read_text())
    for case in vectors["sn3d_order3"]:
        torch.testing.assert_close(plane_wave(case["az"], case["el"])[:, 0].tolist(), case["Y"][:4], rtol=0, atol=1e-9)
    names = ["cardioid", "hypercardioid", "supercardioid"]
    found = [name for name in names if f"{name}_N1" in vectors["beams"]]
    assert found == names
    for name in names:
        beam = vectors["beams"][f"{name}_N1"]
        wanted = next(value for key, value in beam.items() if key.startswith("a_n"))
        assert BEAMS[name][0] == pytest.approx(wanted, abs=1e-6)
        back = ops.beamform(plane_wave(180, 0), degrees(0, 0), name).item()
        assert back == pytest.approx(beam["back_gain"], abs=1e-6)
        for null in beam["nulls_deg"]:
            assert ops.beamform(plane_wave(null, 0), degrees(0, 0), name).item() == pytest.approx(0, abs=1e-4)


def test_plane_waves_come_to_the_front() -> None:
    directions = uniform_directions(5000).float().unsqueeze(1)  # [5000, 1, 2]
    waves = ops.encode(torch.ones(5000, 1, 1), directions)
    front = torch.tensor([1.0, 0.0, 0.0, 1.0]).expand(5000, 4)
    torch.testing.assert_close(ops.rotate(waves, directions)[:, 0, :, 0], front, rtol=0, atol=1e-6)


def rotation(axis: str, angle: float) -> np.ndarray:
    """Right-handed rotation of (x, y, z) about an axis."""
    c, s = math.cos(angle), math.sin(angle)
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def rotate_with(matrix: np.ndarray, mirror: bool = False) -> Tensor:
    """[4, 4] on (W, Y, Z, X) of a rotation of (X, Y, Z), then Y negated."""
    full = np.eye(4)
    order = [3, 1, 2]  # X, Y, Z among the channels
    full[np.ix_(order, order)] = np.diag([1, -1 if mirror else 1, 1]) @ matrix
    return torch.from_numpy(full)


@pytest.mark.parametrize("mirror", [False, True])
def test_rotation_is_built_in_this_order(mirror: bool) -> None:
    unit = torch.eye(4, dtype=torch.float64)
    for azimuth, elevation, roll in (torch.rand(20, 3, dtype=torch.float64) * 6 - 3).tolist():
        out = ops.rotate(
            unit, torch.tensor([[azimuth, elevation]], dtype=unit.dtype), roll=torch.tensor([roll], dtype=unit.dtype),
            flip=torch.tensor([mirror]),
        )[0]  # fmt: skip
        turn = rotation("x", -roll) @ rotation("y", elevation) @ rotation("z", -azimuth)
        torch.testing.assert_close(out, rotate_with(turn, mirror), rtol=0, atol=1e-12)
        other_order = rotation("z", -azimuth) @ rotation("y", elevation) @ rotation("x", -roll)
        assert (out - rotate_with(other_order, mirror)).abs().max() > 1e-4


def test_the_other_order_would_be_seen() -> None:
    """Elevation before azimuth misses the front by 15° in the mean for elevations within ±30°."""
    misses = []
    for azimuth, elevation in (
        (torch.rand(500, 2) * torch.tensor([2, 1 / 3]) - torch.tensor([1, 1 / 6])).mul(math.pi).tolist()
    ):
        wave = np.array(
            [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
        )
        wrong = rotation("z", -azimuth) @ rotation("y", elevation) @ wave
        misses.append(math.degrees(math.acos(np.clip(wrong[0], -1, 1))))
    assert 12 < np.mean(misses) < 18


def test_roll_turns_the_content_counter_clockwise() -> None:
    """Seen from behind, +y is left and +z up: a camera rolled clockwise sees what was up turned to its left."""
    up, front = plane_wave(0, 90), degrees(0, 0)
    rolled = ops.rotate(up, front, roll=degrees(90)[0])[0, :, 0]
    torch.testing.assert_close(rolled.tolist(), [1.0, 1.0, 0.0, 0.0], rtol=0, atol=1e-12)


def test_flip_negates_y_after_the_turn() -> None:
    signals, directions = torch.randn(4, 50), random_directions(6, dtype=torch.float32)
    roll, flip = torch.randn(6), torch.tensor([True, False] * 3)
    plain = ops.rotate(signals, directions, roll=roll)
    flipped = ops.rotate(signals, directions, roll=roll, flip=flip)
    mirror = torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None]
    assert torch.equal(flipped, torch.where(flip[:, None, None], plain * mirror, plain))


def test_energy_is_kept() -> None:
    signals, directions = torch.randn(3, 4, 500), random_directions(3, 8, dtype=torch.float32)
    out = ops.rotate(signals, directions, roll=torch.randn(3, 8), flip=torch.rand(3, 8) < 0.5)
    assert torch.equal(out[:, :, 0], signals[:, None, 0].expand(3, 8, 500))
    torch.testing.assert_close(
        out[:, :, 1:].square().sum(-2), signals[:, None, 1:].square().sum(-2).expand(3, 8, 500), rtol=1e-5, atol=1e-6
    )


def test_beam_is_linear_in_a_mix_of_sources() -> None:
    signal, sources, beams = torch.randn(3, 100, dtype=torch.float64), uniform_directions(3), uniform_directions(5)
    out = ops.beamform(ops.encode(signal, sources), beams, "hypercardioid")
    cosines = (
        reference.ambisonics.spherical_harmonics(beams)[:, 1:]
        @ reference.ambisonics.spherical_harmonics(sources)[:, 1:].T
    )
    torch.testing.assert_close(out, (0.25 + 0.75 * cosines) @ signal, rtol=1e-12, atol=1e-12)


# --- autograd, tracing ------------------------------------------------------------------------------------------------


def calls() -> list[tuple[Callable[..., Tensor], tuple[Any, ...]]]:
    """Each registered operation with float64 arguments, in every form that it takes."""

    def pose(*shape: int) -> Tensor:
        return random_directions(*shape).requires_grad_()

    def sound(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    library = torch.ops.avsa_fast
    flip, roll = torch.tensor([[True, False, True]] * 2), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    return [
        (library.encode.default, (sound(2, 3, 2), pose(2, 3))),
        (library.rotate.default, (sound(2, 4, 2), pose(2, 3), None, None)),
        (library.rotate.default, (sound(2, 4, 2), pose(2, 3), roll, flip)),
        (library.rotate.default, (sound(2, 4, 2), pose(2, 3), None, flip)),
        (library.beamform.default, (sound(4, 2), pose(3), 0.25, 0.75)),
    ]


@pytest.mark.parametrize("case", range(5))
def test_gradients(case: int) -> None:
    operation, arguments = calls()[case]
    assert torch.autograd.gradcheck(operation, arguments)
    assert torch.autograd.gradgradcheck(operation, arguments, fast_mode=True)


@pytest.mark.parametrize("case", range(5))
def test_gradient_of_some_arguments(case: int) -> None:
    """The same numbers where only one argument asks for a gradient."""
    operation, arguments = calls()[case]
    wanted = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    out = operation(*arguments)
    weight = torch.randn_like(out)
    together = torch.autograd.grad(out, wanted, weight)
    for one, expected in zip(wanted, together, strict=True):
        alone = [
            a.detach().requires_grad_(a is one) if isinstance(a, Tensor) and a.is_floating_point() else a
            for a in arguments
        ]
        leaf = next(a for a in alone if isinstance(a, Tensor) and a.requires_grad)
        torch.testing.assert_close(torch.autograd.grad(operation(*alone), leaf, weight)[0], expected)


@pytest.mark.parametrize("case", range(5))
def test_opcheck(case: int) -> None:
    operation, arguments = calls()[case]
    torch.library.opcheck(operation, arguments)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_graph_breaks(dynamic: bool) -> None:
    def pipeline(signal: Tensor, directions: Tensor, roll: Tensor) -> Tensor:
        scene = ops.encode(signal, directions)
        return ops.beamform(scene, directions, "max_re") + ops.rotate(scene, directions, roll=roll)[..., 0, :]

    arguments = [torch.randn(2, 3, 40), random_directions(2, 3, dtype=torch.float32), torch.randn(2, 3)]
    inputs = [a.clone().requires_grad_() for a in arguments]
    compiled = torch.compile(pipeline, fullgraph=True, dynamic=dynamic, backend="aot_eager")(*inputs)
    leaves = [a.clone().requires_grad_() for a in arguments]
    eager = pipeline(*leaves)
    torch.testing.assert_close(compiled, eager)
    compiled.square().sum().backward()
    eager.square().sum().backward()
    for a, b in zip(inputs, leaves, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


# --- refused arguments ------------------------------------------------------------------------------------------------

SOUND, POSE = torch.zeros(2, 4, 9), torch.zeros(2, 3, 2)


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (lambda: ops.encode(SOUND, torch.zeros(2, 4, 2), order=2), ValueError, "order must be 1, not 2"),
        (lambda: ops.encode(SOUND, POSE), ValueError, r"directions must be \[2, 4, 2\], not \[2, 3, 2\]"),
        (lambda: ops.encode(SOUND[0, 0], POSE), ValueError, r"signal must be \[..., S, T\], not \[9\]"),
        (lambda: ops.encode(SOUND.half(), POSE), TypeError, "signal must be float32 or float64, not float16"),
        (lambda: ops.rotate(SOUND, POSE.double()), TypeError, "directions must be float32, not float64"),
        (lambda: ops.rotate([1.0], POSE), TypeError, "signals must be a float32 or float64 tensor, not list"),
        (lambda: ops.rotate(SOUND, None), TypeError, "directions must be a float32 tensor, not NoneType"),
        (lambda: ops.rotate(SOUND[:, :3], POSE), ValueError, "signals must have the 4 channels W, Y, Z, X.*not 3"),
        (lambda: ops.rotate(SOUND, POSE[0]), ValueError, r"directions must be \[2, K, 2\] for signals \[2, 4, 9\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(1, 3, 2)), ValueError, r"directions must be \[2, K, 2\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 3)), ValueError, r"directions .* not \[2, 3, 3\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 5, 2)), ValueError, "directions that move are not supported yet"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.zeros(2)), ValueError, r"roll must be \[2, 3\].*not \[2\]"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.zeros(2, 3).double()), TypeError, "roll must be float32"),
        (lambda: ops.rotate(SOUND, POSE, roll=0.1), TypeError, "roll must be a float32 tensor, not float"),
        (lambda: ops.rotate(SOUND, POSE, flip=torch.zeros(2, 3)), TypeError, "flip must be bool, not float32"),
        (lambda: ops.rotate(SOUND, POSE, flip=torch.zeros(3) > 0), ValueError, r"flip must be \[2, 3\].*not \[3\]"),
        (lambda: ops.rotate(SOUND, POSE.to("meta")), ValueError, "directions is on meta but signals on cpu"),
        (lambda: ops.rotate(SOUND, POSE / 0), ValueError, "directions must be finite"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.full((2, 3), math.inf)), ValueError, "roll must be finite"),
        (lambda: ops.encode(SOUND, torch.full((2, 4, 2), math.nan)), ValueError, "directions must be finite"),
        (lambda: ops.beamform(SOUND, POSE / 0), ValueError, "directions must be finite"),
        (lambda: ops.beamform(SOUND, POSE, "omni"), ValueError, "pattern must be one of cardioid,.* not 'omni'"),
        (lambda: ops.beamform(SOUND, POSE, [1.0]), ValueError, "pattern must hold 2 finite gains"),
        (lambda: ops.beamform(SOUND, POSE, [0.5, math.nan]), ValueError, "pattern must hold 2 finite gains"),
        (lambda: ops.beamform(SOUND, POSE, 0.5), TypeError, "pattern must be a name or a sequence"),
    ],
)  # fmt: skip
def test_refused(call: Callable[[], Tensor], error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
