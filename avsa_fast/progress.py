"""How far a long piece of work has come: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 10  # in all, where there is no terminal


@contextmanager
def show_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes steps done and steps in all, and shows them on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: _line(console, label, done, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line(console: Console, label: str, done: int, total: int) -> None:
    if done == total or done * LINES // total > (done - 1) * LINES // total:
        console.print(f"{label}: {done}/{total}", highlight=False)
