"""python -m avsa_fast.prepare SRC DST: prepares a folder of 360° videos for training."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.data.channels import Gains
from avsa_fast.data.projection import Projection
from avsa_fast.detect.sphere import DetectorViews
from avsa_fast.detect.weights import DEFAULT_WEIGHTS
from avsa_fast.detect.yolo import MIN_CONFIDENCE
from avsa_fast.errors import UserError
from avsa_fast.prepare.check import check as check_set
from avsa_fast.prepare.options import PrepareOptions
from avsa_fast.prepare.run import Engine, prepare


def main(
    src: Annotated[
        Positional[Path | None], arg(metavar="SRC", help="Folder of media; docs/data.md has the layouts.")
    ] = None,
    dst: Annotated[Positional[Path | None], arg(metavar="DST", help="Dataset folder to make or to go on with.")] = None,
    check: Annotated[Path | None, arg(metavar="DST", help="Only tell what is in a prepared folder.")] = None,
    channels: Annotated[
        tuple[int, int, int, int] | None,
        arg(metavar="W Y Z X", help="Which decoded channels, from 0, are W, Y, Z, X, where a file does not tell."),
    ] = None,
    gains: Annotated[
        Gains | None, arg(help="Of ambisonic sounds, where files do not tell; fuma is the order W X Y Z, too.")
    ] = None,
    projection: Annotated[Projection | None, arg(help="Of all pictures, whatever they look like.")] = None,
    ignore_pose: Annotated[
        bool, arg(help="Take picture and sound to have the same axes, whatever pose a file states.")
    ] = False,
    detector: Annotated[
        str, arg(metavar="NAME", help='YOLO weights (a name or path), MODULE:FACTORY of your own, or "none".')
    ] = DEFAULT_WEIGHTS,
    detector_views: Annotated[
        DetectorViews,
        arg(help="Search the equirectangular frame, or overlapping perspective views (slower, good at the poles)."),
    ] = "erp",
    detect_fps: Annotated[float, arg(metavar="N", help="Frames a second that are searched.")] = 2.0,
    classes: Annotated[
        tuple[str, ...], arg(metavar="NAME", help="Only objects of these classes; all by default.")
    ] = (),
    confidence: Annotated[float, arg(metavar="P", help="Least score of an object.")] = MIN_CONFIDENCE,
    trust_weights: Annotated[bool, arg(help="Load weights of unknown checksum; such a file can run any code.")] = False,
    transcode: Annotated[
        bool, arg(help="Write 16 fps H.264 and 24 kHz FLAC, cheap to read, in place of links.")
    ] = False,
    height: Annotated[int, arg(metavar="ROWS", help="Of transcoded pictures, at most.")] = 512,
    workers: Annotated[int | None, arg(metavar="N", help="Processes; by default one a core.")] = None,
    engine: Annotated[Engine, arg(help="This machine's processes, or a Ray cluster.")] = "local",
) -> None:
    """Makes a dataset folder of 360° videos: understands media and sound channels, finds objects, writes the tables.

    SRC is any tree of mp4, webm and mkv files, or has video/ and audio/ with files of the same names, as YT-360 has.
    DST gets links to the media (or transcoded files), index.parquet, detections.parquet; train reads it.
    It can be stopped at any time: run again, it goes on. What cannot be used is told with a line each.
    """
    if check is not None:
        if src is not None:
            raise UserError("--check DST takes no SRC")
        check_set(check)
        return
    if src is None or dst is None:
        raise UserError("needs SRC and DST, or --check DST; --help tells more")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers} must be at least 1")
    options = PrepareOptions(
        channels=channels,
        gains=gains,
        projection=projection,
        ignore_pose=ignore_pose,
        detector=None if detector == "none" else detector,
        views=detector_views,
        detect_fps=detect_fps,
        classes=classes,
        confidence=confidence,
        trust_weights=trust_weights,
        transcode=transcode,
        height=height,
    )
    prepare(src, dst, options, workers=workers, engine=engine)
    print(f"prepared: {dst}; python -m avsa_fast.prepare --check {dst} tells what is in it")
