from math import pi, sqrt

import pytest
import torch
from helpers.sound_scenes import RATE, bursts, capsules, encoded, syllables, walk

from avsa_fast.data.measures import clipped_shares, measure_sound
from avsa_fast.data.tables import INDEX

ACN = [0, 1, 2, 3]


def measured(scene: torch.Tensor, seconds: float | None = None) -> dict[str, object]:
    return measure_sound(scene, ACN, scene, RATE, seconds or scene.shape[1] / RATE)


def test_columns_are_of_the_index() -> None:
    assert measured(walk()[0]).keys() <= set(INDEX.names)


def test_a_walk() -> None:
    scene, azimuths = walk()
    row = measured(scene)
    assert row["clipped"] == [0, 0, 0, 0]
    assert row["spatial_validity"] == pytest.approx(1, abs=0.05)
    assert row["wave_ratio"] == pytest.approx(1, abs=0.05)
    assert row["wave_share"] > 0.5
    assert row["w_misfits"][0] < 0.05
    assert min(row["w_misfits"][1:]) > 0.1
    assert row["moment_times"] == [0.5 + i for i in range(8)]
    # Over a second, the walker turns by 45°; levels weight it, up to half of that.
    truth = azimuths[[int(time * RATE) for time in row["moment_times"]]]
    misses = (torch.tensor(row["moment_azimuths"]) - truth + pi) % (2 * pi) - pi
    assert float(misses.abs().max()) < pi / 8
    assert max(abs(elevation) for elevation in row["moment_elevations"]) < 0.45


@pytest.mark.parametrize(("gains", "ratio"), [((1, sqrt(3), sqrt(3), sqrt(3)), 3), ((sqrt(0.5), 1, 1, 1), 2)])
def test_ratio_where_one_wave_dominates(gains: tuple[float, ...], ratio: float) -> None:
    row = measured(walk()[0] * torch.tensor(gains)[:, None])
    assert row["wave_ratio"] == pytest.approx(ratio, rel=0.05)
    assert row["w_misfits"][0] < 0.05


def test_noise_has_no_waves() -> None:
    row = measured(torch.randn(4, 8 * RATE, generator=torch.Generator().manual_seed(0)))
    assert row["wave_share"] < 0.025
    assert (row["moment_times"], row["arrival_share"]) == ([], 0)


def test_levels() -> None:
    noise = torch.randn(4, 8 * RATE, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 0.1, 0, 1])[:, None]
    noise[3] = torch.sin(2 * pi * 100 * torch.arange(8 * RATE) / RATE)
    row = measured(noise)
    w, y, z, x = row["high_levels"]
    assert (w, y) == pytest.approx((0, -20), abs=0.3)
    assert max(z, x) < -60
    assert row["levels"][2] == -200


def test_capsules_of_a_diffuse_field() -> None:
    """Cardioids in a diffuse field are correlated by 2/3; their differences have a ninth of the energy of their sum."""
    generator = torch.Generator().manual_seed(0)
    diffuse = torch.randn(4, 20 * RATE, generator=generator) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    row = measured(capsules(diffuse))
    assert row["low_correlation"] == pytest.approx(2 / 3, abs=0.03)
    assert row["capsule_ratio"] == pytest.approx(1 / 9, abs=0.01)
    assert measured(diffuse)["low_correlation"] == pytest.approx(0, abs=0.06)


def test_loud_and_quiet() -> None:
    scene = walk()[0]
    row = measured(scene)
    assert row["loud_ratio"] == pytest.approx(1, abs=0.05)
    assert row["quiet_ratio"] == pytest.approx(1, abs=0.25)
    scene[0] += 0.3 * syllables(8)
    row = measured(scene)
    assert row["loud_ratio"] < 0.3
    assert row["syllables"] > 0.6


def test_clipped_shares() -> None:
    sound = torch.zeros(3, 1000)
    sound[0, 100:110] = 1
    sound[0, 200:202] = -1  # too short a run
    sound[1, 300:303] = -1
    sound[2, 400:500] = 0.99
    assert clipped_shares(sound) == pytest.approx([0.008, 0.001, 0])


def test_sound_without_direction() -> None:
    scene = torch.nn.functional.pad(bursts(8, torch.Generator().manual_seed(0))[None], (0, 0, 0, 3))
    row = measure_sound(scene[:1], [], scene, RATE, 8.0)
    assert row.keys() == {"clipped", "sound_print"}
    assert row["sound_print"] is not None


def test_moments_of_a_long_recording_are_where_they_were_read() -> None:
    """12 windows of 5 s of ten minutes: the first starts 22.5 s after the start, then one each 50 s."""
    left = torch.full((60 * RATE,), pi / 2)
    scene = encoded(bursts(60, torch.Generator().manual_seed(0)), left, 0 * left)
    times = measured(scene, 600.0)["moment_times"]
    assert len(times) == 60
    assert times[:6] == [23.0, 24.0, 25.0, 26.0, 27.0, 73.0]


def test_snippets_and_silence() -> None:
    assert measured(torch.zeros(4, 100))["levels"] is None
    row = measured(torch.zeros(4, 8 * RATE))
    assert (row["spatial_validity"], row["wave_share"], row["sound_print"]) == (None, 0, None)
    assert "low_correlation" not in row
