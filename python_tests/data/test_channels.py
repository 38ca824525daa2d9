from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast.data.channels import SoundLayout, check_channels, require_ambisonic, sound_layout, to_ambisonic
from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound import read_sound
from avsa_fast.data.sound_layouts import DeclaredGains, SpatialSound
from avsa_fast.data.tracks import SoundTrack
from avsa_fast.errors import UserError


def track(file: str, channels: int, codec: str = "pcm_s16le", layout: str = "unknown") -> SoundTrack:
    return SoundTrack(Path(file), 0, 1.0, 48000, channels, codec, layout)


def noise(channels: int, silent: tuple[int, ...] = ()) -> torch.Tensor:
    sound = torch.rand(channels, 1000) - 0.5
    sound[list(silent)] = 0
    return sound


@pytest.mark.parametrize(
    ("file", "channels", "codec", "layout", "silent", "expected"),
    [
        ("a.flac", 4, "flac", "quad", (), [0, 1, 2, 3]),
        ("a.wav", 4, "pcm_s16le", "4 channels", (2,), [0, 1, 2, 3]),
        ("a.m4a", 4, "aac", "4.0", (), [0, 1, 2, 3]),
        ("a.opus", 4, "opus", "ambisonic 1", (), [0, 1, 2, 3]),
        ("a.opus", 6, "opus", "ambisonic 1 + stereo", (4, 5), [0, 1, 2, 3]),
        ("a.wav", 9, "pcm_s16le", "9 channels", (), [0, 1, 2, 3]),
        ("a.wav", 16, "pcm_s16le", "16 channels", (), [0, 1, 2, 3]),
        ("a.m4a", 6, "aac", "5.1", (3, 5), [2, 1, 4, 0]),
        ("a.m4a", 6, "aac", "5.1(side)", (3, 5), [2, 1, 4, 0]),
        ("a.m4a", 6, "aac", "5.1", (3, 4, 5), [2, 1, 4, 0]),
        ("a.m4a", 6, "aac", "5.1", (), [0, 1, 2, 3]),
        ("a.wav", 6, "pcm_s16le", "6 channels", (), [0, 1, 2, 3]),
        ("a.amb", 4, "pcm_s16le", "4 channels", (), [0, 2, 3, 1]),
        ("a.amb", 6, "pcm_s16le", "6 channels", (), [0, 2, 3, 1]),
        ("a.amb", 16, "pcm_s16le", "16 channels", (), [0, 2, 3, 1]),
        ("a.wav", 1, "pcm_s16le", "mono", (), []),
        ("a.wav", 2, "pcm_s16le", "stereo", (), []),
    ],
)
def test_channel_maps_of_known_layouts(
    file: str, channels: int, codec: str, layout: str, silent: tuple[int, ...], expected: list[int]
) -> None:
    sound = track(file, channels, codec, layout)
    assert list(sound_layout(sound, noise(channels, silent)).channel_map) == expected


@pytest.mark.parametrize(
    ("channels", "codec", "layout", "silent"),
    [
        (6, "aac", "5.1", (3,)),
        (6, "aac", "5.1", (5,)),
        (6, "aac", "5.1", (4, 5)),
        (6, "flac", "5.1", (3, 5)),  # re-encoded, so not the file that YouTube made
        (3, "flac", "3.0", ()),
        (5, "flac", "5.0", ()),
        (8, "aac", "7.1", ()),
        (11, "pcm_s16le", "11 channels", ()),
    ],
)
def test_ambiguous_layouts_are_refused(channels: int, codec: str, layout: str, silent: tuple[int, ...]) -> None:
    sound = track("a.flac", channels, codec, layout)
    with pytest.raises(UserError, match=rf"^a\.flac: {channels} channels .* --channels") as refusal:
        sound_layout(sound, noise(channels, silent))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("channels", [3, 5, 7, 25])
def test_fuma_without_height_is_ambiguous(channels: int) -> None:
    with pytest.raises(UserError, match=rf"^a\.amb: {channels} channels .* --channels"):
        sound_layout(track("a.amb", channels), noise(channels))
    with pytest.raises(UserError, match=rf"^a\.wav: {channels} channels .* --channels"):
        sound_layout(track("a.wav", channels), noise(channels), gains="fuma")


def test_metadata_of_other_gains_is_ambiguous() -> None:
    declared = SpatialSound(1, (0, 1, 2, 3), "unknown", "SA3D")
    sound = track("a.mp4", 4, "aac", "4.0")
    with pytest.raises(UserError, match=r"^a\.mp4: its SA3D .* not AmbiX; .* --channels, and --gains"):
        sound_layout(sound, noise(4), declared)
    assert sound_layout(sound, noise(4), declared, gains="n3d").gains == "n3d"
    assert sound_layout(sound, noise(4), declared, channels=(3, 2, 1, 0)).channel_map == (3, 2, 1, 0)


@pytest.mark.parametrize("gains", ["sn3d", "n3d", "fuma"])
def test_declared_layout_applies(gains: DeclaredGains) -> None:
    declared = SpatialSound(1, (0, 3, 1, 2), gains, "SA3D")
    layout = sound_layout(track("a.wav", 4), noise(4), declared)
    assert (layout.channel_map, layout.gains, layout.evidence) == ((0, 2, 3, 1), gains, "SA3D")
    assert sound_layout(track("a.wav", 4), noise(4), declared, gains="sn3d").gains == "sn3d"


def test_n3d_is_converted_to_sn3d() -> None:
    sound = noise(4)
    n3d = sound * torch.tensor([1, sqrt(3), sqrt(3), sqrt(3)])[:, None]
    torch.testing.assert_close(to_ambisonic(n3d, [0, 1, 2, 3], "n3d"), sound)


def test_coding_noise_counts_as_silence_and_quiet_sound_does_not() -> None:
    six, sound = track("a.m4a", 6, "aac", "5.1"), noise(6)
    sound[[3, 5]] *= 1e-5
    assert sound_layout(six, sound).channel_map == (2, 1, 4, 0)
    sound[[3, 5]] *= 1e3
    assert sound_layout(six, sound).channel_map == (0, 1, 2, 3)


def test_channel_order_of_youtube_aac(write_sound: Callable[..., Path], tones: Callable[..., object]) -> None:
    scene = tones(4).at(np.arange(48000 * 3) / 48000)
    six = np.zeros((6, scene.shape[1]))
    six[[2, 1, 4, 0]] = scene
    path = write_sound(six, 48000, "youtube.m4a", layout="5.1")
    reader = MediaReader(describe(None, path))
    assert reader.description.layout.channel_map == (2, 1, 4, 0)
    read = reader.scene(1.5, 2.0, 48000).numpy()
    for actual, expected in zip(read, scene[:, 24000:120000], strict=True):
        assert np.corrcoef(actual, expected)[0, 1] > 0.95
        assert np.linalg.norm(actual) == pytest.approx(np.linalg.norm(expected), rel=0.05)  # Z is not scaled by 0.707


def test_fuma_order_and_gains_are_converted(
    write_sound: Callable[..., Path], tmp_path: Path, rng: np.random.Generator
) -> None:
    w, y, z, x = scene = rng.uniform(-0.5, 0.5, (4, 4800))
    path = write_sound(np.stack([w / sqrt(2), x, y, z]), 48000, "fuma.wav", subtype="FLOAT").rename(tmp_path / "f.amb")
    assert np.abs(MediaReader(describe(None, path)).scene(0.05, 0.1, 48000).numpy() - scene).max() < 1e-6


def test_to_ambisonic_does_not_modify_its_input() -> None:
    sound = noise(4)
    before = sound.clone()
    to_ambisonic(sound, [0, 2, 3, 1], "fuma")
    assert torch.equal(sound, before)


def test_sound_without_direction_is_omnidirectional() -> None:
    stereo = noise(2)
    scene = to_ambisonic(stereo, [])
    assert torch.equal(scene[0], stereo.mean(0))
    assert not scene[1:].any()


@pytest.mark.parametrize("channels", [[0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 6], [-1, 0, 1, 2], [0, 1, 2, 3, 4]])
def test_user_channels_are_validated(channels: list[int]) -> None:
    six = track("a.m4a", 6, "aac", "5.1")
    assert check_channels(six, [5, 1, 2, 3]) == (5, 1, 2, 3)
    with pytest.raises(UserError, match=r"a\.m4a: --channels .* four different channels of its 6"):
        check_channels(six, channels)


def test_channel_map_beyond_the_channels_is_refused(write_sound: Callable[..., Path]) -> None:
    described = describe(None, write_sound(np.zeros((4, 24000)), 24000, "four.wav"))
    with pytest.raises(UserError, match=r"four\.wav: 4 channels, but"):
        MediaReader(replace(described, layout=SoundLayout((2, 1, 4, 0)))).scene(0.5)


def test_avsa_requires_directional_sound() -> None:
    require_ambisonic({"name": "a", "channels": 4, "channel_map": [0, 1, 2, 3]})
    for channels in (1, 2):
        with pytest.raises(UserError, match=rf"^b: {channels}-channel sound has no direction"):
            require_ambisonic({"name": "b", "channels": channels, "channel_map": []})


def test_real_clip(assets: Path) -> None:
    path = assets / "video" / "kqAZkf5Odyw-80.m4a"
    reader = MediaReader(describe(None, path))
    assert reader.description.layout.channel_map == (2, 1, 4, 0)
    assert torch.equal(reader.scene(5.0), read_sound(reader.sound, 5.0)[[2, 1, 4, 0]])
