"""Draws docs/gnomonic.png: a zone plate seen at a point, interpolated, and as the mean over each pixel's footprint."""

from math import pi, radians
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from avsa_fast import ops

H, W, SIZE = 960, 1920, 112
POSES = {"front, 90°": (0.0, 0.0, 90), "at the seam, 60° up": (pi, pi / 3, 90), "the pole": (0.0, pi / 2, 100)}


def main() -> None:
    y, x = torch.arange(H)[:, None] - H / 2, torch.arange(W) - W / 2
    plate = 0.5 + 0.5 * torch.cos(pi * (x * x + y * y) / W)
    frames = plate[None, None, :, :, None].expand(1, 1, H, W, 3).contiguous()
    figure, axes = plt.subplots(2, len(POSES), figsize=(9, 6.4), layout="constrained")
    for column, (title, (azimuth, elevation, fov)) in enumerate(POSES.items()):
        direction = torch.tensor([[[azimuth, elevation]]])
        for row, antialias in enumerate((False, True)):
            crop = ops.gnomonic(frames, direction, radians(fov), (SIZE, SIZE), antialias=antialias)
            axes[row, column].imshow(crop[0, 0, 0, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("antialias=False: bilinear", fontsize=10)
    axes[1, 0].set_ylabel("antialias=True: mean over the footprint", fontsize=10)
    figure.savefig(Path(__file__).with_name("gnomonic.png"), dpi=110)


if __name__ == "__main__":
    main()
