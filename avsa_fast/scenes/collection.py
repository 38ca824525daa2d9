"""Scenes from real material: cut-out photographs with sounds of their own, and panoramas."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsa_fast.errors import UserError
from avsa_fast.scenes.render import make_sprite
from avsa_fast.scenes.sound import read_sound, resample
from avsa_fast.scenes.source import Source, normalised
from avsa_fast.scenes.write import RATE

SOUNDS = (".ogg", ".wav", ".flac", ".mp3")
PICTURES = (".jpg", ".jpeg", ".png")
MAX_PIXELS = 64_000_000  # of a picture, an 8K panorama among them
MAX_SOUND = 60.0  # seconds of an object's sound
MIN_SIZE, MAX_SIZE = np.radians(35), np.radians(50)
CROSSFADE = round(0.01 * RATE)  # samples
SILENCE = 0.01  # of a sound's peak, below which its ends are cut off


class Objects:
    """Photographs with sounds: NAME.png with transparency beside NAME.ogg (or wav, flac, mp3); NAME is the class."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError where the folder is missing or holds no such pair."""
        self.pairs = [
            (picture, sound)
            for picture in list_files(folder, "--objects", (".png",))
            for sound in [picture.with_suffix(suffix) for suffix in SOUNDS if picture.with_suffix(suffix).is_file()][:1]
        ]
        if not self.pairs:
            raise UserError(f"--objects {folder}: no PNG with a sound of the same name beside it ({', '.join(SOUNDS)})")

    def draw(self, rng: np.random.Generator, number: int, samples: int, frame_height: int) -> list[Source]:
        """At most `number` different objects, their sounds looped to `samples`.

        Raises UserError naming a file that cannot be read.
        """
        chosen = rng.choice(len(self.pairs), min(number, len(self.pairs)), replace=False)
        return [_read_source(self.pairs[i], rng, samples, frame_height) for i in chosen]


class Panoramas:
    """ERP pictures, each twice as wide as high."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError where the folder is missing or holds no picture."""
        self.paths = list_files(folder, "--panoramas", PICTURES)
        if not self.paths:
            raise UserError(f"--panoramas {folder}: no picture in it ({', '.join(PICTURES)})")

    def draw(self, rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
        """One of them [height, width, 3], turned about the vertical axis.

        Raises UserError naming a file that cannot be read or is no panorama.
        """
        path = self.paths[rng.integers(len(self.paths))]
        picture = read_picture(path, "RGB")
        tall, wide = picture.shape[:2]
        if not 1.9 < wide / tall < 2.1:
            raise UserError(f"{path}: {wide}x{tall} pixels; an equirectangular panorama is twice as wide as high")
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
        return np.roll(np.asarray(small), rng.integers(width), axis=1)


def _read_source(pair: tuple[Path, Path], rng: np.random.Generator, samples: int, frame_height: int) -> Source:
    picture, sound = pair
    pixels = read_picture(picture, "RGBA")
    if not pixels[..., 3].any():
        raise UserError(f"{picture}: wholly transparent")
    signal, rate = read_sound(sound, MAX_SOUND)
    voice = resample(signal.mean(axis=0), rate)
    if not voice.any():
        raise UserError(f"{sound}: silent")
    signal = loop(normalised(_trimmed(voice)), samples, int(rng.integers(len(voice))))
    return Source(picture.stem, make_sprite(pixels, rng.uniform(MIN_SIZE, MAX_SIZE), frame_height), signal)


def list_files(folder: Path, option: str, suffixes: tuple[str, ...]) -> list[Path]:
    """A folder's files with these suffixes, sorted. Raises UserError where it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    except OSError as error:
        raise UserError(f"{option} {folder}: not a readable folder: {error.strerror}") from error


def read_picture(path: Path, mode: str) -> NDArray[np.uint8]:
    """Pixels [h, w, 3 or 4] of a picture, in mode "RGB" or "RGBA".

    Raises UserError where it is unreadable or too large.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise UserError(f"{path}: {picture.width}x{picture.height} pixels are more than the {MAX_PIXELS} read")
            return np.asarray(picture.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable picture: {error}") from error


def loop(voice: NDArray[np.float32], samples: int, start: int) -> NDArray[np.float32]:
    """A sound [N] repeated, each end faded into the next beginning, to [samples], from its sample `start` on."""
    fade = min(CROSSFADE, len(voice) // 2)
    turn = np.linspace(0, np.pi / 2, fade, endpoint=False, dtype=np.float32)  # equal power: cos² + sin² = 1
    period = voice[: len(voice) - fade].copy()
    period[:fade] = period[:fade] * np.sin(turn) + voice[len(voice) - fade :] * np.cos(turn)
    return period[(start + np.arange(samples)) % len(period)]


def _trimmed(voice: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound [N], not all silent, without the silence at its ends."""
    loud = np.flatnonzero(np.abs(voice) > SILENCE * np.abs(voice).max())
    return voice[loud[0] : loud[-1] + 1]
