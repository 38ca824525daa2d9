"""Profiling of training steps: a trace for Perfetto or chrome://tracing, and a table of time shares."""

import json
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from avsa_fast.files import atomic_write, write_text

WARM_UP = 3  # unrecorded steps at the start of each stage
PARTS = ("data wait", "views", "forward", "backward", "optimiser")  # record_function names of feed.py, optimiser.py
OPERATIONS = 12  # rows shown per stage


class Profiler:
    """Profiles a number of steps of each stage, after WARM_UP unrecorded ones.

    It writes trace-STAGE.json and profile-STAGE.json to the run's folder and prints the shares.
    """

    def __init__(self, run: Path, steps: int) -> None:
        """Prepares profiling.

        Args:
            run: Folder that the files are written to.
            steps: Number of recorded steps per stage.
        """
        self.run, self.steps = run, steps
        self.done, self.on_gpu = 0, torch.cuda.is_available()

    def step(self, stage: str) -> None:
        """Counts a step; must be called after each of the WARM_UP + `steps` steps of a stage.

        Args:
            stage: Name of the stage.
        """
        self.done += 1
        if self.done == WARM_UP:
            self._recorder = profile(activities=_activities(self.on_gpu), acc_events=True)
            self._recorder.start()
            self._began = time.perf_counter()
        elif self.done == WARM_UP + self.steps:
            seconds = time.perf_counter() - self._began
            self._recorder.stop()
            self.done = 0
            self._report(stage, seconds / self.steps)

    def _report(self, stage: str, seconds: float) -> None:
        """Prints and writes the time shares of a step, on the host's clock, which runs ahead of a GPU."""
        trace = self.run / f"trace-{stage}.json"
        with atomic_write(trace) as part:
            self._recorder.export_chrome_trace(str(part))
        averages = self._recorder.key_averages()
        times = {event.key: event.cpu_time_total / 1e6 / self.steps for event in averages if event.key in PARTS}
        parts = {name: times.get(name, 0.0) for name in PARTS}
        parts["rest"] = seconds - sum(parts.values())
        if self.on_gpu:
            parts["device busy"] = sum(event.self_device_time_total for event in averages) / 1e6 / self.steps
        print(f"\n{stage.upper()}: {seconds * 1e3:.1f} ms per step, over {self.steps} steps; trace: {trace}")
        for name, part in parts.items():
            print(f"  {name:<11} {part * 1e3:9.1f} ms {part / seconds:7.1%}")
        key = "self_device_time_total" if self.on_gpu else "self_cpu_time_total"
        print(averages.table(sort_by=key, row_limit=OPERATIONS, max_name_column_width=48), flush=True)
        shares = {"seconds": seconds} | {name: part / seconds for name, part in parts.items()}
        write_text(self.run / f"profile-{stage}.json", json.dumps(shares, indent=2) + "\n")


def _activities(on_gpu: bool) -> list[ProfilerActivity]:
    """Returns what torch.profiler records."""
    return [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
