"""Perspective crops: kernels against the reference and torchvision."""

from math import inf, nan, pi, radians

import pytest
import torch
from helpers.gnomonic import MEAN, STD, in_float64, random_frames, random_jitter, random_poses, to
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as vision

from avsa_fast import ops, reference
from avsa_fast.ops import _gnomonic_op


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_kernel_matches_reference(
    kernel_device: torch.device, dtype: torch.dtype, antialias: bool, jitter: bool
) -> None:
    arguments = {"frames": random_frames((2, 9, 32, 64), dtype), **random_poses(2, 3), "antialias": antialias}
    arguments |= {"size": (11, 13), "mean": MEAN, "std": STD, "jitter": random_jitter(2, 3) if jitter else None}
    out = torch.float64 if dtype == torch.float64 else torch.float32
    got = ops.gnomonic(**to(kernel_device, arguments), dtype=out).cpu()
    want = reference.gnomonic(**in_float64(arguments), dtype=torch.float64)
    assert got.dtype == out
    assert got.shape == want.shape == (2, 3, 3, 9, 11, 13)
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3
    assert (got.double() - want).abs().max() <= tolerance * float(want.max() - want.min())


@pytest.mark.parametrize("antialias", [False, True])
def test_wide_white_noise(kernel_device: torch.device, antialias: bool) -> None:
    """float32 coordinates are precise enough at 4K, including the seam and the poles."""
    frames = random_frames((1, 1, 1920, 3840))
    poses = torch.tensor([[[pi, 0.0], [-pi, 0.4], [0.3, pi / 2], [2.0, -pi / 2], [-3.1, 1.5]]])
    got = ops.gnomonic(
        frames.to(kernel_device), poses.to(kernel_device), radians(20), (9, 10), antialias=antialias
    ).cpu()
    want = reference.gnomonic(frames, poses.double(), radians(20), (9, 10), antialias=antialias, dtype=torch.float64)
    assert (got.double() - want).abs().max() <= 1e-3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_footprints_of_many_texels(kernel_device: torch.device, dtype: torch.dtype) -> None:
    """The weights of a pixel do not fit into the host kernel's buffers at once."""
    frames = random_frames((1, 2, 512, 1024), dtype).to(kernel_device)
    poses = {"directions": torch.tensor([[[0.3, 0.2], [-3.0, 1.4]]]).to(kernel_device), "fov": radians(30)}
    want = reference.gnomonic(
        frames.cpu(), poses["directions"].cpu().double(), radians(30), (2, 2), dtype=torch.float64
    )
    got = ops.gnomonic(frames, **poses, size=(2, 2), dtype=dtype if dtype == torch.float64 else torch.float32)
    assert (got.cpu().double() - want).abs().max() <= 1e-4
    if dtype == torch.uint8:
        return
    weights = torch.randn_like(got)
    leaf = frames.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((ops.gnomonic(leaf, **poses, size=(2, 2), dtype=dtype) * weights).sum(), leaf)
    assert float((gradient * frames).sum()) == pytest.approx(float((got * weights).sum()), rel=1e-4, abs=1e-4)


@settings(max_examples=20)
@given(
    B=st.integers(0, 2), K=st.integers(0, 3), F=st.integers(0, 10), H=st.integers(2, 40), W=st.integers(1, 40),
    h=st.integers(1, 20), w=st.integers(1, 20), dtype=st.sampled_from([torch.uint8, torch.float32, torch.float64]),
    pose=st.sampled_from([torch.float32, torch.float64]), antialias=st.booleans(), jitter=st.booleans(),
)  # fmt: skip
def test_any_shape(
    kernel_device: torch.device, B: int, K: int, F: int, H: int, W: int, h: int, w: int, dtype: torch.dtype,
    pose: torch.dtype, antialias: bool, jitter: bool,
) -> None:  # fmt: skip
    arguments = {"frames": random_frames((B, F, H, 2 * W), dtype), **random_poses(B, K, pose), "size": (h, w)}
    arguments |= {"antialias": antialias, "jitter": random_jitter(B, K, pose) if jitter else None}
    got = ops.gnomonic(**to(kernel_device, arguments)).cpu()
    want = reference.gnomonic(**in_float64(arguments))
    assert got.shape == want.shape == (B, K, 3, F, h, w)
    torch.testing.assert_close(got, want, atol=1e-3, rtol=0)


def test_frames_need_not_be_contiguous(kernel_device: torch.device) -> None:
    whole = random_frames((3, 6, 20, 40)).to(kernel_device)
    poses = to(kernel_device, random_poses(2, 2))
    planar = whole.permute(0, 1, 4, 2, 3).contiguous().permute(0, 1, 3, 4, 2)
    views = [whole[::2, ::3], whole[1:, :, 3:, 10:30], planar[:2], whole[:1].expand(2, -1, -1, -1, -1)]
    for frames in views:
        assert torch.equal(
            ops.gnomonic(frames, size=(5, 6), **poses), ops.gnomonic(frames.contiguous(), size=(5, 6), **poses)
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_output_is_rounded_float32(kernel_device: torch.device, dtype: torch.dtype) -> None:
    arguments = to(kernel_device, {"frames": random_frames((1, 2, 32, 64)), **random_poses(1, 2)})
    wide = ops.gnomonic(**arguments, size=(9, 9), mean=MEAN, std=STD)
    narrow = ops.gnomonic(**arguments, size=(9, 9), mean=MEAN, std=STD, dtype=dtype)
    assert torch.equal(narrow, wide.to(dtype))


@pytest.mark.parametrize("jitter", [False, True])
def test_uint8_output(kernel_device: torch.device, jitter: bool) -> None:
    arguments = {"frames": random_frames((1, 2, 32, 64)), **random_poses(1, 4), "size": (14, 9), "dtype": torch.uint8}
    arguments["jitter"] = random_jitter(1, 4) if jitter else None
    got = ops.gnomonic(**to(kernel_device, arguments)).cpu()
    assert got.dtype == torch.uint8
    assert (got.int() - reference.gnomonic(**in_float64(arguments)).int()).abs().max() <= 1


def test_flip_reverses_columns(kernel_device: torch.device) -> None:
    arguments = to(kernel_device, {"frames": random_frames((1, 2, 32, 64)), **random_poses(1, 3), "size": (8, 9)})
    arguments["flip"] = torch.ones(1, 3, dtype=torch.bool, device=kernel_device)
    mirrored = ops.gnomonic(**arguments)
    arguments["flip"] = None
    torch.testing.assert_close(mirrored, ops.gnomonic(**arguments).flip(-1), atol=1e-4, rtol=0)


def test_jitter_matches_torchvision(kernel_device: torch.device) -> None:
    frames, poses, jitter = random_frames((2, 3, 32, 64)), random_poses(2, 4), random_jitter(2, 4)
    frames[0, 1] = 128  # grey, without hue
    plain = ops.gnomonic(**to(kernel_device, {"frames": frames, **poses}), size=(17, 18)).cpu()
    got = ops.gnomonic(**to(kernel_device, {"frames": frames, **poses, "jitter": jitter}), size=(17, 18)).cpu()
    for b in range(2):
        for k in range(4):
            brightness, contrast, saturation, hue = jitter[b, k].tolist()
            want = plain[b, k].transpose(0, 1)  # [F, 3, h, w]
            want = vision.adjust_brightness(want, brightness)
            want = vision.adjust_contrast(want, contrast)
            want = vision.adjust_saturation(want, saturation)
            want = vision.adjust_hue(want, hue)
            torch.testing.assert_close(got[b, k].transpose(0, 1), want, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kernel_device", ["emulated", pytest.param("cuda", marks=pytest.mark.cuda)], indirect=True)
def test_invalid_pose_on_cuda_gives_nan(kernel_device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With value checks disabled, an invalid pose gives NaN (0 for uint8) and no gradient; other crops are the same."""
    monkeypatch.setattr(_gnomonic_op, "_check_values", lambda *values: None)
    frames, good = random_frames((1, 2, 8, 16), torch.float32).to(kernel_device), to(kernel_device, random_poses(1, 7))
    jitter = random_jitter(1, 7).to(kernel_device)
    bad = {name: value.clone() for name, value in good.items()} | {"jitter": jitter.clone()}
    bad["directions"][0, 0, 0], bad["directions"][0, 1, 1], bad["roll"][0, 2] = nan, inf, nan
    bad["fov"][0, 3], bad["fov"][0, 4], bad["jitter"][0, 5, 1] = nan, pi, nan
    want = ops.gnomonic(frames, size=(3, 4), **good, jitter=jitter)
    got = ops.gnomonic(frames, size=(3, 4), **bad)
    assert got[:, :6].isnan().all()
    assert torch.equal(got[:, 6:], want[:, 6:])
    assert not ops.gnomonic(frames, size=(3, 4), **bad, dtype=torch.uint8)[:, :6].any()
    leaf = frames.clone().requires_grad_()
    ops.gnomonic(leaf, size=(3, 4), **{**bad, "jitter": None})[:, :5].sum().backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()
