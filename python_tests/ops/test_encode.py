"""encode: kernels against the reference, and the reference against the harmonics of CONVENTIONS."""

import pytest
import torch
from helpers.ambisonics import (
    angles_for,
    assert_close,
    dtypes,
    leadings,
    lengths,
    moves,
    orders,
    plane_wave,
    quick,
    random_directions,
    strided,
)
from hypothesis import given
from hypothesis import strategies as st

from avsa_fast import ops, reference

S3 = 3**0.5
pytestmark = pytest.mark.usefixtures("poisoned_memory")

HARMONICS = [  # azimuth, elevation in degrees; W, Y, Z, X
    (0, 0, (1, 0, 0, 1)),
    (90, 0, (1, 1, 0, 0)),
    (-90, 0, (1, -1, 0, 0)),
    (180, 0, (1, 0, 0, -1)),
    (0, 90, (1, 0, 1, 0)),
    (0, -90, (1, 0, -1, 0)),
    (45, 0, (1, 0.5**0.5, 0, 0.5**0.5)),
    (30, 20, (1, 0.469846310, 0.342020143, 0.813797681)),
    (60, -45, (1, S3 / 2 * 0.5**0.5, -(0.5**0.5), 0.5 * 0.5**0.5)),
]


@quick
@given(
    leading=leadings, S=st.integers(0, 40), T=lengths, dtype=dtypes, order=orders, P=moves,
)  # fmt: skip
def test_encode_matches_reference(
    kernel_device: torch.device, leading: tuple[int, ...], S: int, T: int, dtype: torch.dtype, order: int,
    P: tuple[int, ...],
) -> None:  # fmt: skip
    if P:  # gains per sample
        S, order, T = min(S, 3), min(order, 3), min(T, 300)
    signal, directions = (
        torch.randn(*leading, S, T).to(dtype),
        random_directions(*leading, S, *P, dtype=angles_for(dtype)),
    )
    out = ops.encode(strided(signal.to(kernel_device)), strided(directions.to(kernel_device)), order)
    assert out.dtype == dtype
    assert_close(out, reference.encode(signal.double(), directions.double(), order), kernel_device, signal)


@pytest.mark.parametrize(("azimuth", "elevation", "gains"), HARMONICS)
def test_encoded_impulse_equals_harmonics(azimuth: float, elevation: float, gains: tuple[float, ...]) -> None:
    torch.testing.assert_close(plane_wave(azimuth, elevation)[:, 0].tolist(), [*map(float, gains)], rtol=0, atol=1e-9)
