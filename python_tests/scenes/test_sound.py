import numpy as np
import pytest
import soundfile
import torch
from helpers.seeds import seed_of
from hypothesis import given, settings
from hypothesis import strategies as st

from avsa_fast.data.validity import spatial_validity
from avsa_fast.errors import UserError
from avsa_fast.scenes import sound
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.sound import RATE

directions = st.tuples(st.floats(-np.pi, np.pi), st.floats(-1.5, 1.5))


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    va, vb = unit_vectors(np.asarray(a)), unit_vectors(np.asarray(b))
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(va, vb)), va @ vb)))


def constant_directions(direction: tuple[float, float], samples: int) -> np.ndarray:
    return np.broadcast_to(np.array(direction), (samples, 2))


def test_first_order_gains():
    foa = sound.encode(np.ones(1, np.float32), np.radians([[30.0, 20.0]]))
    np.testing.assert_allclose(foa[:, 0], [1, 0.469846, 0.342020, 0.813798], atol=1e-6)


@settings(max_examples=25)
@given(direction=directions, seed=st.integers(0, 2**32))
def test_rotation_from_and_to_the_front(direction, seed):
    foa = np.random.default_rng(seed).standard_normal((4, 50)).astype(np.float32)
    there = sound.rotate_from_front(foa, constant_directions(direction, 50))
    np.testing.assert_allclose(sound.rotate_to_front(there, np.array(direction)), foa, atol=1e-5)
    wave = sound.encode(foa[0], constant_directions((0, 0), 50))
    np.testing.assert_allclose(
        sound.rotate_from_front(wave, constant_directions(direction, 50)),
        sound.encode(foa[0], constant_directions(direction, 50)),
        atol=1e-5,
    )


def test_rotation_keeps_the_vertical_axis():
    """For a listener facing left, the zenith stays above, and a source on the listener's left is at the back."""
    up = sound.encode(np.ones(1, np.float32), np.array([[0, np.pi / 2]]))
    np.testing.assert_allclose(sound.rotate_from_front(up, np.array([[np.pi / 2, 0.0]])), up, atol=1e-6)
    left = sound.encode(np.ones(1, np.float32), np.array([[np.pi / 2, 0]]))
    back = sound.encode(np.ones(1, np.float32), np.array([[np.pi, 0]]))
    np.testing.assert_allclose(sound.rotate_from_front(left, np.array([[np.pi / 2, 0.0]])), back, atol=1e-6)


def test_diffuse_noise_has_the_requested_rms_and_no_direction(rng):
    foa = sound.diffuse_noise(rng, 10 * RATE, 0.1)
    assert sound.root_mean_square(foa[0]) == pytest.approx(0.1, rel=0.2)
    assert spatial_validity(torch.from_numpy(foa).float(), RATE) == pytest.approx(1, abs=0.15)
    energy = np.square(foa).sum(axis=1)
    assert np.abs((foa[0] * foa[1:]).sum(axis=1)).max() < 0.1 * energy[0]


def write_response(path, direction, rate=44100, channels=4):
    """Writes a response in N3D: direct sound from a direction after 20 ms, and a weak diffuse tail."""
    rng = np.random.default_rng(seed_of("response"))
    response = np.zeros((4, rate // 2), np.float32)
    decay = np.exp(-np.arange(rate // 2 - 2000) / rate * 40)
    response[:, 2000:] = 0.02 * rng.standard_normal((4, 1)) * rng.standard_normal(len(decay)) * decay
    start = int(0.02 * rate)
    response[:, start : start + 1] = sound.encode(np.full(1, 0.4, np.float32), np.array([direction]))
    response[1:] *= 3**0.5
    soundfile.write(path, response[:channels].T, rate, subtype="FLOAT")


@settings(max_examples=8)
@given(direction=directions)
def test_direct_sound_of_a_room_comes_from_the_source(tmp_path_factory, direction):
    path = tmp_path_factory.mktemp("rir") / "room.wav"
    write_response(path, (0.7, -0.4))
    room = sound.read_room(path)
    click = np.zeros(RATE // 4, np.float32)
    click[100] = 1
    recorded = room.record(click, constant_directions(direction, len(click)))
    direct = recorded[:, 100 : 101 + 2 * sound.DIRECT_SOUND]
    assert angle_between(sound.direction_of_arrival(direct), direction) < 0.5
    assert np.square(direct[0]).sum() == pytest.approx(1, rel=0.05)
    assert np.square(direct[1:]).sum() == pytest.approx(1, rel=0.05)  # SN3D: a plane wave's energy equals that of W
    assert np.abs(recorded[:, :100]).max() < 1e-4


def test_measured_room(assets):
    room = sound.read_room(assets / "rir" / "gewandhaus_foa_acn_n3d.wav")
    direct = room.response[:, : 2 * sound.DIRECT_SOUND + 1]
    assert angle_between(sound.direction_of_arrival(direct), np.zeros(2)) < 1
    assert np.square(direct[0]).sum() == pytest.approx(1, rel=0.01)
    assert 1 < room.response.shape[1] / RATE < 4


def test_distance_scales_the_reverberation(tmp_path):
    write_response(tmp_path / "room.wav", (0.7, -0.4))
    far, near = (sound.read_room(tmp_path / "room.wav", distance).response for distance in (1.0, 0.25))
    direct = 2 * sound.DIRECT_SOUND + 1
    np.testing.assert_array_equal(near[:, :direct], far[:, :direct])
    length = min(near.shape[1], far.shape[1])  # the nearer response falls below -60 dB earlier
    np.testing.assert_array_equal(near[:, direct:length], 0.25 * far[:, direct:length])


def test_moving_source_in_the_measured_room(assets):
    room = sound.read_room(assets / "rir" / "gewandhaus_foa_acn_n3d.wav")
    times = np.arange(RATE) / RATE
    directions = np.stack([0.5 + 0.2 * times, -0.3 + 0.1 * times], axis=1)
    click = np.zeros(RATE, np.float32)
    click[12_000] = 1
    early = room.record(click, directions)[:, 12_000 : 12_000 + 2 * sound.DIRECT_SOUND]
    assert angle_between(sound.direction_of_arrival(early), directions[12_000]) < 1


def test_invalid_responses_are_refused(tmp_path, rng):
    write_response(tmp_path / "three.wav", (0, 0), channels=3)
    with pytest.raises(UserError, match=r"three\.wav: 3 channels; .* has 4"):
        sound.read_room(tmp_path / "three.wav")
    soundfile.write(tmp_path / "mono.wav", rng.uniform(-1, 1, (500, 1)) * [1, 0, 0, 0], RATE)
    with pytest.raises(UserError, match="no direction"):
        sound.read_room(tmp_path / "mono.wav")
    soundfile.write(tmp_path / "silent.wav", np.zeros((500, 4)), RATE)
    with pytest.raises(UserError, match="no direction"):
        sound.read_room(tmp_path / "silent.wav")


def test_invalid_sound_files_are_refused(tmp_path):
    (tmp_path / "text.wav").write_text("not a sound")
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), RATE)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "fast.wav", np.zeros(10), 5_000_000)
    for name in ("text.wav", "empty.wav", "nan.wav", "fast.wav", "missing.wav"):
        with pytest.raises(UserError, match=name):
            sound.read_sound(tmp_path / name, 1)


@pytest.mark.parametrize("name", ["a.raw", "a.mp3", "a"])
def test_sound_format_is_determined_by_content(tmp_path, name):
    soundfile.write(tmp_path / "a.wav", np.full((500, 4), 0.5), RATE)
    samples, rate = sound.read_sound((tmp_path / "a.wav").rename(tmp_path / name), 1)
    assert rate == RATE
    assert samples.shape == (4, 500)


def test_suffixes_of_raw_samples_are_not_trusted(tmp_path):
    for name in ("a.raw", "a.vox", "a.gsm"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(10_000))
        with pytest.raises(UserError, match=rf"{name}: not a readable sound: Format not recognised"):
            sound.read_sound(tmp_path / name, 1)
