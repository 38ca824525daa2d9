"""python -m avsa_fast.scenes OUT: spatial scenes with known truth, as real media files."""

from pathlib import Path
from typing import Annotated

import tyro

from avsa_fast.errors import run_command
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.progress import show_progress


def main(
    out: tyro.conf.Positional[Path],
    count: int = 40,
    seconds: float = 6.0,
    seed: int = 0,
    objects: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    panoramas: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    rir: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
) -> None:
    """Builds scenes of known truth: moving objects with sounds on 360° panoramas, as H.264 and ambisonic FLAC files.

    Without material of your own, everything is made from the seed. The folder also gets truth.parquet, train.txt and
    test.txt, and for made objects index.parquet and detections.parquet (for photographs, `prepare` finds them).

    Args:
        out: Folder to write; it must not exist or be empty.
        count: Number of scenes; the last fifth are held out.
        seconds: Length of each, 1 to 600.
        seed: The same seed and material give the same scenes.
        objects: Folder of cut-out photographs, NAME.png, each beside its sound, NAME.ogg (or wav, flac, mp3).
        panoramas: Folder of equirectangular pictures (jpg, png), twice as wide as high.
        rir: First-order room impulse response, 4 channels, ACN order and N3D.
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
            progress=progress,
        )
    print(f"{count} scenes of {seconds:g} s in {out}")


if __name__ == "__main__":
    run_command(main, "scenes")
