"""Options of the commands: the ranges of numbers, and what one line says about options that cannot be used."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Annotated, ParamSpec, TypeVar, get_type_hints

from avsa_fast.errors import UserError

P = ParamSpec("P")
R = TypeVar("R")

# Processes per core that an option allows: decoding waits for disks, but each process takes memory.
PROCESSES_PER_CORE, MIN_PROCESSES = 4, 16


@dataclass(frozen=True)
class Range:
    """Range of an option's number, in the metadata of its type: Annotated[int, Range(1, 600)].

    Attributes:
        low: Smallest value.
        high: Largest value.
    """

    low: float
    high: float


Seed = Annotated[int, Range(0, 2**32 - 1)]  # what NumPy and scikit-learn accept
MAX_PROCESSES = max(MIN_PROCESSES, PROCESSES_PER_CORE * (os.cpu_count() or 1))
Workers = Annotated[int, Range(0, MAX_PROCESSES)]
Channel = Annotated[int, Range(0, 255)]
MAX_STEPS, MAX_BATCH = 10_000_000, 65_536


def checked(main: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function whose parameters are options: values outside their `Range` raise UserError.

    Args:
        main: The function.

    Returns:
        The function with the check.
    """
    ranges = {
        name: limits
        for name, hint in get_type_hints(main, include_extras=True).items()
        if (limits := _range_of(hint)) is not None
    }

    @wraps(main)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature(main).bind(*args, **kwargs).arguments
        for name, limits in ranges.items():
            value = given.get(name)
            for number in value if isinstance(value, tuple) else (value,):
                if number is not None and not limits.low <= number <= limits.high:  # also refuses NaN
                    raise UserError(
                        f"--{name.replace('_', '-')} {number}: must be within {limits.low:,} and {limits.high:,}"
                    )
        return main(*args, **kwargs)

    return call


def _range_of(hint: object) -> Range | None:
    """The range in a type's metadata, also within a union or a tuple."""
    for item in getattr(hint, "__metadata__", ()):
        if isinstance(item, Range):
            return item
    inner = [getattr(hint, "__origin__", None), *getattr(hint, "__args__", ())]
    return next((found for each in inner if each is not None and (found := _range_of(each)) is not None), None)


def refuse_empty(words: Sequence[str]) -> None:
    """Raises UserError if a word of a command line is empty: as a path it would mean the current folder.

    Args:
        words: The command line, without the command.
    """
    for number, word in enumerate(words):
        if word.startswith("--") and word.endswith("="):
            raise UserError(f"{word[:-1]} '': is empty; give a value, or leave it out")
        if not word:
            flags = [word for word in words[:number] if word.startswith("--")]
            raise UserError(f"{flags[-1] + ' ' if flags else ''}'': is empty; give a value, or leave it out")


def parse_error(text: str) -> str:
    """Returns the cause of tyro's error message, which is a text in a box, on one line.

    Args:
        text: What tyro printed.
    """
    lines = [line.strip("│╭╮╰╯─ ") for line in text.splitlines()]
    if "╭" in text:
        lines = lines[1:]  # the title
    cause: list[str] = []
    for line in lines:
        if not line and cause:
            break
        cause.append(line)
    said = re.sub(r"\{None\}\|", "", " ".join(" ".join(cause).split()))
    said = re.sub(r"no type matching (\S+) could be instantiated from \['(.*)'\]", r"'\2' is not \1", said)
    said = re.sub(r"invalid literal for int\(\) with base 10: ('.*')", r"\1 is no whole number", said)
    said = re.sub(r"could not convert string to float: ('.*')", r"\1 is no number", said)
    return f"{said.removeprefix('Error parsing ').rstrip('.')}; --help describes the options"
