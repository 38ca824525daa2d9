"""Views: crops and features of one direction belong together, mirrored ones too."""

from dataclasses import replace
from typing import get_args

import pytest
import torch

from avsa_fast import ops
from avsa_fast.data.samples import Sample
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView, ViewConfig, make_views

CONFIG = ViewConfig(crop_size=16, n_mels=64)
CPU = torch.device("cpu")


def sample(height: int = 32, **changes: torch.Tensor) -> Sample:
    directions = torch.tensor([[-2.0, 0.1], [-1.0, 0.0], [0.5, -0.2], [2.5, 0.4]])
    made = Sample(
        name="a",
        projection="erp",
        frames=torch.randint(0, 256, (8, height, 2 * height, 3), dtype=torch.uint8),
        sound=torch.randn(4, 24000),
        directions=directions,
        fov=torch.full((4,), 1.2),
        flip=torch.zeros(4, dtype=torch.bool),
        jitter=None,
        failures={},
    )
    return made._replace(**changes)


@pytest.mark.parametrize("audio", get_args(AudioView))
def test_channels_of_every_representation(audio: AudioView) -> None:
    crops, features = make_views([sample(), sample()], replace(CONFIG, audio=audio), CPU)
    assert crops.shape == (2, 4, 3, 8, 16, 16)
    assert features.shape == (2, 4, AUDIO_CHANNELS[audio], 64, 98)


def test_a_flip_mirrors_picture_and_sound() -> None:
    plain = sample()
    flipped = plain._replace(flip=torch.ones(4, dtype=torch.bool))
    (crops, features), (mirrored, mirrored_features) = (make_views([s], CONFIG, CPU) for s in (plain, flipped))
    torch.testing.assert_close(mirrored, crops.flip(-1), atol=1e-4, rtol=0)
    signs = torch.tensor([1.0, 1, 1, 1, 1, -1, 1]).view(7, 1, 1)  # mel W Y Z X, then intensity X Y Z
    torch.testing.assert_close(mirrored_features, features * signs, atol=1e-4, rtol=1e-4)


def test_the_sound_of_an_object_comes_from_the_middle_of_its_crop() -> None:
    plane_waves = sample()
    one = plane_waves.directions[2:3]
    heard = plane_waves._replace(sound=ops.encode(torch.randn(1, 24000), one))
    _, features = make_views([heard], CONFIG, CPU)
    intensity = features[0, 2, 4:].mean(dim=(1, 2))
    torch.testing.assert_close(intensity, torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
    assert features[0, 0, 4].mean() < 0.9  # not in front of another crop


def test_frames_of_several_sizes_share_a_batch() -> None:
    batch = [sample(32), sample(48), sample(32)]
    crops, _ = make_views(batch, CONFIG, CPU)
    for number, one in enumerate(batch):
        torch.testing.assert_close(crops[number], make_views([one], CONFIG, CPU)[0][0])


def test_projections_share_a_batch() -> None:
    cubemap = sample()._replace(projection="eac", frames=torch.randint(0, 256, (8, 32, 64, 3), dtype=torch.uint8))
    batch = [sample(), cubemap, sample()]
    crops, _ = make_views(batch, CONFIG, CPU)
    for number, one in enumerate(batch):
        torch.testing.assert_close(crops[number], make_views([one], CONFIG, CPU)[0][0])
    assert not torch.allclose(crops[1], make_views([cubemap._replace(projection="erp")], CONFIG, CPU)[0][0])


def test_jitter_changes_the_picture_alone() -> None:
    plain = sample()
    jittered = plain._replace(jitter=torch.tensor([[1.4, 1.0, 1.0, 0.0]]).expand(4, 4))
    (crops, features), (brighter, same) = (make_views([s], CONFIG, CPU) for s in (plain, jittered))
    assert brighter.mean() > crops.mean()
    torch.testing.assert_close(features, same)
