"""Hints on sounds that deserve them, and none on those that do not."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.sound_scenes import RATE, capsules, encoded, syllables, walk
from helpers.tracks import sound_track
from torch import Tensor
from torchaudio.functional import lowpass_biquad

from avsa_fast.data.describe import describe
from avsa_fast.data.measures import measure_sound
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound import read_overview
from avsa_fast.data.tables import INDEX
from avsa_fast.data.validity import silent_channels
from avsa_fast.prepare.hints import Hint, hints_of

ACN = [0, 1, 2, 3]
FUMA = torch.tensor([sqrt(0.5), 1, 1, 1])[:, None]
N3D = torch.tensor([1, sqrt(3), sqrt(3), sqrt(3)])[:, None]


def row_of(scene: Tensor, rate: int = RATE, **values: Any) -> dict[str, Any]:
    measures = measure_sound(scene, ACN, scene, rate, scene.shape[1] / rate)
    return (
        dict.fromkeys(INDEX.names) | {"channel_map": ACN, "silent_channels": silent_channels(scene)} | measures | values
    )


def hints(scene: Tensor, rate: int = RATE) -> dict[str, Hint]:
    return {hint.code: hint for hint in hints_of(row_of(scene, rate))}


RECORDINGS = [
    "jsamb_BF_rec2_acn_sn3d_44k_10s",
    "jsamb_BF_rec3_acn_sn3d_44k_10s",
    "jsamb_eigenmike_rec3_foa_acn_sn3d_44k",
]


def real(assets: Path, name: str) -> tuple[Tensor, int]:
    """A real recording: W, Y, Z, X and its rate."""
    if name == "kqAZkf5Odyw-80":
        return MediaReader(describe(None, assets / "video" / f"{name}.m4a")).scene(5.0, 10.0, 48000), 48000
    return read_overview(sound_track(assets / "foa" / f"{name}.flac"))[:4], 44100


@pytest.mark.parametrize("name", [*RECORDINGS, "kqAZkf5Odyw-80"])
def test_real_recordings(assets: Path, name: str) -> None:
    scene, rate = real(assets, name)
    assert hints(scene, rate) == {}
    assert hints(scene * N3D, rate).keys() == {"n3d"}
    assert hints(capsules(scene), rate).keys() == {"a_format"}
    assert hints(scene[:1].repeat(4, 1), rate).keys() == {"copies"}


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_wrong_with_a_walk(seed: int) -> None:
    assert hints(walk(seed=seed)[0]) == {}
    assert hints(walk(seed=seed, noise=1.0)[0]) == {}


def test_gains() -> None:
    scene = walk()[0]
    n3d, fuma = hints(scene * N3D), hints((scene * FUMA)[[0, 3, 1, 2]])
    assert n3d.keys() == {"n3d"}
    assert "--gains n3d" in n3d["n3d"].message
    assert n3d["n3d"].value == pytest.approx(3, rel=0.05)
    assert fuma.keys() == {"fuma"}
    assert "--gains fuma" in fuma["fuma"].message
    assert "the fourth channel is the weakest" in fuma["fuma"].message
    assert fuma["fuma"].value == pytest.approx(2, rel=0.05)


def test_independent_noise_says_nothing_about_gains() -> None:
    """E_xyz / E_w is 3 as in N3D, but without any wave."""
    noise = torch.randn(4, 8 * RATE, generator=torch.Generator().manual_seed(0))
    assert hints(0.1 * noise) == {}


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [2, 1, 0, 3], [3, 1, 2, 0]])
def test_w_exchanged(order: list[int]) -> None:
    found = hints(walk()[0][order])
    assert found.keys() == {"w_exchanged"}
    assert f"--channels {' '.join(map(str, order))}" in found["w_exchanged"].message


@pytest.mark.parametrize("gain", [1, sqrt(3)])
@pytest.mark.parametrize("elevation", [-0.6, 0.0, 0.6])
@pytest.mark.parametrize("azimuth", range(-3, 4))
def test_one_static_wave_is_neither_capsules_nor_exchanged(azimuth: float, elevation: float, gain: float) -> None:
    noise = torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0))
    scene = encoded(noise, torch.full_like(noise, azimuth), torch.full_like(noise, elevation))
    scene[1:] *= gain
    scene += 0.01 * torch.randn(scene.shape, generator=torch.Generator().manual_seed(1))
    assert hints(0.1 * scene).keys() == (set() if gain == 1 else {"n3d"})


@pytest.mark.parametrize("omni", [0.5, 0.6, 0.7])
def test_capsules(omni: float) -> None:
    found = hints(capsules(walk(noise=1.0, turn=2.0)[0], omni))
    assert found.keys() == {"a_format"}
    assert "B-format" in found["a_format"].message


def test_band_limited_channel() -> None:
    scene = walk()[0]
    for _ in range(4):
        scene[3] = lowpass_biquad(scene[3], RATE, 120)
    found = hints(scene)["band_limited"]
    assert "X (channel 3) carries only low frequencies" in found.message
    assert found.value < -50
    front = encoded(scene[0], torch.zeros(scene.shape[1]), torch.zeros(scene.shape[1]))
    assert "band_limited" not in hints(front)


def test_silent_channel() -> None:
    scene = walk()[0]
    scene[2] = 0
    found = hints(scene)
    assert found["silent"].message.startswith("no sound in Z (channel 2)")
    assert "band_limited" not in found


def test_clipping() -> None:
    scene = walk()[0]
    scene /= scene.abs().max()
    assert "clipped" not in hints(scene)  # a peak at full scale is not clipped
    loud = (8 * scene).clamp(-1, 1)
    found = hints(loud)["clipped"]
    share = float((loud[0].abs() == 1).float().mean())
    assert 0 < found.value < share
    assert "W " in found.message


@pytest.mark.parametrize("level", [0.15, 0.5])
def test_voice_over(level: float) -> None:
    scene = walk(noise=0.5)[0]
    scene[0] += level * syllables(8)
    found = hints(scene)
    assert found.keys() == {"voice_over"}
    assert found["voice_over"].value < 0.5


def test_talker_in_the_scene_is_no_voice_over() -> None:
    scene, azimuths = walk(noise=0.5)
    scene += encoded(0.5 * syllables(8), azimuths, 0 * azimuths)
    assert hints(scene) == {}


def test_mono_over_the_scene() -> None:
    scene = walk()[0]
    scene[0] += 0.3 * torch.randn(scene.shape[1], generator=torch.Generator().manual_seed(3))
    found = hints(scene)
    assert found.keys() == {"mostly_mono"}
    assert found["mostly_mono"].value < 0.35


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"picture_contrast": 0.5, "picture_change": 0.1}, "one_colour"),
        ({"picture_contrast": 50, "picture_change": 2.0}, "still"),
        ({"picture_contrast": 50, "picture_change": 40.0}, None),
        ({"picture_contrast": 50, "picture_change": None}, None),
    ],
)
def test_pictures(values: dict[str, Any], code: str | None) -> None:
    found = [hint.code for hint in hints_of(dict.fromkeys(INDEX.names) | values)]
    assert found == ([code] if code else [])


def test_older_tables_have_no_hints() -> None:
    assert list(hints_of(dict.fromkeys(INDEX.names) | {"channel_map": ACN, "spatial_validity": 1.0})) == []


def test_sound_without_direction_can_be_clipped() -> None:
    row = dict.fromkeys(INDEX.names) | {"channel_map": [], "clipped": [0.0, 0.25]}
    (hint,) = hints_of(row)
    assert "(channel 1 25.00% of the samples)" in hint.message
