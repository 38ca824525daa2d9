"""Options of `python -m avsa_fast.localise`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.choices import DEFAULT_WEIGHTS, Gains, MapKind, Projection
from avsa_fast.flags import Channel, Range, checked


@checked
def main(
    run: Annotated[Positional[str], arg(metavar="RUN")],
    video: Annotated[Positional[Path], arg(metavar="VIDEO")],
    out: Annotated[Path, arg(metavar="OUT.mp4")],
    map: MapKind = "embeddings",
    crop: bool = False,
    rate: Annotated[float, Range(0.1, 30), arg(metavar="N")] = 2.0,
    height: Annotated[int, Range(64, 8192), arg(metavar="ROWS")] = 1920,
    sound: Annotated[Path | None, arg(metavar="FILE")] = None,
    detections: Annotated[Path | None, arg(metavar="FILE")] = None,
    detector: Annotated[str, arg(metavar="NAME")] = DEFAULT_WEIGHTS,
    trust_weights: bool = False,
    projection: Projection | None = None,
    channels: Annotated[tuple[Channel, Channel, Channel, Channel] | None, arg(metavar="W Y Z X")] = None,
    gains: Gains | None = None,
) -> None:
    """Draw into a 360° video where the embeddings place what sounds, and how much each object sounds.

    OUT.mp4 keeps the ambisonic sound and is marked as spherical, for players of 360° video. OUT.parquet gets one row
    per object and map. Memory use does not grow with the length of the video. After an interruption, the same command
    continues from where it stopped.

    Args:
        run: Folder of a training run, folder that export wrote, or id of one in the local cache of the hub.
        video: 360° video with first-order ambisonic sound in it, in a file of its name beside it, or in audio/ for
            video/NAME.mp4 of a dataset folder.
        out: MP4 file to write.
        map: What the map shows: similarity of the objects' embeddings to those of the sound from each direction, or
            the sound's own energy, which takes no network.
        crop: Write an ordinary video instead, of a camera that follows the loudest object, with a beam of the sound.
        rate: Maps per second.
        height: Maximum height of the video; larger ones are scaled down.
        sound: File with the sound, if it is elsewhere.
        detections: A detections.parquet with the video's objects; default: that of its dataset folder, if any.
        detector: YOLO weights (a name or path), or MODULE:FACTORY, if there are no detections; or "none".
        trust_weights: Load weights of unknown checksum; such a file can run any code.
        projection: Projection of the video, instead of detecting it.
        channels: Decoded channels, from 0, that hold W, Y, Z and X, for files that do not declare them.
        gains: Normalisation of the ambisonic sound, for files that do not declare it; fuma implies the order W X Y Z.

    Raises:
        UserError: If an option is invalid, the run or the video cannot be read, or OUT exists or cannot be written.
    """
    from avsa_fast.data.describe import Overrides

    from .files import localise_file
    from .objects import ObjectOptions

    localise_file(
        run, video, out, kind=map, crop=crop, rate=rate, height=height, sound=sound,
        objects=ObjectOptions(detections, None if detector == "none" else detector, trust_weights),
        overrides=Overrides(channels, gains, projection),
    )  # fmt: skip
