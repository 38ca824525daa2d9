"""The uses by name, what each does with an entry of the table of operations, and comparison of results."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from ..operations import Call, Condition, Entry, assert_near, conditions

Run = Callable[[Entry, torch.device], None]

# Headings in docs/uses.md, in this order.
NUMBERS, SETTINGS, TRANSFORMS = "Numbers, strides and sizes", "Settings of torch", "Derivatives and transforms"
COMPILED, PROCESSES = "Compiled and exported", "Threads, processes and copies"
GROUPS = NUMBERS, SETTINGS, TRANSFORMS, COMPILED, PROCESSES


@dataclass(frozen=True)
class Use:
    """One use of the operations."""

    group: str  # one of GROUPS
    text: str  # in docs/uses.md
    run: Run  # raises AssertionError for a wrong result
    refused: str  # a part of the error's line, if no operation supports it
    differentiates: bool  # not applicable to calls without gradients
    kernels: bool  # also tested with the CUDA kernels emulated on the host: others exercise only Python
    slow: bool


USES: dict[str, Use] = {}


def use(
    name: str,
    group: str,
    text: str,
    *,
    refused: str = "",
    differentiates: bool = False,
    kernels: bool = False,
    slow: bool = False,
) -> Callable[[Run], Run]:
    """Adds a function to USES."""

    def add(run: Run) -> Run:
        USES[name] = Use(group, text, run, refused, differentiates, kernels, slow)
        return run

    return add


def refusal(use: str, entry: Entry) -> str:
    """A part of the error's line, or "" if the use is supported."""
    return entry.refused.get(use, USES[use].refused)


def outcome(use: str, entry: Entry) -> str:
    """What happens: "right", "refused: " and the error, or "no gradient"."""
    if USES[use].differentiates and not entry.leaves:
        return "no gradient"
    error = refusal(use, entry)
    return f"refused: {error}" if error else "right"


def assert_same(got: Iterable[Tensor], want: Iterable[Tensor]) -> None:
    """Asserts that results have the same dtypes, shapes and bits."""
    for x, y in zip(got, want, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)


def assert_all_near(
    got: Iterable[Tensor],
    want: Iterable[Tensor],
    call: Call,
    outputs: Callable[[Call], list[Tensor]] | None = None,
) -> None:
    """Asserts that results are within the call's tolerance.

    Args:
        got: Results.
        want: Expected results.
        call: The call whose results they are.
        outputs: Computes the expected results, from which their condition is found.
    """

    found = cache(lambda: conditions(call, outputs) if outputs else [])

    def condition(output: int) -> Condition:
        return found()[output] if outputs else Condition(0.0, 0.0)

    for i, (x, y) in enumerate(zip(got, want, strict=True)):
        assert_near(x, y, call, partial(condition, i))


def forget() -> None:
    """Empties the caches of avsa_fast, as in a new process."""
    for name in [name for name in sys.modules if name.startswith("avsa_fast.")]:
        for value in list(vars(sys.modules[name]).values()):
            if callable(clear := getattr(value, "cache_clear", None)):
                clear()
