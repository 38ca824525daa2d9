"""Command python -m avsa_fast.report RUN: writes the HTML report of a run, or with --dataset of a dataset."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.errors import UserError

from .page import write_page


def main(
    run: Annotated[Positional[Path | None], arg(metavar="[RUN]", help="Folder of a run that train made.")] = None,
    dataset: Annotated[
        Path | None, arg(metavar="DST", help="Instead of a run: a dataset; an index that it lacks is made.")
    ] = None,
    out: Annotated[
        Path | None, arg(metavar="FILE", help="The page to write. Default: report.html in the folder shown.")
    ] = None,
    clips: Annotated[int, arg(metavar="N", help="Clips that are shown, evenly spread over those there are.")] = 12,
    seed: Annotated[int, arg(metavar="N", help="Of the directions where no object was found.")] = 0,
) -> None:
    """Writes one HTML page that shows a run or a dataset and needs no network: open it in any browser.

    Curves, metrics with intervals, and clips to look and listen around in, with what was found in them.
    """
    if (run is None) == (dataset is None):
        raise UserError("name one thing to show: the folder RUN of a run, or --dataset DST")
    if clips < 1 or seed < 0:
        raise UserError(f"--clips {clips} must be at least 1, --seed {seed} at least 0")
    folder = run or dataset
    assert folder is not None
    path = out or folder / "report.html"
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder")
    if run is not None:
        from .run import run_page

        html = run_page(run, clips=clips, seed=seed)
    else:
        from .dataset import dataset_page

        html = dataset_page(folder, clips=clips)
    write_page(path, html)
    print(f"{path} ({len(html.encode()) / 1e6:.1f} MB)")
