"""Draws docs/beams.png and docs/features.png: beam patterns of orders 1, 3 and 7, and a scene's feature stack.

python docs/ambisonics_figure.py [sound.m4a]: with a file, its features are drawn instead (from its fifth second on).
"""

import sys
from math import pi
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from avsa_fast import ops
from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.spatial.beams import PATTERNS

HERE = Path(__file__).parent
NAMES = ("W", "Y", "Z", "X", "intensity X", "intensity Y", "intensity Z")


def draw_beams(path: Path) -> None:
    """Each pattern as it answers plane waves from all around, in dB."""
    angles = torch.linspace(-pi, pi, 721)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.8), subplot_kw={"projection": "polar"}, layout="constrained")
    for axis, order in zip(axes, (1, 3, 7), strict=True):
        around = torch.stack([angles, torch.zeros_like(angles)], dim=-1)
        waves = ops.encode(torch.ones(721, 1, 1), around[:, None], order)[..., 0].T
        for pattern in PATTERNS[:-1]:  # in_phase is cardioid
            gain = ops.beamform(waves, torch.zeros(1, 2), pattern)[0].abs()
            axis.plot(angles, 20 * gain.clamp(min=1e-2).log10(), label=pattern, linewidth=1)
        axis.set(theta_zero_location="N", ylim=(-40, 0), yticks=[-40, -20, 0], title=f"order {order}")
        axis.tick_params(labelsize=7)
    axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def procedural_scene() -> tuple[Tensor, Tensor]:
    """Two seconds: a chirp that circles to the left and up, clicks from the right, quiet diffuse noise."""
    torch.manual_seed(0)
    time = torch.arange(48000) / 24000
    chirp = 0.3 * torch.sin(2 * pi * (400 * time + 900 * time.square()))
    clicks = torch.randn(48000) * (time % 0.5 < 0.02)
    path = torch.tensor([[0.0, 0.0], [pi / 2, 0.3], [3.0, 0.8]])
    right = torch.tensor([[-pi / 2, 0.0]]).expand(3, 2)
    noise = 0.003 * torch.randn(4, 48000) * torch.tensor([1, 3**-0.5, 3**-0.5, 3**-0.5])[:, None]
    return ops.encode(torch.stack([chirp, clicks]), torch.stack([path, right])) + noise, torch.zeros(1, 2)


def draw_features(scene: Tensor, direction: Tensor, path: Path) -> None:
    """The seven channels of `foa_iv`: log-mel of W, Y, Z, X, and the intensity vector."""
    features = ops.spatial_features(scene, direction)[0]
    figure, axes = plt.subplots(7, 1, figsize=(9, 10), sharex=True, layout="constrained")
    seconds = (0, features.shape[-1] * 240 / 24000)
    for axis, name, values in zip(axes, NAMES, features, strict=True):
        vector = name.startswith("intensity")
        colours = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1} if vector else {"cmap": "magma", "vmin": -15}
        image = axis.imshow(values, origin="lower", aspect="auto", extent=(*seconds, 0, len(values)), **colours)
        axis.set_ylabel(name, fontsize=9)
        figure.colorbar(image, ax=axis, pad=0.01)
    axes[-1].set_xlabel("s")
    figure.savefig(path, dpi=80)


def main() -> None:
    if len(sys.argv) > 1:
        reader = MediaReader(describe(None, Path(sys.argv[1])))
        draw_features(reader.scene(6.0, 2.0), torch.zeros(1, 2), Path("features.png"))
        return
    draw_beams(HERE / "beams.png")
    draw_features(*procedural_scene(), HERE / "features.png")


if __name__ == "__main__":
    main()
