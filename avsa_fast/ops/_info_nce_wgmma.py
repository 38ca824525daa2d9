"""Which of the two bf16 kernels for Hopper GPUs is used: wgmma, once it has agreed with mma.sync on the device.

The first use of a size of rows compares the two, in milliseconds. The verdict is kept for the process.
"""

import os
import warnings

import torch
from torch import Tensor

from avsa_fast.errors import UserError

from ._dispatch import _C, run
from ._info_nce_blocks import Options, Rows, accumulate_gradients, initial_sums, prepare, row_losses, scan

ROWS = 130  # two thread blocks and two tiles, the second of each incomplete
SCALES = (14.25, 60.0)  # with one exponential for both directions, and with one for each
STEP = 128  # dimensions: each multiple up to MAX_DIMENSIONS has a kernel of its own
MAX_DIMENSIONS = 512
# Both kernels multiply the same rounded rows, but sum in another order; a misread operand is wrong by far more.
TOLERANCE = 1e-3

_verdicts: dict[tuple[torch.device, int], bool] = {}  # by device and dimensions


def uses_wgmma(rows: Tensor, precision: str) -> bool:
    """Whether a loss of rows [N, D] uses wgmma. AVSA_WGMMA=0 or 1 decides instead of the comparison.

    While a CUDA graph is captured nothing is compared: mma.sync is used unless a verdict is known.

    Raises:
        UserError: AVSA_WGMMA is neither 0 nor 1.
    """
    requested = os.environ.get("AVSA_WGMMA")
    if requested not in (None, "0", "1"):
        raise UserError(f"AVSA_WGMMA={requested}: must be 0 or 1")
    D = rows.shape[1]
    if precision != "bf16" or requested == "0" or not 0 < D <= MAX_DIMENSIONS:
        return False
    if not run(_C.info_nce_has_wgmma, rows.device, rows=rows):
        return False
    if requested == "1":
        return True
    dimensions = (D + STEP - 1) // STEP * STEP
    verdict = _verdicts.get((rows.device, dimensions))
    if verdict is None:
        if _is_captured(rows.device):
            return False
        verdict = _verdicts[rows.device, dimensions] = _agrees(rows.device, dimensions)
    return verdict


def _is_captured(device: torch.device) -> bool:
    """Whether work on the device is captured in a CUDA graph, where the comparison could not be read."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _agrees(device: torch.device, dimensions: int) -> bool:
    """Compares the kernels on rows of so many dimensions; warns and returns False if they differ."""
    with torch.inference_mode(False), torch.no_grad():
        angles = torch.arange(2 * ROWS * dimensions, dtype=torch.float64, device=device).square()
        query, key = angles.sin().float().view(2, ROWS, dimensions)
        key = key + query  # pairs are more similar than others
        agree = all(
            bool((got - want).norm() <= TOLERANCE * want.norm())  # False for NaN
            for scale in SCALES
            for got, want in zip(*(_results(query, key, scale, wgmma) for wgmma in (True, False)), strict=True)
        )
    if not agree:
        warnings.warn(
            f"info_nce: on {device} the wgmma kernel for {dimensions} dimensions differs from the one on mma.sync, "
            "which is used instead; please report it",
            stacklevel=2,
        )
    return agree


def _results(query: Tensor, key: Tensor, scale: float, wgmma: bool) -> list[Tensor]:
    """Sums and gradients of both sides."""
    options = Options(torch.full((), scale, dtype=torch.float64, device=query.device), True, 1, "bf16", wgmma)
    statistics = prepare(query, key)
    rows = Rows(query, statistics[0]), Rows(key, statistics[1])
    query_sums, key_sums = (initial_sums(ROWS, options.scale) for _ in rows)
    scan(*rows, options, query_sums, key_sums)
    row_losses(statistics, query_sums, key_sums, options)
    grads = [torch.zeros_like(query) for _ in rows]
    accumulate_gradients(*rows, options, *grads)
    return [query_sums, key_sums, *grads]
