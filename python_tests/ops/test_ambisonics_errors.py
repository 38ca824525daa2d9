"""encode, rotate and beamform: invalid arguments and their error messages."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from avsa_fast import ops

SOUND, POSE = torch.zeros(2, 4, 9), torch.zeros(2, 3, 2)


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (lambda: ops.encode(SOUND, torch.zeros(2, 4, 2), order=8), ValueError, "order must be an integer from 0 to 7"),
        (lambda: ops.encode(SOUND, POSE), ValueError, r"directions must be \[2, 4, 2\], not \[2, 3, 2\]"),
        (lambda: ops.encode(SOUND[0, 0], POSE), ValueError, r"signal must be \[..., S, T\], not \[9\]"),
        (lambda: ops.encode(SOUND.int(), POSE), TypeError, "signal must be float32 or float64 or float16.*, not int32"),
        (lambda: ops.rotate(SOUND.half(), POSE.half()), TypeError, "directions must be float32, not float16"),
        (lambda: ops.rotate(SOUND, POSE.double()), TypeError, "directions must be float32, not float64"),
        (lambda: ops.rotate([1.0], POSE), TypeError, "signals must be a float32 or float64.* tensor, not list"),
        (lambda: ops.rotate(SOUND, None), TypeError, "directions must be a float32 tensor, not NoneType"),
        (lambda: ops.rotate(SOUND[:, :3], POSE), ValueError, "signals must have .order . 1.² channels.*not 3"),
        (lambda: ops.rotate(SOUND, POSE[0]), ValueError, r"must be \[2, K, 2\] or.* for signals \[2, 4, 9\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(1, 3, 2)), ValueError, r"directions must be \[2, K, 2\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 3)), ValueError, r"directions .* not \[2, 3, 3\]"),
        (lambda: ops.rotate(SOUND, torch.zeros(2, 3, 0, 2)), ValueError, r"directions must be .*not \[2, 3, 0, 2\]"),
        (lambda: ops.rotate(SOUND, POSE[:, :, None], roll=torch.zeros(2, 3)), ValueError, r"roll must be \[2, 3, 1\]"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.zeros(2)), ValueError, r"roll must be \[2, 3\].*not \[2\]"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.zeros(2, 3).double()), TypeError, "roll must be float32"),
        (lambda: ops.rotate(SOUND, POSE, roll=0.1), TypeError, "roll must be a float32 tensor, not float"),
        (lambda: ops.rotate(SOUND, POSE, flip=torch.zeros(2, 3)), TypeError, "flip must be bool, not float32"),
        (lambda: ops.rotate(SOUND, POSE, flip=torch.zeros(3) > 0), ValueError, r"flip must be \[2, 3\].*not \[3\]"),
        (lambda: ops.rotate(SOUND, POSE.to("meta")), ValueError, "directions is on meta but signals on cpu"),
        (lambda: ops.rotate(SOUND, POSE / 0), ValueError, "directions must be finite"),
        (lambda: ops.rotate(SOUND, POSE, roll=torch.full((2, 3), math.inf)), ValueError, "roll must be finite"),
        (lambda: ops.encode(SOUND, torch.full((2, 4, 2), math.nan)), ValueError, "directions must be finite"),
        (lambda: ops.beamform(SOUND, POSE / 0), ValueError, "directions must be finite"),
        (lambda: ops.beamform(SOUND, POSE, "omni"), ValueError, "pattern must be one of cardioid,.* not 'omni'"),
        (lambda: ops.beamform(SOUND, POSE, [1.0]), ValueError, "pattern must be a name or.* 2 finite numbers, not"),
        (lambda: ops.beamform(SOUND, POSE, [0.5, math.nan]), ValueError, "pattern must be .* 2 finite numbers, not"),
        (lambda: ops.beamform(SOUND, POSE, ["a", "b"]), TypeError, r"2 finite numbers, not \['a', 'b'\]"),
        (lambda: ops.encode(SOUND, POSE, 1.0), TypeError, "order must be an integer from 0 to 7, not 1.0"),
        (lambda: ops.beamform(SOUND, POSE, 0.5), TypeError, "pattern must be a name or.* 2 finite numbers, not 0.5"),
    ],
)  # fmt: skip
def test_refused(call: Callable[[], Tensor], error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
