"""Writing of FLAC."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import soundfile

from avsa_fast.writing import library_file


@contextmanager
def flac_writer(
    path: Path, rate: int, channels: int, subtype: Literal["PCM_16", "PCM_24"], level: float
) -> Iterator[soundfile.SoundFile]:
    """Context manager that writes a FLAC file. The same samples, written in the same pieces, give the same bytes.

    Args:
        path: File to write.
        rate: Sample rate, Hz.
        channels: Number of channels.
        subtype: Width of the samples.
        level: Compression level, from 0 (fastest) to 1.

    Yields:
        The file, whose method `write` takes samples [T, channels].

    Raises:
        OSError: It cannot be written, which soundfile by itself does not always tell.
    """
    with (
        library_file(path) as file,
        soundfile.SoundFile(file, "w", rate, channels, subtype, format="FLAC", compression_level=level) as sound,
    ):
        yield sound
