"""spatial_features: kernels against the float64 reference, and features against their definitions."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.ambisonics import random_directions
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference.spatial_features import view_signals
from avsa_fast.spatial.mel import VARIANTS, mel_bank, stft

quick = settings(max_examples=25)
# view, spatial, channels in
VIEWS = [("rotate", "iv", 4), ("rotate", None, 4), ("stereo", "icf", 4), ("stereo", None, 4), ("stereo", "icf", 2),
         ("stereo", None, 2), ("beamform", None, 4), ("mono", None, 4), ("mono", None, 1)]  # fmt: skip
SIZES = [(512, 64), (512, 128), (256, 40), (64, 6), (32, 1)]  # n_fft, n_mels
SMALL: dict[str, Any] = {"n_fft": 32, "hop_length": 12, "n_mels": 3}


pytestmark = pytest.mark.usefixtures("poisoned_memory")


# --- kernels against the float64 reference ---------------------------------------------------------------------------


def assert_matches(out: Tensor, expected: Tensor, views: Tensor, n_fft: int, hop: int, bank: Tensor) -> None:
    """Mel: relative to the recording's maximum. Spatial features: only in bands whose bins are all above 1e-6 of it."""
    assert out.shape == expected.shape
    if out.numel() == 0:
        return
    tolerance = 1e-5 if out.dtype == torch.float32 else 1e-11
    M = views.shape[-2]
    out = out.cpu().double()
    mel, expected_mel = out[..., :M, :, :].exp(), expected[..., :M, :, :].exp()
    assert (mel - expected_mel).abs().max() <= tolerance * expected_mel.max()
    if out.shape[-3] == M:
        return
    power = stft(views, torch.hann_window(n_fft, dtype=views.dtype), hop).abs().square()
    power = power / power.max()
    # Intensity needs W and at least one of X, Y, Z; a phase difference needs both L and R.
    weakest = power.amin(-3) if M == 2 else torch.minimum(power[..., 0, :, :], power[..., 1:, :, :].sum(-3))
    quiet = torch.stack([weakest[..., weights > 0].amin(-1) for weights in bank.T], dim=-2)  # [..., n_mels, n_frames]
    error, scale = (out - expected)[..., M:, :, :].abs(), expected[..., M:, :, :].abs().amax()
    assert (error[(quiet > 1e-6).unsqueeze(-3).expand_as(error)] <= tolerance * scale).all()


@quick
@given(
    case=st.sampled_from(VIEWS), size=st.sampled_from(SIZES), variant=st.sampled_from(sorted(VARIANTS)),
    leading=st.sampled_from([(), (1,), (3,), (0,), (2, 2)]), K=st.sampled_from([None, 0, 1, 3, 4, 6]),
    frames=st.integers(1, 35), hop=st.integers(1, 300), dtype=st.sampled_from([torch.float32, torch.float64]),
    pattern=st.sampled_from(["cardioid", "hypercardioid", [0.3, 0.7]]), rolled=st.booleans(), flipped=st.booleans(),
)  # fmt: skip
def test_matches_reference(
    kernel_device: torch.device, case: tuple[str, str | None, int], size: tuple[int, int], variant: str,
    leading: tuple[int, ...], K: int | None, frames: int, hop: int, dtype: torch.dtype, pattern: Any, rolled: bool,
    flipped: bool,
) -> None:  # fmt: skip
    view, spatial, C = case
    n_fft, n_mels = size
    if C == 2:
        K = None
    elif view == "beamform":
        K = 1 if K is None else K
    T = n_fft + hop * (frames - 1) + hop // 2
    signals = torch.randn(*leading, T, C, dtype=dtype).mT  # not contiguous
    directions = roll = flip = None
    if K is not None:
        poses = torch.cat([random_directions(*leading, K), torch.randn(*leading, K, 1)], dim=-1).to(dtype)
        directions, roll = poses[..., :2], poses[..., 2] if rolled else None
        flip = torch.rand(*leading, K) < 0.5 if flipped else None
    options: dict[str, Any] = {
        "view": view, "spatial": spatial, "variant": variant, "pattern": pattern,
        "sample_rate": 24000, "n_fft": n_fft, "hop_length": hop, "n_mels": n_mels,
    }  # fmt: skip

    def there(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.to(kernel_device)

    out = ops.spatial_features(
        signals.to(kernel_device), there(directions), roll=there(roll), flip=there(flip), **options
    )
    assert out.dtype == dtype
    assert out.device.type == kernel_device.type

    exact = [None if x is None else x.double() for x in (directions, roll)]
    expected = reference.spatial_features(signals.double(), exact[0], roll=exact[1], flip=flip, **options)
    views = view_signals(signals.double(), exact[0], view, pattern, exact[1], flip)
    assert_matches(out, expected, views, n_fft, hop, torch.from_numpy(mel_bank(24000, n_fft, n_mels)))


@pytest.mark.parametrize("case", VIEWS)
def test_silence(kernel_device: torch.device, case: tuple[str, str | None, int]) -> None:
    view, spatial, C = case
    directions = torch.zeros(1, 2, device=kernel_device) if C == 4 else None
    out = ops.spatial_features(torch.zeros(C, 1000, device=kernel_device), directions, view=view, spatial=spatial)
    mel = {"rotate": 4, "stereo": 2, "beamform": 1, "mono": 1}[view]
    wanted = [math.log(1e-10)] * mel + {None: [], "iv": [0.0] * 3, "icf": [0.0, 1.0, 0.0]}[spatial]
    expected = torch.tensor(wanted)[:, None, None].expand(out.shape[-3:])
    torch.testing.assert_close(out.cpu(), expected.expand_as(out), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("case", VIEWS)
def test_non_finite_signals(
    kernel_device: torch.device, request: pytest.FixtureRequest, case: tuple[str, str | None, int], bad: float
) -> None:
    """ValueError on the CPU; on CUDA, NaN in the frames that contain the sample."""
    view, spatial, C = case
    signals, directions = torch.randn(C, 512 + 240 * 9), random_directions(2, dtype=torch.float32) if C == 4 else None
    broken = signals.clone()
    broken[:, 1300] = bad
    directions = None if directions is None else directions.to(kernel_device)
    if "[cpu" in request.node.name:
        with pytest.raises(ValueError, match="signals must be finite, but hold NaN or infinity"):
            ops.spatial_features(broken, directions, view=view, spatial=spatial)
        return
    clean, out = (
        ops.spatial_features(x.to(kernel_device), directions, view=view, spatial=spatial).cpu()
        for x in (signals, broken)
    )
    start = torch.arange(10) * 240
    touched = (start > 1300 - 512) & (start <= 1300)
    assert out[..., touched].isnan().all()
    assert torch.equal(out[..., ~touched], clean[..., ~touched])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_sound(kernel_device: torch.device, dtype: torch.dtype) -> None:
    signals, directions = torch.randn(4, 2000).to(dtype), random_directions(3, dtype=torch.float32)
    out = ops.spatial_features(signals.to(kernel_device), directions.to(kernel_device))
    assert out.dtype == torch.float32
    expected = ops.spatial_features(signals.float().to(kernel_device), directions.to(kernel_device))
    assert torch.equal(out, expected)


@pytest.mark.parametrize(("view", "spatial"), [("rotate", "iv"), ("stereo", "icf"), ("beamform", None), ("mono", None)])
def test_higher_orders_and_moving_directions(kernel_device: torch.device, view: str, spatial: str | None) -> None:
    options: dict[str, Any] = {"view": view, "spatial": spatial, "pattern": "max_re", "hop_length": 20}
    signals, path = torch.randn(16, 560, dtype=torch.float64), random_directions(2, 3)
    flip = torch.tensor([True, False])
    for directions in (path, path[:, 0]):
        out = ops.spatial_features(signals.to(kernel_device), directions.to(kernel_device), flip=flip, **options)
        expected = reference.spatial_features(signals, directions, flip=flip, **options)
        torch.testing.assert_close(out.cpu(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("n_fft", [6, 34, 90, 480, 1022, 1024])
def test_transform_lengths(kernel_device: torch.device, n_fft: int) -> None:
    signals, directions = torch.randn(4, n_fft + 40, dtype=torch.float64), random_directions(2)
    options = {"n_fft": n_fft, "hop_length": 13, "n_mels": 1 if n_fft < 100 else 20}
    out = ops.spatial_features(signals.to(kernel_device), directions.to(kernel_device), **options)
    expected = reference.spatial_features(signals, directions, **options)
    assert (out[:, :4].exp() - expected[:, :4].exp()).abs().max() <= 1e-11 * expected[:, :4].exp().max()
    torch.testing.assert_close(out[:, 4:], expected[:, 4:], rtol=0, atol=1e-8)


def test_loud_and_quiet_sound(kernel_device: torch.device) -> None:
    """float32 is precise enough from very quiet sound to sound scaled as 16-bit integers."""
    signals, directions = torch.randn(4, 2000), random_directions(3, dtype=torch.float32)
    for gain in (1e-3, 3e4):
        for view, spatial in (("rotate", "iv"), ("stereo", "icf")):
            scaled = signals * gain
            out = ops.spatial_features(
                scaled.to(kernel_device), directions.to(kernel_device), view=view, spatial=spatial
            )
            expected = reference.spatial_features(scaled.double(), directions.double(), view=view, spatial=spatial)
            views = view_signals(scaled.double(), directions.double(), view, "cardioid", None, None)
            assert_matches(out, expected, views, 512, 240, torch.from_numpy(mel_bank(24000, 512, 64)))


# --- autograd, tracing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("view", "spatial", "C"), VIEWS)
def test_gradients(view: str, spatial: str | None, C: int, variant: str) -> None:
    if variant != "wang2022" and spatial != "iv":
        pytest.skip("only the intensity vector depends on the variant")
    signals = torch.randn(C, 45, dtype=torch.float64, requires_grad=True)
    poses: tuple[Tensor, ...] = ()
    if C == 4:
        poses = random_directions(2).requires_grad_(), torch.randn(2, dtype=torch.float64, requires_grad=True)

    def features(signals: Tensor, directions: Tensor | None = None, roll: Tensor | None = None) -> Tensor:
        flip = None if directions is None else torch.tensor([True, False])
        return ops.spatial_features(
            signals, directions, roll=roll, flip=flip, view=view, spatial=spatial, variant=variant, **SMALL
        )

    assert torch.autograd.gradcheck(features, (signals, *poses), fast_mode=True)
    if poses:
        assert torch.autograd.gradcheck(features, (signals.detach(), *poses), fast_mode=True)


def test_gradient_at_silence_is_finite() -> None:
    for view, spatial in (("rotate", "iv"), ("stereo", "icf")):
        for variant in VARIANTS:
            signals = torch.zeros(4, 600, requires_grad=True)
            directions = torch.zeros(1, 2, requires_grad=True)
            ops.spatial_features(signals, directions, view=view, spatial=spatial, variant=variant).sum().backward()
            assert signals.grad is not None
            assert signals.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize(("spatial", "M"), [("iv", 4), ("icf", 2), (None, 1)])
def test_opcheck(spatial: str | None, M: int) -> None:
    scene = torch.randn(2, {"iv": 4, "icf": 2, None: 1}[spatial], 70, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(2, 3, M, scene.shape[1], dtype=torch.float64, requires_grad=True)
    arguments = (scene, matrix, 24000, 32, 3, 12, spatial, "wang2022")
    torch.library.opcheck(torch.ops.avsa_fast.spatial_features.default, arguments)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_graph_breaks(dynamic: bool) -> None:
    def features(signals: Tensor, directions: Tensor) -> Tensor:
        rotated = ops.spatial_features(signals, directions, **SMALL)
        return rotated.mean() + ops.spatial_features(signals, view="stereo", spatial="icf", **SMALL).square().mean()

    arguments = torch.randn(2, 4, 100), random_directions(2, 3, dtype=torch.float32)
    compiled, eager = ([a.clone().requires_grad_() for a in arguments] for _ in range(2))
    out = torch.compile(features, fullgraph=True, dynamic=dynamic, backend="aot_eager")(*compiled)
    expected = features(*eager)
    torch.testing.assert_close(out, expected)
    out.backward()
    expected.backward()
    for a, b in zip(compiled, eager, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


# --- refused arguments ------------------------------------------------------------------------------------------------

SOUND, POSE = torch.zeros(2, 4, 600), torch.zeros(2, 3, 2)


def refused(*arguments: Any, **options: Any) -> Callable[[], Tensor]:
    return lambda: ops.spatial_features(*arguments, **options)


@pytest.mark.parametrize(("view", "channels"), [("rotate", 7), ("stereo", 2), ("beamform", 1), ("mono", 1)])
def test_default_spatial_features_by_view(view: str, channels: int) -> None:
    out = ops.spatial_features(SOUND, POSE, view=view)
    assert out.shape[-3] == channels
    torch.testing.assert_close(
        out[..., : min(channels, 4), :, :], ops.spatial_features(SOUND, POSE, view=view, spatial=None)
    )


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (refused(SOUND, POSE, view="binaural"), ValueError, "view must be one of rotate, stereo.*not 'binaural'"),
        (refused(SOUND, POSE, spatial="icf"), ValueError, 'spatial "icf" needs view "stereo", not "rotate"'),
        (refused(SOUND, POSE, view="mono", spatial="icf"), ValueError, 'needs view "stereo", not "mono"'),
        (refused(SOUND, POSE, spatial="foa"), ValueError, "spatial must be .*not 'foa'"),
        (refused(SOUND, POSE, variant="dcase"), ValueError, "variant must be one of wang2022,.*not 'dcase'"),
        (refused(SOUND, view="beamform", spatial=None), ValueError, 'view "beamform" needs directions'),
        (refused(SOUND, POSE, view="beamform", spatial=None, pattern="omni"), ValueError, "pattern must be one of"),
        (refused(SOUND, POSE, n_fft=511), ValueError, "n_fft must be even, not 511"),
        (refused(SOUND, POSE, hop_length=0), ValueError, "hop_length must be an integer of at least 1, not 0"),
        (refused(SOUND, POSE, n_mels=2.5), TypeError, "n_mels must be an integer of at least 1, not 2.5"),
        (refused(SOUND, POSE, sample_rate=-1), ValueError, "sample_rate must be an integer of at least 1, not -1"),
        (refused(SOUND, POSE, n_mels=300), ValueError, "n_mels = 300 leaves bands without a bin of n_fft = 512"),
        (refused(SOUND[..., :511], POSE), ValueError, "at least one frame of n_fft = 512 samples, not 511"),
        (refused(SOUND[0, 0]), ValueError, r"signals must be \[..., C, T\], not \[600\]"),
        (refused(SOUND[:, :3], POSE), ValueError, 'signals must have 4, 9.* or 64 channels for view "rotate", not 3'),
        (refused(SOUND[:, :3], view="mono", spatial=None), ValueError, "signals must have 1, 4, .*channels.*not 3"),
        (refused(SOUND[:, :2], POSE, view="stereo", spatial=None), ValueError, "L, R cannot be rotated"),
        (refused(SOUND.int(), POSE), TypeError, "signals must be float32 or float64 or float16.*, not int32"),
        (refused(SOUND.half(), POSE.half()), TypeError, "directions must be float32, not float16"),
        (refused([0.0]), TypeError, "signals must be a float32 or float64.* tensor, not list"),
        (refused(SOUND, POSE.double()), TypeError, "directions must be float32, not float64"),
        (refused(SOUND, POSE[0]), ValueError, r"directions must be \[2, K, 2\].*not \[3, 2\]"),
        (refused(SOUND, POSE, roll=torch.zeros(3)), ValueError, r"roll must be \[2, 3\].*not \[3\]"),
        (refused(SOUND, POSE, flip=torch.zeros(2, 3)), TypeError, "flip must be bool, not float32"),
        (refused(SOUND, roll=torch.zeros(2, 3)), ValueError, "roll and flip need directions"),
        (refused(SOUND, flip=torch.zeros(2, 3) > 0), ValueError, "roll and flip need directions"),
        (refused(SOUND, POSE / 0), ValueError, "directions must be finite"),
        (refused(SOUND, POSE / 0, view="beamform", spatial=None), ValueError, "directions must be finite"),
        (refused(SOUND, POSE / 0, view="mono", spatial=None), ValueError, "directions must be finite"),
        (refused(SOUND, POSE, roll=torch.full((2, 3), math.nan)), ValueError, "roll must be finite"),
    ],
)  # fmt: skip
def test_refused(call: Callable[[], Tensor], error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
