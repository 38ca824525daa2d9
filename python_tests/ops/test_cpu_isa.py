"""Host kernels on every instruction set that this processor has: the tests against references, with less of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import avsa_fast

ROOT = Path(__file__).parents[2]
SETS = ("baseline", "avx2", "avx512", "avx512_bf16")  # each with those before it
TESTS = (
    "test_info_nce.py::test_kernel_matches_reference",
    "test_info_nce_precisions.py::test_reduced_precisions",
    "test_info_nce.py::test_tiles_of_odd_sizes",
    "test_info_nce.py::test_float64_matches_reference_closely",
    "test_gnomonic.py::test_kernel_agrees_with_reference",
    "test_gnomonic_sources.py::test_planes_agree_with_reference",
    "test_rotate.py::test_rotate_matches_reference",
    "test_spatial_features.py::test_matches_reference",
)


@pytest.mark.parametrize("isa", SETS)
def test_kernels_match_references(isa: str) -> None:
    here = avsa_fast.build_info()["cpu_isa"]
    if "AVSA_EMULATED" in os.environ:
        pytest.skip("sanitized kernels are baseline code")
    if SETS.index(here) < SETS.index(isa):
        pytest.skip(f"the processor has {here} at most")
    chosen = {**os.environ, "AVSA_CPU_ISA": isa}
    told = subprocess.run(
        [sys.executable, "-c", "import avsa_fast; print(avsa_fast.build_info()['cpu_isa'])"],
        cwd=ROOT, env=chosen, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == isa
    if isa == here:
        return  # what every other test runs on
    tests = [f"python_tests/ops/{test}" for test in TESTS]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "not emulated and not cuda",
        *tests,
    ]
    done = subprocess.run(command, cwd=ROOT, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_an_instruction_set_that_is_none() -> None:
    chosen = {**os.environ, "AVSA_CPU_ISA": "avx9"}
    command = [sys.executable, "-c", "import avsa_fast; avsa_fast.build_info()"]
    done = subprocess.run(command, cwd=ROOT, env=chosen, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "AVSA_CPU_ISA=avx9: must be one of baseline, avx2, avx512, avx512_bf16" in done.stderr
