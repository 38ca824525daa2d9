from math import cos, inf, pi, sin, sqrt
from pathlib import Path

import pytest
import torch
from helpers.room import direct_direction, measured_room
from helpers.tracks import sound_track
from torchaudio.functional import fftconvolve

from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound import read_overview
from avsa_fast.data.validity import (
    MIN_DOMINANCE,
    arrivals,
    directions_of_arrival,
    silent_channels,
    spatial_validity,
)
from avsa_fast.spatial.harmonics import unit_vectors

RATE = 48000


def plane_wave(low: float = 0, high: float = 4000) -> torch.Tensor:
    """Band-limited noise from a random direction, [4, T]."""
    azimuth, elevation = (2 * torch.rand(2) - 1).mul(torch.tensor([pi, pi / 2])).tolist()
    spectrum = torch.fft.rfft(torch.randn(RATE))
    spectrum[: int(low)] = 0
    spectrum[int(high) :] = 0
    gains = [1, sin(azimuth) * cos(elevation), sin(elevation), cos(azimuth) * cos(elevation)]
    return torch.tensor(gains)[:, None] * torch.fft.irfft(spectrum)


def test_ratio_of_known_fields() -> None:
    wave = plane_wave()
    assert spatial_validity(wave, RATE) == pytest.approx(1, abs=1e-4)
    assert spatial_validity(wave * torch.tensor([1, sqrt(3), sqrt(3), sqrt(3)])[:, None], RATE) == pytest.approx(
        3, abs=1e-3
    )
    assert spatial_validity(wave * torch.tensor([1 / sqrt(2), 1, 1, 1])[:, None], RATE) == pytest.approx(2, abs=1e-3)
    assert spatial_validity(wave * torch.tensor([1, 0, 0, 0])[:, None], RATE) == 0
    assert spatial_validity(wave * torch.tensor([0, 1, 1, 1])[:, None], RATE) == inf


def test_silence_has_no_ratio() -> None:
    assert spatial_validity(torch.zeros(4, RATE), RATE) is None
    assert spatial_validity(1e-6 * torch.randn(4, RATE), RATE) is None
    assert spatial_validity(1e-3 * plane_wave(), RATE) == pytest.approx(1, abs=1e-4)


def test_ratio_ignores_frequencies_above_4_khz() -> None:
    wave, above = plane_wave(), plane_wave(low=4200, high=20000)
    above[0] = 0
    assert spatial_validity(wave + 10 * above, RATE) == pytest.approx(1, abs=1e-2)


def test_real_clip(assets: Path) -> None:
    scene = MediaReader(describe(None, assets / "video" / "kqAZkf5Odyw-80.m4a")).scene(5.0, 10.0, RATE)
    assert spatial_validity(scene, RATE) == pytest.approx(0.79, abs=0.005)


def test_silent_channels() -> None:
    sound = torch.randn(4, 100) * torch.tensor([1, 1e-6, 0.1, 0])[:, None]
    assert silent_channels(sound) == [1, 3]
    assert silent_channels(torch.zeros(2, 5)) == [0, 1]


def test_directions_of_known_fields() -> None:
    azimuth, elevation = 2.5, -0.6
    gains = torch.tensor([1, sin(azimuth) * cos(elevation), sin(elevation), cos(azimuth) * cos(elevation)])
    directions, share = directions_of_arrival(gains[:, None] * torch.randn(RATE), RATE)
    assert directions.shape == (10, 2)
    torch.testing.assert_close(
        directions, torch.tensor([[azimuth, elevation]]).double().expand(10, 2), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(share, torch.ones(10).double(), rtol=0, atol=1e-5)
    diffuse = torch.randn(4, RATE) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    assert float(directions_of_arrival(diffuse, RATE, 1.0)[1][0]) < 0.1
    silence = directions_of_arrival(torch.zeros(4, RATE), RATE)
    assert silence[0].isfinite().all()
    assert torch.equal(silence[1], torch.zeros(10).double())
    assert directions_of_arrival(torch.zeros(4, 10), RATE)[0].shape == (0, 2)


def angles(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angles between directions [..., 2], in degrees."""
    return (unit_vectors(a) * unit_vectors(b)).sum(-1).clamp(-1, 1).arccos().rad2deg()


# Per recording: pairs of consecutive 0.1 s windows with a dominant direction, and the median angle between them (°).
RECORDINGS = {
    # Sound from the front and occasionally from 35° to 50° on the left: the largest steps are between the two.
    "jsamb_BF_rec2_acn_sn3d_44k_10s.flac": (80, 11.0),
    # Steady tones with 77 % of the energy within one octave, in a room: fewer than half of the windows have one.
    # With energy weighting, where one partial dominates a window, the median was 25°.
    "jsamb_BF_rec3_acn_sn3d_44k_10s.flac": (21, 12.3),
    # One continuous source.
    "jsamb_eigenmike_rec3_foa_acn_sn3d_44k.flac": (61, 6.7),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_directions_in_real_recordings_are_stable(assets: Path, name: str) -> None:
    """The dominant direction changes little between consecutive windows; random directions would give 90°."""
    pairs, median = RECORDINGS[name]
    directions, share = directions_of_arrival(read_overview(sound_track(assets / "foa" / name))[:4], 44100)
    both = torch.minimum(share[1:], share[:-1]) > MIN_DOMINANCE
    assert int(both.sum()) == pytest.approx(pairs, abs=2)
    assert float(angles(directions[1:], directions[:-1])[both].median()) < median + 1


def melody(rate: int) -> torch.Tensor:
    """10 s of decaying notes of eight partials each, three notes per second."""
    time = torch.arange(10 * rate, dtype=torch.float64) / rate
    generator = torch.Generator().manual_seed(0)
    semitones = torch.randint(0, 30, (30,), generator=generator)[(time * 3).long()]
    phase = torch.cumsum(2 * pi * 110 * 2 ** (semitones / 12) / rate, 0)
    return torch.exp(-3 * (time % (1 / 3))) * sum(torch.sin(k * phase) / k**2 for k in range(1, 9))


def test_directions_of_tones_in_a_room(assets: Path) -> None:
    """The direct sound's direction is found, although reflections determine the intensity of a steady tone."""
    response, rate = measured_room(assets)
    sound = fftconvolve(response, melody(rate).expand(4, -1))[:, : 10 * rate].float()
    truth = direct_direction(response, rate)
    directions, share = directions_of_arrival(sound, rate)
    clear = share > MIN_DOMINANCE
    assert int(clear.sum()) > 70
    misses = angles(directions, truth)[clear]
    assert float(misses.median()) < 12
    w, y, z, x = sound.double().unfold(1, rate // 10, rate // 10)
    flow = torch.stack([(w * v).sum(1) for v in (x, y, z)], dim=1)  # weighted by energy
    cosines = torch.nn.functional.normalize(flow, dim=1) @ unit_vectors(truth)[0]
    assert float(misses.median()) < 0.7 * float(cosines.arccos().rad2deg()[clear].median())


def test_no_direction_dominates_a_diffuse_field() -> None:
    diffuse = torch.randn(4, 10 * RATE) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    assert float(directions_of_arrival(diffuse, RATE)[1].max()) < MIN_DOMINANCE / 2
    assert arrivals(*directions_of_arrival(diffuse, RATE)) == (0, None, None, None)


def test_arrivals_are_the_mean_of_dominated_windows() -> None:
    left, up, silence = (
        torch.tensor(gains)[:, None] * torch.randn(RATE) for gains in ([1, 1, 0, 0], [1.0, 0, 1, 0], [0, 0, 0, 0])
    )
    scene = torch.cat([left, up, silence, silence], dim=1)
    found = arrivals(*directions_of_arrival(scene, RATE))
    assert found == pytest.approx((0.5, pi / 2, pi / 4, pi / 4), abs=1e-3)
