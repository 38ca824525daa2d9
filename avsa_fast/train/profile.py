"""Where the time of a step goes: a trace for a viewer (Perfetto, chrome://tracing), and the shares in a table."""

import json
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

WARM_UP = 3  # steps of each stage that are not recorded
PARTS = ("data wait", "views", "forward", "backward", "optimiser")  # as the loop names them
OPERATIONS = 12  # shown of each stage


class Profiler:
    """Records so many steps of each stage into the run's folder, after a few that warm up."""

    def __init__(self, run: Path, steps: int) -> None:
        self.run, self.steps = run, steps
        self.done, self.on_gpu = 0, torch.cuda.is_available()

    def step(self, stage: str) -> None:
        """To be called after each of a stage's WARM_UP + steps steps."""
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
        """Prints and writes the shares of a step, by this process's clock; on a GPU it runs ahead of the device."""
        trace = self.run / f"trace-{stage}.json"
        self._recorder.export_chrome_trace(str(trace))
        averages = self._recorder.key_averages()
        times = {event.key: event.cpu_time_total / 1e6 / self.steps for event in averages if event.key in PARTS}
        parts = {name: times.get(name, 0.0) for name in PARTS}
        parts["rest"] = seconds - sum(parts.values())
        if self.on_gpu:
            parts["device busy"] = sum(event.self_device_time_total for event in averages) / 1e6 / self.steps
        print(f"\n{stage.upper()}: {seconds * 1e3:.1f} ms a step, over {self.steps} steps; trace: {trace}")
        for name, part in parts.items():
            print(f"  {name:<11} {part * 1e3:9.1f} ms {part / seconds:7.1%}")
        key = "self_device_time_total" if self.on_gpu else "self_cpu_time_total"
        print(averages.table(sort_by=key, row_limit=OPERATIONS, max_name_column_width=48), flush=True)
        shares = {"seconds": seconds} | {name: part / seconds for name, part in parts.items()}
        (self.run / f"profile-{stage}.json").write_text(json.dumps(shares, indent=2) + "\n", encoding="utf-8")


def _activities(on_gpu: bool) -> list[ProfilerActivity]:
    return [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
