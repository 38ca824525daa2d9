"""Host kernels with every instruction set that this processor supports: reruns tests against references with each."""

import os
import sys
from pathlib import Path

import pytest
from helpers.commands import run

import avsa_fast

ROOT = Path(__file__).parents[2]
SETS = ("baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16")  # each includes those before it
TESTS = (
    "test_info_nce.py::test_kernel_matches_reference",
    "test_info_nce_precisions.py::test_reduced_precisions",
    "test_info_nce.py::test_tiles_of_odd_sizes",
    "test_info_nce.py::test_float64_matches_reference_closely",
    "test_gnomonic.py::test_kernel_matches_reference",
    "test_gnomonic_sources.py::test_planes_match_reference",
    "test_rotate.py::test_rotate_matches_reference",
    "test_spatial_features.py::test_matches_reference",
)


@pytest.mark.slow
@pytest.mark.parametrize("isa", [pytest.param(isa, marks=[] if isa == "avx2" else pytest.mark.slow) for isa in SETS])
def test_kernels_match_references(isa: str) -> None:
    here = avsa_fast.build_info()["cpu_isa"]
    if SETS.index(here) < SETS.index(isa):
        pytest.skip(f"the processor has {here} at most")
    chosen = {**os.environ, "AVSA_CPU_ISA": isa}
    code = "import avsa_fast; print(avsa_fast.build_info()['cpu_isa'])"
    reported = run(sys.executable, "-c", code, cwd=ROOT, env=chosen, check=True)
    assert reported.stdout.strip() == isa
    if isa == here:
        return  # used by all other tests
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
    done = run(*command, cwd=ROOT, env=chosen)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_unknown_instruction_set_is_refused() -> None:
    chosen = {**os.environ, "AVSA_CPU_ISA": "avx9"}
    command = [sys.executable, "-c", "import avsa_fast; avsa_fast.build_info()"]
    done = run(*command, cwd=ROOT, env=chosen)
    assert done.returncode == 1
    assert "AVSA_CPU_ISA=avx9: must be one of baseline, avx2, avx512, avx512_vnni, avx512_bf16" in done.stderr
