"""Views: crops and features of a direction are consistent, including mirrored ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers.tracks import video_track

from avsa_fast import ops
from avsa_fast.data.batches import collate
from avsa_fast.data.encode_video import write_video
from avsa_fast.data.samples import Sample
from avsa_fast.data.stretch import stretched
from avsa_fast.data.video import read_frames, read_planes
from avsa_fast.data.views import AUDIO_CHANNELS, AudioView, ViewConfig, make_views

CONFIG = ViewConfig(crop_size=16, n_mels=64)


def sample(height: int = 32, **changes: Any) -> Sample:
    directions = np.array([[-2.0, 0.1], [-1.0, 0.0], [0.5, -0.2], [2.5, 0.4]], np.float32)
    made = Sample(
        name="a",
        projection="erp",
        frames=torch.randint(0, 256, (8, height, 2 * height, 3), dtype=torch.uint8),
        sound=torch.randn(4, 24000),
        directions=directions,
        fov=np.full(4, 1.2, np.float32),
        flip=np.zeros(4, bool),
        jitter=None,
        failures={},
    )
    return made._replace(**changes)


def views(samples: Sequence[Sample], config: ViewConfig = CONFIG) -> tuple[torch.Tensor, torch.Tensor]:
    return make_views(collate(samples), config, torch.device("cpu"))


@pytest.mark.parametrize("audio", get_args(AudioView))
def test_channels_of_every_representation(audio: AudioView) -> None:
    crops, features = views([sample(), sample()], replace(CONFIG, audio=audio))
    assert crops.shape == (2, 4, 3, 8, 16, 16)
    assert features.shape == (2, 4, AUDIO_CHANNELS[audio], 64, 98)


def test_flip_mirrors_crop_and_sound() -> None:
    plain = sample()
    flipped = plain._replace(flip=np.ones(4, bool))
    (crops, features), (mirrored, mirrored_features) = (views([s]) for s in (plain, flipped))
    torch.testing.assert_close(mirrored, crops.flip(-1), atol=1e-4, rtol=0)
    signs = torch.tensor([1.0, 1, 1, 1, 1, -1, 1]).view(7, 1, 1)  # mel W Y Z X, then intensity X Y Z
    torch.testing.assert_close(mirrored_features, features * signs, atol=1e-4, rtol=1e-4)


def test_sound_of_an_object_is_rotated_to_the_front() -> None:
    plane_waves = sample()
    one = torch.from_numpy(plane_waves.directions[2:3])
    rotated = plane_waves._replace(sound=ops.encode(torch.randn(1, 24000), one))
    _, features = views([rotated])
    intensity = features[0, 2, 4:].mean(dim=(1, 2))
    torch.testing.assert_close(intensity, torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
    assert features[0, 0, 4].mean() < 0.9  # not in front of any other crop


def test_frames_of_several_sizes_share_a_batch() -> None:
    batch = [sample(32), sample(48), sample(32)]
    crops, _ = views(batch)
    for number, one in enumerate(batch):
        torch.testing.assert_close(crops[number], views([one])[0][0])


def test_projections_share_a_batch() -> None:
    cubemap = sample()._replace(projection="eac", frames=torch.randint(0, 256, (8, 32, 64, 3), dtype=torch.uint8))
    batch = [sample(), cubemap, sample()]
    crops, _ = views(batch)
    for number, one in enumerate(batch):
        torch.testing.assert_close(crops[number], views([one])[0][0])
    assert not torch.allclose(crops[1], views([cubemap._replace(projection="erp")])[0][0])


def test_jitter_changes_only_the_crops() -> None:
    plain = sample()
    jittered = plain._replace(jitter=np.tile(np.array([1.4, 1.0, 1.0, 0.0], np.float32), (4, 1)))
    (crops, features), (brighter, same) = (views([s]) for s in (plain, jittered))
    assert brighter.mean() > crops.mean()
    torch.testing.assert_close(features, same)


def test_planes_and_rgb_give_the_same_crops(tmp_path: Path) -> None:
    """Also if scaled, within rounding: FFmpeg's RGB is one or two grey levels darker (0.02 to 0.04 normalised)."""
    across, down = np.cos(np.linspace(0, 2 * np.pi, 256)), np.linspace(-1, 1, 128)
    image = np.stack(np.broadcast_arrays(across[None], down[:, None], -across[None]), axis=-1)
    image = (127 + 100 * image).astype(np.uint8)
    write_video(tmp_path / "a.mp4", [image] * 16)
    for height in (None, 64):
        both = [
            sample(frames=read(video_track(tmp_path / "a.mp4"), 0.5, max_height=height))
            for read in (read_planes, read_frames)
        ]
        (planes, _), (rgb, _) = (views([one]) for one in both)
        torch.testing.assert_close(planes, rgb, atol=0.15, rtol=0)
        assert (planes - rgb).abs().mean() < 0.05
    crops, _ = views([*both, both[0]])  # a batch that mixes both
    torch.testing.assert_close(crops, torch.cat([planes, rgb, planes]))


def test_masked_bands_and_frames_have_the_mean_of_their_channel() -> None:
    """64 bands of which 16 are masked, 98 frames of which 49 are; another view is unchanged."""
    masks = np.array([[0.25, 0.5, 0.5, 1.0], *[[0.0, 0.0, 0.0, 0.0]] * 3], np.float32)
    made = sample()
    _, plain = views([made])
    _, features = views([made._replace(masks=masks)])
    mean = plain[0, 0].mean(dim=(-2, -1), keepdim=True)
    torch.testing.assert_close(features[0, 0, :, 16:32], mean.expand(-1, 16, 98))
    torch.testing.assert_close(features[0, 0, :, :, 49:], mean.expand(-1, 64, 49))
    assert torch.equal(features[0, 0, :, :16, :49], plain[0, 0, :, :16, :49])
    assert torch.equal(features[0, 0, :, 32:, :49], plain[0, 0, :, 32:, :49])
    assert torch.equal(features[0, 1:], plain[0, 1:])


@pytest.mark.parametrize("aspect", [0.75, 1.0, 4 / 3])
def test_crops_of_another_aspect_ratio(aspect: float) -> None:
    """A pixel shows the ray of a view whose width and height are in that ratio; the longer side keeps its angle."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    crops = torch.stack([columns, rows, columns + rows])[None, None, :, None]
    seen = stretched(crops, torch.tensor([[aspect]]))[0, 0, :, 0]
    width, height = min(1.0, aspect), min(1.0, 1 / aspect)
    assert width / height == pytest.approx(aspect)
    expected = [((x + 0.5 - 16) * scale + 15.5).clamp(0, 31) for x, scale in ((columns, width), (rows, height))]
    torch.testing.assert_close(seen, torch.stack([*expected, expected[0] + expected[1]]), rtol=0, atol=1e-4)


def test_crops_are_stretched_in_training() -> None:
    made = sample()
    crops, features = views([made])
    wide, same_features = views([made._replace(aspect=np.array([1.0, 1.0, 2.0, 0.5], np.float32))])
    assert torch.equal(features, same_features)
    torch.testing.assert_close(wide[:, :2], crops[:, :2])
    torch.testing.assert_close(wide, stretched(crops, torch.tensor([[1.0, 1.0, 2.0, 0.5]])))
    assert (wide[:, 2:] - crops[:, 2:]).abs().max() > 0.1
