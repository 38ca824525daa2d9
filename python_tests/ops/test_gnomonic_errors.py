"""gnomonic: invalid arguments, and error messages that name them."""

from math import pi

import pytest
import torch
from helpers.gnomonic import MEAN

from avsa_fast import ops

GOOD = {"frames": torch.zeros(1, 2, 4, 8, 3), "directions": torch.zeros(1, 2, 2), "fov": 1.0, "size": (3, 4)}
NAN = float("nan")
LUMA, CHROMA = torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1, 2, 4, 4, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"frames": torch.zeros(1, 2, 4, 8)}, ValueError, r"frames must be \[B, F, H, W, 3\], not \[1, 2, 4, 8\]"),
        ({"frames": torch.zeros(1, 2, 4, 7, 3)}, ValueError, "W of 2, both at least 2"),
        ({"frames": torch.zeros(1, 2, 1, 8, 3)}, ValueError, "both at least 2"),
        ({"frames": torch.zeros(1, 2, 4, 8, 3).half()}, TypeError, "frames must be uint8 or float32 or float64"),
        ({"frames": torch.zeros(1).expand(1, 1, 2**15, 2**15, 3)}, ValueError, r"at most 2\^29 pixels"),
        ({"frames": (LUMA,)}, ValueError, r"planes \(y, uv\) or \(y, u, v\), not a tuple of 1"),
        ({"frames": (LUMA, CHROMA.float())}, TypeError, "frames' uv must be uint8, not float32"),
        ({"frames": (LUMA, CHROMA, CHROMA)}, ValueError, r"frames' u must be \[1, 2, 4, 4\] for y \[1, 2, 8, 8\]"),
        ({"frames": (LUMA[..., :6], CHROMA[..., :3, :])}, ValueError, "W of 4, both at least 4"),
        ({"source": "cube"}, ValueError, "source must be one of erp, erp_top, .*eac, not 'cube'"),
        ({"source": "eac"}, ValueError, "source 'eac' with H a multiple of 2, W of 1, both at least 16"),
        ({"source": "erp_top", "frames": torch.zeros(1, 2, 5, 8, 3)}, ValueError, "'erp_top' with H a multiple of 2"),
        ({"source": "erp_left", "frames": torch.zeros(1, 2, 4, 6, 3)}, ValueError, "W of 4"),
        ({"frames": (LUMA, CHROMA), "matrix": "bt2020"}, ValueError, "matrix must be one of bt601, bt709"),
        (
            {"frames": (LUMA, CHROMA), "fov": torch.ones(1, 2, requires_grad=True)},
            ValueError,
            "fov requires a gradient, which is not supported from YUV planes",
        ),
        ({"directions": torch.zeros(2, 2, 2)}, ValueError, r"directions must be \[1, K, 2\]"),
        ({"directions": torch.zeros(1, 2, 3)}, ValueError, "directions must be"),
        ({"directions": torch.zeros(1, 2, 2).int()}, TypeError, "directions must be float32 or float64"),
        ({"directions": torch.full((1, 2, 2), NAN)}, ValueError, "directions must be finite"),
        ({"fov": 0.0}, ValueError, r"fov must be within \(0, pi\) radians, not 0.0"),
        ({"fov": pi}, ValueError, "fov must be within"),
        ({"fov": NAN}, ValueError, "fov must be within"),
        ({"fov": "wide"}, TypeError, "fov must be a number or a tensor, not 'wide'"),
        ({"fov": torch.tensor([[1.0, NAN]])}, ValueError, r"fov must be within \(0, pi\) radians, but holds nan"),
        ({"fov": torch.tensor([[1.0, 3.5]])}, ValueError, r"fov must be within \(0, pi\) radians, but holds 3.5"),
        ({"fov": torch.ones(1, 3)}, ValueError, r"fov must be \[\] or \[1, 2\]"),
        ({"fov": torch.ones(1, 2).double()}, TypeError, "fov must be float32, not float64"),
        ({"matrix": "bt2020"}, ValueError, "matrix must be one of bt601, bt709"),
        ({"size": (0, 4)}, ValueError, "size's h and w must be an integer of at least 1, not 0"),
        ({"size": (4.0, 4.0)}, TypeError, "size's h and w must be an integer of at least 1, not 4.0"),
        ({"size": ("4", "4")}, TypeError, "size's h and w must be an integer of at least 1, not '4'"),
        ({"size": 32}, TypeError, r"size must be two integers \(h, w\), not 32"),
        ({"size": (2**15, 2**15)}, ValueError, r"at most 2\^29 pixels"),
        ({"size": (4,)}, TypeError, r"size must be two integers \(h, w\), not \(4,\)"),
        ({"roll": torch.ones(1, 3)}, ValueError, r"roll must be \[1, 2\]"),
        ({"roll": torch.full((1, 2), NAN)}, ValueError, "roll must be finite"),
        ({"flip": torch.ones(1, 2)}, TypeError, "flip must be bool"),
        ({"jitter": torch.ones(1, 2, 3)}, ValueError, r"jitter must be \[1, 2, 4\]"),
        ({"jitter": torch.ones(1, 2, 4)}, ValueError, "jitter must hold hue shifts within ±0.5, but holds 1"),
        ({"jitter": torch.tensor([1, -1, 1, 0.0]).expand(1, 2, 4)}, ValueError, "factors of 0 or more, but holds -1"),
        ({"jitter": torch.full((1, 2, 4), NAN)}, ValueError, "jitter must be finite"),
        ({"mean": (1.0, 2.0)}, ValueError, "mean must be 3 finite numbers"),
        ({"std": (1.0, 0.0, 1.0)}, ValueError, "std must be 3 finite positive numbers"),
        ({"mean": "abc"}, TypeError, "mean must be 3 finite numbers, not 'abc'"),
        ({"mean": [0.1, "a", 0.2]}, TypeError, r"mean must be 3 finite numbers, not \[0.1, 'a', 0.2\]"),
        ({"mean": torch.ones(3, requires_grad=True)}, TypeError, r"does not receive: pass mean.detach\(\)"),
        ({"std": 0.5}, TypeError, "std must be 3 finite positive numbers, not 0.5"),
        ({"antialias": "no"}, TypeError, "antialias must be True or False, not 'no'"),
        ({"full_range": 1}, TypeError, "full_range must be True or False, not 1"),
        ({"source": ["erp"]}, ValueError, "source must be one of"),
        ({"dtype": torch.int32}, TypeError, "dtype must be float32"),
        ({"dtype": torch.float64}, TypeError, "dtype float64 needs float64 frames"),
        ({"dtype": torch.uint8, "mean": MEAN}, ValueError, "dtype uint8 holds 0..255"),
        ({"jitter": torch.zeros(1, 2, 4, requires_grad=True)}, ValueError, "jitter requires a gradient"),
        (
            {"directions": torch.zeros(1, 2, 2, requires_grad=True), "jitter": torch.zeros(1, 2, 4)},
            ValueError,
            "directions requires a gradient, which is not supported through jitter",
        ),
        (
            {"frames": torch.zeros(1, 2, 4, 8, 3, requires_grad=True), "jitter": torch.zeros(1, 2, 4)},
            ValueError,
            "not supported through jitter",
        ),
    ],
)  # fmt: skip
def test_refused(change: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        ops.gnomonic(**{**GOOD, **change})
    assert "\n" not in str(caught.value)
