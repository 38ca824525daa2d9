"""Transcoding of clips to files that are cheap to decode at any time: H.264 with short GOPs and 24 kHz FLAC."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import soundfile
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from avsa_fast.data.channels import Gains, to_ambisonic
from avsa_fast.data.samples import SAMPLE_RATE
from avsa_fast.data.sound import read_sound
from avsa_fast.data.video import PLANES, sample_frames
from avsa_fast.files import atomic_write

from .find import Job
from .options import Options

FPS = 16
GOP = 8  # frames: half a second, the length of a training sample
CHUNK = 30.0  # seconds of sound in memory at a time


def transcode(
    job: Job, row: dict[str, Any], options: Options, target: Path, alive: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Writes a clip to video/NAME.mp4 and audio/NAME.flac in `target`; the output is deterministic.

    Args:
        job: The clip; only its segment is written.
        row: The clip's row of the index.
        options: `height` limits the number of rows. Only one eye's view of stereoscopic video is kept.
        target: Dataset folder.
        alive: Called regularly as a sign of progress.

    Returns:
        The fields of `row` that change. The channels are W, Y, Z, X if the source is ambisonic, else unchanged.

    Raises:
        UserError: If a file is unreadable.
        OSError: If a file cannot be written.
    """
    assert job.video is not None
    assert job.sound is not None
    for folder in ("video", "audio"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    with atomic_write(target / "video" / f"{job.name}.mp4") as path:
        width, rows, frames = _write_video(path, job, row, options.height, alive)
    with atomic_write(target / "audio" / f"{job.name}.flac") as path:
        channels = _write_sound(path, job, row, options.gains_of(job.sound), alive)
    changes: dict[str, Any] = {
        "seconds": min(frames / FPS, row["seconds"]), "offset": 0.0, "fps": float(FPS), "width": width, "height": rows,
        "projection": "eac" if row["projection"] == "eac" else "erp", "rate": SAMPLE_RATE, "channels": channels,
    }  # fmt: skip
    return changes | ({"channel_map": [0, 1, 2, 3]} if row["channel_map"] else {})


def _write_video(
    path: Path, job: Job, row: dict[str, Any], height: int, alive: Callable[[], None]
) -> tuple[int, int, int]:
    """Writes the video; returns width, height and number of its frames."""
    assert job.video is not None
    frames = sample_frames(job.video, FPS, (None, height), job.begin, row["seconds"], row["projection"], PLANES)
    options = {"preset": "veryfast", "tune": "fastdecode", "crf": "23", "bf": "0", "threads": "1"}
    count = 0
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.pix_fmt, stream.gop_size = "yuv420p", GOP
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # FFmpeg's code for BT.709
        converter = VideoReformatter()
        for _, image in frames:
            if count == 0:
                stream.height, stream.width = image.shape[:2]
            frame = converter.reformat(
                av.VideoFrame.from_ndarray(image.numpy(), "rgb24"), format="yuv420p",
                dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
            )  # fmt: skip
            frame.pts = count
            container.mux(stream.encode(frame))
            count += 1
            if count % FPS == 0:
                alive()
        container.mux(stream.encode())
        return stream.width, stream.height, count


def _write_sound(path: Path, job: Job, row: dict[str, Any], gains: Gains, alive: Callable[[], None]) -> int:
    """Writes the sound; returns its number of channels."""
    assert job.sound is not None
    total, mapping, done = round(row["seconds"] * SAMPLE_RATE), row["channel_map"], 0
    channels = 4 if mapping else row["channels"]
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, channels, "PCM_24", format="FLAC", compression_level=0.0) as file:
        while done < total:
            count = min(round(CHUNK * SAMPLE_RATE), total - done)
            centre = job.begin + (done + count / 2) / SAMPLE_RATE
            sound = read_sound(job.sound, centre, count / SAMPLE_RATE, SAMPLE_RATE)
            if mapping:
                sound = to_ambisonic(sound, mapping, fuma=gains == "fuma", n3d=gains == "n3d")
            file.write(sound.T.numpy())
            done += count
            alive()
    return int(channels)
