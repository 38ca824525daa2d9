"""Transcoding of clips to files that are cheap to decode at any time: H.264 with short GOPs and 24 kHz FLAC."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avsa_fast.data.encode_sound import flac_writer
from avsa_fast.data.encode_video import FPS, write_video
from avsa_fast.data.frame_conversion import PLANE_MULTIPLES
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.sound import read_sound
from avsa_fast.data.tracks import SAMPLE_RATE
from avsa_fast.files import atomic_write
from avsa_fast.writing import make_subfolder

from .find import Job

CRF = 23  # x264's constant rate factor
CHUNK = 30.0  # seconds of sound in memory at a time


def transcode(
    job: Job,
    row: dict[str, Any],
    reader: MediaReader,
    height: int,
    target: Path,
    heartbeat: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Writes a clip to video/NAME.mp4 and audio/NAME.flac in `target`; the output is deterministic.

    Args:
        job: The clip; only its segment is written.
        row: The clip's row of the index.
        reader: Reader of the clip's files. Only one eye's view of stereoscopic video is kept.
        height: Maximum number of rows.
        target: Dataset folder.
        heartbeat: Called regularly.

    Returns:
        The fields of `row` that change. The channels are W, Y, Z, X if the source is ambisonic, else unchanged.

    Raises:
        UserError: A file is unreadable.
        WriteError: A file cannot be written.
    """
    for folder in ("video", "audio"):
        make_subfolder(target, folder)
    with atomic_write(target / "video" / f"{job.name}.mp4") as path:
        video = write_video(path, _frames(job, row, reader, height, heartbeat), crf=CRF, tune="fastdecode")
    with atomic_write(target / "audio" / f"{job.name}.flac") as path:
        channels = _write_sound(path, job, row, reader, heartbeat)
    seconds = video.frames / FPS
    return {
        "seconds": min(seconds, row["seconds"]), "offset": 0.0,
        "video_stream": 0, "video_seconds": seconds, "video_start": 0.0, "video_zero": 0.0, "fps": float(FPS),
        "width": video.width, "height": video.height, "turns": 0,
        "projection": "eac" if row["projection"] == "eac" else "erp",
        "sound_stream": 0, "sound_seconds": row["seconds"], "sound_start": 0.0, "sound_zero": 0.0,
        "rate": SAMPLE_RATE, "channels": channels, "codec": "flac", "layout": "", "first_block": 0, "block": 0,
        "channel_map": [0, 1, 2, 3] if row["channel_map"] else [], "gains": "sn3d",
    }  # fmt: skip


def _frames(
    job: Job, row: dict[str, Any], reader: MediaReader, height: int, heartbeat: Callable[[], None]
) -> Iterator[NDArray[np.uint8]]:
    """Yields the RGB frames [H, W, 3] to write."""
    images = reader.sampled(FPS, (None, height), job.begin, row["seconds"], PLANE_MULTIPLES)
    for number, (_, image) in enumerate(images, start=1):
        yield image.numpy()
        if number % FPS == 0:
            heartbeat()


def _write_sound(path: Path, job: Job, row: dict[str, Any], reader: MediaReader, heartbeat: Callable[[], None]) -> int:
    """Writes the sound; returns its number of channels."""
    total, done = round(row["seconds"] * SAMPLE_RATE), 0
    channels = 4 if row["channel_map"] else row["channels"]
    with flac_writer(path, SAMPLE_RATE, channels, "PCM_24", 0.0) as file:
        while done < total:
            count = min(round(CHUNK * SAMPLE_RATE), total - done)
            centre = job.begin + (done + count / 2) / SAMPLE_RATE
            if row["channel_map"]:
                sound = reader.scene(centre, count / SAMPLE_RATE)
            else:
                sound = read_sound(reader.sound, centre, count / SAMPLE_RATE, SAMPLE_RATE)
            file.write(sound.T.numpy())
            done += count
            heartbeat()
    return int(channels)
