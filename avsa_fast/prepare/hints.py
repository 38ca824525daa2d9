"""What `--check` says about a clip from its row of the index: hints about sounds and pictures that are not right.

docs/data.md describes how the thresholds were found.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MAX_CLIPPED = 1e-4  # share of a channel's samples
LFE_HIGH, LFE_LEVEL = -50.0, -35.0  # dB: at most, above 500 Hz; at least, over all frequencies
COPY_CORRELATION, COPY_SPREAD = 0.98, 0.5  # at least; dB between the channels' levels, at most
CAPSULE_CORRELATION, CAPSULE_RATIOS, CAPSULE_SPREAD = 0.25, (0.015, 0.2), 12.0  # of any two; of sums; dB at most
# E_xyz / E_w of AmbiX, of all sound and of waves; tolerance of the 2 and 3 of FuMa and N3D. Waves from one octant look
# like capsules in any of these.
AMBIX_VALIDITY, AMBIX_RATIO, GAINS_TOLERANCE = (0.75, 1.3), (0.8, 1.25), 0.03
MIN_WAVE_SHARE = 0.03  # below it, ratios of waves are not used
WRONG_GAINS, N3D = 1.75, 2.45  # E_xyz / E_w from which gains are not SN3D; from which they are nearer N3D than FuMa
EXACT, VARYING = 0.05, 0.07  # misfit of W up to which its share of waves is certain; above which it varies much
WEAKER = 3.0  # dB that Z is below X and Y, to tell the order of channels
EXCHANGED = 0.55  # misfit of another channel as W, relative to the first channel's, at most
MAX_MISFIT = 0.15  # of the channel that would be W
VOICE_RATIO, VOICE_DROP, VOICE_SYLLABLES = 0.5, 0.45, 0.45
MOSTLY_MONO = 0.35  # E_xyz / E_w, at most
ONE_COLOUR = 2.0  # standard deviation, levels of 255
STILL = 8.0  # levels of 255


class Hint(NamedTuple):
    """A hint about a clip.

    Attributes:
        code: Stable name of the kind of hint; see docs/data.md.
        message: The evidence, and what to do.
        value: The measured value, in the message's unit.
    """

    code: str
    message: str
    value: float | str | None


Row = dict[str, Any]


def hints_of(row: Row) -> Iterator[Hint]:
    """Judges a usable clip's sound and picture.

    Args:
        row: The clip's row of the index; measures that are null are not judged.

    Yields:
        Hints.
    """
    if row["channel_map"]:
        yield from _silent(row)
        yield from _first(row, _copies, _capsules, _lfe, _exchanged, _gains, _voice, _mono)
    yield from _clipped(row)
    yield from _picture(row)


def _first(row: Row, *judges: Callable[[Row], Iterator[Hint]]) -> list[Hint]:
    """Hints of the first judge that has any: the others would only see its consequences."""
    return next((found for judge in judges if (found := list(judge(row)))), [])


def silent_names(row: Row) -> list[str]:
    """Returns the names of the silent channels among W, Y, Z, X.

    Args:
        row: A clip's row of the index.
    """
    silent = row["silent_channels"] or []
    return [f"{name} (channel {c})" for name, c in zip("WYZX", row["channel_map"] or [], strict=False) if c in silent]


def _silent(row: Row) -> Iterator[Hint]:
    if names := silent_names(row):
        yield Hint("silent", f"no sound in {', '.join(names)}: check the recording, or --channels", len(names))


def _copies(row: Row) -> Iterator[Hint]:
    correlation, levels = row["low_correlation"], row["levels"]
    if correlation is None or levels is None:
        return
    spread = max(levels) - min(levels)
    if correlation >= COPY_CORRELATION and spread <= COPY_SPREAD:
        yield Hint(
            "copies",
            f"W, Y, Z and X are one signal (correlated by {correlation:.2f}, equally loud to {spread:.1f} dB): mono "
            "sound copied to four channels has no direction in it; remove the clip, or train with --stages avc",
            correlation,
        )


def _capsules(row: Row) -> Iterator[Hint]:
    correlation, ratio, levels = row["low_correlation"], row["capsule_ratio"], row["levels"]
    validity = row["spatial_validity"]
    if None in (correlation, ratio, levels, validity):
        return
    spread = max(levels) - min(levels)
    like_capsules = (
        correlation >= CAPSULE_CORRELATION
        and CAPSULE_RATIOS[0] <= ratio <= CAPSULE_RATIOS[1]
        and spread <= CAPSULE_SPREAD
    )
    if like_capsules and not (AMBIX_VALIDITY[0] < validity < AMBIX_VALIDITY[1] or _has_ambisonic_gains(row)):
        yield Hint(
            "a_format",
            "the four channels look like the capsules of a microphone (A-format): any two are correlated by "
            f"{correlation:.2f} or more below 800 Hz, and equally loud to {spread:.1f} dB; convert the sound to "
            "B-format (AmbiX) with the microphone's software first",
            correlation,
        )


def _has_ambisonic_gains(row: Row) -> bool:
    """Whether waves have the energies of a known convention, more closely than a microphone's capsules would."""
    ratio, misfits = row["wave_ratio"], row["w_misfits"]
    if ratio is None or misfits is None:
        return False
    near = any(abs(ratio / gains - 1) <= GAINS_TOLERANCE for gains in (2, 3))
    return AMBIX_RATIO[0] < ratio < AMBIX_RATIO[1] or (near and misfits[0] <= EXACT)


def _exchanged(row: Row) -> Iterator[Hint]:
    misfits = row["w_misfits"]
    if not _has_waves(row) or misfits is None:
        return
    best = min(range(1, 4), key=lambda c: misfits[c])
    if misfits[best] <= min(MAX_MISFIT, EXCHANGED * misfits[0]):
        channels = list(row["channel_map"])
        channels[0], channels[best] = channels[best], channels[0]
        yield Hint(
            "w_exchanged",
            f"{'WYZX'[best]} carries half the energy of each wave, as W should (to {misfits[best]:.0%}; W does to "
            f"{misfits[0]:.0%}): the channels may be exchanged; try --channels {' '.join(map(str, channels))}",
            misfits[best],
        )


def _gains(row: Row) -> Iterator[Hint]:
    validity, ratio, levels = row["spatial_validity"], row["wave_ratio"], row["levels"]
    if not _has_waves(row) or None in (validity, ratio, levels) or min(validity, ratio) < WRONG_GAINS:
        return
    _, y, z, x = levels
    third_weakest, fourth_weakest = z < min(y, x) - WEAKER, x < min(y, z) - WEAKER  # Z usually is: fourth in FuMa
    misfit = row["w_misfits"][0]
    near_n3d = ratio >= N3D
    if misfit > EXACT:  # the ratio is uncertain, and the order of the channels says more
        near_n3d = third_weakest or (near_n3d and not fourth_weakest)
    evidence = f"E_xyz / E_w is {validity:.2f} ({ratio:.2f} where one wave dominates; 1 in SN3D"
    if near_n3d:
        varies = ", though it varies as if W were exchanged with another channel" if misfit > VARYING else ""
        yield Hint("n3d", f"{evidence}, 3 in N3D{varies}): if this is N3D, pass --gains n3d", ratio)
    else:
        order = ", and the fourth channel is the weakest, as Z is" if fourth_weakest else ""
        advice = "if this is FuMa, pass --gains fuma"
        yield Hint("fuma", f"{evidence}, 2 in FuMa read as AmbiX{order}): {advice}", ratio)


def _voice(row: Row) -> Iterator[Hint]:
    loud, quiet, syllables = row["loud_ratio"], row["quiet_ratio"], row["syllables"]
    if None in (loud, quiet, syllables) or syllables < VOICE_SYLLABLES:
        return
    if loud <= min(VOICE_RATIO, VOICE_DROP * quiet):
        yield Hint(
            "voice_over",
            f"what is loud is in W only: E_xyz / E_w is {loud:.2f} in the loudest third of the time and {quiet:.2f} in "
            f"the quietest, and W alone gets louder and softer at the rate of syllables ({syllables:.0%} within 2 to "
            "8 Hz): a voice-over without direction; remove the clip, or use a recording without it",
            loud,
        )


def _mono(row: Row) -> Iterator[Hint]:
    validity = row["spatial_validity"]
    if validity is not None and validity <= MOSTLY_MONO and not silent_names(row):
        yield Hint(
            "mostly_mono",
            f"E_xyz / E_w is {validity:.2f}, 1 in SN3D: most of the sound is in W only, such as music or speech mixed "
            "over the recording",
            validity,
        )


def _lfe(row: Row) -> Iterator[Hint]:
    levels, high = row["levels"], row["high_levels"]
    for c, name in enumerate("WYZX" if levels and high else ""):
        if levels[c] >= LFE_LEVEL and high[c] <= LFE_HIGH:
            yield Hint(
                "band_limited",
                f"{name} (channel {row['channel_map'][c]}) carries only low frequencies: it is {-high[c]:.0f} dB below "
                "all four channels above 500 Hz, as after an LFE slot; encode the sound again without a 5.1 layout",
                high[c],
            )


def _clipped(row: Row) -> Iterator[Hint]:
    shares = row["clipped"] or []
    if shares and max(shares) >= MAX_CLIPPED:
        names = "WYZX" if row["channel_map"] else [f"channel {c}" for c in range(len(shares))]
        listed = ", ".join(f"{n} {share:.2%}" for n, share in zip(names, shares, strict=True) if share >= MAX_CLIPPED)
        yield Hint(
            "clipped", f"clipped at full scale ({listed} of the samples): record or export it softer", max(shares)
        )


def _picture(row: Row) -> Iterator[Hint]:
    contrast, change = row["picture_contrast"], row["picture_change"]
    if contrast is not None and contrast <= ONE_COLOUR:
        yield Hint(
            "one_colour",
            f"the picture has one colour (it differs by {contrast:.1f} of 255 levels); remove the clip",
            contrast,
        )
    elif change is not None and change <= STILL:
        yield Hint(
            "still",
            f"the picture stands still (no part of it changes by more than {change:.1f} of 255 levels): a photograph "
            "with sound teaches nothing about movement",
            change,
        )


def _has_waves(row: Row) -> bool:
    return row["wave_share"] is not None and row["wave_share"] >= MIN_WAVE_SHARE
