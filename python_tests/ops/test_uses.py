"""Every use of every operation: the right values, or one clear error; and the table of docs/uses.md that says so."""

import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch
from helpers.operations import CALLS
from helpers.uses import USES, outcome, refusal

ROOT = Path(__file__).parents[2]


def cells() -> list[object]:
    """Device, use and name of a call, for each cell of the table that applies."""
    found = []
    for use, how in USES.items():
        if "AVSA_EMULATED" in os.environ and not how.kernels:  # sanitizers find faults of kernels
            continue
        for name, entry in CALLS.items():
            if outcome(use, entry) == "no gradient":
                continue
            marks = [pytest.mark.slow] if how.slow else []
            devices = ["cpu", *(["emulated"] if how.kernels else [])]
            found += [pytest.param(device, use, name, marks=marks) for device in devices]
            if use not in ("fork", "spawn"):  # a forked process cannot use CUDA
                found.append(pytest.param("cuda", use, name, marks=[*marks, pytest.mark.cuda]))
    return found


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch.vmap calls the kernels once per call
@pytest.mark.parametrize(("kernel_device", "use", "name"), cells(), indirect=["kernel_device"])
def test_use(kernel_device: torch.device, use: str, name: str) -> None:
    entry = CALLS[name]
    error = refusal(use, entry)
    if not error:
        USES[use].run(entry, kernel_device)
        return
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=re.escape(error)) as caught:
        USES[use].run(entry, kernel_device)
    assert "\n" not in str(caught.value)


def test_page_says_what_is_tested() -> None:
    """`python docs/uses_table.py` writes it."""
    spec = importlib.util.spec_from_file_location("uses_table", ROOT / "docs" / "uses_table.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page()
