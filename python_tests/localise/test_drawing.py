"""What is drawn is where it should be: azimuths fall to the right, and boxes continue at the other edge."""

from math import pi

import numpy as np
import torch

from avsa_fast.detect.boxes import SphereBox
from avsa_fast.localise.drawing import FLOORS, LOUDEST, Overlay, Painter
from avsa_fast.localise.moments import Moment, SoundingObject

SIZE = (180, 360)  # a pixel is a degree
BLACK = np.zeros((*SIZE, 3), np.uint8)


def drawn(heat: torch.Tensor, *boxes: tuple[float, float, float]) -> np.ndarray:
    """A black frame with a map and boxes of 20° (azimuth and elevation in degrees, score)."""
    side = np.radians(20)
    objects = [
        SoundingObject(number, SphereBox(*np.radians([azimuth, elevation]), side, side, "dog", 0.9), score, (0.0, 0.0))
        for number, (azimuth, elevation, score) in enumerate(boxes)
    ]
    return Painter(SIZE, "energy").overlay(Moment(0.0, heat, objects)).over(BLACK)


def test_map_is_at_its_direction() -> None:
    """The maximum at azimuth 90°, to the left, elevation 30°."""
    heat = torch.zeros(18, 36)
    heat[6, 9] = 1  # azimuth 85°, elevation 25°
    picture = drawn(heat).sum(axis=2)[:150]  # above the legend
    row, column = divmod(int(picture.argmax()), SIZE[1])
    assert abs(row - 65) <= 5
    assert abs(column - 95) <= 5
    assert (picture[:, 120:] == 0).all()
    assert (drawn(torch.full((18, 36), FLOORS["energy"]))[:150] == 0).all()


def test_box_and_label() -> None:
    picture = drawn(torch.zeros(18, 36), (-90, 0, 0.8), (45, 0, 0.1))
    assert tuple(picture[90, 260]) == LOUDEST[:3]  # left edge of the louder one, in the right half
    assert tuple(picture[90, 280]) == LOUDEST[:3]
    assert picture[95, 270].sum() == 0
    assert picture[90, 125].max() < 255  # the other one is white, and less opaque
    assert picture[90, 125].min() > 150
    above = picture[66:80, 260:300].sum(axis=2)
    assert 20 < np.count_nonzero(above) < above.size  # text on a dark ground


def test_box_continues_across_the_seam() -> None:
    picture = drawn(torch.zeros(18, 36), (178, 0, 0.5))
    assert tuple(picture[90, 12]) == LOUDEST[:3]
    assert tuple(picture[90, 352]) == LOUDEST[:3]
    assert tuple(picture[100, 3]) == LOUDEST[:3]
    assert picture[100, 100].sum() == 0


def test_blending_is_exact() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    alpha, colour = rng.integers(0, 257, (4, 5, 1)).repeat(3, axis=2), rng.integers(0, 256, (4, 5, 3))
    found = Overlay((256 - alpha).astype(np.uint16), (alpha * colour).astype(np.uint16)).over(frame)
    np.testing.assert_array_equal(found, (frame.astype(int) * (256 - alpha) + alpha * colour) // 256)


def test_names_of_strangers_are_printable() -> None:
    box = SphereBox(0.0, 0.0, 0.3, 0.3, "a\n\x1b[2J" + "x" * 1000, 0.9)
    moment = Moment(0.0, torch.zeros(18, 36), [SoundingObject(0, box, 0.5, (0.0, pi / 4))])
    picture = Painter(SIZE, "energy").overlay(moment).over(BLACK)
    assert picture.any()
