"""Checks each compiled kernel's resources: registers, spills, stack, shared memory, loops, and important instructions.

Prints a table, and exits with 1 if a kernel is worse than recorded in benchmarks/gpu/kernels.json; see inspect.sh.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("kernels.json")
ARCHITECTURES = ("sm_80", "sm_90a")
WIDE = r"\b(?:LDG|STG|LDGSTS)\.\S*\b128\b|\bUTMALDG\b|\bUBLKCP\b"  # the last two: the bulk copy engine


@dataclass(frozen=True)
class Kernel:
    """Resources of a kernel.

    What a disassembler counts is None without one; the last four are also None if they were not recorded.
    """

    registers: int
    spilled: int  # bytes stored and loaded
    stack: int  # bytes of local memory
    wide: int | None  # instructions that move 16 bytes or more of global memory
    local: int | None  # instructions on local memory
    matrix: str | None  # HGMMA, HMMA or ""
    shared: int | None = None  # bytes of static shared memory
    serialised: int | None = None  # ptxas's warnings C75xx: products of wgmma that wait for each other
    conversions: int | None = None  # F2FP: two floats rounded to bfloat16 by one instruction
    loop: int | None = None  # instructions of the longest loop that contains no other


Kernels = dict[str, Kernel]  # by architecture and name: "sm_90a gnomonic/gnomonic_kernel<1, unsigned char, float>"


def main() -> None:
    """Exits with 1 if a kernel got worse, and with 2 if nvcc or a named file is missing."""
    parser = argparse.ArgumentParser(prog="benchmarks/gpu/inspect.sh", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="only these .cu files (default: all)")
    parser.add_argument("--record", action="store_true", help="write the present values to kernels.json")
    arguments = parser.parse_args()
    for file in arguments.files:
        if not file.is_file():
            print(f"inspect: {file}: no such file", file=sys.stderr)
            sys.exit(2)
    nvcc = find_nvcc()
    if nvcc is None:
        print("inspect: nvcc not found: add it to PATH or set CUDA_HOME", file=sys.stderr)
        sys.exit(2)
    disassembler = find_disassembler(nvcc)
    sources = arguments.files or sorted(ROOT.glob("csrc/*/cuda/*.cu"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(nvcc, disassembler, source, arch) for source in sources for arch in ARCHITECTURES]
        kernels: Kernels = dict(
            sorted(item for part in pool.map(lambda job: inspect(*job), jobs) for item in part.items())
        )
    recorded = read_record()
    print(table(kernels))
    if disassembler is None:
        print("no nvdisasm found: instructions are not checked (Triton includes one)")
    if arguments.record:
        write_record(kernels_of_other_files(recorded, sources) | kernels)
        return
    faults = [fault for name, kernel in kernels.items() for fault in faults_of(name, kernel, recorded.get(name))]
    for name in kernels.keys() - recorded.keys():
        print(f"new: {name} (--record adds it to {RECORD.name})")
    for fault in faults:
        print(f"worse: {fault}", file=sys.stderr)
    print(f"{len(kernels)} kernels, {len(faults)} worse than in {RECORD.name}")
    sys.exit(1 if faults else 0)


def find_nvcc() -> Path | None:
    """Finds nvcc on PATH, in CUDA_HOME, CUDA_PATH or /usr/local/cuda."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if name in os.environ] + ["/usr/local/cuda"]
    found = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(f"{home}/bin" for home in homes))
    return None if found is None else Path(found)


def find_disassembler(nvcc: Path) -> Path | None:
    """Finds nvdisasm in the toolkit, on PATH, or in Triton, a dependency of torch."""
    folders = [str(nvcc.resolve().parent), os.environ.get("PATH", "")]
    triton = find_spec("triton")
    if triton is not None and triton.origin is not None:
        folders.append(str(Path(triton.origin).parent / "backends/nvidia/bin"))
    found = shutil.which("nvdisasm", path=os.pathsep.join(folders))
    return None if found is None else Path(found)


def inspect(nvcc: Path, disassembler: Path | None, source: Path, arch: str) -> Kernels:
    """Compiles one file for one architecture and returns its kernels."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        compute = arch.replace("sm", "compute")
        command: list[str | Path] = [nvcc, "-cubin", f"-gencode=arch={compute},code={arch}", "-std=c++20", "-O3"]
        command += ["-DNDEBUG", "-Xptxas", "-v", "-I", ROOT / "csrc", "-o", cubin, source]
        report = run(command).stderr
        listing = "" if disassembler is None else run([disassembler, "-c", cubin]).stdout
    found = parse(report, listing if disassembler else None)
    return {f"{arch} {place(source)}/{name}": kernel for name, kernel in found.items()}


def run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    """Runs a command, and exits with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"inspect: {' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done


def parse(report: str, listing: str | None) -> Kernels:
    """Parses kernels from ptxas's report, and from nvdisasm's listing if available.

    Args:
        report: Output of ptxas -v.
        listing: Output of nvdisasm, or None.

    Returns:
        Kernels by demangled name.
    """
    sections = {} if listing is None else code_sections(listing)
    entries = re.split(r"ptxas info\s*: Compiling entry function '", report)[1:]
    mangled = [entry.split("'")[0] for entry in entries]
    warnings = re.findall(r"^.*\(C75\d\d\).*$", report, flags=re.MULTILINE)
    kernels = {}
    for symbol, name, entry in zip(mangled, demangled(mangled), entries, strict=True):
        code = sections.get(symbol, "") if listing is not None else None
        kernels[name] = Kernel(
            registers=number(r"Used (\d+) registers", entry),
            spilled=number(r"(\d+) bytes spill stores", entry) + number(r"(\d+) bytes spill loads", entry),
            stack=number(r"(\d+) bytes stack frame", entry),
            wide=None if code is None else len(re.findall(WIDE, code)),
            local=None if code is None else len(re.findall(r"\b(?:LDL|STL)\b", code)),
            matrix=None if code is None else next((m for m in ("HGMMA", "HMMA") if re.search(rf"\b{m}\b", code)), ""),
            shared=int(found[1]) if (found := re.search(r"(\d+) bytes smem", entry)) else 0,
            serialised=sum(symbol in line for line in warnings),
            conversions=None if code is None else len(re.findall(r"\bF2FP\b", code)),
            loop=None if code is None else longest_loop(code),
        )
    return kernels


def longest_loop(code: str) -> int:
    """Returns the instructions of the longest innermost loop of a kernel; 0 if it has none."""
    position, labels, loops = 0, dict[str, int](), list[tuple[int, int]]()
    for line in code.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = position
        elif re.match(r"\s*/\*[0-9a-f]{4,}\*/", line):
            position += 1
            target = re.search(r"\bBRA\b.*?(\.L_x_\d+)", line)
            # A branch to itself is the padding after the kernel's end.
            if target and labels.get(target[1], position) < position - 1:
                loops.append((labels[target[1]], position))
    innermost = [
        end - begin
        for begin, end in loops
        if not any(begin <= first and last <= end and (first, last) != (begin, end) for first, last in loops)
    ]
    return max(innermost, default=0)


def number(pattern: str, text: str) -> int:
    """Returns the number matched by a pattern's group; exits if there is no match."""
    match = re.search(pattern, text)
    if match is None:
        sys.exit(f"inspect: ptxas's report lacks {pattern!r}:\n{text}")
    return int(match[1])


def code_sections(listing: str) -> dict[str, str]:
    """Splits a listing into code by mangled kernel name."""
    parts = re.split(r"^\s*\.section\s+\.text\.(\w+)", listing, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def demangled(symbols: list[str]) -> list[str]:
    """Demangles names, without namespaces, return types and arguments."""
    if not symbols:
        return []
    names = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return [plain(name) for name in names.stdout.splitlines()]


def plain(name: str) -> str:
    """Removes namespaces, return type and arguments from a demangled name."""
    name = name.replace("(anonymous namespace)::", "").removeprefix("void ")
    name = re.sub(r"\b_GLOBAL__N_\w+::|\bavsa::(?:[a-z_]+::)?", "", name)
    name = re.sub(r"\((?:unsigned )?(?:int|bool|long)\)(\w+)", r"\1", name)  # (int)1 -> 1
    return name[:cut] if (cut := name.rfind("(")) > 0 else name


def place(source: Path) -> str:
    """Returns the prefix of a file's kernel names: its operation, plus its own name if that differs."""
    folder = source.resolve().parents[1].name
    return folder if source.stem == folder else f"{folder}/{source.stem}"


def kernels_of_other_files(recorded: Kernels, sources: Iterable[Path]) -> Kernels:
    """Returns the recorded kernels that are in none of the given source files."""
    places = {place(source) for source in sources}
    return {name: kernel for name, kernel in recorded.items() if name.split()[1].rpartition("/")[0] not in places}


def faults_of(name: str, kernel: Kernel, recorded: Kernel | None) -> Iterable[str]:
    """Yields how a kernel is worse than recorded; a new kernel must have no spills and no local memory."""
    limit = recorded or Kernel(255, 0, 0, 0, 0, "")
    if kernel.serialised:
        yield f"{name}: {kernel.serialised} warnings C75xx of serialised products, none expected"
    for what in ("registers", "spilled", "stack", "local", "shared", "loop"):
        now, max_value = getattr(kernel, what), getattr(limit, what)
        if now is not None and max_value is not None and now > max_value:
            yield f"{name}: {what} {now}, at most {max_value} expected"
    if kernel.wide is not None and kernel.wide < (limit.wide or 0):
        yield f"{name}: {kernel.wide} instructions move 16 bytes, {limit.wide} expected"
    if kernel.conversions is not None and kernel.conversions < (limit.conversions or 0):
        yield f"{name}: {kernel.conversions} instructions F2FP, {limit.conversions} expected"
    ranks = ("", "HMMA", "HGMMA")
    if kernel.matrix is not None and ranks.index(kernel.matrix) < ranks.index(limit.matrix or ""):
        yield f"{name}: {kernel.matrix or 'no'} matrix instructions, {limit.matrix} expected"


def table(kernels: Kernels) -> str:
    """Formats the kernels."""

    def shown(value: int | str | None) -> str:
        return "?" if value is None else str(value) or "no"

    heads = ("registers", "spilled", "stack", "local", "shared", "16 bytes", "F2FP", "loop", "C75xx", "matrix")
    lines = [f"{'kernel':<76} " + " ".join(heads)]
    for name, k in kernels.items():
        cells = (
            k.registers,
            k.spilled,
            k.stack,
            k.local,
            k.shared,
            k.wide,
            k.conversions,
            k.loop,
            k.serialised,
            k.matrix,
        )
        columns = zip(cells, heads, strict=True)
        lines.append(f"{name:<76} " + " ".join(f"{shown(cell):>{len(head)}}" for cell, head in columns))
    return "\n".join(lines)


def read_record() -> Kernels:
    """Reads kernels.json; empty if there is none."""
    if not RECORD.exists():
        return {}
    return {name: Kernel(**values) for name, values in json.loads(RECORD.read_text(encoding="utf-8")).items()}


def write_record(kernels: Kernels) -> None:
    """Writes kernels.json with one kernel per line, for readable diffs."""
    lines = [f"{json.dumps(name)}: {json.dumps(asdict(kernel))}" for name, kernel in sorted(kernels.items())]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
