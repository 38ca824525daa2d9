"""Command line of `python -m avsa_fast.scenes`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.choices import SceneFormat
from avsa_fast.flags import Range, Seed, checked


@checked
def main(
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    count: Annotated[int, Range(1, 100_000), arg(metavar="N")] = 40,
    seconds: Annotated[float, Range(1, 600), arg(metavar="S")] = 6.0,
    seed: Annotated[Seed, arg(metavar="N")] = 0,
    objects: Annotated[Path | None, arg(metavar="DIR")] = None,
    panoramas: Annotated[Path | None, arg(metavar="DIR")] = None,
    rir: Annotated[Path | None, arg(metavar="FILE")] = None,
    distance: Annotated[float, Range(0.01, 1), arg(metavar="R")] = 1.0,
    sources: Annotated[int | None, Range(1, 4), arg(metavar="N")] = None,
    format: SceneFormat = "dataset",
) -> None:
    """Build 360° scenes with ground truth: moving objects and their sounds, as H.264 video and first-order ambisonics.

    Objects, panoramas and the room (a free field) are procedural unless they are given.
    OUT also gets index.parquet, truth.parquet, train.txt and test.txt, and detections.parquet for procedural objects.

    Args:
        out: Folder to write; new, or empty.
        count: Number of scenes; the last fifth is held out.
        seconds: Duration of each scene, 1 to 600.
        seed: Seed; the same seed and material give the same scenes.
        objects: Cut-out photographs, NAME.png, each beside its sound, NAME.ogg (wav, flac, mp3).
        panoramas: Equirectangular images (jpg, png), twice as wide as high.
        rir: First-order room impulse response: 4 channels, ACN order, N3D.
        distance: Distance of the objects, as a fraction of the distance at which the response was measured.
        sources: Sources of each scene, 1 to 4. Default: 4 procedural ones, or 3 or 4 photographs.
        format: Layout of OUT: a dataset folder, or a tree like that of STARSS23 for `avsa_fast.seld`: foa_dev,
            video_dev and metadata_dev (classes, directions and distances each 100 ms), and classes.txt.
    """
    from avsa_fast.progress import show_progress
    from avsa_fast.scenes.build import build_scenes
    from avsa_fast.terminal import say

    with show_progress("Rendering scenes") as progress:
        build_scenes(
            out,
            count=count,
            seconds=seconds,
            seed=seed,
            objects=objects,
            panoramas=panoramas,
            rir=rir,
            distance=distance,
            sources=sources,
            format=format,
            progress=progress,
        )
    say(f"{count} scenes of {seconds:g} s in {out}")
