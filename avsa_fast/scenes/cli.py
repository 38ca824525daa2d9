"""python -m avsa_fast.scenes OUT: builds a dataset of synthetic scenes with ground truth, as media files."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes


def main(
    out: Annotated[Positional[Path], arg(metavar="OUT", help="Folder to write; new, or empty.")],
    count: Annotated[int, arg(metavar="N", help="Number of scenes; the last fifth is held out.")] = 40,
    seconds: Annotated[float, arg(metavar="S", help="Length of each, 1 to 600.")] = 6.0,
    seed: Annotated[int, arg(metavar="N", help="The same seed and material give the same scenes.")] = 0,
    objects: Annotated[
        Path | None,
        arg(metavar="DIR", help="Cut-out photographs, NAME.png, each beside its sound, NAME.ogg (wav, flac, mp3)."),
    ] = None,
    panoramas: Annotated[
        Path | None, arg(metavar="DIR", help="Equirectangular pictures (jpg, png), twice as wide as high.")
    ] = None,
    rir: Annotated[
        Path | None, arg(metavar="FILE", help="First-order room impulse response: 4 channels, ACN order, N3D.")
    ] = None,
    distance: Annotated[
        float, arg(metavar="R", help="Of objects, as a share of the distance that --rir was measured at.")
    ] = 1.0,
) -> None:
    """Builds 360° scenes of known truth: moving objects and their sounds, as H.264 video and first-order ambisonics.

    What is not given is made from the seed: objects, panoramas, and for the room a free field.
    OUT also gets index.parquet, truth.parquet, train.txt and test.txt; with made objects detections.parquet too.
    """
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
            progress=progress,
        )
    print(f"{count} scenes of {seconds:g} s in {out}")
