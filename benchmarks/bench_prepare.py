"""Benchmarks dataset preparation: object detection, random access to transcoded clips, and opening an index.

python benchmarks/bench_prepare.py FOLDER [--part detect|access|index]

FOLDER holds videos, each with its sound inside or in a file next to it. "detect": one clip at a time with 2 threads and
with 1, from its files to its detections, and the share of that time spent in YOLO. "access": 8 frames at 16 fps (RGB,
and planes as training on a GPU reads them) and 1 s of sound at random moments, from the originals and from transcoded
clips, on one core. "index": a dataset folder of 100,000 clips.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avsa_fast.data.clips import Clip
from avsa_fast.data.index import Index
from avsa_fast.data.spans import span_of
from avsa_fast.data.tables import INDEX, write_table
from avsa_fast.detect.boxes import Rectangle
from avsa_fast.detect.sphere import sphere_detector
from avsa_fast.detect.yolo import YoloDetector
from avsa_fast.errors import UserError
from avsa_fast.prepare import PrepareOptions, prepare
from avsa_fast.prepare.clip import prepare_clip
from avsa_fast.prepare.layouts import find_source

CLIPS = 100_000
MOMENTS = 40
HEIGHT = 512  # maximum height of the ERP frames that training reads


class Timed:
    """Wraps a detector and accumulates its wall time, the CPU time of the calling thread, and the number of images."""

    def __init__(self, detector: YoloDetector) -> None:
        self._detector = detector
        self.wall = self.cpu = 0.0
        self.images_seen = 0

    def detect(self, images: torch.Tensor) -> list[list[Rectangle]]:
        """Detects objects as the wrapped detector does."""
        wall, cpu = time.perf_counter(), time.thread_time()
        found = self._detector.detect(images)
        self.wall += time.perf_counter() - wall
        self.cpu += time.thread_time() - cpu
        self.images_seen += len(images)
        return found


def bench_detect(folder: Path, threads: int) -> None:
    """Prints the speed from files to detections, with 2 frames per second of video searched.

    Args:
        folder: Folder with clips.
        threads: Number of torch threads.
    """
    torch.set_num_threads(threads)
    yolo = YoloDetector()
    yolo.detect(torch.zeros(4, 360, 640, 3, dtype=torch.uint8))
    print(f"{threads} threads: clip, searched frames per second, share of the time inside YOLO (of CPU time)")
    for job in find_source(folder, folder / "none", transcode=False).jobs.values():
        timed = Timed(yolo)
        detector = sphere_detector(timed, "erp")
        prepare_clip(job, PrepareOptions(), detector, folder)
        timed.wall = timed.cpu = timed.images_seen = 0
        wall, cpu = time.perf_counter(), time.process_time()
        result = prepare_clip(job, PrepareOptions(), detector, folder)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = f"{result.row['width']}×{result.row['height']}"
        # thread_time misses YOLO's worker threads, so the share of CPU time is only correct with one thread.
        share = f" ({timed.cpu / cpu:.0%})" if threads == 1 else ""
        print(f"{job.name} {size}: {timed.images_seen / wall:.1f}/s, {timed.wall / wall:.0%}{share}")


def bench_access(folder: Path) -> None:
    """Prints the milliseconds of a random access to the originals and to transcoded clips.

    Args:
        folder: Folder with clips.
    """
    torch.set_num_threads(1)
    print("clip: RGB, planes, sound of the original -> of the transcoded clip, ms; total speed-up (with planes)")
    with tempfile.TemporaryDirectory() as scratch:
        found = []
        for name, transcode in (("original", False), ("transcoded", True)):
            data = Path(scratch) / name
            prepare(folder, data, PrepareOptions(detector=None, transcode=transcode), progress=False)
            found.append(Index(data))
        for one, other in zip(*found, strict=True):
            before, after = _access(*one), _access(*other)
            ratios = [(before[i] + before[2]) / (after[i] + after[2]) for i in (0, 1)]
            cells = [", ".join(f"{value:.1f}" for value in values) for values in (before, after)]
            size = " -> ".join(f"{row['width']}×{row['height']}" for _, row in (one, other))
            print(f"{one[0].name} {size}: {cells[0]} -> {cells[1]}; {ratios[0]:.1f}× ({ratios[1]:.1f}×)")


def _access(clip: Clip, row: dict[str, Any]) -> tuple[float, ...]:
    """Measures the milliseconds of reading RGB frames, planes and sound."""
    moments = np.random.default_rng(0).uniform(0.5, row["seconds"] - 0.5, MOMENTS)
    reader = span_of(clip, row).reader
    reads: list[Callable[[float], Any]] = [
        lambda moment: reader.frames(moment, max_height=HEIGHT),
        lambda moment: reader.planes(moment, max_height=HEIGHT),
        lambda moment: reader.scene(moment),
    ]
    return tuple(1e3 * _mean_seconds(read, moments) for read in reads)


def _mean_seconds(read: Callable[[float], Any], moments: np.ndarray) -> float:
    """Measures the mean time per read, after one warm-up read."""
    read(moments[0])
    began = time.perf_counter()
    for moment in moments:
        read(moment)
    return (time.perf_counter() - began) / len(moments)


def bench_index() -> None:
    """Prints the seconds to open a dataset of CLIPS clips, including the listing of its media files."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        names = [f"recording{number // 4:06d}-{number % 4 * 10}" for number in range(CLIPS)]
        for kind, suffix in (("video", "mp4"), ("audio", "flac")):
            (data / kind).mkdir()
            for name in names:
                (data / kind / f"{name}.{suffix}").touch()
        held = {"seconds": 10.0, "channels": 4, "channel_map": [0, 1, 2, 3], "split": "train", "state": "ok"}
        write_table(data / "index.parquet", (dict.fromkeys(INDEX.names) | held | {"name": n} for n in names), INDEX)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            Index(data)
            times.append(time.perf_counter() - began)
    print(f"{CLIPS} clips: {np.median(times):.2f} s (of 5: {min(times):.2f} to {max(times):.2f})")


def main() -> None:
    """Runs the selected parts, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=("detect", "access", "index"))
    options = parser.parse_args()
    if options.part in ("detect", None):
        for threads in (2, 1):
            bench_detect(options.folder, threads)
    if options.part in ("access", None):
        bench_access(options.folder)
    if options.part in ("index", None):
        bench_index()


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"bench_prepare: {error}")
