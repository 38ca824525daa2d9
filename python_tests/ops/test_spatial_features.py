"""spatial_features: kernels against the float64 reference, and the features against their definitions."""

import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from avsa_fast import ops, reference
from avsa_fast.reference.spatial_features import VARIANTS, mel_bank, stft, view_signals

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# view, spatial, channels in
VIEWS = [("rotate", "iv", 4), ("rotate", None, 4), ("stereo", "icf", 4), ("stereo", None, 4), ("stereo", "icf", 2),
         ("stereo", None, 2), ("beamform", None, 4), ("mono", None, 4), ("mono", None, 1)]  # fmt: skip
SIZES = [(512, 64), (512, 128), (256, 40), (64, 6), (32, 1)]  # n_fft, n_mels
SMALL: dict[str, Any] = {"n_fft": 32, "hop_length": 12, "n_mels": 3}


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """Fresh memory holds NaN, so that an output never written shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def random_poses(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """[..., 2] azimuth and elevation all around, and beyond one turn."""
    return (torch.rand(*shape, 2, dtype=torch.float64) * 2 - 1).mul(torch.tensor([7.0, 1.7])).to(dtype)


def plane_wave(direction: Tensor, samples: int = 2400) -> Tensor:
    """White noise from a direction [2]: [4, samples] float64."""
    return ops.encode(torch.randn(1, samples, dtype=torch.float64), direction.double().unsqueeze(0))


def unit_vector(direction: Tensor) -> Tensor:
    """(x, y, z) of a direction [2]."""
    azimuth, elevation = direction.tolist()
    across = math.cos(elevation)
    return torch.tensor([across * math.cos(azimuth), across * math.sin(azimuth), math.sin(elevation)]).double()


# --- kernels against the float64 reference ---------------------------------------------------------------------------


def assert_matches(out: Tensor, expected: Tensor, views: Tensor, n_fft: int, hop: int, bank: Tensor) -> None:
    """Mel relative to the recording's maximum; spatial features in bands all of whose bins are above 1e-6 of it.

    A transform rounds relative to its loudest bins, so that what is known of the angles of a bin shrinks with its
    amplitude: the tolerance holds down to a power of 1e-4, then grows as the amplitude falls.
    """
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
    # An intensity needs W and some of X, Y, Z; a phase difference both L and R.
    weakest = power.amin(-3) if M == 2 else torch.minimum(power[..., 0, :, :], power[..., 1:, :, :].sum(-3))
    quiet = torch.stack([weakest[..., weights > 0].amin(-1) for weights in bank.T], dim=-2)  # [..., n_mels, n_frames]
    error, scale = (out - expected)[..., M:, :, :].abs(), expected[..., M:, :, :].abs().amax()
    allowed = tolerance * scale * (1e-4 / quiet).clamp(min=1).sqrt().unsqueeze(-3)
    assert (error <= torch.where(quiet.unsqueeze(-3) > 1e-6, allowed, math.inf)).all()


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
        poses = torch.cat([random_poses(*leading, K), torch.randn(*leading, K, 1)], dim=-1).to(dtype)
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
    assert_matches(out, expected, views, n_fft, hop, mel_bank(24000, n_fft, n_mels))


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
def test_signals_that_are_not_finite_pass_through(
    kernel_device: torch.device, case: tuple[str, str | None, int], bad: float
) -> None:
    view, spatial, C = case
    signals, directions = torch.randn(C, 512 + 240 * 9), torch.randn(2, 2) if C == 4 else None
    broken = signals.clone()
    broken[:, 1300] = bad
    directions = None if directions is None else directions.to(kernel_device)
    clean, out = (
        ops.spatial_features(x.to(kernel_device), directions, view=view, spatial=spatial).cpu()
        for x in (signals, broken)
    )
    start = torch.arange(10) * 240
    touched = (start > 1300 - 512) & (start <= 1300)
    assert out[..., touched].isnan().all()
    assert torch.equal(out[..., ~touched], clean[..., ~touched])


def test_loud_and_quiet_sound(kernel_device: torch.device) -> None:
    """float32 keeps its precision from a whisper to sound in 16-bit integers' units."""
    signals, directions = torch.randn(4, 2000), random_poses(3, dtype=torch.float32)
    for gain in (1e-3, 3e4):
        for view, spatial in (("rotate", "iv"), ("stereo", "icf")):
            scaled = signals * gain
            out = ops.spatial_features(
                scaled.to(kernel_device), directions.to(kernel_device), view=view, spatial=spatial
            )
            expected = reference.spatial_features(scaled.double(), directions.double(), view=view, spatial=spatial)
            views = view_signals(scaled.double(), directions.double(), view, "cardioid", None, None)
            assert_matches(out, expected, views, 512, 240, mel_bank(24000, 512, 64))


# --- definitions ------------------------------------------------------------------------------------------------------


def test_log_mel_is_torchaudios() -> None:
    signals = torch.randn(3, 1, 24000)
    out = ops.spatial_features(signals, view="mono", spatial=None)
    assert out.shape == (3, 1, 64, 98)
    peer = torchaudio.transforms.MelSpectrogram(
        24000, n_fft=512, hop_length=240, n_mels=64, center=False, power=2.0, norm="slaney", mel_scale="slaney"
    )
    torch.testing.assert_close(out, peer(signals).clamp(min=1e-10).log(), rtol=0, atol=1e-4)


def spectrum(signals: Tensor) -> np.ndarray:
    """[..., n_frames, 257] complex, by NumPy."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.lib.stride_tricks.sliding_window_view(signals.numpy(), 512, axis=-1)[..., ::240, :]
    return np.fft.rfft(frames * window)


def banded(bins: np.ndarray) -> Tensor:
    """Averages [..., n_frames, 257] over mel bands: [..., 64, n_frames]."""
    bank = mel_bank(24000, 512, 64).double()
    return (torch.from_numpy(bins) @ (bank / bank.sum(0))).mT


@pytest.mark.parametrize("variant", VARIANTS)
def test_intensity_vector_by_its_formula(variant: str) -> None:
    signals = torch.randn(4, 2400, dtype=torch.float64)
    w, y, z, x = spectrum(signals)
    flow = np.stack([np.real(np.conj(w) * v) for v in (x, y, z)])
    w2, sum2 = np.abs(w) ** 2, np.abs(x) ** 2 + np.abs(y) ** 2 + np.abs(z) ** 2
    expected = {
        "wang2022": 2 * flow / (1e-12 + w2 + sum2),
        "dcase2021": flow / (1e-12 + (w2 + sum2) / 2),
        "dcase2022": flow / (1e-12 + w2 + sum2 / 3),
        "unit": flow / (1e-12 + np.sqrt((flow**2).sum(0))),
    }[variant]
    out = ops.spatial_features(signals, variant=variant)[4:]
    torch.testing.assert_close(out, banded(expected), rtol=0, atol=1e-12)


def test_icf_by_its_formula() -> None:
    signals = torch.randn(2, 2400, dtype=torch.float64)
    left, right = spectrum(signals)
    level = 2 * np.log(np.maximum(np.abs(left), 1e-8)) - 2 * np.log(np.maximum(np.abs(right), 1e-8))
    phase = np.angle(left) - np.angle(right)
    out = ops.spatial_features(signals, view="stereo", spatial="icf")
    torch.testing.assert_close(out[2:], banded(np.stack([level, np.cos(phase), np.sin(phase)])), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("variant", "length"), [("wang2022", 1), ("dcase2021", 1), ("dcase2022", 0.75), ("unit", 1)])
def test_intensity_of_a_plane_wave_is_its_direction(variant: str, length: float) -> None:
    for direction in random_poses(5):
        scene = plane_wave(direction)
        out = ops.spatial_features(scene, variant=variant)[4:]
        expected = length * unit_vector(direction)[:, None, None]
        torch.testing.assert_close(out, expected.expand_as(out), rtol=0, atol=1e-6)
        front = ops.spatial_features(scene, direction[None], variant=variant)[0, 4:]
        expected = torch.tensor([length, 0, 0]).double()[:, None, None]
        torch.testing.assert_close(front, expected.expand_as(front), rtol=0, atol=1e-6)


def test_stereo_of_a_plane_wave() -> None:
    """Sound from the left is louder left: L = (1 + sin θ)/2, R = (1 − sin θ)/2; in phase."""
    azimuth = torch.tensor([0.6, 0.0], dtype=torch.float64)
    level, cosine, sine = ops.spatial_features(plane_wave(azimuth), view="stereo", spatial="icf")[2:]
    expected = 2 * math.log((1 + math.sin(0.6)) / (1 - math.sin(0.6)))
    torch.testing.assert_close(level, torch.full_like(level, expected), rtol=0, atol=1e-9)
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-9)
    torch.testing.assert_close(sine, torch.zeros_like(sine), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("view", "spatial"), [("rotate", "iv"), ("stereo", "icf"), ("mono", None)])
def test_a_view_is_the_turned_scene_as_it_is(view: str, spatial: str | None) -> None:
    signals, directions = torch.randn(2, 4, 2000, dtype=torch.float64), random_poses(2, 3)
    roll, flip = torch.randn(2, 3, dtype=torch.float64), torch.tensor([[True, False, True]] * 2)
    out = ops.spatial_features(signals, directions, view=view, spatial=spatial, roll=roll, flip=flip)
    turned = ops.rotate(signals, directions, roll=roll, flip=flip)
    torch.testing.assert_close(out, ops.spatial_features(turned, view=view, spatial=spatial), rtol=0, atol=1e-9)


def test_a_beam_is_a_mono_view_of_its_signal() -> None:
    signals, directions = torch.randn(2, 4, 2000, dtype=torch.float64), random_poses(2, 3)
    out = ops.spatial_features(signals, directions, view="beamform", spatial=None, pattern="max_re")
    beams = ops.beamform(signals, directions, "max_re").unsqueeze(-2)
    torch.testing.assert_close(out, ops.spatial_features(beams, view="mono", spatial=None), rtol=0, atol=1e-9)


def test_stereo_files_are_taken_as_they_are() -> None:
    scene = torch.randn(4, 2000, dtype=torch.float64)
    pair = torch.stack([(scene[0] + scene[1]) / 2, (scene[0] - scene[1]) / 2])
    a, b = (ops.spatial_features(x, view="stereo", spatial="icf") for x in (scene, pair))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_flip_is_the_view_of_the_mirrored_scene() -> None:
    signals, directions = torch.randn(4, 2000, dtype=torch.float64), random_poses(3)
    roll, flip = torch.randn(3, dtype=torch.float64), torch.ones(3, dtype=torch.bool)
    out = ops.spatial_features(signals, directions, roll=roll, flip=flip)
    mirror = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64)[:, None]
    mirrored = ops.spatial_features(signals * mirror, directions * torch.tensor([-1.0, 1.0]), roll=-roll)
    torch.testing.assert_close(out, mirrored, rtol=0, atol=1e-9)
    plain = ops.spatial_features(signals, directions, roll=roll)
    sign = torch.tensor([1.0, 1, 1, 1, 1, -1, 1], dtype=torch.float64)[:, None, None]  # the vector's y
    torch.testing.assert_close(out, plain * sign, rtol=0, atol=1e-9)


def test_flip_exchanges_left_and_right() -> None:
    signals, directions = torch.randn(4, 2000, dtype=torch.float64), random_poses(3)
    plain, flipped = (
        ops.spatial_features(signals, directions, view="stereo", spatial="icf", flip=torch.full((3,), flip))
        for flip in (False, True)
    )
    sign = torch.tensor([1.0, 1, -1, 1, -1], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(flipped, plain[:, [1, 0, 2, 3, 4]] * sign, rtol=0, atol=1e-9)


def test_features_do_not_depend_on_the_batch() -> None:
    signals, directions = torch.randn(5, 4, 9000), random_poses(5, 6, dtype=torch.float32)
    together = ops.spatial_features(signals, directions)
    alone = ops.spatial_features(signals[3, :, 240 * 20 : 240 * 20 + 512], directions[3, 5:])
    torch.testing.assert_close(alone[0, ..., 0], together[3, 5, ..., 20], rtol=0, atol=1e-4)


# --- autograd, tracing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("view", "spatial", "C"), VIEWS)
def test_gradients(view: str, spatial: str | None, C: int, variant: str) -> None:
    if variant != "wang2022" and spatial != "iv":
        pytest.skip("the variant changes the intensity vector only")
    signals = torch.randn(C, 45, dtype=torch.float64, requires_grad=True)
    poses: tuple[Tensor, ...] = ()
    if C == 4:
        poses = random_poses(2).requires_grad_(), torch.randn(2, dtype=torch.float64, requires_grad=True)

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


@pytest.mark.parametrize(("spatial", "M"), [("iv", 4), ("icf", 2), (None, 1)])
def test_opcheck(spatial: str | None, M: int) -> None:
    module = importlib.import_module("avsa_fast.ops.spatial_features")  # its name in ops is the function's
    _, bank, first = module._analysis(24000, 32, 3, torch.float64, torch.device("cpu"))
    scene = torch.randn(2, 4, 3, 17, 2, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(2, 3, M, 4, dtype=torch.float64, requires_grad=True)
    arguments = (scene, matrix, bank, first, spatial, "wang2022")
    torch.library.opcheck(torch.ops.avsa_fast.spatial_features.default, arguments)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_without_graph_breaks(dynamic: bool) -> None:
    def features(signals: Tensor, directions: Tensor) -> Tensor:
        turned = ops.spatial_features(signals, directions, **SMALL)
        return turned.mean() + ops.spatial_features(signals, view="stereo", spatial="icf", **SMALL).square().mean()

    arguments = torch.randn(2, 4, 100), random_poses(2, 3, dtype=torch.float32)
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


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize(("view", "channels"), [("rotate", 7), ("stereo", 2), ("beamform", 1), ("mono", 1)])
def test_the_default_adds_intensity_where_there_is_a_vector(view: str, channels: int) -> None:
    out = ops.spatial_features(SOUND, POSE, view=view)
    assert out.shape[-3] == channels
    torch.testing.assert_close(
        out[..., : min(channels, 4), :, :], ops.spatial_features(SOUND, POSE, view=view, spatial=None)
    )


@pytest.mark.parametrize(
    ("call", "error", "line"),
    [
        (refused(SOUND, POSE, view="binaural"), ValueError, "view must be one of rotate, stereo.*not 'binaural'"),
        (refused(SOUND, POSE, spatial="icf"), ValueError, 'spatial "icf" is of the view "stereo", not of "rotate"'),
        (refused(SOUND, POSE, view="mono", spatial="icf"), ValueError, 'view "stereo", not of "mono"'),
        (refused(SOUND, POSE, spatial="foa"), ValueError, "spatial must be .*not 'foa'"),
        (refused(SOUND, POSE, variant="dcase"), ValueError, "variant must be one of wang2022,.*not 'dcase'"),
        (refused(SOUND, view="beamform", spatial=None), ValueError, 'view "beamform" needs directions'),
        (refused(SOUND, POSE, view="beamform", spatial=None, pattern="omni"), ValueError, "pattern must be one of"),
        (refused(SOUND, POSE, n_fft=511), ValueError, "n_fft must be even, not 511"),
        (refused(SOUND, POSE, hop_length=0), ValueError, "hop_length must be a positive integer, not 0"),
        (refused(SOUND, POSE, n_mels=2.5), ValueError, "n_mels must be a positive integer, not 2.5"),
        (refused(SOUND, POSE, sample_rate=-1), ValueError, "sample_rate must be a positive integer, not -1"),
        (refused(SOUND, POSE, n_mels=300), ValueError, "n_mels = 300 leaves bands without a bin of n_fft = 512"),
        (refused(SOUND[..., :511], POSE), ValueError, "at least one frame of n_fft = 512 samples, not 511"),
        (refused(SOUND[0, 0]), ValueError, r"signals must be \[..., C, T\], not \[600\]"),
        (refused(SOUND[:, :3], POSE), ValueError, 'signals must have 4 channels for view "rotate", not 3'),
        (refused(SOUND[:, :3], view="mono", spatial=None), ValueError, "signals must have 4 or 1 channels.*not 3"),
        (refused(SOUND[:, :2], POSE, view="stereo", spatial=None), ValueError, "L, R cannot be turned"),
        (refused(SOUND.half(), POSE), TypeError, "signals must be float32 or float64, not float16"),
        (refused([0.0]), TypeError, "signals must be a float32 or float64 tensor, not list"),
        (refused(SOUND, POSE.double()), TypeError, "directions must be float32, not float64"),
        (refused(SOUND, POSE[0]), ValueError, r"directions must be \[2, K, 2\].*not \[3, 2\]"),
        (refused(SOUND, torch.zeros(2, 3, 5, 2)), ValueError, "directions that move are not supported yet"),
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
