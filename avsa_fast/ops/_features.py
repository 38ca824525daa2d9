"""Log-mel and spatial features of scenes rotated, folded to stereo or beamformed towards directions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from avsa_fast.spatial.harmonics import MAX_ORDER
from avsa_fast.spatial.mel import VARIANTS, spatial_of_view

from . import _checks, _features_op
from ._ambisonics import beamform, rotate
from ._ambisonics_op import rotation_matrices

SCENES = tuple((order + 1) ** 2 for order in range(1, MAX_ORDER + 1))  # channels of orders 1 to 7
# Views by name, and how many channels their signals may have.
VIEWS = {"rotate": SCENES, "stereo": (2, *SCENES), "beamform": SCENES, "mono": (1, *SCENES)}
SPATIAL = ("iv", "icf")
MAX_CUDA_N_FFT = 1024  # a block has all channels' frames in shared memory


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
    """Computes log-mel and spatial features of K views of a scene, or of the scene as it is.

    Views and their mel channels, then the spatial channels:

    - "rotate": W, Y, Z, X of the scene rotated to the direction as by `rotate` (4). spatial "iv" adds the intensity
      vector's X, Y, Z (3).
    - "stereo": L, R = (W ± Y) / 2 after that rotation, or L, R signals without directions (2). spatial "icf" adds the
      level difference, and cosine and sine of the phase difference, of L against R (3).
    - "beamform": a beam towards the direction (1).
    - "mono": W of a scene, or one channel (1).

    A log-mel value is the natural logarithm of the power in Slaney's mel bands, at least 1e-10. Differentiable in
    signals, directions and roll, any number of times. Method: Wang et al. 2022, "Self-supervised Learning of Audio
    Representations from Audio-Visual Data using Spatial Alignment"; variants from the baselines of the DCASE
    challenges.

    Args:
        signals: [..., C, T], float16, bfloat16, float32 or float64; scenes (ACN, SN3D) of orders 1 to 7, of which all
            views but "beamform" use order 1.
        directions: None for the scene as it is, or [..., K, 2], azimuth and elevation in radians, float64 for float64
            signals, else float32; moving [..., K, P, 2], as in `rotate` and `beamform`.
        view: "rotate", "stereo", "beamform" or "mono".
        spatial: "iv", "icf", or None for mel channels only. "iv" adds nothing to views other than "rotate".
        variant: Normalisation of the intensity vector: "wang2022", "dcase2021", "dcase2022" or "unit".
        pattern: Beam pattern of the view "beamform", as in `beamform`.
        roll: None, or [..., K], as in `rotate`. It changes neither a beam nor W.
        flip: None, or bool [..., K], as in `rotate`. It changes neither a beam nor W.
        sample_rate: Samples per second.
        n_fft: Samples per frame; even, on CUDA at most 1024.
        hop_length: Samples from one frame to the next.
        n_mels: Number of mel bands, from 0 to sample_rate / 2.

    Returns:
        [..., K, channels, n_mels, n_frames], without K if there are no directions; float64 for float64 signals, else
        float32. n_frames = 1 + (T - n_fft) // hop_length, without padding.

    Raises:
        TypeError: An argument has an unsupported type or dtype.
        ValueError: An option is unknown or does not match the others, the shapes do not match, or a mel band contains
            no bin. On the CPU also for NaN, infinity, and elevations beyond ±pi/2; on CUDA the frames or views that
            depend on them are NaN.
    """
    _check_choices(view, spatial, variant)
    numbers = {"sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}
    sample_rate, n_fft, hop_length, n_mels = (_checks.integer(name, number, 1) for name, number in numbers.items())
    if n_fft % 2:
        raise ValueError(f"n_fft must be even, not {n_fft}")
    spatial = spatial_of_view(view, spatial)
    _check_signals(signals, directions, view, n_fft)
    if directions is not None:
        _checks.matching_directions("signals", signals, directions)
        _checks.pose(roll, flip, directions, moving=directions.ndim > signals.ndim)
    elif roll is not None or flip is not None:
        raise ValueError("roll and flip need directions; pass zeros to apply them alone")
    elif view == "beamform":
        raise ValueError('view "beamform" needs directions')
    if signals.shape[-2] in SCENES and view != "beamform":
        signals = signals[..., : 1 if view == "mono" else 4, :]
    signals = signals.to(_checks.angle_dtype(signals))
    moving = directions is not None and directions.ndim > signals.ndim
    if view == "beamform":  # K signals: fewer than the channels that a spectrum of the scene would take
        assert directions is not None
        signals, directions, view = beamform(signals, directions, pattern).unsqueeze(-2), None, "mono"
    elif moving and view == "mono":  # rotations do not change W
        assert directions is not None
        directions, roll = directions[..., 0, :], None
    elif moving:
        assert directions is not None
        signals, directions, roll, flip = rotate(signals, directions, roll=roll, flip=flip), None, None, None
    directions64, roll64 = (None if x is None else x.double() for x in (directions, roll))
    matrix = _view_matrix(signals, directions64, view, roll64, flip)
    features = _features_op.spatial_features(signals, matrix, sample_rate, n_fft, n_mels, hop_length, spatial, variant)
    return features.squeeze(-4) if directions is None else features


def _check_choices(view: str, spatial: str | None, variant: str) -> None:
    """Raises ValueError for an option that is unknown or does not match the others."""
    _checks.choice("view", view, VIEWS)
    if spatial is not None and spatial not in SPATIAL:
        raise ValueError(f'spatial must be "iv", "icf" or None, not {spatial!r}')
    if spatial == "icf" and view != "stereo":
        raise ValueError(f'spatial "icf" needs view "stereo", not "{view}"')
    _checks.choice("variant", variant, VARIANTS)


def _check_signals(signals: Tensor, directions: Tensor | None, view: str, n_fft: int) -> None:
    """Raises unless signals [..., C, T] have the channels that the view needs, and samples for a frame."""
    _checks.dtype("signals", signals, _checks.FLOATS)
    _checks.shape("signals", signals, "[..., C, T]", signals.ndim >= 2)
    channels = VIEWS[view]
    if signals.shape[-2] not in channels:
        expected = ", ".join(map(str, channels[:-1])) + f" or {channels[-1]}"
        raise ValueError(f'signals must have {expected} channels for view "{view}", not {signals.shape[-2]}')
    if signals.device.type == "cuda" and n_fft > MAX_CUDA_N_FFT:
        raise ValueError(f"n_fft must be at most {MAX_CUDA_N_FFT} on CUDA, not {n_fft}")
    if signals.shape[-2] == 2 and directions is not None:
        raise ValueError("directions need signals with the channels W, Y, Z, X: L, R cannot be rotated")
    if signals.shape[-1] < n_fft:
        raise ValueError(f"signals must hold at least one frame of n_fft = {n_fft} samples, not {signals.shape[-1]}")


def _view_matrix(
    signals: Tensor, directions: Tensor | None, view: str, roll: Tensor | None, flip: Tensor | None
) -> Tensor:
    """Matrices [..., K, M, C] float64 that mix C channels into the M of each view; K = 1 without directions."""
    *leading, C, _ = signals.shape
    if directions is None:
        rotated = torch.eye(C, dtype=torch.float64, device=signals.device).expand(*leading, 1, C, C)
    else:
        rotated = rotation_matrices(directions, roll, flip, 1)
    if view == "stereo" and C == 4:
        w, y = rotated[..., 0, :], rotated[..., 1, :]
        return torch.stack([(w + y) / 2, (w - y) / 2], dim=-2)
    return rotated[..., :1, :1] if view == "mono" else rotated
