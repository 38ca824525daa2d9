"""Boxes on the sphere: conversion of rectangles in frames and views, merging, and tracking."""

import json
from dataclasses import asdict
from math import cos, pi, radians

import dacite
import numpy as np
import pytest
import torch
from helpers.panoramas import as_eac

from avsa_fast.detect.boxes import Rectangle, SphereBox
from avsa_fast.detect.merge import MAX_OVERLAP, angle_between, merge, overlap
from avsa_fast.detect.sphere import FOV, TILE, TILES, ErpDetector, TileDetector, erp_box, tile_box
from avsa_fast.detect.tracks import MAX_GAP, Tracker, link
from avsa_fast.scenes.procedural_images import draw_panorama


class Spot:
    """Finds the red spot in an image, unless it is split by the image's left and right edges."""

    def detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        found: list[list[Rectangle]] = []
        for image in images:
            rows, columns = torch.nonzero((image[..., 0] > 180) & (image[..., 1] < 60), as_tuple=True)
            if len(rows) and columns.max() - columns.min() < 0.8 * image.shape[1]:
                left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                found.append([Rectangle(*map(float, (left, top, right, bottom)), label="spot", score=0.9)])
            else:
                found.append([])
        return found


def frame_with_spot(azimuth: float, elevation: float, radius: float, H: int = 512) -> np.ndarray:
    """A grey ERP frame [H, 2H, 3] with a red disc of the given angular radius."""
    a = (0.5 - (np.arange(2 * H) + 0.5) / (2 * H)) * 2 * pi
    e = ((0.5 - (np.arange(H) + 0.5) / H) * pi)[:, None]
    near = np.sin(e) * np.sin(elevation) + np.cos(e) * np.cos(elevation) * np.cos(a - azimuth) > cos(radius)
    frame = np.full((H, 2 * H, 3), 90, np.uint8)
    frame[near] = (255, 0, 0)
    return frame


def box(azimuth: float, elevation: float = 0.0, size: float = 0.2, label: str = "a", score: float = 0.5) -> SphereBox:
    return SphereBox(azimuth, elevation, size, size, label, score)


def test_erp_box(rng: np.random.Generator) -> None:
    width, height = rng.integers(100, 5000, 2).tolist()
    whole = erp_box(Rectangle(0, 0, width, height, "all", 1.0), (width, height))
    assert (whole.azimuth, whole.elevation) == (0, 0)
    assert (whole.width, whole.height) == pytest.approx((2 * pi, pi))
    left_up = erp_box(Rectangle(0, 0, width / 2, height / 2, "quarter", 1.0), (width, height))
    assert (left_up.azimuth, left_up.elevation) == pytest.approx((pi / 2, pi / 4))
    right_edge = erp_box(Rectangle(width, height, width, height, "corner", 1.0), (width, height))
    assert (right_edge.azimuth, right_edge.elevation) == pytest.approx((-pi, -pi / 2))


def test_tile_box() -> None:
    for azimuth, elevation in TILES:
        middle = tile_box(
            Rectangle(TILE / 2 - 9, TILE / 2 - 5, TILE / 2 + 9, TILE / 2 + 5, "a", 1), (azimuth, elevation)
        )
        assert angle_between(middle, box(azimuth, elevation)) < 1e-6
        whole = tile_box(Rectangle(0, 0, TILE, TILE, "a", 1), (azimuth, elevation))
        assert (whole.width, whole.height) == pytest.approx((FOV, FOV))


@pytest.mark.parametrize("projection", ["erp", "erp_top", "erp_left", "eac"])
def test_spot_is_found_once_at_its_direction(projection: str, rng: np.random.Generator) -> None:
    """Tiles find spots within 1°, also at the poles and the seam; ERP frames find spots that are not split."""
    places = [(0.0, pi / 2), (pi, 0.1), (rng.uniform(-pi, pi), float(np.arcsin(rng.uniform(-1, 1))))]
    frames = np.stack([frame_with_spot(*place, radius=radians(8)) for place in places])
    stack = {
        "erp": frames, "eac": np.stack([as_eac(frame) for frame in frames]),
        "erp_top": np.concatenate([frames, 0 * frames], 1), "erp_left": np.concatenate([frames, 0 * frames], 2),
    }  # fmt: skip
    found = TileDetector(Spot()).detect(torch.from_numpy(stack[projection]), projection)  # type: ignore[arg-type]
    for boxes, place in zip(found, places, strict=True):
        assert len(boxes) == 1
        assert angle_between(boxes[0], box(*place)) < radians(1)
        assert (boxes[0].width, boxes[0].height) == pytest.approx((radians(16), radians(16)), rel=0.15)
    level = np.stack([frame_with_spot(azimuth, 0.0, radius=radians(8)) for azimuth in (-2.0, 0.3)])
    stack = {
        "erp": level, "eac": np.stack([as_eac(frame) for frame in level]),
        "erp_top": np.concatenate([level, level * 0], axis=1), "erp_left": np.concatenate([level, level * 0], axis=2),
    }  # fmt: skip
    whole = ErpDetector(Spot()).detect(torch.from_numpy(stack[projection]), projection)  # type: ignore[arg-type]
    assert [
        angle_between(boxes[0], box(azimuth)) < radians(1) for boxes, azimuth in zip(whole, (-2, 0.3), strict=True)
    ] == [True, True]


def test_nothing_is_found_in_a_panorama_without_spots() -> None:
    frame = draw_panorama(np.random.default_rng(3), 256, 512)
    assert TileDetector(Spot()).detect(torch.from_numpy(frame)[None], "erp") == [[]]


def test_overlap_of_discs() -> None:
    assert overlap(box(1, 1), box(1, 1)) == pytest.approx(1)
    assert overlap(box(0), box(1)) == 0
    assert overlap(box(0, size=0.1), box(0, size=0.2)) == pytest.approx(0.25)
    assert overlap(box(pi), box(-pi)) == pytest.approx(1)
    assert overlap(box(0, 1.5), box(pi, 1.5)) > 0.1 > overlap(box(0), box(0.2))
    # Centres half a radius apart: the overlap consists of two circular segments.
    r = 0.2 / pi**0.5
    lens = 2 * r * r * np.arccos(0.25) - r * r / 4 * np.sqrt(3.75)
    assert overlap(box(0), box(r / 2)) == pytest.approx(lens / (2 * pi * r * r - lens))


def test_merge_keeps_the_highest_score() -> None:
    a, b = box(3.13, score=0.6), box(-3.13, score=0.8)
    other, apart = box(3.14, label="b", score=0.7), box(0.0, score=0.3)
    assert overlap(a, b) > MAX_OVERLAP
    assert merge([a, other, apart, b]) == merge([b, apart, a, other]) == [b, apart]


def test_tracks_follow_objects_across_the_seam_and_over_gaps() -> None:
    moving = [[box(pi - 0.2 + 0.1 * i if i < 2 else -pi - 0.2 + 0.1 * i), box(0.5)] for i in range(6)]
    assert link(moving) == [[0, 1]] * 6
    assert link([[box(0)], [box(1.0)], [box(0.05), box(1.0)]]) == [[0], [1], [0, 1]]
    assert link([[box(0)], *[[]] * MAX_GAP, [box(0)]])[-1] == [0]
    assert link([[box(0)], *[[]] * (MAX_GAP + 1), [box(0)]])[-1] == [1]
    assert link([[box(0)], [box(0, label="b")]]) == [[0], [1]]
    crossing = [[box(0.05 * i), box(0.3 - 0.05 * i)] for i in range(3)]
    assert link(crossing) == [[0, 1]] * 3
    assert link([]) == []


def test_stored_tracker_continues() -> None:
    moments = [[box(0.05 * i), box(0.9)] if i % 3 else [box(0.9)] for i in range(8)]
    tracker = Tracker()
    numbers = [tracker.add(boxes) for boxes in moments[:4]]
    stored = dacite.from_dict(Tracker, json.loads(json.dumps(asdict(tracker))), dacite.Config(strict=True))
    assert numbers + [stored.add(boxes) for boxes in moments[4:]] == link(moments)
