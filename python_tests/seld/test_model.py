"""The detector: time of its outputs, frozen encoders, windows, and that it can learn a scene by heart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avsa_fast.config import PRESETS
from avsa_fast.data.encode_video import FPS
from avsa_fast.data.views import ViewConfig
from avsa_fast.scenes.scene import Material, draw_scene
from avsa_fast.scenes.starss import scene_events
from avsa_fast.seld import scores
from avsa_fast.seld.adpit import adpit_loss
from avsa_fast.seld.config import DetectorConfig, SeldConfig
from avsa_fast.seld.decode import decode
from avsa_fast.seld.model import Detector, _at_frames
from avsa_fast.seld.recordings import CENTIMETRES, Recording, targets
from avsa_fast.seld.windows import plan_windows

VIEWS = ViewConfig(n_mels=32)


def test_the_feature_map_is_interpolated_to_the_middles_of_frames() -> None:
    """A map whose values are the times of its columns gives the times of the frames, within its ends."""
    columns = 63  # of 5 s
    centres = (VIEWS.n_fft / 2 + 8 * VIEWS.hop_length * torch.arange(columns)) / 24000  # seconds
    found = _at_frames(centres[None, None], 50, VIEWS)[0, 0]
    middles = (torch.arange(50) + 0.5) / 10
    torch.testing.assert_close(found, middles.clamp(max=float(centres[-1])))
    assert float(centres[-1]) > 4.95


@pytest.mark.parametrize("neck", ["gru", "attention"])
@pytest.mark.parametrize("mode", ["frozen", "finetune"])
def test_shapes_and_frozen_encoders(neck: str, mode: str) -> None:
    config = SeldConfig(neck=neck, mode=mode, classes=5, width=16, seconds=2)  # type: ignore[arg-type]
    detector = Detector(DetectorConfig(config, VIEWS, 2)).train()
    before = {name: value.clone() for name, value in detector.encoder.state_dict().items()}
    output = detector(detector.features(torch.randn(3, 4, 48000)), 20)
    assert output.shape == (3, 20, 3, 5, 4)
    assert (output[..., :3].abs() <= 1).all()
    assert (output[..., 3] >= 0).all()
    output.square().mean().backward()
    same = all(torch.equal(value, before[name]) for name, value in detector.encoder.state_dict().items())
    trained = any(parameter.grad is not None for parameter in detector.encoder.parameters())
    assert (same, trained) == ((True, False) if mode == "frozen" else (False, True))


@pytest.mark.parametrize("frames", [1, 25, 49, 50, 51, 74, 75, 100, 1234])
@pytest.mark.parametrize("length", [10, 50, 51])
def test_windows_cover_a_recording(frames: int, length: int) -> None:
    windows = plan_windows(frames, length)
    assert [frame for window in windows for frame in range(window.begin, window.end)] == list(range(frames))
    for window in windows:
        assert 0 <= window.first <= max(frames - length, 0)
        assert window.first <= window.begin < window.end <= window.first + length
        if frames >= length:
            assert window.begin - window.first >= length // 4 or window.first == 0
            assert window.first + length - window.end >= length // 4 or window.first == frames - length


@pytest.mark.timeout(1200)
def test_the_head_overfits_a_scene() -> None:
    """Four moving sources of known classes, directions and distances: micro F20° of at least 95 % after training."""
    torch.manual_seed(0)
    scene = draw_scene(np.random.default_rng(4), 5 * FPS, replace(Material(), sources=3))
    classes = Material().classes
    events = scene_events(scene, classes)
    config = DetectorConfig(SeldConfig(mode="scratch", classes=len(classes), width=64), PRESETS["tiny"].views, 4)
    detector, frames = Detector(config), config.seld.frames
    recording = Recording("scene", None, frames, events)  # type: ignore[arg-type]
    wanted, count = targets(recording, 0, frames, len(classes), torch.zeros(2), torch.tensor(False))
    features = detector.features(torch.from_numpy(scene.sound)[None])
    adam = torch.optim.Adam(detector.parameters(), 3e-3)
    reached = 0.0
    for step in range(400):
        adam.zero_grad()
        adpit_loss(detector.train()(features, frames), wanted[None], count[None]).backward()
        adam.step()
        if step % 50 == 49:
            with torch.inference_mode():
                output = detector.eval()(features, frames)[0].numpy()
            found = [(*e[:5], CENTIMETRES * (e.distance or 0)) for e in decode(output, 0, 0.5)]
            reached = scores(events, found, n_classes=len(classes), average="micro")["f_score"]
            if reached >= 0.95:
                break
    assert reached >= 0.95
