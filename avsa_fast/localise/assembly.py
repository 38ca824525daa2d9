"""Assembly of the segments' videos and the clip's sound to one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avsa_fast import ops
from avsa_fast.data.container import open_file, reading
from avsa_fast.data.encode_spherical import mark_spherical
from avsa_fast.data.reader import MediaReader

from .render import Plan
from .segments import Segments

RATES = (32000, 44100, 48000)  # Hz, at which sound is kept; others become the last one
BITS = 192_000  # per second and channel
# Neither noise substitution nor intensity stereo, which would change directions.
EXACT = {"aac_pns": "0", "aac_is": "0"}
PATTERN = "supercardioid"  # of the camera's beam


def assemble(path: Path, plan: Plan, segments: Segments, *, crop: bool) -> None:
    """Writes the result: H.264 copied from the segments, and AAC.

    Args:
        path: MP4 file to write.
        plan: How the clip is divided.
        segments: All segments.
        crop: Whether a camera follows the loudest object: the sound is then a beam in its direction; else W, Y, Z, X,
            and the file is marked as 360° video.

    Raises:
        UserError: If the clip or a segment is damaged.
        OSError: The file cannot be written.
    """
    rate = plan.media.sound.rate if plan.media.sound.rate in RATES else RATES[-1]
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        with _opened(segments, 0) as part:
            video: Any = container.add_stream_from_template(part.streams.video[0])
        sound: Any = container.add_stream("aac", rate=rate, layout="mono" if crop else "4.0", options=EXACT)
        sound.bit_rate = BITS * (1 if crop else 4)
        position = 0
        for number in range(plan.segments):
            begin = Fraction(plan.frames(number)[0]) / plan.fps
            with _opened(segments, number) as part:
                source: Any = part.streams.video[0]
                shift = round(begin / source.time_base)
                packets: Iterator[Any] = part.demux(source)
                for packet in packets:
                    if packet.dts is not None:  # else it ends the stream
                        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                        packet.stream = video
                        container.mux(packet)
            end = round((plan.frames(number)[-1] + 1) / plan.fps * rate)
            samples = _scene(plan.media, position, end, rate)
            if crop:
                samples = _beam(samples, plan, segments, number)
            frame = av.AudioFrame.from_ndarray(samples.numpy(), "fltp", "mono" if crop else "4.0")
            frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
            container.mux(sound.encode(frame))
            position = end
        container.mux(sound.encode(None))
    if not crop:
        mark_spherical(path)


@contextmanager
def _opened(segments: Segments, number: int) -> Iterator[Any]:
    """Opens the video of a segment."""
    path = segments.video(number)
    with reading(path, "video"), open_file(path, "video") as part:
        yield part


def _scene(media: MediaReader, begin: int, end: int, rate: int) -> torch.Tensor:
    """Samples begin .. end - 1 of the clip's sound, [4, end - begin]."""
    return media.scene((begin + end) / 2 / rate, (end - begin) / rate, rate)


def _beam(samples: torch.Tensor, plan: Plan, segments: Segments, number: int) -> torch.Tensor:
    """Beam [1, T] of a segment's sound in the direction of the camera."""
    path = [*_camera(segments, number)]
    path.append(next(_camera(segments, number + 1)) if number + 1 < plan.segments else path[-1])
    directions = torch.from_numpy(np.array(path, np.float32))
    return ops.beamform(samples, directions[None], pattern=PATTERN)


def _camera(segments: Segments, number: int) -> Iterator[list[float]]:
    """Directions of the camera in a segment's frames."""
    yield from segments.state(number).camera
