"""Numbers about a clip's sound that `prepare` records for `--check`, which judges them."""

from collections.abc import Sequence
from math import log10
from typing import Any

import torch
from torch import Tensor

from avsa_fast.data.field import Field, field_of
from avsa_fast.data.fingerprints import sound_print
from avsa_fast.data.validity import MIN_DOMINANCE, arrivals, directions_in, spatial_validity
from avsa_fast.spatial.harmonics import unit_vectors

FULL_SCALE = 0.999  # magnitude from which a sample counts as clipped if its neighbours do, too
LFE_EDGE = 500.0  # Hz; a channel for low-frequency effects carries nothing above
MIN_LEVEL = -200.0  # dB, of silence
CAPSULE_BAND = 100.0, 800.0  # Hz in which the capsules of a microphone, a few cm apart, record the same waves
WAVE_EDGE = 200.0  # Hz; below it, microphones' first-order channels are weak
MIN_COHERENCE = 0.5  # of a frequency in a window, to count as one wave
MIN_ENERGY = 1e-4  # of a frequency in a window, relative to the window's mean
MIN_WAVES = 100  # frequencies in windows with one wave, for numbers about waves
W_SHARES = 1 / 2, 1 / 3, 1 / 4  # of a wave's energy in W, in SN3D, FuMa and N3D
QUIET = 1 / 3  # share of all frames that are the quietest ones, and that are the loudest ones
SYLLABLES = 2.0, 8.0  # Hz, at which speech gets louder and softer
DRIFT = 0.3  # Hz below which a change of loudness is no modulation
WINDOWS_PER_MOMENT = 10
MIN_AGREEMENT = 0.8  # length of the mean of a moment's directions
OVERVIEW_WINDOW = 5.0  # seconds, of the windows that `read_overview` reads of a long recording


def measure_sound(sound: Tensor, mapping: Sequence[int], scene: Tensor, rate: int, seconds: float) -> dict[str, Any]:
    """Measures a clip's sound.

    Args:
        sound: [C, T], decoded channels, from `read_overview`.
        mapping: Decoded channels that hold W, Y, Z, X; empty for sound without direction.
        scene: [4, T], the same sound as W, Y, Z, X in SN3D.
        rate: Sample rate in Hz.
        seconds: Duration of the whole recording.

    Returns:
        Columns of index.parquet. Those that do not apply are left out.
    """
    field = field_of(scene if mapping else scene[:1], rate)
    columns: dict[str, Any] = {
        "clipped": clipped_shares(sound[list(mapping)] if mapping else sound),
        "sound_print": sound_print(field),
    }
    if not mapping:
        return columns
    directions, dominance = directions_in(field)
    columns |= {f"arrival_{name}": value for name, value in arrivals(directions, dominance)._asdict().items()}
    columns["spatial_validity"] = spatial_validity(scene, rate)
    columns |= _moments(directions, dominance, _times(sound.shape[1] / rate, seconds))
    columns |= _levels(field) | _capsules(field) | _waves(field) | _loudness(field)
    return columns


def clipped_shares(sound: Tensor) -> list[float]:
    """Computes the share of each channel's samples that are at full scale, as are their two neighbours.

    Args:
        sound: [C, T].

    Returns:
        C shares.
    """
    full = sound.abs() >= FULL_SCALE
    if not full.any():
        return [0.0] * len(sound)
    runs = full[:, 2:] & full[:, 1:-1] & full[:, :-2]
    return (runs.sum(1) / max(sound.shape[1], 1)).tolist()


def _times(read: float, seconds: float) -> Tensor:
    """Seconds from the start of the file of the middle of each second that was read of it."""
    middles = torch.arange(int(read)) + 0.5
    if read > seconds - 1:
        return middles
    windows = round(read / OVERVIEW_WINDOW)
    starts = (torch.arange(windows) + 0.5) / windows * seconds - OVERVIEW_WINDOW / 2
    return starts[(middles / OVERVIEW_WINDOW).long().clamp(max=windows - 1)] + middles % OVERVIEW_WINDOW


def _moments(directions: Tensor, dominance: Tensor, times: Tensor) -> dict[str, Any]:
    """Times and directions of the seconds in which most windows' sound comes from one direction."""
    count = min(len(directions) // WINDOWS_PER_MOMENT, len(times))
    vectors = unit_vectors(directions) * (dominance > MIN_DOMINANCE)[:, None]
    vectors = vectors[: count * WINDOWS_PER_MOMENT].unflatten(0, (count, WINDOWS_PER_MOMENT))
    used = (vectors.norm(dim=2) > 0).sum(1)
    x, y, z = mean = vectors.sum(1).T / used.clamp(min=1)
    clear = (used >= WINDOWS_PER_MOMENT / 2) & (mean.norm(dim=0) > MIN_AGREEMENT)
    values = {"times": times[:count], "azimuths": torch.atan2(y, x), "elevations": torch.atan2(z, torch.hypot(x, y))}
    return {f"moment_{name}": value[clear].tolist() for name, value in values.items()}


def _levels(field: Field) -> dict[str, Any]:
    """Each channel's level in dB relative to all four, over all frequencies, and above the edge of an LFE channel."""
    bands = {"levels": field.covariance, "high_levels": field.between(LFE_EDGE)}
    energies = {name: band.sum((0, 1)).diagonal() for name, band in bands.items()}
    return {
        name: [10 * log10(max(float(e / energy.sum()), 10 ** (MIN_LEVEL / 10))) for e in energy]
        if energy.sum() > 0
        else None
        for name, energy in energies.items()
    }


def _capsules(field: Field) -> dict[str, Any]:
    """How far the four channels are like those of a microphone's capsules.

    The tetrahedral sum and differences of cardioid capsules are W and X, Y, Z, the latter with a ninth of the energy.
    """
    covariance = field.between(*CAPSULE_BAND).sum((0, 1))
    energy = covariance.diagonal()
    if not (energy > 0).all():
        return {}
    correlation = covariance / (energy[:, None] * energy).sqrt()
    omni = covariance.sum()
    return {
        "low_correlation": float(correlation.min()),
        "capsule_ratio": float(4 / 3 * (energy.sum() - omni / 4).clamp(min=0) / omni) if omni > 0 else None,
    }


def _waves(field: Field) -> dict[str, Any]:
    """The energies of the channels where one wave dominates, whichever of the channels is W.

    The share of such frequencies in windows; the ratio of the energy of Y, Z, X to that of W in them (their geometric
    mean, weighted like `directions_in`); and for each channel how far its share of a wave's energy is from a W's.
    """
    covariance = field.between(WAVE_EDGE)
    energy = covariance.diagonal(dim1=2, dim2=3)
    total = energy.sum(-1)
    coherence = covariance.square().sum((2, 3)) / total.square().clamp(min=1e-30)  # 1 if all channels are one signal
    waves = (coherence > MIN_COHERENCE) & (total > MIN_ENERGY * total.mean(dim=1, keepdim=True))
    columns: dict[str, Any] = {"wave_share": float(waves.double().mean()) if waves.numel() else 0.0}
    if waves.sum() < MIN_WAVES:
        return columns
    shares, loudness = (
        (energy / total.unsqueeze(-1).clamp(min=1e-30))[waves].clamp(1e-6, 1 - 1e-6),
        total[waves] ** 0.25,
    )
    ratios = ((1 - shares[:, 0]) / shares[:, 0]).log()
    misfits = [min(float((share - own).abs().mean()) for own in (W_SHARES if c == 0 else W_SHARES[:1]))
               for c, share in enumerate(shares.T)]  # fmt: skip
    return columns | {"wave_ratio": float(((ratios * loudness).sum() / loudness.sum()).exp()), "w_misfits": misfits}


def _loudness(field: Field) -> dict[str, Any]:
    """Compares W's loudest and quietest moments in the speech band.

    The ratio of the energy of Y, Z, X to that of W in either, and the share of syllables in the modulation of what is
    in W only.
    """
    pairs = field.speech.unfold(1, 2, 2).sum(-1) if field.speech.shape[1] > 1 else field.speech  # 25 ms each
    w, rest = pairs[..., 0].flatten(), pairs[..., 1:].sum(-1).flatten()
    count = int(QUIET * len(w))
    order = w.argsort()
    quiet, loud = order[:count], order[len(w) - count :]
    if count == 0 or w[quiet].sum() <= 0:
        return {}
    only = (w - rest).clamp(min=0)
    power = torch.fft.rfft(only - only.mean()).abs().square()
    rates = torch.fft.rfftfreq(len(only), field.seconds / pairs.shape[1])
    low, high = SYLLABLES
    modulation = power[rates >= DRIFT].sum()
    return {
        "loud_ratio": float(rest[loud].sum() / w[loud].sum()),
        "quiet_ratio": float(rest[quiet].sum() / w[quiet].sum()),
        "syllables": float(power[(rates >= low) & (rates <= high)].sum() / modulation) if modulation > 0 else 0.0,
    }
