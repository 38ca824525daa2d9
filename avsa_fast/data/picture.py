"""Numbers about a clip's picture that `prepare` records for `--check`, from the frames searched for objects."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from avsa_fast.data.fingerprints import picture_print

ROWS, COLUMNS = 32, 64  # cells whose mean brightness is compared
SAMPLED_ROWS = 128  # of a frame: every n-th pixel is enough for the means of cells


class PictureMeter:
    """Measures a picture frame by frame."""

    def __init__(self) -> None:
        """Starts without frames."""
        self._count = 0
        self._sum = self._first = torch.zeros(ROWS, COLUMNS)
        self._contrast = self._change = 0.0

    def add(self, frame: Tensor) -> None:
        """Adds a frame.

        Args:
            frame: uint8 [H, W, 3]; all frames have the same projection.
        """
        stride = max(1, frame.shape[0] // SAMPLED_ROWS)
        grey = frame[::stride, ::stride, 1].float()  # green, most of the brightness
        cells = adaptive_avg_pool2d(grey[None], (ROWS, COLUMNS))[0]
        if self._count == 0:
            self._first = cells
        self._contrast = max(self._contrast, float(grey.std(correction=0)))
        self._change = max(self._change, float((cells - self._first).abs().max()))
        self._sum = self._sum + cells
        self._count += 1

    def columns(self) -> dict[str, Any]:
        """Returns columns of index.parquet; none without frames.

        The largest standard deviation of a frame's levels of 255; the largest change of a cell's mean from the first
        frame on, null for one frame; and the fingerprint of the mean of all frames.
        """
        if self._count == 0:
            return {}
        return {
            "picture_contrast": self._contrast,
            "picture_change": self._change if self._count > 1 else None,
            "picture_print": picture_print(self._sum / self._count),
        }
