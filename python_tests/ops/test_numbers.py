"""Numbers as users have them: NumPy's scalars and arrays, lists, tensors."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avsa_fast import ops

FRAMES, SCENE = torch.rand(1, 1, 8, 16, 3), torch.randn(4, 1200)
POSE = torch.tensor([[[0.3, 0.2]]])
ROWS = torch.randn(6, 4)
PLAIN: dict[str, dict[str, Any]] = {
    "gnomonic": {"frames": FRAMES, "directions": POSE, "fov": 1.25, "size": (4, 6), "mean": (0.5, 0.25, 0.125)},
    "encode": {"signal": SCENE[:1], "directions": POSE[0], "order": 2},
    "beamform": {"signals": SCENE, "directions": POSE[0], "pattern": [0.25, 0.75]},
    "spatial_features": {"signals": SCENE, "directions": POSE[0], "sample_rate": 16000, "n_fft": 256, "hop_length": 100,
                         "n_mels": 20},
    "info_nce": {"query": ROWS, "key": ROWS.flip(0), "temperature": 0.125, "crops": 2, "negatives": "joint"},
}  # fmt: skip


def call(operation: str, **changed: Any) -> Tensor:
    return getattr(ops, operation)(**{**PLAIN[operation], **changed})


@pytest.mark.parametrize(
    ("operation", "argument", "value"),
    [
        ("gnomonic", "fov", np.float32(1.25)),
        ("gnomonic", "fov", np.float64(1.25)),
        ("gnomonic", "fov", np.array(1.25)),
        ("gnomonic", "fov", torch.tensor(1.25)),
        ("gnomonic", "fov", torch.tensor([[1.25]])),
        ("gnomonic", "size", [4, 6]),
        ("gnomonic", "size", (np.int64(4), np.uint8(6))),
        ("gnomonic", "size", np.array([4, 6])),
        ("gnomonic", "size", torch.Size([4, 6])),
        ("gnomonic", "mean", [0.5, 0.25, 0.125]),
        ("gnomonic", "mean", np.array([0.5, 0.25, 0.125])),
        ("gnomonic", "mean", torch.tensor([0.5, 0.25, 0.125])),
        ("gnomonic", "mean", [np.float32(0.5), 0.25, 0.125]),
        ("encode", "order", np.int32(2)),
        ("beamform", "pattern", (0.25, 0.75)),
        ("beamform", "pattern", np.array([0.25, 0.75])),
        ("beamform", "pattern", torch.tensor([0.25, 0.75])),
        ("spatial_features", "sample_rate", np.int64(16000)),
        ("spatial_features", "n_fft", np.int64(256)),
        ("spatial_features", "hop_length", np.int16(100)),
        ("spatial_features", "n_mels", np.uint8(20)),
        ("info_nce", "temperature", np.float32(0.125)),
        ("info_nce", "temperature", np.array(0.125)),
        ("info_nce", "temperature", torch.tensor(0.125)),
        ("info_nce", "crops", np.int64(2)),
        ("info_nce", "symmetric", np.bool_(False)),
    ],
)
def test_any_kind_of_number_gives_the_same_result(operation: str, argument: str, value: object) -> None:
    assert torch.equal(call(operation, **{argument: value}), call(operation))


@pytest.mark.parametrize(("operation", "argument"), [("gnomonic", "fov"), ("info_nce", "temperature"),
                                                     ("encode", "order"), ("info_nce", "crops")])  # fmt: skip
def test_a_bool_is_no_number(operation: str, argument: str) -> None:
    with pytest.raises(TypeError, match=f"{argument} must be .*, not True"):
        call(operation, **{argument: True})


def test_one_field_of_view_can_be_learned() -> None:
    fov = torch.tensor(1.25, requires_grad=True)
    each = torch.full((1, 1), 1.25, requires_grad=True)
    for x in (fov, each):
        call("gnomonic", fov=x).square().sum().backward()
    assert each.grad is not None
    torch.testing.assert_close(fov.grad, each.grad[0, 0])
