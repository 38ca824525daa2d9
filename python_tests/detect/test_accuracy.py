"""Real objects at known places all over the sphere: how many are found within 5°, and how many finds are one."""

from importlib.util import find_spec
from math import degrees, radians
from pathlib import Path

import numpy as np
import pytest
import torch

from avsa_fast.detect.boxes import Box
from avsa_fast.detect.merge import angle_between
from avsa_fast.detect.sphere import Views, on_sphere
from avsa_fast.detect.yolo import YoloDetector
from avsa_fast.scenes.collection import read_picture
from avsa_fast.scenes.looks import panorama
from avsa_fast.scenes.render import make_sprite, place

OBJECTS = [
    "elephant",
    "bear",
    "cow",
    "sheep",
    "dog",
    "horse",
    "goat",
    "firetruck",
    "toilet",
    "bison",
    "duck",
    "rooster",
]
BANDS = {"horizon": (0, 20), "middle": (20, 45), "poles": (45, 88)}  # degrees of elevation, up or down
NEAR = radians(5)
FRAMES, HEIGHT = 12, 1024


def draw_frame(assets: Path, rng: np.random.Generator, band: tuple[int, int]) -> tuple[np.ndarray, list[Box]]:
    """An ERP frame [H, 2H, 3] with four objects in a band of elevations, and where they are."""
    frame = panorama(rng, HEIGHT, 2 * HEIGHT)[None]
    truth: list[Box] = []
    for name in rng.choice(OBJECTS, 4, replace=False):
        while True:
            elevation = rng.choice((-1, 1)) * radians(rng.uniform(*band))
            box = Box(rng.uniform(-np.pi, np.pi), float(elevation), 0.0, 0.0, str(name), 1.0)
            if all(angle_between(box, other) > radians(45) for other in truth):
                break
        sprite = make_sprite(
            read_picture(assets / "objects" / f"{name}.png", "RGBA"), radians(rng.uniform(20, 40)), HEIGHT
        )
        place(frame, sprite, np.array([[box.azimuth, box.elevation]]))
        truth.append(box)
    return frame[0], truth


def score(found: list[list[Box]], truths: list[list[Box]]) -> tuple[float, float]:
    """Recall and precision: one box an object, the nearest within 5°."""
    hits = boxes = 0
    for each, truth in zip(found, truths, strict=True):
        boxes += len(each)
        free = list(each)
        for box in truth:
            near = min(free, key=lambda other: angle_between(box, other), default=None)
            if near is not None and angle_between(box, near) < NEAR:
                free.remove(near)
                hits += 1
    return hits / sum(map(len, truths)), hits / max(boxes, 1)


@pytest.mark.slow
def test_views_find_what_frames_distort(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recall and precision at 5° by elevation; views win above 45°."""
    if find_spec("ultralytics") is None:  # importing it here would change Pillow
        pytest.skip("ultralytics is not installed")
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path))
    yolo = YoloDetector(assets / "yolo" / "yolo26n.pt")
    figures: dict[tuple[str, str], tuple[float, float]] = {}
    for seed, (name, band) in enumerate(BANDS.items()):
        rng = np.random.default_rng(seed)
        frames, truths = zip(*(draw_frame(assets, rng, band) for _ in range(FRAMES)), strict=True)
        views: Views
        for views in ("erp", "tiles"):
            detector = on_sphere(yolo, views)
            found = [detector.detect(torch.from_numpy(frame)[None], "erp")[0] for frame in frames]
            figures[name, views] = score(found, list(truths))
            recall, precision = figures[name, views]
            print(f"{name:<8} {band[0]}..{band[1]}° {views:<5} recall {recall:.2f}, precision {precision:.2f}")
    assert degrees(NEAR) == pytest.approx(5)
    for measure in (0, 1):
        assert figures["poles", "tiles"][measure] > figures["poles", "erp"][measure]
    assert figures["poles", "tiles"][0] > 0.5
