"""spatial_features against independent implementations of the definitions of its parts."""

import math

import numpy as np
import pytest
import torch
import torchaudio
from helpers.ambisonics import random_directions
from torch import Tensor

from avsa_fast import ops
from avsa_fast.spatial.mel import VARIANTS, mel_bank


def plane_wave(direction: Tensor, samples: int = 2400) -> Tensor:
    """White noise [4, samples] float64 from a direction [2]."""
    return ops.encode(torch.randn(1, samples, dtype=torch.float64), direction.double().unsqueeze(0))


def unit_vector(direction: Tensor) -> Tensor:
    """Unit vector (x, y, z) of a direction [2]."""
    azimuth, elevation = direction.tolist()
    across = math.cos(elevation)
    return torch.tensor([across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation)]).double()


def test_log_mel_matches_torchaudio() -> None:
    signals = torch.randn(3, 1, 24000, dtype=torch.float64)
    out = ops.spatial_features(signals, view="mono", spatial=None)
    assert out.shape == (3, 1, 64, 98)
    torch.set_default_dtype(torch.float64)  # of torchaudio's mel bank
    try:
        peer = torchaudio.transforms.MelSpectrogram(
            24000, n_fft=512, hop_length=240, n_mels=64, center=False, power=2.0, norm="slaney", mel_scale="slaney"
        )
    finally:
        torch.set_default_dtype(torch.float32)
    # The band sums round 64 times at most, and logs within ±24 twice.
    expected = peer(signals).clamp(min=1e-10).log()
    torch.testing.assert_close(out, expected, rtol=0, atol=(2 * 12000 / 40 + 2 * 24) * 2.0**-24)


def spectrum(signals: Tensor) -> np.ndarray:
    """STFT [..., n_frames, 257] complex, by NumPy."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.lib.stride_tricks.sliding_window_view(signals.numpy(), 512, axis=-1)[..., ::240, :]
    return np.fft.rfft(frames * window)


def banded(bins: np.ndarray) -> Tensor:
    """Averages [..., n_frames, 257] over mel bands: [..., 64, n_frames]."""
    bank = torch.from_numpy(mel_bank(24000, 512, 64))
    return (torch.from_numpy(bins) @ (bank / bank.sum(0))).mT


@pytest.mark.parametrize("variant", VARIANTS)
def test_intensity_vector_matches_its_formula(variant: str) -> None:
    signals = torch.randn(4, 2400, dtype=torch.float64)
    w, y, z, x = spectrum(signals)
    flow = np.stack([np.real(np.conj(w) * v) for v in (x, y, z)])
    w2, sum2 = np.abs(w) ** 2, np.abs(x) ** 2 + np.abs(y) ** 2 + np.abs(z) ** 2
    expected = {
        "wang2022": 2 * flow / (1e-12 + w2 + sum2),
        "dcase2021": flow / (1e-12 + (w2 + sum2) / 2),
        "dcase2022": flow / (1e-12 + w2 + sum2 / 3),
        "unit": flow / (1e-12 + np.sqrt((flow**2).sum(0))),
    }[variant]
    out = ops.spatial_features(signals, variant=variant)[4:]
    torch.testing.assert_close(out, banded(expected), rtol=0, atol=1e-12)


def test_icf_matches_its_formula() -> None:
    signals = torch.randn(2, 2400, dtype=torch.float64)
    left, right = spectrum(signals)
    level = 2 * np.log(np.maximum(np.abs(left), 1e-8)) - 2 * np.log(np.maximum(np.abs(right), 1e-8))
    phase = np.angle(left) - np.angle(right)
    out = ops.spatial_features(signals, view="stereo", spatial="icf")
    torch.testing.assert_close(out[2:], banded(np.stack([level, np.cos(phase), np.sin(phase)])), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("variant", "length"), [("wang2022", 1), ("dcase2021", 1), ("dcase2022", 0.75), ("unit", 1)])
def test_intensity_of_a_plane_wave_is_its_direction(variant: str, length: float) -> None:
    for direction in random_directions(5):
        scene = plane_wave(direction)
        out = ops.spatial_features(scene, variant=variant)[4:]
        expected = length * unit_vector(direction)[:, None, None]
        torch.testing.assert_close(out, expected.expand_as(out), rtol=0, atol=1e-6)
        front = ops.spatial_features(scene, direction[None], variant=variant)[0, 4:]
        expected = torch.tensor([length, 0, 0]).double()[:, None, None]
        torch.testing.assert_close(front, expected.expand_as(front), rtol=0, atol=1e-6)


def test_stereo_of_a_plane_wave() -> None:
    """Sound from the left is louder on the left: L = (1 + sin θ)/2, R = (1 − sin θ)/2; both are in phase."""
    azimuth = torch.tensor([0.6, 0.0], dtype=torch.float64)
    level, cosine, sine = ops.spatial_features(plane_wave(azimuth), view="stereo", spatial="icf")[2:]
    expected = 2 * math.log((1 + math.sin(0.6)) / (1 - math.sin(0.6)))
    torch.testing.assert_close(level, torch.full_like(level, expected), rtol=0, atol=1e-9)
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-9)
    torch.testing.assert_close(sine, torch.zeros_like(sine), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("view", "spatial"), [("rotate", "iv"), ("stereo", "icf"), ("mono", None)])
def test_view_equals_features_of_rotated_scene(view: str, spatial: str | None) -> None:
    signals, directions = torch.randn(2, 4, 2000, dtype=torch.float64), random_directions(2, 3)
    roll, flip = torch.randn(2, 3, dtype=torch.float64), torch.tensor([[True, False, True]] * 2)
    out = ops.spatial_features(signals, directions, view=view, spatial=spatial, roll=roll, flip=flip)
    rotated = ops.rotate(signals, directions, roll=roll, flip=flip)
    torch.testing.assert_close(out, ops.spatial_features(rotated, view=view, spatial=spatial), rtol=0, atol=1e-9)


def test_beamform_view_equals_mono_view_of_beam() -> None:
    signals, directions = torch.randn(2, 4, 2000, dtype=torch.float64), random_directions(2, 3)
    out = ops.spatial_features(signals, directions, view="beamform", spatial=None, pattern="max_re")
    beams = ops.beamform(signals, directions, "max_re").unsqueeze(-2)
    torch.testing.assert_close(out, ops.spatial_features(beams, view="mono", spatial=None), rtol=0, atol=1e-9)


def test_two_channels_are_left_and_right() -> None:
    scene = torch.randn(4, 2000, dtype=torch.float64)
    pair = torch.stack([(scene[0] + scene[1]) / 2, (scene[0] - scene[1]) / 2])
    a, b = (ops.spatial_features(x, view="stereo", spatial="icf") for x in (scene, pair))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_flip_equals_view_of_mirrored_scene() -> None:
    signals, directions = torch.randn(4, 2000, dtype=torch.float64), random_directions(3)
    roll, flip = torch.randn(3, dtype=torch.float64), torch.ones(3, dtype=torch.bool)
    out = ops.spatial_features(signals, directions, roll=roll, flip=flip)
    mirror = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    mirrored = ops.spatial_features(signals * mirror, directions * torch.tensor([-1.0, 1.0]), roll=-roll)
    torch.testing.assert_close(out, mirrored, rtol=0, atol=1e-9)
    plain = ops.spatial_features(signals, directions, roll=roll)
    sign = torch.tensor([1.0, 1, 1, 1, 1, -1, 1], dtype=torch.float64)[:, None, None]  # the vector's y component
    torch.testing.assert_close(out, plain * sign, rtol=0, atol=1e-9)


def test_flip_exchanges_left_and_right() -> None:
    signals, directions = torch.randn(4, 2000, dtype=torch.float64), random_directions(3)
    plain, flipped = (
        ops.spatial_features(signals, directions, view="stereo", spatial="icf", flip=torch.full((3,), flip))
        for flip in (False, True)
    )
    sign = torch.tensor([1.0, 1, -1, 1, -1], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(flipped, plain[:, [1, 0, 2, 3, 4]] * sign, rtol=0, atol=1e-9)


def test_features_do_not_depend_on_the_batch() -> None:
    signals, directions = torch.randn(5, 4, 9000), random_directions(5, 6, dtype=torch.float32)
    together = ops.spatial_features(signals, directions)
    alone = ops.spatial_features(signals[3, :, 240 * 20 : 240 * 20 + 512], directions[3, 5:])
    torch.testing.assert_close(alone[0, ..., 0], together[3, 5, ..., 20], rtol=0, atol=1e-4)
