"""Where the time of a step goes: a trace for a viewer (Perfetto, chrome://tracing), and the shares in a table."""

import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

WARM_UP = 3  # steps of each stage that are not recorded
PARTS = ("data wait", "views", "forward", "backward", "optimiser")  # as the loop names them; "views" on a GPU overlap
OPERATIONS = 12  # shown of each stage


class Profiler:
    """Records so many steps of each stage into the run's folder, after a few that warm up."""

    def __init__(self, run: Path, steps: int) -> None:
        self.run, self.steps = run, steps
        self.done = 0

    @property
    def stage_steps(self) -> int:
        """The steps that a stage must have."""
        return WARM_UP + self.steps

    def step(self, stage: str) -> None:
        """To be called after each step of a stage."""
        self.done += 1
        if self.done == WARM_UP:
            cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
            self._recorder = profile(activities=[ProfilerActivity.CPU, *cuda], acc_events=True)
            self._recorder.start()
            self._began = time.perf_counter()
        elif self.done == self.stage_steps:
            seconds = time.perf_counter() - self._began
            self._recorder.stop()
            self._report(stage, seconds / self.steps)
            self.done = 0

    def _report(self, stage: str, seconds: float) -> None:
        trace = self.run / f"trace-{stage}.json"
        self._recorder.export_chrome_trace(str(trace))
        averages = self._recorder.key_averages()
        events = {event.key: event for event in averages}
        parts = {name: events[name].cpu_time_total / 1e6 / self.steps for name in PARTS if name in events}
        parts["rest"] = seconds - sum(parts.values())
        print(f"\n{stage.upper()}: {seconds * 1e3:.1f} ms a step, over {self.steps} steps; trace: {trace}")
        for name, part in parts.items():
            print(f"  {name:<10} {part * 1e3:9.1f} ms {part / seconds:7.1%}")
        if torch.cuda.is_available():
            busy = sum(event.self_device_time_total for event in averages) / 1e6 / self.steps
            print(f"  device busy {busy * 1e3:8.1f} ms {busy / seconds:7.1%}")
        key = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        print(averages.table(sort_by=key, row_limit=OPERATIONS, max_name_column_width=48), flush=True)
