"""Trees, targets that turn as the sound does, and selections of recordings."""

from math import radians
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast import ops
from avsa_fast.data.sound_events import SoundEvent
from avsa_fast.errors import UserError
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.sound import direction_of_arrival, encode
from avsa_fast.seld.excerpts import masked
from avsa_fast.seld.model import METRES
from avsa_fast.seld.recordings import Recording, first_minutes, read_tree, targets


def recording(*events: SoundEvent, frames: int = 100) -> Recording:
    return Recording("a", None, frames, list(events))  # type: ignore[arg-type]


def test_a_tree(tree: Path) -> None:
    found = read_tree(tree, 2)
    assert ([r.name for r in found.train], [r.name for r in found.held_out]) == (["one", "two"], ["three"])
    two = found.train[1]
    assert (two.frames, len(two.events)) == (40, 20)
    assert two.events[0] == SoundEvent(10, 1, 0, -20.0, 10.0, 200.0)
    sounding, silent = two.sound(10, 20), two.sound(-5, 10)
    assert (sounding.shape, silent.shape) == ((4, 48000), (4, 24000))
    assert float(sounding[0].square().mean().sqrt()) == pytest.approx(0.1 / 2**0.5, rel=1e-2)
    assert (silent[:, :12000] == 0).all()
    assert np.degrees(direction_of_arrival(sounding.numpy())) == pytest.approx([-20, 10], abs=0.5)


def test_trees_that_cannot_be_used(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two\.csv: class 1 in frame 10; --classes 1: from 0 on"):
        read_tree(tree, 1)
    (tmp_path / "foa_dev").mkdir()
    with pytest.raises(UserError, match=r"no recording to train on, with a foa_dev/NAME.wav and a metadata_dev/NAME"):
        read_tree(tmp_path, 1)


@pytest.mark.parametrize("flip", [False, True])
def test_targets_turn_as_the_sound_does(rng: np.random.Generator, flip: bool) -> None:
    for _ in range(5):
        azimuth, elevation, turn = rng.uniform([-180, -80, -np.pi], [180, 80, np.pi])
        wave = encode(
            rng.standard_normal(1000).astype(np.float32), np.full((1000, 2), np.radians([azimuth, elevation]))
        )
        direction, mirror = torch.tensor([turn, 0.0], dtype=torch.float32), torch.tensor(flip)
        turned = ops.rotate(torch.from_numpy(wave), direction[None], flip=mirror[None])[0]
        event = SoundEvent(3, 1, 0, azimuth, elevation, 150.0)
        wanted, count = targets(recording(event), 2, 4, 2, direction, mirror)
        assert count.nonzero().tolist() == [[1, 1]]
        expected = unit_vectors(direction_of_arrival(turned.numpy()))
        assert wanted[1, 1, 0].tolist() == pytest.approx([*expected, 1.5 / METRES], abs=1e-5)
        assert (wanted[1, 1, 1:] == 0).all()


def test_at_most_three_events_of_a_class() -> None:
    events = [SoundEvent(0, 0, source, 90.0 * source, 0.0) for source in range(4)]
    wanted, count = targets(recording(*events), 0, 1, 1, torch.zeros(2), torch.tensor(False))
    assert count.tolist() == [[3]]
    assert wanted[0, 0, :, :3].flatten().tolist() == pytest.approx([1, 0, 0, 0, 1, 0, -1, 0, 0], abs=1e-6)
    assert wanted[0, 0, :, 3].isnan().all()


def test_minutes_of_recordings() -> None:
    recordings = [recording(*(SoundEvent(f, 0, 0, 0.0, 0.0) for f in range(600)), frames=600) for _ in range(4)]
    chosen = first_minutes(recordings, 2.25, seed=0)
    assert [r.frames for r in chosen] == [600, 600, 150]
    assert [len(r.events) for r in chosen] == [600, 600, 150]
    assert sum(r.frames for r in first_minutes(recordings, 100, seed=0)) == 2400


def test_masks_have_the_channels_means() -> None:
    features = torch.randn(64, 2, 40, 50) + torch.tensor([5.0, -5.0])[:, None, None]
    changed = masked(features, 0.5)
    hidden = changed != features
    assert (hidden[:, 0] == hidden[:, 1]).all()
    means = features.mean(dim=(2, 3), keepdim=True).expand_as(features)
    torch.testing.assert_close(changed[hidden], means[hidden])
    # A band is hidden in a quarter of the rows and of the columns on average: 1 - (3/4)² of the values.
    assert float(hidden[:, 0].float().mean()) == pytest.approx(7 / 16, abs=0.08)
    assert (masked(features, 0.0) == features).all()


def test_directions_in_radians_are_right_handed() -> None:
    """A quarter turn to the left brings what is left to the front."""
    event = SoundEvent(0, 0, 0, 90.0, 0.0)
    wanted, _ = targets(recording(event), 0, 1, 1, torch.tensor([radians(90), 0.0]), torch.tensor(False))
    assert wanted[0, 0, 0, :3].tolist() == pytest.approx([1, 0, 0], abs=1e-6)
