"""Draws docs/arrivals.png: where the sound of real recordings comes from, window by window, weighed in two ways.

python docs/arrivals_figure.py FOLDER: of first-order recordings (ACN, SN3D), such as JSAmbisonics'.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from avsa_fast.data.describe import inspect
from avsa_fast.data.validity import MIN_DOMINANCE, directions_of_arrival

WINDOW = 0.1  # seconds


def by_energy(scene: Tensor, rate: int) -> Tensor:
    """Azimuths [n] in radians of the whole band's intensity, in which every frequency counts by its energy."""
    samples = round(WINDOW * rate)
    w, y, _, x = scene.double().unfold(1, samples, samples)
    return torch.atan2((w * y).sum(1), (w * x).sum(1))


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    files = sorted(Path(sys.argv[1]).glob("*.flac"))
    if not files:
        raise SystemExit(f"{sys.argv[1]}: no .flac files")
    figure, axes = plt.subplots(len(files), 1, figsize=(9, 2.2 * len(files)), sharex=True, layout="constrained")
    for axis, file in zip(axes, files, strict=True):
        inspection = inspect(None, file)
        assert inspection.description.sound is not None
        assert inspection.overview is not None
        rate, scene = inspection.description.sound.rate, inspection.overview[:4]
        directions, share = directions_of_arrival(scene, rate, WINDOW)
        times = WINDOW * (torch.arange(len(share)) + 0.5)
        clear = share > MIN_DOMINANCE
        axis.plot(times, by_energy(scene, rate).rad2deg(), ".", color="0.75", label="weighed by energy")
        azimuths = directions[:, 0].rad2deg()
        axis.plot(times[~clear], azimuths[~clear], ".", color="C0", alpha=0.3, label="weighed by loudness")
        axis.plot(times[clear], azimuths[clear], ".", color="C0", label=f"where it dominates (> {MIN_DOMINANCE:g})")
        axis.set(ylim=(-90, 90), yticks=[-90, -45, 0, 45, 90], ylabel="azimuth in °")
        axis.set_title(file.stem, fontsize=9, loc="left")
    axes[0].legend(loc="upper right", ncols=3, fontsize=8, frameon=False)
    axes[-1].set_xlabel("s")
    figure.savefig(Path(__file__).parent / "arrivals.png", dpi=90)


if __name__ == "__main__":
    main()
