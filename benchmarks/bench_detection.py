"""Recall and precision of object detection on the sphere by elevation, on the ERP frame ("erp") and on views ("tiles").

python benchmarks/bench_detection.py ASSETS [--seed 1000] [--objects 96]

ASSETS holds objects/NAME.png and yolo/yolo26n.pt. Each object, 20° to 40° wide, is drawn on a panorama at a random
direction within a band of elevations above or below the horizon. It counts as detected if the centre of a box is within
5° of its own. Precision is the share of boxes that match an object.
"""

import argparse
import sys
from math import radians
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from avsa_fast.detect.boxes import SphereBox
from avsa_fast.detect.merge import angle_between
from avsa_fast.detect.sphere import DetectorViews, sphere_detector
from avsa_fast.detect.yolo import YoloDetector
from avsa_fast.errors import UserError
from avsa_fast.scenes.procedural_images import draw_panorama
from avsa_fast.scenes.recorded_material import read_image
from avsa_fast.scenes.render import draw_sprite, make_sprite

OBJECTS = (
    "elephant", "bear", "cow", "sheep", "dog", "horse", "goat", "firetruck", "toilet", "bison", "duck", "rooster",
)  # fmt: skip
Band = tuple[int, int, int]
# Minimum and maximum absolute elevation in degrees, and objects per frame, which are more than APART from each other.
BANDS: tuple[Band, ...] = (0, 20, 4), (20, 45, 4), (45, 70, 4), (70, 88, 2)
APART, NEAR = radians(45), radians(5)
HEIGHT = 1024


def draw_frame(assets: Path, rng: np.random.Generator, band: Band) -> tuple[np.ndarray, list[SphereBox]]:
    """Draws a random ERP frame with objects in a band of elevations.

    Args:
        assets: Folder with objects/NAME.png.
        rng: Random number generator.
        band: Elevation range and number of objects.

    Returns:
        The frame [H, 2H, 3] and the objects' true boxes.
    """
    low, high, count = band
    frame = draw_panorama(rng, HEIGHT, 2 * HEIGHT)[None]
    truth: list[SphereBox] = []
    for name in rng.choice(OBJECTS, count, replace=False):
        while True:
            elevation = rng.choice((-1, 1)) * radians(rng.uniform(low, high))
            box = SphereBox(rng.uniform(-np.pi, np.pi), float(elevation), 0.0, 0.0, str(name), 1.0)
            if all(angle_between(box, other) > APART for other in truth):
                break
        sprite_image = read_image(assets / "objects" / f"{name}.png", "RGBA")
        draw_sprite(
            frame,
            make_sprite(sprite_image, radians(rng.uniform(20, 40)), HEIGHT),
            np.array([[box.azimuth, box.elevation]]),
        )
        truth.append(box)
    return frame[0], truth


def score(found: list[list[SphereBox]], truths: list[list[SphereBox]]) -> tuple[float, float]:
    """Computes recall and precision; each object is matched to its nearest unmatched box within 5°.

    Args:
        found: Detected boxes per frame.
        truths: True boxes per frame.

    Returns:
        Recall and precision, 0 to 1.
    """
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


def measure(assets: Path, band: Band, objects: int, seed: int) -> dict[DetectorViews, tuple[float, float]]:
    """Measures recall and precision in one band of elevations.

    Args:
        assets: Folder with objects/NAME.png and yolo/yolo26n.pt.
        band: Elevation range and number of objects per frame.
        objects: Minimum number of objects.
        seed: Seed of the frames.

    Returns:
        Recall and precision on the frame ("erp") and on views ("tiles").
    """
    yolo = YoloDetector(assets / "yolo" / "yolo26n.pt")
    rng = np.random.default_rng(seed)
    frames, truths = zip(*(draw_frame(assets, rng, band) for _ in range(-(objects // -band[2]))), strict=True)
    scores = {}
    for views in get_args(DetectorViews):
        detector = sphere_detector(yolo, views)
        found = [detector.detect(torch.from_numpy(frame)[None], "erp")[0] for frame in frames]
        scores[views] = score(found, list(truths))
    return scores


def main() -> None:
    """Prints a Markdown table with one row per band."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--objects", type=int, default=96)
    options = parser.parse_args()
    print("| elevation | recall erp | tiles | precision erp | tiles |\n|---|---|---|---|---|")
    for number, band in enumerate(BANDS):
        scores = measure(options.assets, band, options.objects, options.seed + number)
        cells = [f"{scores[views][measure]:.0%}" for measure in (0, 1) for views in ("erp", "tiles")]
        print(f"| {band[0]}° to {band[1]}° | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"bench_detection: {error}")
