from collections.abc import Callable
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast.data.channels import channel_map, check_channels, read_ambisonic, require_ambisonic, to_ambisonic
from avsa_fast.data.sound import SoundInfo, probe_sound, read_overview, read_sound
from avsa_fast.data.spherical_metadata import SpatialSound
from avsa_fast.errors import UserError


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
    info = SoundInfo(1.0, 48000, channels, codec, layout)
    assert channel_map(Path(file), info, noise(channels, silent)) == expected


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
    info = SoundInfo(1.0, 48000, channels, codec, layout)
    with pytest.raises(UserError, match=rf"^a\.flac: {channels} channels .* --channels") as refusal:
        channel_map(Path("a.flac"), info, noise(channels, silent))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("channels", [3, 5, 7, 25])
def test_fuma_without_height_is_ambiguous(channels: int) -> None:
    info = SoundInfo(1.0, 48000, channels, "pcm_s16le", "unknown")
    with pytest.raises(UserError, match=rf"^a\.amb: {channels} channels .* --channels"):
        channel_map(Path("a.amb"), info, noise(channels))
    with pytest.raises(UserError, match=rf"^a\.wav: {channels} channels .* --channels"):
        channel_map(Path("a.wav"), info, noise(channels), fuma=True)


def test_metadata_of_other_gains_is_ambiguous() -> None:
    info = SoundInfo(1.0, 48000, 4, "aac", "4.0")
    stated = SpatialSound(1, [0, 1, 2, 3], "unknown", head_locked=False)
    with pytest.raises(UserError, match=r"^a\.mp4: .* not AmbiX; .* --channels, and --gains"):
        channel_map(Path("a.mp4"), info, noise(4), stated)


def test_n3d_is_converted_to_sn3d() -> None:
    sound = noise(4)
    n3d = sound * torch.tensor([1, sqrt(3), sqrt(3), sqrt(3)])[:, None]
    torch.testing.assert_close(to_ambisonic(n3d, [0, 1, 2, 3], n3d=True), sound)


def test_coding_noise_counts_as_silence_and_quiet_sound_does_not() -> None:
    info = SoundInfo(1.0, 48000, 6, "aac", "5.1")
    sound = noise(6)
    sound[[3, 5]] *= 1e-5
    assert channel_map(Path("a.m4a"), info, sound) == [2, 1, 4, 0]
    sound[[3, 5]] *= 1e3
    assert channel_map(Path("a.m4a"), info, sound) == [0, 1, 2, 3]


def test_channel_order_of_youtube_aac(write_sound: Callable[..., Path], tones: Callable[..., object]) -> None:
    scene = tones(4).at(np.arange(48000 * 3) / 48000)
    six = np.zeros((6, scene.shape[1]))
    six[[2, 1, 4, 0]] = scene
    path = write_sound(six, 48000, "youtube.m4a", layout="5.1")
    mapping = channel_map(path, probe_sound(path), read_overview(path))
    assert mapping == [2, 1, 4, 0]
    read = read_ambisonic(path, mapping, 1.5, 2.0, 48000).numpy()
    for actual, expected in zip(read, scene[:, 24000:120000], strict=True):
        assert np.corrcoef(actual, expected)[0, 1] > 0.95
        assert np.linalg.norm(actual) == pytest.approx(np.linalg.norm(expected), rel=0.05)  # Z is not scaled by 0.707


def test_fuma_order_and_gains_are_converted(
    write_sound: Callable[..., Path], tmp_path: Path, rng: np.random.Generator
) -> None:
    w, y, z, x = scene = rng.uniform(-0.5, 0.5, (4, 4800))
    path = write_sound(np.stack([w / sqrt(2), x, y, z]), 48000, "fuma.wav", subtype="FLOAT").rename(tmp_path / "f.amb")
    mapping = channel_map(path, probe_sound(path), read_overview(path))
    assert np.abs(read_ambisonic(path, mapping, 0.05, 0.1, 48000).numpy() - scene).max() < 1e-6


def test_to_ambisonic_does_not_modify_its_input() -> None:
    sound = noise(4)
    before = sound.clone()
    to_ambisonic(sound, [0, 2, 3, 1], fuma=True)
    assert torch.equal(sound, before)


def test_sound_without_direction_is_omnidirectional() -> None:
    stereo = noise(2)
    scene = to_ambisonic(stereo, [])
    assert torch.equal(scene[0], stereo.mean(0))
    assert not scene[1:].any()


@pytest.mark.parametrize("channels", [[0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 6], [-1, 0, 1, 2], [0, 1, 2, 3, 4]])
def test_user_channels_are_validated(channels: list[int]) -> None:
    info = SoundInfo(1.0, 48000, 6, "aac", "5.1")
    assert check_channels(Path("a.m4a"), info, [5, 1, 2, 3]) == [5, 1, 2, 3]
    with pytest.raises(UserError, match=r"a\.m4a: --channels .* four different channels of its 6"):
        check_channels(Path("a.m4a"), info, channels)


def test_channel_map_beyond_the_channels_is_refused(write_sound: Callable[..., Path]) -> None:
    path = write_sound(np.zeros((4, 24000)), 24000, "four.wav")
    with pytest.raises(UserError, match=r"four\.wav: 4 channels, but"):
        read_ambisonic(path, [2, 1, 4, 0], 0.5)


def test_avsa_requires_directional_sound() -> None:
    require_ambisonic({"name": "a", "channels": 4, "channel_map": [0, 1, 2, 3]})
    for channels in (1, 2):
        with pytest.raises(UserError, match=rf"^b: {channels}-channel sound has no direction"):
            require_ambisonic({"name": "b", "channels": channels, "channel_map": []})


def test_real_clip(assets: Path) -> None:
    path = assets / "video" / "kqAZkf5Odyw-80.m4a"
    mapping = channel_map(path, probe_sound(path), read_overview(path))
    assert mapping == [2, 1, 4, 0]
    assert torch.equal(read_ambisonic(path, mapping, 5.0), read_sound(path, 5.0)[mapping])
