"""Sources, rooms and diffuse noise in first-order ambisonics: channels W, Y, Z, X (ACN, SN3D)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter, resample_poly

from avsa_fast.data.encode_sound import flac_writer
from avsa_fast.errors import UserError
from avsa_fast.scenes.motion import unit_vectors

RATE = 24_000  # Hz, of scenes
DIRECT_SOUND = round(0.001 * RATE)  # samples on either side of the onset of a response that are its direct sound
MAX_RESPONSE = 20.0  # seconds
RATES = range(1_000, 384_001)  # sample rates of files, Hz; the resampling filter grows with the rate
MAX_CHANNELS = 64


def encode(signal: NDArray[np.float32], directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Encodes a plane wave in first-order ambisonics.

    Args:
        signal: [T].
        directions: Azimuth and elevation [T, 2] at each sample, radians.

    Returns:
        W, Y, Z, X [4, T].
    """
    x, y, z = unit_vectors(directions).astype(np.float32).T
    return np.stack([signal, signal * y, signal * z, signal * x])


def rotate_from_front(foa: NDArray[np.float32], directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rotates a sound field so that its front moves to a given direction.

    Args:
        foa: W, Y, Z, X [4, T].
        directions: Azimuth and elevation [T, 2] at each sample, radians.

    Returns:
        W, Y, Z, X [4, T].
    """
    axes = _axes(directions).astype(np.float32)  # [T, 3, 3]
    w, y, z, x = foa
    x, y, z = np.einsum("tas,at->st", axes, np.stack([x, y, z]))
    return np.stack([w, y, z, x])


def rotate_to_front(foa: NDArray[np.float32], direction: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rotates a sound field so that a given direction moves to its front.

    Args:
        foa: W, Y, Z, X [4, T].
        direction: Azimuth and elevation [2], radians.

    Returns:
        W, Y, Z, X [4, T].
    """
    w, y, z, x = foa
    x, y, z = _axes(direction).astype(np.float32) @ np.stack([x, y, z])
    return np.stack([w, y, z, x])


def _axes(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Front, left and up vectors (rows) of a listener facing each direction: [..., 2] -> [..., 3, 3]."""
    front = unit_vectors(directions)
    left = unit_vectors(np.stack([directions[..., 0] + np.pi / 2, np.zeros_like(directions[..., 1])], axis=-1))
    return np.stack([front, left, np.cross(front, left)], axis=-2)


def diffuse_noise(rng: np.random.Generator, samples: int, rms: float) -> NDArray[np.float32]:
    """Draws low-pass diffuse noise.

    Args:
        rng: Random generator.
        samples: Number of samples.
        rms: RMS of W; each of Y, Z and X has a third of its energy.

    Returns:
        W, Y, Z, X [4, samples].
    """
    white = rng.standard_normal((4, samples), np.float32)
    filtered = lfilter([1.0], [1.0, -0.97], white, axis=1).astype(np.float32)  # -6 dB per octave above 120 Hz
    levels = np.array([1, 1 / 3, 1 / 3, 1 / 3], np.float32) ** 0.5
    noise: NDArray[np.float32] = filtered * (levels[:, None] * np.float32(rms / root_mean_square(filtered)))
    return noise


def root_mean_square(signal: NDArray[np.float32]) -> float:
    """Returns the RMS over all samples of all channels of a signal of any shape."""
    return float(np.sqrt(np.mean(np.square(signal), dtype=np.float64)))


def direction_of_arrival(foa: NDArray[np.float32]) -> NDArray[np.float64]:
    """Estimates the direction of arrival from the mean intensity W·(X, Y, Z).

    Args:
        foa: W, Y, Z, X [4, T].

    Returns:
        Azimuth and elevation [2], radians.
    """
    w, y, z, x = foa.astype(np.float64)
    x, y, z = (w * x).sum(), (w * y).sum(), (w * z).sum()
    return np.array([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])


@dataclass(frozen=True)
class Room:
    """A measured room.

    Attributes:
        response: First-order impulse response to a source straight ahead, [4, N] at RATE; it starts with the direct
            sound, which has energy 1 in W.
    """

    response: NDArray[np.float32]

    def record(self, signal: NDArray[np.float32], directions: NDArray[np.float64]) -> NDArray[np.float32]:
        """Renders a moving source in the room.

        The whole room rotates with the source, so that the direction of the direct sound is exact.

        Args:
            signal: [T] at RATE.
            directions: Azimuth and elevation [T, 2] at each sample, radians.

        Returns:
            W, Y, Z, X [4, T].
        """
        wet = fftconvolve(signal[None], self.response, axes=1)[:, : len(signal)].astype(np.float32)
        return rotate_from_front(wet, directions)


def read_room(path: Path, distance: float = 1.0) -> Room:
    """Reads a room from a first-order impulse response (ACN, N3D) of any sample rate.

    Args:
        path: Sound file.
        distance: Distance of a source, as a fraction of that at which the response was measured. A smaller distance
            increases the direct sound relative to the rest, since a diffuse field is equally loud everywhere.

    Returns:
        The room, in SN3D and at RATE.

    Raises:
        UserError: The file is unreadable, does not have 4 channels, or has no direct sound with a direction.
    """
    signal, rate = read_sound(path, MAX_RESPONSE)
    if len(signal) != 4:
        raise UserError(f"--rir {path}: {len(signal)} channels; a first-order response (ACN, N3D) has 4")
    foa = resample(signal, rate)
    foa[1:] /= np.float32(3**0.5)  # N3D -> SN3D

    loudness = np.abs(foa[0])
    first = int(np.argmax(loudness > 0.5 * loudness.max())) if loudness.max() > 0 else 0
    start, end = max(0, first - DIRECT_SOUND), first + DIRECT_SOUND + 1
    direct = foa[:, start:end]
    energy = float(np.square(direct[0]).sum())
    flow = float(np.linalg.norm((direct[0] * direct[1:]).sum(axis=1)))
    if flow <= 0.1 * energy:
        raise UserError(f"--rir {path}: its direct sound has no direction; expected a response in ACN, N3D")

    foa = rotate_to_front(foa[:, start:], direction_of_arrival(direct)) / np.float32(energy**0.5)
    foa[:, end - start :] *= np.float32(distance)
    return Room(np.ascontiguousarray(foa[:, : _decayed(foa[0])]))


def _decayed(response: NDArray[np.float32]) -> int:
    """Returns the sample of a response [T] after which at most a millionth (-60 dB) of its energy remains."""
    left = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    return int(np.count_nonzero(left > 1e-6 * left[0]))


def read_sound(path: Path, max_seconds: float) -> tuple[NDArray[np.float32], int]:
    """Reads a sound file.

    Args:
        path: Sound file.
        max_seconds: Maximum duration to read.

    Returns:
        Samples [C, T], and the sample rate in Hz.

    Raises:
        UserError: The file is unreadable or empty, has samples that are not finite, or has an unsupported sample
            rate or number of channels.
    """
    try:
        # Open by descriptor: from a path, soundfile treats a file named *.raw as headerless samples.
        with path.open("rb") as opened, soundfile.SoundFile(opened.fileno(), closefd=False) as file:
            if file.samplerate not in RATES or file.channels > MAX_CHANNELS:
                raise UserError(
                    f"{path}: {file.channels} channels at {file.samplerate} Hz; "
                    f"at most {MAX_CHANNELS}, at {RATES[0]} to {RATES[-1]} Hz, are supported"
                )
            signal = file.read(round(max_seconds * file.samplerate), dtype="float32", always_2d=True).T
            rate = int(file.samplerate)
    except OSError as error:
        raise UserError(f"{path}: not a readable sound: {error.strerror}") from error
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: not a readable sound: {error.error_string}") from error
    if signal.shape[1] == 0 or not np.isfinite(signal).all():
        raise UserError(f"{path}: the sound is empty or has samples that are not finite")
    return signal, rate


def resample(signal: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resamples a signal to RATE.

    Args:
        signal: [..., T].
        rate: Its sample rate, Hz.

    Returns:
        [..., ceil(T · RATE / rate)].
    """
    divisor = np.gcd(rate, RATE)
    return resample_poly(signal, RATE // divisor, rate // divisor, axis=-1).astype(np.float32)


def write_sound(path: Path, foa: NDArray[np.float32]) -> None:
    """Writes first-order ambisonics as 16-bit FLAC at RATE.

    Args:
        path: File to write.
        foa: W, Y, Z, X [4, T], SN3D, in [-1, 1].

    Raises:
        OSError: It cannot be written.
    """
    with flac_writer(path, RATE, len(foa), "PCM_16", 1.0) as file:
        file.write(foa.T)
