"""Perspective crops: kernels against the reference and torchvision, gradients, what is refused."""

import sys
from math import pi, radians

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import functional as vision

from avsa_fast import ops, reference

MEAN, STD = (0.43, 0.39, 0.38), (0.23, 0.22, 0.22)


def random_frames(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Tensor:
    if dtype == torch.uint8:
        return torch.randint(0, 256, (*shape, 3), dtype=dtype)
    return torch.rand(*shape, 3, dtype=dtype)


def random_poses(B: int, K: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Everywhere on the sphere, with rolls and mirrors; fields of view from 15° to 130°."""
    unit = torch.rand(4, B, K, dtype=dtype)
    return {
        "directions": torch.stack([(2 * unit[0] - 1) * pi, (unit[1] - 0.5) * pi], dim=-1),
        "fov": radians(15) + unit[2] * radians(115),
        "roll": (2 * unit[3] - 1) * pi,
        "flip": torch.rand(B, K) < 0.5,
    }


def random_jitter(B: int, K: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.cat([torch.rand(B, K, 3, dtype=dtype) * 0.8 + 0.6, torch.rand(B, K, 1, dtype=dtype) - 0.5], dim=-1)


def to(device: torch.device, arguments: dict[str, object]) -> dict[str, object]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in arguments.items()}


def doubled(arguments: dict[str, object]) -> dict[str, object]:
    """The same values as float64; bytes and truths as they are."""
    floating = {name for name, x in arguments.items() if isinstance(x, Tensor) and x.is_floating_point()}
    return {name: x.double() if name in floating else x for name, x in arguments.items()}


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_kernel_agrees_with_reference(
    kernel_device: torch.device, dtype: torch.dtype, antialias: bool, jitter: bool
) -> None:
    arguments = {"frames": random_frames((2, 9, 32, 64), dtype), **random_poses(2, 3), "antialias": antialias}
    arguments |= {"size": (11, 13), "mean": MEAN, "std": STD, "jitter": random_jitter(2, 3) if jitter else None}
    out = torch.float64 if dtype == torch.float64 else torch.float32
    got = ops.gnomonic(**to(kernel_device, arguments), dtype=out).cpu()
    want = reference.gnomonic(**doubled(arguments), dtype=torch.float64)
    assert got.dtype == out
    assert got.shape == want.shape == (2, 3, 3, 9, 11, 13)
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3
    assert (got.double() - want).abs().max() <= tolerance * float(want.max() - want.min())


@pytest.mark.parametrize("antialias", [False, True])
def test_wide_white_noise(kernel_device: torch.device, antialias: bool) -> None:
    """float32 coordinates are good enough at 4K, at the seam and at the poles too."""
    frames = random_frames((1, 1, 1920, 3840))
    poses = torch.tensor([[[pi, 0.0], [-pi, 0.4], [0.3, pi / 2], [2.0, -pi / 2], [-3.1, 1.5]]])
    got = ops.gnomonic(
        frames.to(kernel_device), poses.to(kernel_device), radians(20), (9, 10), antialias=antialias
    ).cpu()
    want = reference.gnomonic(frames, poses.double(), radians(20), (9, 10), antialias=antialias, dtype=torch.float64)
    assert (got.double() - want).abs().max() <= 1e-3


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    want = reference.gnomonic(**doubled(arguments))
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
def test_narrow_output_is_the_rounded_float32(kernel_device: torch.device, dtype: torch.dtype) -> None:
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
    assert (got.int() - reference.gnomonic(**doubled(arguments)).int()).abs().max() <= 1


def test_flip_reverses_columns(kernel_device: torch.device) -> None:
    arguments = to(kernel_device, {"frames": random_frames((1, 2, 32, 64)), **random_poses(1, 3), "size": (8, 9)})
    arguments["flip"] = torch.ones(1, 3, dtype=torch.bool, device=kernel_device)
    mirrored = ops.gnomonic(**arguments)
    arguments["flip"] = None
    torch.testing.assert_close(mirrored, ops.gnomonic(**arguments).flip(-1), atol=1e-4, rtol=0)


def test_jitter_is_torchvisions(kernel_device: torch.device) -> None:
    frames, poses, jitter = random_frames((2, 3, 32, 64)), random_poses(2, 4), random_jitter(2, 4)
    frames[0, 1] = 128  # grey: no hue
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


# Gradients and tracing.


@pytest.mark.parametrize("antialias", [False, True])
def test_gradient_in_frames(kernel_device: torch.device, antialias: bool) -> None:
    frames = random_frames((1, 2, 4, 6), torch.float64).to(kernel_device).requires_grad_()
    poses = to(kernel_device, random_poses(1, 2, torch.float64))

    def crop(frames: Tensor) -> Tensor:
        return ops.gnomonic(frames, size=(3, 2), **poses, antialias=antialias, mean=MEAN, std=STD, dtype=torch.float64)

    assert torch.autograd.gradcheck(crop, frames)
    assert torch.autograd.gradgradcheck(crop, frames)


def test_gradient_agrees_with_reference_and_repeats(kernel_device: torch.device) -> None:
    frames, poses = (
        random_frames((1, 3, 16, 32), torch.float32).to(kernel_device),
        to(kernel_device, random_poses(1, 3)),
    )
    weights = torch.randn(1, 3, 3, 3, 20, 20)
    gradients = []
    for _ in range(2):
        leaf = frames.clone().requires_grad_()
        (ops.gnomonic(leaf, size=(20, 20), std=STD, **poses).cpu() * weights).sum().backward()
        gradients.append(leaf.grad)
    exact = frames.double().requires_grad_()
    crops = reference.gnomonic(exact, size=(20, 20), std=STD, **doubled(poses), dtype=torch.float64).cpu()
    (crops * weights).sum().backward()
    assert torch.equal(gradients[0], gradients[1])
    error = (gradients[0].double() - exact.grad).norm() / exact.grad.norm()
    assert error < 1e-4


def test_gradient_of_nothing_and_of_nan(kernel_device: torch.device) -> None:
    frames = random_frames((1, 1, 4, 8), torch.float32).to(kernel_device).requires_grad_()
    direction = torch.zeros(1, 1, 2, device=kernel_device)
    crop = ops.gnomonic(frames, direction, 1.0, (2, 2))
    assert torch.equal(torch.autograd.grad((crop * 0).sum(), frames, retain_graph=True)[0], torch.zeros_like(frames))
    assert torch.autograd.grad((crop * float("nan")).sum(), frames)[0].isnan().all()
    none = ops.gnomonic(frames, direction[:, :0], 1.0, (2, 2))
    assert torch.equal(torch.autograd.grad(none.sum(), frames)[0], torch.zeros_like(frames))


def test_torch_library_contract(kernel_device: torch.device) -> None:
    frames = random_frames((1, 2, 4, 8), torch.float64).to(kernel_device)
    poses = to(kernel_device, random_poses(1, 2, torch.float64))
    directions, fov, roll, flip = poses["directions"], poses["fov"], poses["roll"], poses["flip"]
    plain = ([0.0] * 3, [1.0] * 3, True, torch.float64)
    jitter = random_jitter(1, 2, torch.float64).to(kernel_device)
    forward = torch.ops.avsa_fast.gnomonic.default
    torch.library.opcheck(forward, (frames.clone().requires_grad_(), directions, fov, 3, 2, roll, flip, None, *plain))
    torch.library.opcheck(forward, (frames, directions, fov, 3, 2, None, None, jitter, *plain))
    grad = torch.randn(1, 2, 3, 2, 3, 2, dtype=torch.float64, device=kernel_device, requires_grad=True)
    torch.library.opcheck(
        torch.ops.avsa_fast.gnomonic_backward.default, (grad, directions, fov, 4, 8, roll, flip, True)
    )


def test_compiles_in_one_graph() -> None:
    frames = random_frames((1, 2, 8, 16), torch.float32).requires_grad_()
    poses = random_poses(1, 2)

    def crop(frames: Tensor) -> Tensor:
        return ops.gnomonic(frames, size=(3, 2), **poses, mean=MEAN, std=STD).sin()

    compiled = torch.compile(crop, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(frames), crop(frames))
    compiled(frames).sum().backward()


# What is refused.

GOOD = {"frames": torch.zeros(1, 2, 4, 8, 3), "directions": torch.zeros(1, 2, 2), "fov": 1.0, "size": (3, 4)}
NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"frames": torch.zeros(1, 2, 4, 8)}, ValueError, r"frames must be \[B, F, H, W, 3\], not \[1, 2, 4, 8\]"),
        ({"frames": torch.zeros(1, 2, 4, 7, 3)}, ValueError, "W >= 2 and even"),
        ({"frames": torch.zeros(1, 2, 1, 8, 3)}, ValueError, "H >= 2"),
        ({"frames": torch.zeros(1, 2, 4, 8, 3).half()}, TypeError, "frames must be uint8 or float32 or float64"),
        ({"frames": torch.zeros(1).expand(1, 1, 2**15, 2**15, 3)}, ValueError, r"at most 2\^29 pixels"),
        ({"frames": (torch.zeros(1), torch.zeros(1))}, ValueError, "YUV planes are not supported yet"),
        ({"source": "eac"}, ValueError, "source must be 'erp', not 'eac'"),
        ({"matrix": "bt601"}, ValueError, "matrix 'bt601'"),
        ({"full_range": True}, ValueError, "full_range True"),
        ({"directions": torch.zeros(2, 2, 2)}, ValueError, r"directions must be \[1, K, 2\]"),
        ({"directions": torch.zeros(1, 2, 3)}, ValueError, "directions must be"),
        ({"directions": torch.zeros(1, 2, 2).int()}, TypeError, "directions must be float32 or float64"),
        ({"directions": torch.full((1, 2, 2), NAN)}, ValueError, "directions must be finite"),
        ({"fov": 0.0}, ValueError, r"fov must be within \(0, pi\) radians, not 0.0"),
        ({"fov": pi}, ValueError, "fov must be within"),
        ({"fov": NAN}, ValueError, "fov must be within"),
        ({"fov": "wide"}, TypeError, "fov must be a number or a tensor, not str"),
        ({"fov": torch.tensor([[1.0, NAN]])}, ValueError, r"fov must be within \(0, pi\) radians everywhere"),
        ({"fov": torch.tensor([[1.0, pi]])}, ValueError, "fov must be within"),
        ({"fov": torch.ones(1, 3)}, ValueError, r"fov must be \[1, 2\]"),
        ({"fov": torch.ones(1, 2).double()}, TypeError, "fov must be float32, not float64"),
        ({"size": (0, 4)}, ValueError, "size must be"),
        ({"size": (2**15, 2**15)}, ValueError, r"at most 2\^29 pixels"),
        ({"size": (4,)}, ValueError, "size must be"),
        ({"roll": torch.ones(1, 3)}, ValueError, r"roll must be \[1, 2\]"),
        ({"roll": torch.full((1, 2), NAN)}, ValueError, "roll must be finite"),
        ({"flip": torch.ones(1, 2)}, TypeError, "flip must be bool"),
        ({"jitter": torch.ones(1, 2, 3)}, ValueError, r"jitter must be \[1, 2, 4\]"),
        ({"jitter": torch.ones(1, 2, 4)}, ValueError, "hue shift within ±0.5"),
        ({"jitter": torch.tensor([1, -1, 1, 0.0]).expand(1, 2, 4)}, ValueError, "factors of 0 or more"),
        ({"jitter": torch.full((1, 2, 4), NAN)}, ValueError, "jitter must be finite"),
        ({"mean": (1.0, 2.0)}, ValueError, "mean must be 3 finite numbers"),
        ({"std": (1.0, 0.0, 1.0)}, ValueError, "std must be 3 finite positive numbers"),
        ({"dtype": torch.int32}, TypeError, "dtype must be float32"),
        ({"dtype": torch.float64}, TypeError, "dtype float64 needs float64 frames"),
        ({"dtype": torch.uint8, "mean": MEAN}, ValueError, "dtype uint8 holds 0..255"),
        ({"directions": torch.zeros(1, 2, 2, requires_grad=True)}, ValueError, "directions requires a gradient"),
        ({"fov": torch.ones(1, 2, requires_grad=True)}, ValueError, "fov requires a gradient"),
        ({"roll": torch.ones(1, 2, requires_grad=True)}, ValueError, "roll requires a gradient"),
        (
            {"frames": torch.zeros(1, 2, 4, 8, 3, requires_grad=True), "jitter": torch.zeros(1, 2, 4)},
            ValueError,
            "not supported through jitter",
        ),
    ],
)  # fmt: skip
def test_refuses(change: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        ops.gnomonic(**{**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kernel_device", ["emulated", pytest.param("cuda", marks=pytest.mark.cuda)], indirect=True)
def test_bad_pose_on_the_device_is_nan(kernel_device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where values are not checked: the crop is NaN, or 0 as bytes, and gives no gradient; others are as they were."""
    monkeypatch.setattr(sys.modules["avsa_fast.ops.gnomonic"], "_check_values", lambda *values: None)
    frames, good = random_frames((1, 2, 8, 16), torch.float32).to(kernel_device), to(kernel_device, random_poses(1, 7))
    jitter = random_jitter(1, 7).to(kernel_device)
    bad = {name: value.clone() for name, value in good.items()} | {"jitter": jitter.clone()}
    bad["directions"][0, 0, 0], bad["directions"][0, 1, 1], bad["roll"][0, 2] = NAN, float("inf"), NAN
    bad["fov"][0, 3], bad["fov"][0, 4], bad["jitter"][0, 5, 1] = NAN, pi, NAN
    want = ops.gnomonic(frames, size=(3, 4), **good, jitter=jitter)
    got = ops.gnomonic(frames, size=(3, 4), **bad)
    assert got[:, :6].isnan().all()
    assert torch.equal(got[:, 6:], want[:, 6:])
    assert not ops.gnomonic(frames, size=(3, 4), **bad, dtype=torch.uint8)[:, :6].any()
    leaf = frames.clone().requires_grad_()
    ops.gnomonic(leaf, size=(3, 4), **{**bad, "jitter": None})[:, :5].sum().backward()
    assert leaf.grad is not None
    assert not leaf.grad.any()
