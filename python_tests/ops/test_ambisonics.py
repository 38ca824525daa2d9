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
from avsa_fast.reference.harmonics import beam_gains, unit_vectors

quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16])
leadings = st.sampled_from([(), (1,), (3,), (0,), (2, 2)])
lengths = st.sampled_from([0, 1, 7, 300, 2500])
orders = st.sampled_from([0, 1, 1, 2, 3, 5, 7])
moves = st.sampled_from([(), (), (1,), (2,), (5,)])  # times at which directions are given, of directions that move


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


TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def assert_close(out: Tensor, expected: Tensor, device: torch.device) -> None:
    """Within a dtype's tolerance of the largest value."""
    assert out.shape == expected.shape
    assert out.device.type == device.type
    tolerance = TOLERANCES[out.dtype] * float(expected.abs().max()) if out.numel() else 0.0
    torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)


def angles_for(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


# --- kernels against the float64 reference ---------------------------------------------------------------------------


@quick
@given(
    leading=leadings, S=st.integers(0, 40), T=lengths, dtype=dtypes, order=orders, P=moves,
)  # fmt: skip
def test_encode_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], S: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...],
) -> None:  # fmt: skip
    if P:  # gains for each sample
        S, order, T = min(S, 3), min(order, 3), min(T, 300)
    signal, directions = (
        torch.randn(*leading, S, T).to(dtype),
        random_directions(*leading, S, *P, dtype=angles_for(dtype)),
    )
    out = ops.encode(strided(signal.to(kernel_device)), strided(directions.to(kernel_device)), order)
    assert out.dtype == dtype
    assert_close(out, reference.encode(signal.double(), directions.double(), order), kernel_device)


@quick
@given(
    leading=leadings, K=st.integers(0, 5), T=lengths, dtype=dtypes, order=orders, P=moves, rolled=st.booleans(),
    flipped=st.booleans(),
)  # fmt: skip
def test_rotate_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], K: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...], rolled: bool, flipped: bool,
) -> None:  # fmt: skip
    if P:  # a matrix for each sample
        order, T, leading = min(order, 2), min(T, 100), leading[:1]
    signals = torch.randn(*leading, (order + 1) ** 2, T).to(dtype)
    directions = random_directions(*leading, K, *P, dtype=angles_for(dtype))
    roll = random_directions(*leading, K, *P, dtype=angles_for(dtype))[..., 0] if rolled else None
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
    leading=leadings, K=st.integers(0, 9), T=lengths, dtype=dtypes, order=orders, P=moves,
    pattern=st.sampled_from(["cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", None]),
)  # fmt: skip
def test_beamform_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], K: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...], pattern: Any,
) -> None:  # fmt: skip
    if P:  # gains for each sample
        order, T = min(order, 3), min(T, 300)
    pattern = pattern or torch.randn(order + 1).tolist()
    signals = torch.randn(*leading, (order + 1) ** 2, T).to(dtype)
    directions = random_directions(*leading, K, *P, dtype=angles_for(dtype))
    out = ops.beamform(strided(signals.to(kernel_device)), strided(directions.to(kernel_device)), pattern)
    assert out.dtype == dtype
    assert_close(out, reference.beamform(signals.double(), directions.double(), pattern), kernel_device)


def test_large_outputs_are_streamed_past_the_caches_alike() -> None:
    signals, directions = torch.randn(16, 4, 12000), random_directions(16, 4, dtype=torch.float32)
    out = ops.rotate(signals, directions)  # 12 MB, of samples in whole vectors
    assert_close(out, reference.rotate(signals.double(), directions.double()), torch.device("cpu"))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_signals_that_are_not_finite(kernel_device: torch.device, request: pytest.FixtureRequest, bad: float) -> None:
    """ValueError on the CPU, NaN or infinity in what depends on the sample on CUDA."""
    signals = torch.randn(4, 9, device=kernel_device)
    signals[2, 5] = bad
    directions = random_directions(3, dtype=torch.float32).to(kernel_device)
    sources = random_directions(4, dtype=torch.float32).to(kernel_device)
    calls = [lambda: ops.encode(signals, sources), lambda: ops.rotate(signals, directions)[:, 1:],
             lambda: ops.beamform(signals, directions)]  # fmt: skip
    touched = torch.arange(9) == 5
    for call in calls:
        if "[cpu" in request.node.name:
            with pytest.raises(ValueError, match="signals must be finite, but hold NaN or infinity"):
                call()
            continue
        out = call().cpu()
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


def plane_wave(azimuth: float, elevation: float, order: int = 1) -> Tensor:
    """[C, 1] float64 of a unit impulse; angles in degrees."""
    return ops.encode(torch.ones(1, 1, dtype=torch.float64), degrees(azimuth, elevation), order)


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
        made = plane_wave(case["az"], case["el"], 3)[:, 0].tolist()
        torch.testing.assert_close(made, case["Y"], rtol=0, atol=1e-9)
    tested = 0
    for name, beam in vectors["beams"].items():
        pattern, _, order = name.partition("_N")
        if "approx" in pattern:
            continue
        pattern, order = pattern.removesuffix("_exact"), int(order)
        wanted = next(value for key, value in beam.items() if key.startswith("a_n"))
        gains = torch.tensor(beam_gains(pattern, order), dtype=torch.float64)
        torch.testing.assert_close(gains.tolist(), wanted, rtol=0, atol=1e-6)
        directivity = 1 / float((gains.square() / (2 * torch.arange(order + 1) + 1)).sum())
        assert directivity == pytest.approx(beam["DF"], abs=2e-4)
        back = ops.beamform(plane_wave(180, 0, order), degrees(0, 0), pattern).item()
        assert back == pytest.approx(beam["back_gain"], abs=1e-6)
        for null in beam["nulls_deg"]:  # given to 0.01°
            assert ops.beamform(plane_wave(null, 0, order), degrees(0, 0), pattern).item() == pytest.approx(0, abs=1e-3)
        tested += 1
    assert tested == 12


@pytest.mark.parametrize("order", range(8))
def test_patterns_by_their_definitions(order: int) -> None:
    """On a grid of angles: the closed form of the cardioid, and no other gains do better than a named pattern's."""
    nodes, weights = np.tile(np.polynomial.legendre.leggauss(16), 2) / 2
    cosines = nodes + np.repeat([-0.5, 0.5], 16)  # Gauss's rule behind and in front
    legendre = np.polynomial.legendre.legvander(cosines, order)

    def pattern(gains: Any) -> np.ndarray:
        return legendre @ np.asarray(gains)

    def directivity(gains: Any) -> float:
        return sum(gains) ** 2 / (weights @ pattern(gains) ** 2)

    def front_share(gains: Any) -> float:  # of the energy
        energy = weights * pattern(gains) ** 2
        return energy[16:].sum() / energy.sum()

    def energy_vector(gains: Any) -> float:
        energy = weights * pattern(gains) ** 2
        return (cosines * energy).sum() / energy.sum()

    np.testing.assert_allclose(pattern(beam_gains("cardioid", order)), ((1 + cosines) / 2) ** order, atol=1e-12)
    assert beam_gains("in_phase", order) == beam_gains("cardioid", order)
    rng = np.random.default_rng(order)
    for name, measure in (("hypercardioid", directivity), ("supercardioid", front_share), ("max_re", energy_vector)):
        best = beam_gains(name, order)
        assert sum(best) == pytest.approx(1, abs=1e-12)
        for size in (1e-1, 1e-3):
            for _ in range(50):
                other = np.array(best) + size * rng.standard_normal(order + 1)
                assert measure(other) <= measure(best) + 1e-12


@pytest.mark.parametrize("order", [1, 3, 7])
def test_plane_waves_come_to_the_front(order: int) -> None:
    directions = uniform_directions(10_000).float().unsqueeze(1)  # [10000, 1, 2]
    waves = ops.encode(torch.ones(10_000, 1, 1), directions, order)
    front = plane_wave(0, 0, order).float().squeeze(-1)
    out = ops.rotate(waves, directions)[:, 0, :, 0]
    torch.testing.assert_close(out, front.expand_as(out), rtol=0, atol=1e-6)


@pytest.mark.parametrize("order", range(1, 8))
def test_turns_compose_and_keep_each_orders_energy(order: int) -> None:
    signals = torch.randn((order + 1) ** 2, 50, dtype=torch.float64)
    first, second = random_directions(1), random_directions(1)
    roll, mirror = torch.randn(2, 1, dtype=torch.float64), torch.tensor([order % 2 == 0])
    once = ops.rotate(signals, first, roll=roll[0])[0]
    twice = ops.rotate(once, second, roll=roll[1], flip=mirror)[0]
    for n in range(order + 1):
        channels = slice(n * n, (n + 1) ** 2)
        energy = signals[channels].square().sum()
        torch.testing.assert_close(twice[channels].square().sum(), energy, rtol=1e-12, atol=0)
    # The same turn of a plane wave's direction, as rotations of 3-vectors.
    wave = uniform_directions(1)
    turned = ops.rotate(ops.rotate(ops.encode(torch.ones(1, 1).double(), wave, order), first)[0], second)[0]
    azimuth, elevation = first[0].tolist(), second[0].tolist()
    matrix = (
        rotation("y", elevation[1])
        @ rotation("z", -elevation[0])
        @ rotation("y", azimuth[1])
        @ rotation("z", -azimuth[0])
    )
    x, y, z = matrix @ unit_vectors(wave)[0].numpy()
    landed = torch.tensor([[math.atan2(y, x), math.atan2(z, math.hypot(x, y))]], dtype=torch.float64)
    torch.testing.assert_close(turned, ops.encode(torch.ones(1, 1).double(), landed, order), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 7])
def test_mirror_is_the_wave_from_the_other_side(order: int) -> None:
    out = ops.rotate(plane_wave(35, 20, order), degrees(0, 0), flip=torch.tensor([True]))[0]
    torch.testing.assert_close(out, plane_wave(-35, 20, order), rtol=0, atol=1e-12)


# --- directions that move ---------------------------------------------------------------------------------------------


def test_moving_directions_follow_the_great_circle() -> None:
    """From the front over the pole to the back at an even pace, and on to the left."""
    path = torch.tensor([[0.0, 0.0], [0.0, math.pi / 2 - 1e-6], [math.pi / 2, 0.0]], dtype=torch.float64)
    out = ops.encode(torch.ones(1, 9, dtype=torch.float64), path[None])
    angle = torch.arange(5) * math.pi / 8
    rise = torch.stack([torch.ones(5), torch.zeros(5), angle.sin(), angle.cos()]).double()
    torch.testing.assert_close(out[:, :5], rise, rtol=0, atol=1e-5)
    fall = torch.stack([torch.ones(5), angle.sin(), angle.cos(), torch.zeros(5)]).double()
    torch.testing.assert_close(out[:, 4:], fall, rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_a_followed_source_stays_in_front(order: int) -> None:
    path = random_directions(2, 4)
    scene = ops.encode(torch.ones(2, 700, dtype=torch.float64), path, order)
    alone = ops.encode(torch.ones(2, 1, 700, dtype=torch.float64), path.unsqueeze(1), order)
    for source in range(2):
        front = plane_wave(0, 0, order).expand_as(scene)
        torch.testing.assert_close(ops.rotate(alone[source], path[source : source + 1])[0], front, rtol=0, atol=1e-9)
        beam = ops.beamform(alone[source], path[source : source + 1], "max_re")
        torch.testing.assert_close(beam, torch.ones_like(beam), rtol=0, atol=1e-9)


def test_directions_that_stay_are_directions_that_do_not_move() -> None:
    signals, still = torch.randn(9, 300, dtype=torch.float64), uniform_directions(3)
    moving = still.unsqueeze(1).expand(3, 4, 2)
    for operation in (ops.rotate, ops.beamform):
        torch.testing.assert_close(operation(signals, moving), operation(signals, still), rtol=0, atol=1e-9)


def test_opposite_directions_are_jumped_between() -> None:
    path = torch.tensor([[[0.0, 0.0], [math.pi, 0.0]]], dtype=torch.float64, requires_grad=True)
    out = ops.encode(torch.ones(1, 10, dtype=torch.float64), path)
    expected = torch.cat([plane_wave(0, 0).expand(4, 5), plane_wave(180, 0).expand(4, 5)], dim=1)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-3)
    assert torch.autograd.grad(out.sum(), path)[0].isfinite().all()


def test_a_look_direction_can_be_learned() -> None:
    torch.manual_seed(1)
    source = torch.tensor([[0.7, -0.3]])
    scene = ops.encode(torch.randn(1, 500), source, 3)
    look = torch.tensor([[-0.6, 0.4]], requires_grad=True)
    optimiser = torch.optim.Adam([look], lr=0.05)
    for _ in range(120):
        optimiser.zero_grad()
        (-ops.beamform(scene, look, "cardioid").square().mean()).backward()  # no side lobes to be caught in
        optimiser.step()
    torch.testing.assert_close(look.detach(), source, rtol=0, atol=0.01)


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
    cosines = unit_vectors(beams) @ unit_vectors(sources).T
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
        (library.harmonics.default, (pose(2, 3), 1)),
        (library.harmonics.default, (pose(2), 3)),
        (library.turns.default, (pose(2, 3), None, None, 1)),
        (library.turns.default, (pose(2, 3), roll, flip, 1)),
        (library.turns.default, (pose(2, 3), None, flip, 1)),
        (library.mix.default, (sound(2, 4, 2), sound(2, 3, 4), -1)),
        (library.mix.default, (sound(4, 2), sound(8, 4), 1)),
        (ops.encode, (sound(2, 3, 2), pose(2, 3), 2)),
        (ops.rotate, (sound(2, 4, 2), pose(2, 3))),
        (ops.rotate, (sound(9, 2), pose(1, 2))),
        (ops.beamform, (sound(4, 2), pose(3), [0.25, 0.75])),
        (ops.beamform, (sound(9, 3), pose(2, 2), "max_re")),
    ]


CASES, LIBRARY = range(12), range(7)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case: int) -> None:
    operation, arguments = calls()[case]
    assert torch.autograd.gradcheck(operation, arguments)
    assert torch.autograd.gradgradcheck(operation, arguments, fast_mode=True)


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_some_arguments(case: int) -> None:
    """The same numbers where only one argument asks for a gradient."""
    operation, arguments = calls()[case]
    wanted = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    if len(wanted) < 2:
        pytest.skip("one argument")
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


@pytest.mark.parametrize("case", LIBRARY)
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
        (lambda: ops.encode(SOUND, torch.zeros(2, 4, 2), order=8), ValueError, "order must be 0 to 7, not 8"),
        (lambda: ops.encode(SOUND, POSE), ValueError, r"directions must be \[2, 4, 2\], not \[2, 3, 2\]"),
        (lambda: ops.encode(SOUND[0, 0], POSE), ValueError, r"signal must be \[..., S, T\], not \[9\]"),
        (lambda: ops.encode(SOUND.int(), POSE), TypeError, "signal must be float32 or float64 or float16.*, not int32"),
        (lambda: ops.rotate(SOUND.half(), POSE.half()), TypeError, "directions must be float32, not float16"),
        (lambda: ops.rotate(SOUND, POSE.double()), TypeError, "directions must be float32, not float64"),
        (lambda: ops.rotate([1.0], POSE), TypeError, "signals must be a float32 or float64.* tensor, not list"),
        (lambda: ops.rotate(SOUND, None), TypeError, "directions must be a float32 tensor, not NoneType"),
        (lambda: ops.rotate(SOUND[:, :3], POSE), ValueError, "signals must have .order . 1.² channels.*not 3"),
        (lambda: ops.rotate(SOUND, POSE[0]), ValueError, r"must be \[2, K, 2\] or.* for signals \[2, 4, 9\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(1, 3, 2)), ValueError, r"directions must be \[2, K, 2\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 3)), ValueError, r"directions .* not \[2, 3, 3\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 0, 2)), ValueError, r"directions must be .*not \[2, 3, 0, 2\]"),
        (lambda: ops.rotate(SOUND, POSE[:, :, None], roll=torch.zeros(2, 3)), ValueError, r"roll must be \[2, 3, 1\]"),
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
