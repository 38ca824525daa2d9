"""The time that each kernel is expected to take, written down before the first measurement.

A kernel that moves data is expected to reach a share of the copy's rate. One that multiplies matrices is expected to
take the larger of the matrix units' time and of the special-function unit's, which computes 16 exponentials per clock
and multiprocessor, divided by the share of both that its loop leaves after waits and rounding.
"""

from typing import Any, NamedTuple

EXPONENTIALS = 16  # per clock and multiprocessor, from sm_80 on
CLOCK, MULTIPROCESSORS = 1.7e9, 132  # of an H100


class Expectation(NamedTuple):
    """What limits the cases whose names begin with a prefix."""

    case: str
    share: float  # of the limit
    reason: str


# The first that fits a case's name; spatial_features has none, since its float64 rate is not among the ceilings.
EXPECTATIONS = (
    Expectation("gnomonic uint8 bilinear", 0.45, "four single texels a pixel, no footprint"),
    Expectation("gnomonic", 0.40, "64 loads of 12 bytes a pixel and frame; the footprint takes 93 divisions and roots"),
    Expectation("encode", 0.85, "one 16-byte load a channel, one 16-byte store a row"),
    Expectation("rotate", 0.85, "as encode; a channel is read from L2 once a view"),
    Expectation("beamform", 0.85, "as encode"),
    Expectation("info_nce bf16, wgmma", 0.70, "products overlap with the exponentials of the other warpgroup"),
    Expectation("info_nce bf16", 0.40, "mma.sync reaches about 60 % of wgmma's rate on Hopper"),
    Expectation("info_nce 3xtf32", 0.10, "half the rate of bf16, three products, exponentials as exact as float"),
    Expectation("info_nce tf32", 0.20, "half the rate of bf16"),
)


def expected_seconds(row: dict[str, Any], ceilings: dict[str, float]) -> float | None:
    """Computes the expected time of a measured case; None for one without an expectation.

    Args:
        row: "case", "bytes", "operations" and, of matrix products, "exponentials".
        ceilings: From ceilings.py.
    """
    expectation = next((e for e in EXPECTATIONS if row["case"].startswith(e.case)), None)
    if expectation is None:
        return None
    if not row["operations"]:
        return float(row["bytes"] / ceilings["copy"] / expectation.share)
    units = EXPONENTIALS * MULTIPROCESSORS * CLOCK
    floor = max(row["operations"] / ceilings["matrix"], row.get("exponentials", 0) / units)
    return float(floor / expectation.share)
