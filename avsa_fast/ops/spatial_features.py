"""Log-mel and spatial features of a scene turned, folded to stereo or beamformed towards directions."""

from collections.abc import Sequence
from functools import lru_cache
from math import pi, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avsa_fast.reference.harmonics import MAX_ORDER
from avsa_fast.reference.spatial_features import VARIANTS, band_features, mel_bank, spatial_of, stft

from . import _check
from ._ambisonics import FLOATS, angle_dtype, check_directions, check_pose
from ._autograd import gradients
from ._harmonics import turns
from ._kernel import DTYPES, run
from ._library import register
from .beamform import beamform
from .rotate import rotate

SCENES = tuple((order + 1) ** 2 for order in range(1, MAX_ORDER + 1))  # channels of orders 1 to 7
# Views by name, and how many channels their signals may have.
VIEWS = {"rotate": SCENES, "stereo": (2, *SCENES), "beamform": SCENES, "mono": (1, *SCENES)}
SPATIAL = {None: 0, "iv": 1, "icf": 2}  # the numbers of csrc/features/features.h
MOST_ON_CUDA = 1024  # of n_fft: a block has all channels' frames in shared memory


def spatial_features(
    signals: Tensor,
    directions: Tensor | None = None,
    *,
    view: str = "rotate",
    spatial: str | None = "iv",
    variant: str = "wang2022",
    pattern: str | Sequence[float] = "cardioid",
    roll: Tensor | None = None,
    flip: Tensor | None = None,
    sample_rate: int = 24000,
    n_fft: int = 512,
    hop_length: int = 240,
    n_mels: int = 64,
) -> Tensor:
    """Log-mel and spatial features of K views of a scene, or of the scene as it is.

    signals: [..., C, T] float16, bfloat16, float32 or float64; scenes of orders 1 to 7, of which all views but beams
    hear order 1. directions: [..., K, 2], (azimuth, elevation) in radians, float64 for float64 signals, else float32;
    [..., K, P, 2] move, as in `rotate` and `beamform`; None for the scene as it is. Returns
    [..., K, channels, n_mels, n_frames], without K where there are no directions, float64 for float64 signals, else
    float32, of n_frames = 1 + (T - n_fft) // hop_length frames without padding. view makes the mel channels, spatial
    those after:

    - "rotate": W, Y, Z, X turned to the direction as by `rotate` (4); spatial "iv" adds the intensity vector's X, Y,
      Z (3)
    - "stereo": L, R = (W ± Y) / 2 after that turn, or given L, R without directions (2); spatial "icf" adds the level
      difference, and cosine and sine of the phase difference of L against R (3)
    - "beamform": a beam of the `pattern` towards the direction (1)
    - "mono": W of a scene, or one channel (1)

    spatial=None gives mel channels alone, and so does "iv" with a view other than "rotate". variant: "wang2022",
    "dcase2021", "dcase2022" or "unit", the intensity vector's normalisation. roll (radians, like directions) and flip
    (bool), None or [..., K], are those of `rotate`; they change neither a beam nor W. sample_rate in Hz; n_fft (even,
    on CUDA at most 1024), hop_length in samples; n_mels bands from 0 to sample_rate / 2. A log-mel is the natural
    logarithm of the power in Slaney's mel bands, at least 1e-10. Differentiable in signals, directions and roll.
    Raises TypeError for another dtype; ValueError for an unknown or unfitting choice, shapes that do not fit, bands too
    narrow to hold a bin or, on the CPU, a sample or angle that is not finite (on CUDA the frames or views that depend
    on it are NaN).
    Method: Wang et al. 2022, "Self-supervised Learning of Audio Representations from Audio-Visual Data using Spatial
    Alignment"; variants from the DCASE challenges' baselines.
    """
    _check_choices(view, spatial, variant, sample_rate, n_fft, hop_length, n_mels)
    spatial = spatial_of(view, spatial)
    _check_signals(signals, directions, view, n_fft)
    if directions is not None:
        check_directions("signals", signals, directions)
        check_pose(roll, flip, directions, moving=directions.ndim > signals.ndim)
    elif roll is not None or flip is not None:
        raise ValueError("roll and flip need directions: directions of 0 turn nothing else")
    elif view == "beamform":
        raise ValueError('view "beamform" needs directions')
    if signals.shape[-2] in SCENES and view != "beamform":
        signals = signals[..., : 1 if view == "mono" else 4, :]
    signals = signals.to(angle_dtype(signals))
    moving = directions is not None and directions.ndim > signals.ndim
    if view == "beamform":  # K signals: fewer than the channels that a spectrum of the scene would take
        assert directions is not None
        signals, directions, view = beamform(signals, directions, pattern).unsqueeze(-2), None, "mono"
    elif moving and view == "mono":  # W stays what it is
        assert directions is not None
        directions, roll = directions[..., 0, :], None
    elif moving:
        assert directions is not None
        signals, directions, roll, flip = rotate(signals, directions, roll=roll, flip=flip), None, None, None
    window, roots, bank, first = _analysis(sample_rate, n_fft, n_mels, signals.device)
    gaze, turn = (None if x is None else x.double() for x in (directions, roll))
    matrix = _view_matrix(signals, gaze, view, turn, flip)
    features = torch.ops.avsa_fast.spatial_features.default(
        signals, matrix, window, roots, bank, first, hop_length, spatial, variant
    )
    return features.squeeze(-4) if directions is None else features


def _check_choices(
    view: str, spatial: str | None, variant: str, sample_rate: int, n_fft: int, hop_length: int, n_mels: int
) -> None:
    """Raises ValueError for a choice that is unknown or does not fit the others."""
    if view not in VIEWS:
        raise ValueError(f"view must be one of {', '.join(VIEWS)}, not {view!r}")
    if spatial not in SPATIAL:
        raise ValueError(f'spatial must be "iv", "icf" or None, not {spatial!r}')
    if spatial == "icf" and view != "stereo":
        raise ValueError(f'spatial "icf" is of the view "stereo", not of "{view}"')
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant!r}")
    numbers = {"sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}
    for name, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be a positive integer, not {number!r}")
    if n_fft % 2:
        raise ValueError(f"n_fft must be even, not {n_fft}")


def _check_signals(signals: Tensor, directions: Tensor | None, view: str, n_fft: int) -> None:
    """Raises unless signals are [..., C, T] with channels for the view and samples for a frame."""
    _check.dtype("signals", signals, FLOATS)
    _check.shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    channels = VIEWS[view]
    if signals.shape[-2] not in channels:
        wanted = ", ".join(map(str, channels[:-1])) + f" or {channels[-1]}"
        raise ValueError(f'signals must have {wanted} channels for view "{view}", not {signals.shape[-2]}')
    if signals.device.type == "cuda" and n_fft > MOST_ON_CUDA:
        raise ValueError(f"n_fft must be at most {MOST_ON_CUDA} on CUDA, not {n_fft}")
    if signals.shape[-2] == 2 and directions is not None:
        raise ValueError("directions need signals with the channels W, Y, Z, X: L, R cannot be turned")
    if signals.shape[-1] < n_fft:
        raise ValueError(f"signals must hold at least one frame of n_fft = {n_fft} samples, not {signals.shape[-1]}")


def _view_matrix(
    signals: Tensor, directions: Tensor | None, view: str, roll: Tensor | None, flip: Tensor | None
) -> Tensor:
    """What mixes the C channels into each view's M: [..., K, M, C] float64, K = 1 without directions."""
    *leading, C, _ = signals.shape
    if directions is None:
        turned = torch.eye(C, dtype=torch.float64, device=signals.device).expand(*leading, 1, C, C)
    else:
        turned = turns(directions, roll, flip, 1)
    if view == "stereo" and C == 4:
        w, y = turned[..., 0, :], turned[..., 1, :]
        return torch.stack([(w + y) / 2, (w - y) / 2], dim=-2)
    return turned[..., :1, :1] if view == "mono" else turned


class Analysis(NamedTuple):
    """What turns samples into bands, on one device."""

    window: Tensor  # [n_fft], as all but `first` float64
    roots: Tensor  # [n_fft, 2]: real and imaginary parts of exp(-2 pi i j / n_fft)
    bank: Tensor  # [n_fft / 2 + 1, n_mels]
    first: Tensor  # [n_mels + 2] int64: the first bin whose highest band is n or above


# Known when torch.compile traces: torchaudio's bank branches on values, which tracing cannot follow.
@torch.compiler.assume_constant_result
def _analysis(sample_rate: int, n_fft: int, n_mels: int, device: torch.device) -> Analysis:
    return _cached_analysis(sample_rate, n_fft, n_mels, device)


@lru_cache(maxsize=16)
def _cached_analysis(sample_rate: int, n_fft: int, n_mels: int, device: torch.device) -> Analysis:
    """Raises ValueError where a band is so narrow that it holds no bin."""
    bank = mel_bank(sample_rate, n_fft, n_mels)
    if not bank.any(dim=0).all():
        raise ValueError(
            f"n_mels = {n_mels} leaves bands without a bin of n_fft = {n_fft}: lower n_mels or raise n_fft"
        )
    bands = torch.arange(n_mels)
    highest = torch.where(bank > 0, bands, 0).amax(dim=1).cummax(dim=0).values
    first = torch.searchsorted(highest, torch.arange(n_mels + 2))
    window = torch.hann_window(n_fft, dtype=torch.float64)
    angles = torch.arange(n_fft, dtype=torch.float64) * (-2 * pi / n_fft)
    roots = torch.stack([angles.cos(), angles.sin()], dim=-1)
    return Analysis(*(table.to(device) for table in (window, roots, bank.double(), first)))


def _spatial_features(
    signals: Tensor, matrix: Tensor, window: Tensor, roots: Tensor, bank: Tensor, first: Tensor, hop: int,
    spatial: str | None, variant: str,
) -> Tensor:  # fmt: skip
    signals, matrix = signals.contiguous(), matrix.contiguous()
    *leading, C, T = signals.shape
    K, M = matrix.shape[-3:-1]
    out = _shape(signals, matrix, window, roots, bank, first, hop, spatial, variant)
    dtype, B, n_fft = DTYPES[signals.dtype], prod(leading), len(window)
    size = torch.zeros((), dtype=torch.int64)
    run("spatial_features_workspace", signals.device, dtype, B, C, K, M, T, n_fft, hop, size.data_ptr())
    workspace = signals.new_empty(int(size), dtype=torch.uint8)
    bad = run(
        "spatial_features", signals.device, dtype, signals.data_ptr(), matrix.data_ptr(),
        window.data_ptr(), roots.data_ptr(), bank.data_ptr(), first.data_ptr(), SPATIAL[spatial], *VARIANTS[variant],
        out.data_ptr(), B, C, K, M, T, bank.shape[1], n_fft, hop,
        workspace.data_ptr(), len(workspace),
    )  # fmt: skip
    if bad:
        raise ValueError("signals must be finite, but hold NaN or infinity")
    return out


def _shape(
    signals: Tensor, matrix: Tensor, window: Tensor, roots: Tensor, bank: Tensor, first: Tensor, hop: int,
    spatial: str | None, variant: str,
) -> Tensor:  # fmt: skip
    *views, M, _ = matrix.shape
    channels, frames = M + (0 if spatial is None else 3), 1 + (signals.shape[-1] - window.shape[0]) // hop
    return signals.new_empty(*views, channels, bank.shape[1], frames)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    signals, matrix, window, _, bank, _, ctx.hop, ctx.spatial, ctx.variant = inputs
    ctx.save_for_backward(signals, matrix, window, bank)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    signals, matrix, window, bank = ctx.saved_tensors

    def features(signals: Tensor, matrix: Tensor) -> Tensor:
        scene = stft(signals.double(), window, ctx.hop)  # [..., C, F, J]
        views = torch.einsum("...kmc,...cfj->...kmfj", matrix.to(scene.dtype), scene)
        return band_features(views, bank, ctx.spatial, ctx.variant)

    found = gradients(features, [signals, matrix], ctx.needs_input_grad[:2], grad.double())
    return *found, None, None, None, None, None, None, None


register(
    "spatial_features(Tensor signals, Tensor matrix, Tensor window, Tensor roots, Tensor bank, Tensor first, int hop, "
    "str? spatial, str variant) -> Tensor",
    _spatial_features, _shape, _save, _backward,
)  # fmt: skip
