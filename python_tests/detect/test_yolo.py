import os
import sys
from importlib.util import find_spec
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tracks import video_track
from PIL import Image

from avsa_fast.data.video import read_frames
from avsa_fast.detect.sphere import ErpDetector
from avsa_fast.detect.yolo import YoloDetector, _import_yolo
from avsa_fast.errors import UserError

WEIGHTS = Path("yolo") / "yolo26n.pt"


@pytest.fixture(scope="module")
def detector(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> YoloDetector:
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return YoloDetector(assets / WEIGHTS)


@pytest.fixture(scope="module")
def frames(assets: Path) -> torch.Tensor:
    return read_frames(video_track(assets / "video" / "kqAZkf5Odyw-80.mp4"), 0.0, count=1)


def test_three_musicians_are_found(detector: YoloDetector, frames: torch.Tensor) -> None:
    (boxes,) = ErpDetector(detector).detect(frames, "erp")
    people = sorted(box.azimuth for box in boxes if box.label == "person" and box.score > 0.5)
    # Two to the right of the front and one to its left, as seen in the image.
    assert people == pytest.approx([-0.82, 0.22, 1.26], abs=0.05)
    assert all(box.score >= 0.25 for box in boxes)
    assert all(-pi / 2 <= box.elevation <= pi / 2 and 0 < box.width < 2 * pi and 0 < box.height < pi for box in boxes)


def test_a_mirrored_frame_has_mirrored_objects(detector: YoloDetector, frames: torch.Tensor) -> None:
    plain, mirrored = ErpDetector(detector).detect(torch.cat([frames, frames.flip(2)]), "erp")
    best, other = (max(boxes, key=lambda box: box.score) for boxes in (plain, mirrored))
    assert best.label == other.label == "person"
    assert other.azimuth == pytest.approx(-best.azimuth, abs=0.05)
    assert other.elevation == pytest.approx(best.elevation, abs=0.05)


def test_images_are_converted_to_bgr(detector: YoloDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.randint(0, 256, (2, 8, 16, 3), dtype=torch.uint8)
    images_given: list[np.ndarray] = []
    monkeypatch.setattr(detector._model, "predict", lambda images, **_: images_given.extend(images) or [])
    detector.detect(frames)
    for image, frame in zip(images_given, frames.numpy(), strict=True):
        for channel in range(3):
            assert np.array_equal(image[..., channel], frame[..., 2 - channel])


def test_empty_and_uniform_images(detector: YoloDetector) -> None:
    assert detector.detect(torch.zeros(0, 360, 640, 3, dtype=torch.uint8)) == []
    assert detector.detect(torch.full((2, 360, 640, 3), 127, dtype=torch.uint8)) == [[], []]


def test_process_settings_are_preserved(detector: YoloDetector, frames: torch.Tensor) -> None:
    threads, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    detector.detect(frames)
    assert torch.get_num_threads() == threads
    assert os.environ.get("OMP_NUM_THREADS") == variable


def test_classes_and_confidence(assets: Path, detector: YoloDetector, frames: torch.Tensor) -> None:
    sure = YoloDetector(assets / WEIGHTS, classes=["person"], confidence=0.5)
    (found,), (all_found,) = sure.detect(frames), detector.detect(frames)
    assert len(found) == 3 < len(all_found)
    assert all(each.label == "person" and each.score >= 0.5 for each in found)
    with pytest.raises(UserError, match=r"--classes gnu: not a class of yolo26n\.pt: .*, zebra"):
        YoloDetector(assets / WEIGHTS, classes=["person", "gnu"])


@pytest.mark.parametrize(
    "frames",
    [torch.zeros(1, 8, 8, 3), torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
)
def test_invalid_images_are_refused(detector: YoloDetector, frames: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"images must be uint8 \[N, H, W, 3\], got"):
        detector.detect(frames)


def test_missing_ultralytics_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ultralytics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(UserError, match=r"pip install 'avsa_fast\[yolo\]'.*AGPL-3.0"):
        YoloDetector()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip at all", b"\x80\x04no pickle"])
def test_invalid_weights_are_reported_on_one_line(tmp_path: Path, content: bytes) -> None:
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.pt: not YOLO weights") as failure:
        YoloDetector(path, trust_weights=True)
    assert "\n" not in str(failure.value).strip()


def test_pillow_is_not_modified(tmp_path: Path) -> None:
    """ultralytics replaces PIL.Image.open, for the whole process, by a version that installs packages."""
    _import_yolo()
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(Image.UnidentifiedImageError):
        Image.open(tmp_path / "broken.png")
