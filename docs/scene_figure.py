"""Draws README's picture: a procedural scene with its detections, and the crops there.

python docs/scene_figure.py docs/scene.png
"""

import sys
import tempfile
from math import pi, radians
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import write_png
from torchvision.transforms.functional import resize
from torchvision.utils import draw_bounding_boxes, make_grid

from avsa_fast import ops
from avsa_fast.data.index import Index
from avsa_fast.data.spans import span_of
from avsa_fast.data.tables import DETECTIONS, read_table
from avsa_fast.scenes.build import build_scenes

COLOURS = ["#ffffff", "#ffd166", "#06d6a0", "#ef476f"]
WIDTH = 960


def main(out: Path) -> None:
    """Builds one scene and writes the picture."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "scenes"
        build_scenes(data, count=1, seconds=2.0, seed=11)
        frame = span_of(*Index(data)[0]).reader.frames(1.0, count=1)  # [1, H, W, 3]
        rows = read_table(data / "detections.parquet", DETECTIONS)
    now = min({row["time"] for row in rows}, key=lambda time: abs(time - 1.0))
    objects = sorted((row for row in rows if row["time"] == now), key=lambda row: -row["azimuth"])
    directions = torch.tensor([[(row["azimuth"], row["elevation"]) for row in objects]])
    crops = ops.gnomonic(frame[None], directions, radians(65), (WIDTH // 4 - 4, WIDTH // 4 - 4), dtype=torch.uint8)
    panorama = resize(frame[0].permute(2, 0, 1), [WIDTH // 2, WIDTH], antialias=True)
    boxes = torch.stack([_box(row) for row in objects])
    names = [str(row["class"]) for row in objects]
    panorama = draw_bounding_boxes(panorama, boxes, labels=names, colors=COLOURS[: len(names)], width=3)
    strip = make_grid(list(crops[0, :, :, 0]), nrow=len(objects), padding=4, pad_value=255)
    write_png(torch.cat([panorama, strip[:, :, :WIDTH]], dim=1), str(out))


def _box(row: dict[str, float]) -> Tensor:
    """A detection as x0, y0, x1, y1 on the panorama."""
    x, y = (0.5 - row["azimuth"] / (2 * pi)) * WIDTH, (0.5 - row["elevation"] / pi) * WIDTH / 2
    half_width, half_height = row["width"] / (2 * pi) * WIDTH / 2, row["height"] / pi * WIDTH / 4
    return torch.tensor([x - half_width, y - half_height, x + half_width, y + half_height])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
