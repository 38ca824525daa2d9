"""benchmarks/gpu/inspect.sh: parsing of reports, and no kernel with worse resource use than recorded."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import commands

import resources

ROOT = Path(__file__).parents[2]

REPORT = """ptxas info    : 12 bytes gmem
ptxas info    : Compiling entry function '_ZN4avsa12_GLOBAL__N_110mix_kernelIfLi4EEEvPKfl' for 'sm_90a'
ptxas info    : Function properties for _ZN4avsa12_GLOBAL__N_110mix_kernelIfLi4EEEvPKfl
    32 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 32 bytes cumulative stack size, 512 bytes smem
ptxas info    : Compile time = 9.1 ms
"""
LISTING = """	.section	.text._ZN4avsa12_GLOBAL__N_110mix_kernelIfLi4EEEvPKfl,"ax",@progbits
        /*0100*/                   LDG.E.128.CONSTANT R4, desc[UR4][R2.64] ;
        /*0110*/                   STL.64 [R1], R4 ;
        /*0120*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
"""
RECORDED = resources.Kernel(40, 0, 0, 6, 0, "HMMA", shared=512, serialised=0, conversions=8, loop=594)
WARNING = (
    "ptxas info    : (C7519) Potential Performance Loss: wgmma.mma_async instructions are serialized due to non wgmma "
    "instructions defining accumulator registers in the function '_ZN4avsa12_GLOBAL__N_110mix_kernelIfLi4EEEvPKfl'\n"
)
LOOPS = """
.L_x_0:
        /*0010*/                   IMAD R1, R2, R3, R4 ;
.L_x_1:
        /*0020*/                   FADD R1, R1, R2 ;
        /*0030*/                   F2FP.BF16.F32.PACK_AB R1, R1, R2 ;
        /*0040*/               @P0 BRA `(.L_x_1) ;
.L_x_2:
        /*0050*/                   FADD R1, R1, R2 ;
        /*0060*/               @P0 BRA.U `(.L_x_2) ;
        /*0070*/               @P1 BRA `(.L_x_0) ;
        /*0080*/                   EXIT ;
.L_x_3:
        /*0090*/                   BRA `(.L_x_3);
"""


def test_compiler_reports_are_parsed() -> None:
    name = "mix_kernel<float, 4>"
    expected = resources.Kernel(40, 20, 32, 1, 1, "HGMMA", shared=512, serialised=0, conversions=0, loop=0)
    assert resources.parse(REPORT, LISTING) == {name: expected}
    without = replace(expected, wide=None, local=None, matrix=None, conversions=None, loop=None)
    assert resources.parse(REPORT, None) == {name: without}
    narrow = LISTING.replace("LDG.E.128", "LDG.E").replace("HGMMA", "FFMA").replace("STL", "STS")
    assert resources.parse(REPORT, narrow)[name] == replace(expected, wide=0, local=0, matrix="")
    assert resources.parse(WARNING + REPORT, LISTING)[name].serialised == 1
    found = resources.parse(REPORT, LISTING + LOOPS)[name]
    assert (found.conversions, found.loop) == (1, 3)  # of 3 and 2 instructions, within another loop


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"registers": 39, "wide": 7, "matrix": "HGMMA"}, None),
        ({"wide": None, "local": None, "matrix": None}, None),  # no disassembler
        ({"registers": 41}, "registers 41, at most 40"),
        ({"spilled": 8}, "spilled 8, at most 0"),
        ({"stack": 16}, "stack 16, at most 0"),
        ({"local": 2}, "local 2, at most 0"),
        ({"wide": 5}, "5 instructions move 16 bytes, 6 expected"),
        ({"matrix": ""}, "no matrix instructions, HMMA expected"),
        ({"shared": 513}, "shared 513, at most 512"),
        ({"serialised": 2}, "2 warnings C75xx of serialised products, none"),
        ({"conversions": 7}, "7 instructions F2FP, 8 expected"),
        ({"loop": 595}, "loop 595, at most 594"),
    ],
)
def test_regressions_are_reported(change: dict, fault: str | None) -> None:
    faults = list(resources.faults_of("sm_80 a/b", replace(RECORDED, **change), RECORDED))
    assert len(faults) == (fault is not None)
    assert fault is None or fault in faults[0]


def test_new_kernels_neither_spill_nor_use_local_memory() -> None:
    assert not list(resources.faults_of("sm_80 a/b", replace(RECORDED, registers=255, matrix=""), None))
    assert len(list(resources.faults_of("sm_80 a/b", replace(RECORDED, spilled=4, stack=8), None))) == 2


def test_record_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "RECORD", tmp_path / "kernels.json")
    assert resources.read_record() == {}
    kernels = {"sm_80 a/b": RECORDED, "sm_80 a/c": replace(RECORDED, wide=None)}
    resources.write_record(kernels)
    assert resources.read_record() == kernels


def test_recording_one_file_keeps_the_others() -> None:
    names = ["sm_80 loss/scan<A, B>", "sm_90a loss/fast/scan<A, B>", "sm_80 sound/mix<A>", "sm_80 loss/fast/x"]
    recorded = dict.fromkeys(names, RECORDED)
    assert list(resources.kernels_of_other_files(recorded, [Path("csrc/loss/cuda/fast.cu")])) == [names[0], names[2]]
    assert list(resources.kernels_of_other_files(recorded, [Path("csrc/loss/cuda/loss.cu")])) == names[1:]


def test_missing_file(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["inspect.sh", "nowhere.cu"])
    with pytest.raises(SystemExit) as end:
        resources.main()
    assert end.value.code == 2
    assert capfd.readouterr().err == "inspect: nowhere.cu: no such file\n"


@pytest.mark.slow
def test_no_kernel_is_worse_than_recorded() -> None:
    """Compiles every kernel for two architectures; `benchmarks/gpu/inspect.sh --record` records the present values."""
    if resources.find_nvcc() is None:
        pytest.skip("no nvcc")
    environment = {**os.environ, "PYTHON": sys.executable}
    commands.run(ROOT / "benchmarks/gpu/inspect.sh", env=environment, check=True)
    assert all(kernel.registers <= 255 for kernel in resources.read_record().values())
