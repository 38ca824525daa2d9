"""The measured room impulse response from the real media."""

from pathlib import Path

import torch
from torch import Tensor

from avsa_fast.ambisonics import from_n3d


def measured_room(assets: Path) -> tuple[Tensor, int]:
    """Reads the response (SN3D, [4, T] float64) and its sample rate in Hz."""
    import soundfile  # local: the operations' tests also run on GPU machines without soundfile

    samples, rate = soundfile.read(assets / "rir" / "gewandhaus_foa_acn_n3d.wav", dtype="float64", always_2d=True)
    return from_n3d(torch.from_numpy(samples.T.copy())), rate


def direct_direction(scene: Tensor, rate: int) -> Tensor:
    """Returns the direction [1, 2] of the intensity in the first 2 ms after the direct peak of W."""
    loud = scene[0].abs()
    peak = int((loud > 0.5 * loud.max()).nonzero()[0])  # onset; the next line moves to the peak
    peak += int(loud[peak : peak + rate // 1000].argmax())
    w, y, z, x = scene[:, peak : peak + round(0.002 * rate)]
    x, y, z = (w * x).sum(), (w * y).sum(), (w * z).sum()
    return torch.stack([torch.atan2(y, x), torch.atan2(z, torch.hypot(x, y))])[None]
