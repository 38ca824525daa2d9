"""beamform: kernels against the reference, and beam patterns against their definitions."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.ambisonics import (
    angles_for,
    assert_close,
    degrees,
    dtypes,
    leadings,
    lengths,
    moves,
    orders,
    plane_wave,
    quick,
    random_directions,
    strided,
    uniform_directions,
)
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast import ops, reference
from avsa_fast.spatial.beams import beam_gains
from avsa_fast.spatial.harmonics import unit_vectors

pytestmark = pytest.mark.usefixtures("poisoned_memory")

S3 = 3**0.5
BEAMS = {
    "cardioid": ((1 / 2, 1 / 2), 0.0, 180.0),
    "in_phase": ((1 / 2, 1 / 2), 0.0, 180.0),
    "hypercardioid": ((1 / 4, 3 / 4), -1 / 2, math.degrees(math.acos(-1 / 3))),
    "supercardioid": (((S3 - 1) / 2, (3 - S3) / 2), S3 - 2, math.degrees(math.acos(-1 / S3))),
    "max_re": (((S3 - 1) / 2, (3 - S3) / 2), S3 - 2, math.degrees(math.acos(-1 / S3))),
}


@quick
@given(
    leading=leadings, K=st.integers(0, 9), T=lengths, dtype=dtypes, order=orders, P=moves,
    pattern=st.sampled_from(["cardioid", "hypercardioid", "supercardioid", "max_re", "in_phase", None]),
)  # fmt: skip
def test_beamform_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], K: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...], pattern: Any,
) -> None:  # fmt: skip
    if P:  # gains per sample
        order, T = min(order, 3), min(T, 300)
    pattern = pattern or torch.randn(order + 1).tolist()
    signals = torch.randn(*leading, (order + 1) ** 2, T).to(dtype)
    directions = random_directions(*leading, K, *P, dtype=angles_for(dtype))
    out = ops.beamform(strided(signals.to(kernel_device)), strided(directions.to(kernel_device)), pattern)
    assert out.dtype == dtype
    expected = reference.beamform(signals.double(), directions.double(), pattern)
    assert_close(out, expected, kernel_device, signals, max(map(abs, beam_gains(pattern, order))))


@pytest.mark.parametrize("pattern", BEAMS)
def test_beams(pattern: str) -> None:
    gains, back, null = BEAMS[pattern]
    azimuth, elevation = 40.0, 25.0
    beam = degrees(azimuth, elevation)

    def gain(angle: float) -> float:  # for a wave `angle` above the beam, on the great circle through the poles
        along = elevation + angle
        wave = plane_wave(azimuth, along) if along <= 90 else plane_wave(azimuth + 180, 180 - along)
        return ops.beamform(wave, beam, pattern).item()

    assert gain(0) == pytest.approx(1, abs=1e-12)
    assert gain(180) == pytest.approx(back, abs=1e-12)
    assert gain(null) == pytest.approx(0, abs=1e-12)
    for angle in (30, 77, 141):
        assert gain(angle) == pytest.approx(gains[0] + gains[1] * math.cos(math.radians(angle)), abs=1e-12)
    same = ops.beamform(plane_wave(10, 20), beam, gains)
    torch.testing.assert_close(ops.beamform(plane_wave(10, 20), beam, pattern), same, rtol=0, atol=1e-12)


def test_harmonics_and_beams_match_test_vectors(assets: Path) -> None:
    file = assets.parent / "vectors" / "ambisonic_vectors.json"
    if not file.is_file():
        pytest.skip(f"no vectors at {file}")
    vectors = json.loads(file.read_text())
    for case in vectors["sn3d_order3"]:
        harmonics = plane_wave(case["az"], case["el"], 3)[:, 0].tolist()
        torch.testing.assert_close(harmonics, case["Y"], rtol=0, atol=1e-9)
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
        for null in beam["nulls_deg"]:  # rounded to 0.01°
            assert ops.beamform(plane_wave(null, 0, order), degrees(0, 0), pattern).item() == pytest.approx(0, abs=1e-3)
        tested += 1
    assert tested == 12


@pytest.mark.parametrize("order", range(8))
def test_patterns_match_their_definitions(order: int) -> None:
    """On a grid of angles: the cardioid matches its closed form, and named patterns maximise their criteria."""
    nodes, weights = np.tile(np.polynomial.legendre.leggauss(16), 2) / 2
    cosines = nodes + np.repeat([-0.5, 0.5], 16)  # Gauss-Legendre nodes for the rear and front halves
    legendre = np.polynomial.legendre.legvander(cosines, order)

    def pattern(gains: Any) -> np.ndarray:
        return legendre @ np.asarray(gains)

    def directivity(gains: Any) -> float:
        return sum(gains) ** 2 / (weights @ pattern(gains) ** 2)

    def front_share(gains: Any) -> float:  # fraction of energy from the front
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


def test_beam_of_a_mix_is_the_sum_of_beams() -> None:
    signal, sources, beams = torch.randn(3, 100, dtype=torch.float64), uniform_directions(3), uniform_directions(5)
    out = ops.beamform(ops.encode(signal, sources), beams, "hypercardioid")
    cosines = unit_vectors(beams) @ unit_vectors(sources).T
    torch.testing.assert_close(out, (0.25 + 0.75 * cosines) @ signal, rtol=1e-12, atol=1e-12)


def test_beam_direction_can_be_learned() -> None:
    torch.manual_seed(1)
    source = torch.tensor([[0.7, -0.3]])
    scene = ops.encode(torch.randn(1, 500), source, 3)
    look = torch.tensor([[-0.6, 0.4]], requires_grad=True)
    optimiser = torch.optim.Adam([look], lr=0.05)
    for _ in range(120):
        optimiser.zero_grad()
        (-ops.beamform(scene, look, "cardioid").square().mean()).backward()  # no side lobes, so no local maxima
        optimiser.step()
    torch.testing.assert_close(look.detach(), source, rtol=0, atol=0.01)
