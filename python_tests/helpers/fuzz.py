"""Runs tests again and again with fresh random numbers, on all cores; prints what reproduces each failure.

    make fuzz SECONDS=300                              for about 300 seconds
    make fuzz SEEDS=50                                 with 50 seeds
    make fuzz TESTS="python_tests/ops/test_mix.py"      only some tests
    python python_tests/helpers/fuzz.py --seconds 60 -- python_tests/ops/test_mix.py -k cpu

Each core has one process, which imports and collects once. A seed is a value of AVSA_TEST_SEED. Tests that do not draw
run once. Long tests run with some of the seeds.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from math import ceil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEAN_SECONDS = 0.015  # of a test in a round: one that takes a third of a second runs in every 20th round or so
# The drawn tests of the operations: compilation, processes and checks of derivatives by differences take long, and some
# files start these tests again.
LEFT_OUT = (
    "not compile and not opcheck and not gradcheck and not test_gradients and not export and not spawn and not fork"
)
FILES_LEFT_OUT = ("test_cpu_isa.py", "test_info_nce_group.py", "test_info_nce_memory.py", "test_bindings.py")


class Rounds:
    """Plugin for pytest that runs the collected tests in rounds, one for each seed."""

    def __init__(self, seeds: range, seconds: float) -> None:
        self.seeds, self.end = seeds, time.monotonic() + seconds
        self.periods: dict[str, int] = {}  # of tests that ran: in how many rounds once, or 0 if they do not draw
        self.failed: list[str] = []
        self.rounds = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            return False  # of collection, which pytest reports
        for seed in self.seeds:
            os.environ["AVSA_TEST_SEED"], began = str(seed), time.monotonic()
            items = [item for number, item in enumerate(session.items) if self._is_due(item, number)]
            for item, following in zip(items, [*items[1:], None], strict=True):
                if time.monotonic() > self.end:
                    return True
                start = time.process_time()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if item.nodeid not in self.periods:
                    self.periods[item.nodeid] = ceil((time.process_time() - start) / MEAN_SECONDS) if _drew(item) else 0
            self.rounds += 1
            took = time.monotonic() - began
            print(f"AVSA_TEST_SEED={seed}: {len(items)} tests in {took:.0f} s", file=sys.__stderr__, flush=True)
        return True

    def _is_due(self, item: pytest.Item, number: int) -> bool:
        """Whether a test runs in this round. Tests of unknown duration are divided among the processes."""
        period = self.periods.get(item.nodeid, self.seeds.step)
        return period > 0 and (number + self.seeds.start + self.rounds) % period == 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            line = f"AVSA_TEST_SEED={os.environ['AVSA_TEST_SEED']} {sys.executable} -m pytest '{report.nodeid}'"
            self.failed.append(line)
            print(f"\nFAILED; reproduce with:\n{line}", file=sys.__stderr__, flush=True)


def _drew(item: pytest.Item) -> bool:
    """Whether the test that just ran took random numbers: hypothesis restores the generators' states."""
    import torch
    from helpers.seeds import seed_of
    from hypothesis import is_hypothesis_test

    if is_hypothesis_test(getattr(item, "function", None)) or "rng" in getattr(item, "fixturenames", ()):
        return True
    untouched = torch.Generator().manual_seed(seed_of(item.nodeid)).get_state()
    return not torch.equal(torch.get_rng_state(), untouched)


def work(seeds: range, seconds: float, arguments: list[str]) -> int:
    """Runs rounds in this process, and prints how many."""
    rounds = Rounds(seeds, seconds)
    code = pytest.main([*arguments, "-p", "no:cacheprovider", "--tb=short"], plugins=[rounds])
    found = f"{len(rounds.failed)} failures" if rounds.failed else "no failure"
    print(f"AVSA_TEST_SEED {seeds.start}, step {seeds.step}: {rounds.rounds} seeds, {found}", file=sys.__stderr__)
    return int(code)


def main() -> int:
    options, arguments = _parsed()
    if options.worker is not None:
        return work(range(*options.worker), options.seconds, arguments)
    first = secrets.randbelow(2**31)
    last = first + (options.seeds or 2**31)
    cores = len(os.sched_getaffinity(0))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    log = ROOT / "build" / "fuzz"
    log.mkdir(parents=True, exist_ok=True)
    workers: list[subprocess.Popen[Any]] = []
    for core in range(cores):
        numbers = [str(first + core), str(last), str(cores)]
        command = [sys.executable, __file__, "--seconds", str(options.seconds), "--worker", *numbers, "--", *arguments]
        with (log / f"{core}.log").open("w") as file:
            workers.append(subprocess.Popen(command, stdout=file, cwd=ROOT, env=environment))
    codes = [worker.wait() for worker in workers]
    if any(codes):
        print(f"details: {log}/*.log", file=sys.stderr)
    return max(map(abs, codes))


def _parsed() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="Tests with fresh random numbers.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--seeds", type=int, help="stop after this many seeds")
    parser.add_argument("--worker", type=int, nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", help="of pytest; default: the drawn tests of the operations")
    options = parser.parse_args()
    ignored = [f"--ignore=python_tests/ops/{name}" for name in FILES_LEFT_OUT]
    return options, options.arguments or ["python_tests/ops", "-k", LEFT_OUT, *ignored]


if __name__ == "__main__":
    sys.exit(main())
