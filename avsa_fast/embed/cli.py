"""Options of `python -m avsa_fast.embed`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from avsa_fast.choices import Gains, Projection
from avsa_fast.flags import Channel, Range, checked


@checked
def main(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    files: Annotated[Positional[tuple[str, ...]], arg(metavar="FILES")],
    out: str = "embeddings.parquet",
    modality: Literal["both", "video", "audio"] = "both",
    hop: Annotated[float, Range(0.001, 3600)] = 1.0,
    directions: tuple[str, ...] = ("0,0",),
    projection: Projection | Literal["flat"] | None = None,
    channels: tuple[Channel, Channel, Channel, Channel] | None = None,
    gains: Gains | None = None,
) -> None:
    """Embeds video and sound, one window every --hop seconds: ambisonic, stereo or mono sound, flat or 360° video.

    Memory use does not grow with the length of the files. After an interruption, the same command continues from where
    it stopped. Files that cannot be read are reported and skipped. A prepared dataset is read as its index says; in
    other folders with video/ and audio/, files of the same name belong together.

    Args:
        run: Folder of a training run.
        files: Files and folders; - reads paths from standard input.
        out: A .parquet file with one row per window and direction (file, modality, time, azimuth, elevation,
            embedding); or a .npy array with a .csv of the other columns beside it; or - for JSON lines, written as they
            are computed.
        modality: What to embed of files that have both.
        hop: Seconds from one window to the next, 0.001 to 3600.
        directions: Directions of the views, azimuth,elevation in degrees: 0,0 90,0 180,0. Flat video, stereo and mono
            sound have only the front.
        projection: Projection of all videos, or flat for ordinary ones, instead of detecting it.
        channels: Decoded channels, from 0, that hold W, Y, Z and X, for files that do not declare them.
        gains: Normalisation of ambisonic sounds, for files that do not declare it; fuma implies the order W X Y Z.

    Raises:
        UserError: If an option is invalid, or the run or none of the files can be read.
    """
    from avsa_fast.data.describe import Overrides

    from .files import embed_files

    embed_files(
        run, files, out=out, modality=modality, hop=hop, directions=directions,
        overrides=Overrides(channels, gains, projection),
    )  # fmt: skip
