"""Progress display: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 10  # approximate number of lines if there is no terminal


@contextmanager
def show_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Shows progress on stderr.

    Args:
        label: Text in front of the progress.

    Yields:
        A function to call with the number of completed steps and the total number of steps.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: _line(console, label, done, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line(console: Console, label: str, done: int, total: int) -> None:
    """Prints a line each time another 1 / LINES of the steps is completed."""
    if done == total or done * LINES // total > (done - 1) * LINES // total:
        console.print(f"{label}: {done}/{total}", highlight=False)
