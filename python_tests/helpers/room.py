"""The measured room response among the real media."""

from pathlib import Path

import torch
from torch import Tensor

from avsa_fast.ambisonics import from_n3d


def measured_room(assets: Path) -> tuple[Tensor, int]:
    """The response, SN3D, [4, T] float64, and its rate in Hz."""
    import soundfile  # here: the operations' tests run on GPU machines without it

    samples, rate = soundfile.read(assets / "rir" / "gewandhaus_foa_acn_n3d.wav", dtype="float64", always_2d=True)
    return from_n3d(torch.from_numpy(samples.T.copy())), rate


def direct_direction(scene: Tensor, rate: int) -> Tensor:
    """Of the intensity in the 2 ms from the direct peak of W: [1, 2]."""
    loud = scene[0].abs()
    peak = int((loud > 0.5 * loud.max()).nonzero()[0])  # the first strong one, and its top
    peak += int(loud[peak : peak + rate // 1000].argmax())
    w, y, z, x = scene[:, peak : peak + round(0.002 * rate)]
    x, y, z = (w * x).sum(), (w * y).sum(), (w * z).sum()
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))])[None]
