"""Command line of `python -m avsa_fast.prepare`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.choices import DEFAULT_WEIGHTS, MIN_CONFIDENCE, DetectorViews, Engine, Gains, Layout, Projection
from avsa_fast.errors import UserError
from avsa_fast.flags import MAX_PROCESSES, Channel, Range, checked


@checked
def main(
    src: Annotated[Positional[Path | None], arg(metavar="SRC")] = None,
    dst: Annotated[Positional[Path | None], arg(metavar="DST")] = None,
    check: Annotated[Path | None, arg(metavar="DST")] = None,
    json: bool = False,
    channels: Annotated[tuple[Channel, Channel, Channel, Channel] | None, arg(metavar="W Y Z X")] = None,
    gains: Gains | None = None,
    projection: Projection | None = None,
    ignore_pose: bool = False,
    detector: Annotated[str, arg(metavar="NAME")] = DEFAULT_WEIGHTS,
    detector_views: DetectorViews = "erp",
    detect_fps: Annotated[float, arg(metavar="N")] = 2.0,
    classes: Annotated[tuple[str, ...], arg(metavar="NAME")] = (),
    confidence: Annotated[float, arg(metavar="P")] = MIN_CONFIDENCE,
    trust_weights: bool = False,
    transcode: bool = False,
    height: Annotated[int, arg(metavar="ROWS")] = 512,
    workers: Annotated[int | None, Range(1, 10_000), arg(metavar="N")] = None,
    engine: Engine = "local",
    layout: Layout | None = None,
) -> None:
    """Prepare a folder of 360° videos for training: inspect media, detect objects, write the tables of a dataset.

    SRC is any tree of videos, or has video/ and audio/ with files of the same names, as YT-360.
    DST gets links to the media (or transcoded files), index.parquet and detections.parquet; train reads it.
    A stopped run continues when it is run again. Each clip that cannot be used is reported on one line.

    Args:
        src: Folder of media; docs/data.md describes the layouts.
        dst: Dataset folder to create or to continue.
        check: Only summarise a prepared folder, and say what is not right with its clips.
        json: With --check: print what is not right as one JSON document.
        channels: Decoded channels, from 0, that hold W, Y, Z and X, for files that do not declare them.
        gains: Normalisation of ambisonic sounds, for files that do not declare it; fuma implies the order W X Y Z.
        projection: Projection of all videos, instead of detecting it.
        ignore_pose: Assume that video and sound have the same axes, whatever pose a file declares.
        detector: YOLO weights (a name or path), MODULE:FACTORY of your own detector, or "none".
        detector_views: Search the equirectangular frame, or overlapping perspective views (slow, good at the poles).
        detect_fps: Frames per second that are searched for objects.
        classes: Detect only objects of these classes; default: all.
        confidence: Minimum score of an object.
        trust_weights: Load weights of unknown checksum; such a file can run any code.
        transcode: Write 16 fps H.264 and 24 kHz FLAC, which are cheap to read, instead of links.
        height: Maximum height of transcoded videos.
        workers: Number of processes; default: one per core.
        engine: Processes on this machine, or a Ray cluster.
        layout: Layout of SRC; default: recognised by its folders and lists.
    """
    if check is not None:
        if src is not None:
            raise UserError("--check DST takes no SRC")
        from avsa_fast.prepare.check import check as check_dataset

        check_dataset(check, as_json=json)
        return
    if json:
        raise UserError("--json is an option of --check DST")
    if src is None or dst is None:
        raise UserError("needs SRC and DST, or --check DST; see --help")
    if engine == "local" and workers is not None and workers > MAX_PROCESSES:
        raise UserError(f"--workers {workers}: must be within 1 and {MAX_PROCESSES:,}, the limit of this machine")
    from avsa_fast.prepare.options import PrepareOptions
    from avsa_fast.prepare.run import prepare
    from avsa_fast.terminal import say

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
    prepare(src, dst, options, workers=workers, engine=engine, layout=layout)
    say(f"prepared: {dst}; python -m avsa_fast.prepare --check {dst} summarises it and says what is wrong")
