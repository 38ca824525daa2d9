"""Draws the pictures of docs/concepts.md.

python docs/concepts_figure.py PANORAMA.jpg   (an equirectangular picture; the one in the page is CC0)
"""

import sys
from math import degrees, pi, radians
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torchvision.io import read_image

from avsa_fast import ops
from avsa_fast.maps import intensity_map

HERE = Path(__file__).parent
RATE = 24_000
FOV = radians(75)
LOOKS = {
    "ahead": (0.0, 0.0),
    "across the seam": (pi, 0.1),
    "up, to the left": (pi / 2, 0.9),
    "straight down": (0, -pi / 2),
}
COLOURS = ("#ffd166", "#06d6a0", "#5bc0ff", "#ff7096")


def main(panorama: Path) -> None:
    """Writes concepts_crops.jpg and concepts_sound.png beside this file."""
    draw_crops(read_image(str(panorama)).permute(1, 2, 0), HERE / "concepts_crops.jpg")
    draw_sound(HERE / "concepts_sound.png")


def draw_crops(frame: torch.Tensor, path: Path) -> None:
    """A frame [H, W, 3] with the outlines of its crops, and the crops."""
    directions = torch.tensor([list(LOOKS.values())], dtype=torch.float32)
    crops = ops.gnomonic(frame[None, None], directions, FOV, (240, 240), dtype=torch.uint8)[0, :, :, 0]
    figure = plt.figure(figsize=(9, 6.9), layout="constrained")
    upper, lower = figure.subfigures(2, height_ratios=(2, 1))
    sphere = upper.subplots()
    sphere.imshow(frame, extent=(180, -180, -90, 90))
    sphere.set(
        xlabel="azimuth, degrees", ylabel="elevation, degrees", xticks=range(-180, 181, 60), yticks=range(-90, 91, 45)
    )
    axes = lower.subplots(1, len(LOOKS))
    for name, colour, axis, crop, outline in zip(LOOKS, COLOURS, axes, crops, outlines(directions), strict=True):
        sphere.scatter(*outline.rad2deg().T, s=2.5, color=colour)
        axis.imshow(crop.permute(1, 2, 0))
        axis.set_title(name, fontsize=10)
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(color=colour, linewidth=3)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def outlines(directions: torch.Tensor) -> torch.Tensor:
    """Directions [K, N, 2] along the edges of crops: what each edge pixel of a crop of directions reads back."""
    H, W, n = 512, 1024, 240
    elevation = (0.5 - (torch.arange(H) + 0.5) / H)[:, None] * pi
    azimuth = (0.5 - (torch.arange(W) + 0.5) / W) * 2 * pi
    x, y = elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin()
    field = torch.stack([x, y, elevation.sin().expand(H, W)], dim=-1)
    seen = ops.gnomonic(field[None, None], directions, FOV, (n, n), antialias=False)[0, :, :, 0]  # [K, 3, n, n]
    edges = torch.cat([seen[..., 0, :], seen[..., -1, :], seen[..., 0], seen[..., -1]], dim=-1)  # [K, 3, 4n]
    x, y, z = edges.unbind(1)
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))], dim=-1)


def draw_sound(path: Path) -> None:
    """Patterns over azimuth, and a scene of two voices as a turning beam and the intensity map find them."""
    azimuth = torch.linspace(-pi, pi, 361)
    around = torch.stack([azimuth, torch.zeros_like(azimuth)], dim=-1)
    figure = plt.figure(figsize=(9, 3.3), layout="constrained")
    ambisonic, beams = (figure.add_subplot(1, 3, i, projection="polar", theta_offset=pi / 2) for i in (1, 2))
    waves = ops.encode(torch.ones(len(azimuth), 1, 1), around[:, None])[..., 0]  # [361, 4]
    for channel, name, colour in ((0, "W", "#444444"), (1, "Y", "#0072b2"), (3, "X", "#d55e00")):
        ambisonic.plot(azimuth, waves[:, channel].abs(), label=name, color=colour)
    for pattern, colour in (("cardioid", "#0072b2"), ("hypercardioid", "#d55e00"), ("max_re", "#009e73")):
        gain = ops.beamform(waves[..., None], torch.zeros(len(azimuth), 1, 2), pattern=pattern)[:, 0, 0]
        beams.plot(azimuth, gain.abs(), label=pattern, color=colour)
    for axis, title in ((ambisonic, "channels"), (beams, "beams to the front")):
        axis.set(rticks=[], xticks=[i * pi / 4 for i in range(8)])
        axis.set_title(title, fontsize=10)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, -0.32), ncols=3, fontsize=7, frameon=False)

    rng = torch.Generator().manual_seed(0)
    places = torch.tensor([[radians(60), 0.0], [radians(-100), 0.0]])
    voices = torch.randn(2, RATE, generator=rng) * (torch.rand(2, 48, generator=rng) > 0.5).repeat_interleave(
        500, dim=1
    )
    scene = ops.encode(voices, places)
    power = ops.beamform(scene, around, pattern="hypercardioid").square().mean(dim=-1)
    heat = intensity_map(scene, RATE, (45, 360)).amax(dim=0)
    axis = figure.add_subplot(1, 3, 3)
    axis.plot(azimuth.rad2deg(), power / power.max(), label="energy of a turning beam", color="#d55e00")
    axis.plot(
        [180 - degrees((i + 0.5) * 2 * pi / 360) for i in range(360)], heat, label="intensity map", color="#0072b2"
    )
    axis.set(xlim=(180, -180), xlabel="azimuth, degrees", yticks=[], xticks=range(-180, 181, 90), ylim=(0, 1.35))
    axis.set_title("two voices", fontsize=10)
    axis.legend(fontsize=7, frameon=False, loc="upper center")
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
