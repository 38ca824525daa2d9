"""Options of `python -m avsa_fast.report`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from avsa_fast.errors import UserError
from avsa_fast.files import require_writable
from avsa_fast.flags import Range, Seed, checked
from avsa_fast.terminal import say


@checked
def main(
    run: Annotated[Positional[Path | None], arg(metavar="[RUN]")] = None,
    dataset: Annotated[Path | None, arg(metavar="DST")] = None,
    out: Annotated[Path | None, arg(metavar="FILE")] = None,
    clips: Annotated[int, Range(1, 1000), arg(metavar="N")] = 12,
    seed: Annotated[Seed, arg(metavar="N")] = 0,
) -> None:
    """Writes an HTML page that shows a run or a dataset. It needs no network: open it in any browser.

    It has curves, metrics with intervals, and clips to look and listen around in, with the objects found in them.

    Args:
        run: Folder of a training run.
        dataset: Dataset to show instead of a run; its index is created if missing.
        out: Page to write. Default: report.html in the folder that is shown.
        clips: Maximum number of clips shown, evenly spread over all.
        seed: Seed of the directions without an object.

    Raises:
        UserError: If options are invalid, or the run or the dataset cannot be read.
    """
    if (run is None) == (dataset is None):
        raise UserError("name either RUN, the folder of a run, or --dataset DST")
    folder = run or dataset
    assert folder is not None
    path = out or folder / "report.html"
    require_writable(path)  # before the drawing, which takes long
    if run is not None:
        from .run import run_page

        html = run_page(run, clips=clips, seed=seed)
    else:
        from .dataset import dataset_page

        html = dataset_page(folder, clips=clips)
    from .page import write_page

    write_page(path, html)
    say(f"{path} ({len(html.encode()) / 1e6:.1f} MB)")
