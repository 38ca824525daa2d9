"""Recorded material for scenes: cut-out photographs with sounds, and panoramas."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsa_fast.bounds import shortened
from avsa_fast.errors import UserError
from avsa_fast.scenes.render import make_sprite
from avsa_fast.scenes.sound import RATE, read_sound, resample
from avsa_fast.scenes.source import Source, normalised

SOUND_SUFFIXES = (".ogg", ".wav", ".flac", ".mp3")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MAX_PIXELS = 64_000_000  # per image; enough for an 8K panorama
MAX_SOUND = 60.0  # seconds read of an object's sound
MIN_SIZE, MAX_SIZE = np.radians(35), np.radians(50)
CROSSFADE = round(0.01 * RATE)  # samples
SILENCE = 0.01  # fraction of a sound's peak up to which its ends are trimmed


class Objects:
    """Photographs with sounds: NAME.png with transparency beside NAME.ogg (or wav, flac, mp3); NAME is the class."""

    def __init__(self, folder: Path) -> None:
        """Lists the pairs of files in a folder.

        Args:
            folder: Folder of images and sounds.

        Raises:
            UserError: The folder is missing or holds no pair.
        """
        self.pairs = [
            (image, sounds[0])
            for image in list_files(folder, "--objects", (".png",))
            if (sounds := [path for suffix in SOUND_SUFFIXES if (path := image.with_suffix(suffix)).is_file()])
        ]
        if not self.pairs:
            raise UserError(f"--objects {folder}: no PNG beside a sound of the same name ({', '.join(SOUND_SUFFIXES)})")

    def draw(self, rng: np.random.Generator, number: int, samples: int, frame_height: int) -> list[Source]:
        """Draws different objects at random.

        Args:
            rng: Random generator.
            number: Number of objects; fewer are returned if the folder has fewer.
            samples: Length to which each sound is looped.
            frame_height: Rows of the ERP frames.

        Returns:
            The objects.

        Raises:
            UserError: A file cannot be read.
        """
        chosen = rng.choice(len(self.pairs), min(number, len(self.pairs)), replace=False)
        return [_read_source(self.pairs[i], rng, samples, frame_height) for i in chosen]


class Panoramas:
    """ERP images, each twice as wide as high."""

    def __init__(self, folder: Path) -> None:
        """Lists the images in a folder.

        Args:
            folder: Folder of images.

        Raises:
            UserError: The folder is missing or holds no image.
        """
        self.paths = list_files(folder, "--panoramas", IMAGE_SUFFIXES)
        if not self.paths:
            raise UserError(f"--panoramas {folder}: contains no image ({', '.join(IMAGE_SUFFIXES)})")

    def draw(self, rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
        """Draws an image at random, and rotates it about the vertical axis by a random angle.

        Args:
            rng: Random generator.
            height: Rows of the result.
            width: Columns of the result.

        Returns:
            uint8 RGB [height, width, 3].

        Raises:
            UserError: The file cannot be read or is not a panorama.
        """
        path = self.paths[rng.integers(len(self.paths))]
        image = read_image(path, "RGB")
        H, W = image.shape[:2]
        if not 1.9 < W / H < 2.1:
            raise UserError(f"{path}: {W}x{H} pixels; an equirectangular panorama is twice as wide as high")
        small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        return np.roll(np.asarray(small), rng.integers(width), axis=1)


def _read_source(pair: tuple[Path, Path], rng: np.random.Generator, samples: int, frame_height: int) -> Source:
    image_path, sound_path = pair
    pixels = read_image(image_path, "RGBA")
    if not pixels[..., 3].any():
        raise UserError(f"{image_path}: completely transparent")
    channels, rate = read_sound(sound_path, MAX_SOUND)
    sound = resample(channels.mean(axis=0), rate)
    if not sound.any():
        raise UserError(f"{sound_path}: silent")
    signal = loop(normalised(_trimmed(sound)), samples, int(rng.integers(len(sound))))
    return Source(image_path.stem, make_sprite(pixels, rng.uniform(MIN_SIZE, MAX_SIZE), frame_height), signal)


def list_files(folder: Path, option: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Lists a folder's files with the given suffixes, sorted.

    Args:
        folder: Folder to list.
        option: Command-line option that names the folder, for error messages.
        suffixes: Lower-case suffixes, such as ".png".

    Returns:
        Paths of the files.

    Raises:
        UserError: The folder cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    except OSError as error:
        raise UserError(f"{option} {folder}: not a readable folder: {error.strerror}") from error


def read_image(path: Path, mode: str) -> NDArray[np.uint8]:
    """Reads a PNG or JPEG image.

    Args:
        path: Image file.
        mode: "RGB" or "RGBA".

    Returns:
        uint8 [H, W, 3] or [H, W, 4].

    Raises:
        UserError: The image is unreadable or too large.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:  # others may start programs, as EPS does
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{path}: {image.width}x{image.height} pixels; at most {MAX_PIXELS} are supported")
            return np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable PNG or JPEG image: {shortened(error)}") from error


def loop(sound: NDArray[np.float32], samples: int, start: int) -> NDArray[np.float32]:
    """Loops a sound, with a crossfade at each repetition.

    Args:
        sound: Sound [N].
        samples: Length of the result.
        start: Sample of the sound to start at.

    Returns:
        Sound [samples].
    """
    fade = min(CROSSFADE, len(sound) // 2)
    angle = np.linspace(0, np.pi / 2, fade, endpoint=False, dtype=np.float32)  # equal power: cos² + sin² = 1
    period = sound[: len(sound) - fade].copy()
    period[:fade] = period[:fade] * np.sin(angle) + sound[len(sound) - fade :] * np.cos(angle)
    return period[(start + np.arange(samples)) % len(period)]


def _trimmed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Removes the silence at both ends of a sound [N] that is not all silent."""
    loud = np.flatnonzero(np.abs(sound) > SILENCE * np.abs(sound).max())
    return sound[loud[0] : loud[-1] + 1]
