"""Reads damaged and forged tables, configurations, checkpoints, lists, logs and metrics in this process.

    python python_tests/helpers/fuzz_files.py --seed 7 --count 2000           all cases of a seed
    python python_tests/helpers/fuzz_files.py --seed 7 --first 123 --count 1  one of them

Each case must be read, or be refused by a UserError of one line, within LIMIT seconds of CPU and MEMORY bytes.
"""

import argparse
import contextlib
import hashlib
import io
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from helpers.memory import peak
from rich.console import Console

from avsa_fast.config import PRESETS, load_config, save_config
from avsa_fast.data.clips import find_clips
from avsa_fast.data.directions import Detections
from avsa_fast.data.index import Index
from avsa_fast.data.spans import span_of
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, read_columns, write_table
from avsa_fast.errors import UserError
from avsa_fast.evaluate.datasets.labelled import read_rows
from avsa_fast.evaluate.truth import read_truth
from avsa_fast.models import Model, ModelConfig
from avsa_fast.prepare.check import check
from avsa_fast.report.curves import read_curves
from avsa_fast.report.metrics import read_metrics
from avsa_fast.train.checkpoint import FILES, SUMS, load_newest, save_checkpoint
from avsa_fast.train.objective import Objective
from avsa_fast.train.optimiser import StageOptimiser
from avsa_fast.train.ranks import Ranks
from avsa_fast.train.state import State

LIMIT, WALL = 20, 600  # seconds of CPU, and of a machine that others use too
MEMORY = 2 * 2**30
NAMES = ["a-0", "a-10", "b-0", "c", "d é"]
NAN = float("nan")
ODD: list[Any] = [
    None, True, -1, 0, 1, 2**31 - 1, 2**63 - 1, 10**26, -(10**400), NAN, float("inf"), -float("inf"), 1e-300, 1e30, "",
    "x", "x" * 100_000, "../../etc/passwd", "a\nb", "\x1b[31m", "é\u2028", [], [0], [None, NAN], {}, {"a": {"b": []}},
]  # fmt: skip
WORDS = [
    "&a", "*a", "<<: *a", "[" * 3000, "{" * 3000, "2020-99-99", "1" * 5000, ".nan", ".inf", "-1", "1e26", "0x_",
    "!!str",
    "!!python/name:os.system", "- ", "? ", "\t", "\x00", "'", '"', "|", "~", "1:60:99", "\n\n", "=", "a: &b [*b]",
]  # fmt: skip


class Files:
    """Intact files in a folder, and how each kind of them is damaged and read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data, self.run = folder / "data", folder / "run"
        for path in (self.data / "video", self.data / "audio", self.run):
            path.mkdir(parents=True)
        for name in NAMES:
            (self.data / "video" / f"{name}.mp4").touch()
            (self.data / "audio" / f"{name}.flac").touch()
        track = {"stream": 0, "seconds": 9.0, "start": 0.0, "zero": 0.0}
        tracks = {f"{kind}_{key}": value for kind in ("video", "sound") for key, value in track.items()}
        clip = dict.fromkeys(INDEX.names) | tracks | {
            "seconds": 9.0, "fps": 30.0, "width": 1920, "height": 960, "turns": 0, "rate": 48000, "channels": 4,
            "codec": "flac", "first_block": 0, "block": 0, "channel_map": [0, 1, 2, 3], "split": "train", "state": "ok",
            "levels": [-6.0] * 4, "high_levels": [-6.0] * 4, "moment_times": [1.0, 2.0], "moment_azimuths": [0.1, 0.2],
            "moment_elevations": [0.0, 0.0], "sound_print": [1, 2, 3, 4], "picture_print": [1, 2, 3, 4],
            "spatial_validity": 1.0, "wave_share": 0.5, "notes": ["a"], "clipped": [0.0] * 4, "wave_ratio": 1.0,
            "w_misfits": [0.1] * 4,
        }  # fmt: skip
        place = {"time": 1.0, "azimuth": 0.1, "elevation": 0.1, "width": 0.1, "height": 0.1, "class": "cow"}
        found = place | {"score": 0.9, "track": 1}
        source = {key: place[key] for key in ("time", "azimuth", "elevation", "class")} | {"source": 0, "gain": 0.5}
        self.tables: dict[str, tuple[pa.Schema, list[dict[str, Any]]]] = {
            "index": (INDEX, [clip | {"name": name, "split": "train" if name < "b" else "test"} for name in NAMES]),
            "detections": (DETECTIONS, [found | {"name": name} for name in NAMES]),
            "truth": (TRUTH, [source | {"name": name} for name in NAMES]),
        }
        for name, (schema, rows) in self.tables.items():
            write_table(self.data / f"{name}.parquet", rows, schema)
        small = ModelConfig(video_width=2, video_blocks=(1, 1, 1, 1), audio_width=1, projection=4, transformer_ffn=4)
        self.config = replace(PRESETS["tiny"], data=str(self.data), model=small)
        save_config(self.config, self.run / "config.yaml")
        self.objective = Objective(Model(small), self.config)
        optimiser = StageOptimiser(self.objective, self.config, "avc", torch.device("cpu"), Ranks())
        for parameter in self.objective.parameters():
            parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
        optimiser._adam.step()
        for step in (1, 2):
            state = State(step, "avc", {"steps": 3}, optimiser.state_dict(), -2.0, (1, 0.5))
            save_checkpoint(self.run / "checkpoints", self.objective.model, state)
        lines = [{"step": step, "stage": "avc", "loss": 1.0 / step, "lr": 1e-3} for step in range(1, 9)]
        self.text(self.run / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        metric = {"value": 0.5, "low": 0.4, "high": 0.6, "chance": 0.25, "n": 40}
        self.text(self.run / "metrics.json", json.dumps({"avc_matching": metric, "angular_error": metric}))
        self.text(self.data / "train.txt", "a\nc\n")
        self.text(self.data / "doa" / "c.csv", "frame,class,source,azimuth,elevation\n1,0,0,30,5\n2,0,0,31,5\n")
        self.text(self.data / "rows.csv", "file,label,fold\na.wav,dog,1\nb.wav,cat,2\n")

    def text(self, path: Path, content: str) -> None:
        """Writes a text file in a folder, which is made."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    def kinds(self) -> dict[str, tuple[Path, Callable[[random.Random, Path], None], Callable[[], object]]]:
        """For each kind: its file, what damages it, and what reads it."""
        newest = self.run / "checkpoints" / "step-0000002"
        tables = {
            name: (self.data / f"{name}.parquet", self.damage_table, reader)
            for name, reader in (
                ("index", self.read_index),
                ("detections", self.read_found),
                ("truth", self.read_truth),
            )
        }
        return tables | {
            "config": (self.run / "config.yaml", self.damage_text, self.read_config),
            "state": (newest / "state.pt", self.damage_state, self.read_checkpoint),
            "weights": (newest / "weights.safetensors", self.damage_signed, self.read_checkpoint),
            "sums": (newest / SUMS, self.damage_text, self.read_checkpoint),
            "log": (self.run / "log.jsonl", self.damage_json, lambda: read_curves(self.run)),
            "metrics": (self.run / "metrics.json", self.damage_json, lambda: read_metrics(self.run)),
            "list": (self.data / "train.txt", self.damage_text, lambda: find_clips(self.data)),
            "directions": (self.data / "doa" / "c.csv", self.damage_text, self.read_doa),
            "labels": (self.data / "rows.csv", self.damage_text, lambda: read_rows(self.data / "rows.csv", ("file",))),
        }  # fmt: skip

    def read_index(self) -> None:
        """Reads the index as training and `prepare --check` do."""
        with contextlib.suppress(UserError):  # the other readers may still accept it
            index = Index(self.data)
            for clip, row in index:
                span_of(clip, row).moment(0.5, 0.5)
            index.directional(), index.in_split("train")
        for as_json in (False, True):
            check(self.data, Console(file=io.StringIO()), as_json=as_json)

    def read_found(self) -> None:
        """Reads the detections as training and `prepare --check` do."""
        Detections(read_columns(self.data / "detections.parquet", DETECTIONS)).at("c", 1.0)
        check(self.data, Console(file=io.StringIO()))

    def read_truth(self) -> None:
        read_truth(self.data / "truth.parquet").at("c", 1.0)

    def read_doa(self) -> None:
        read_truth(self.data / "doa").at("c", 1.0)

    def read_config(self) -> None:
        """Reads the configuration as a run's and as --config."""
        load_config(self.run / "config.yaml", PRESETS["tiny"])
        load_config(self.run / "config.yaml")

    def read_checkpoint(self) -> None:
        """Loads the newest intact checkpoint, which there always is, and continues from it."""
        state, damage = load_newest(self.run / "checkpoints", self.objective)
        assert state is not None
        assert all(len(line.splitlines()) == 1 for line in damage)
        StageOptimiser(self.objective, self.config, "avc", torch.device("cpu"), Ranks(), state.optimiser)

    def damage_table(self, rng: random.Random, path: Path) -> None:
        """Changes bytes, values, types or columns."""
        if rng.random() < 0.4:
            path.write_bytes(damaged(rng, path.read_bytes()))
            return
        _, rows = self.tables[path.stem]
        columns: dict[str, list[Any]] = {key: [row.get(key) for row in rows] for key in rows[0]}
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            key, kind = rng.choice(list(columns)), rng.random()
            if kind < 0.6:
                columns[key][rng.randrange(len(rows))] = rng.choice(ODD)
            elif kind < 0.7:
                columns[key] = [rng.choice(ODD)] * len(rows)
            elif kind < 0.8 and len(columns) > 1:
                del columns[key]
            elif kind < 0.9:
                columns[rng.choice(list(columns))] = columns[key]
            else:
                columns = {name: values * rng.choice((0, 2, 50)) for name, values in columns.items()}
                break
        self.write(path, columns)

    def write(self, path: Path, columns: dict[str, list[Any]]) -> None:
        """Writes columns, with the type of their schema if their values have it."""
        schema, arrays = self.tables[path.stem][0], {}
        for name, values in columns.items():
            for type in (schema.field(name).type, None, pa.string()):
                with contextlib.suppress(pa.ArrowException, OverflowError, TypeError, ValueError):
                    arrays[name] = pa.array(values if type != pa.string() else [str(x) for x in values], type)
                    break
        with contextlib.suppress(pa.ArrowException):  # Parquet has no type for some
            pq.write_table(pa.table(arrays), path)

    def damage_text(self, rng: random.Random, path: Path) -> None:
        """Changes bytes, or puts a word in the place of another."""
        text = path.read_text()
        if rng.random() < 0.4:
            path.write_bytes(damaged(rng, text.encode()))
            return
        words = text.split(" ")
        for _ in range(rng.choice((1, 1, 2, 4))):
            words[rng.randrange(len(words))] = rng.choice(WORDS) + rng.choice(("", "\n"))
        path.write_bytes(" ".join(words).encode(errors="surrogateescape"))

    def damage_json(self, rng: random.Random, path: Path) -> None:
        """Changes bytes, or a value of a line."""
        if rng.random() < 0.4:
            path.write_bytes(damaged(rng, path.read_bytes()))
            return
        lines = path.read_text().splitlines()
        number = rng.randrange(len(lines))
        lines[number] = json.dumps(forged(rng, json.loads(lines[number])))
        path.write_text("\n".join(lines) + "\n")

    def damage_state(self, rng: random.Random, path: Path) -> None:
        """Changes bytes, or a value, and signs the result."""
        if rng.random() < 0.4:
            path.write_bytes(damaged(rng, path.read_bytes()))
        else:
            torch.save(forged(rng, torch.load(path, weights_only=True)), path)
        self.sign(path.parent)

    def damage_signed(self, rng: random.Random, path: Path) -> None:
        """Changes bytes and signs the result."""
        path.write_bytes(damaged(rng, path.read_bytes()))
        self.sign(path.parent)

    def sign(self, folder: Path) -> None:
        """Writes a checkpoint's checksums."""
        sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in FILES]
        (folder / SUMS).write_text("".join(sums))


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Changes, removes, repeats or overwrites bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        begin = rng.randrange(len(data))
        end = min(len(data), begin + rng.choice((1, 2, 4, 8, 64, 1000)))
        match rng.randrange(6):
            case 0:
                data[begin] ^= 1 << rng.randrange(8)
            case 1:
                del data[begin:end]
            case 2:
                data[begin:begin] = data[begin:end] * rng.choice((1, 2, 100))
            case 3:
                data[begin:end] = rng.choice((b"\x00", b"\xff", b"\x7f")) * (end - begin)
            case 4:
                data[begin:end] = rng.randbytes(end - begin)
            case 5:
                del data[begin:]
    return bytes(data)


def forged(rng: random.Random, value: Any) -> Any:
    """Replaces one value in nested dictionaries, lists and tuples, or the whole."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key} | {rng.choice(("x", "step", "1")): rng.choice(ODD)}
        return value | {key: forged(rng, value[key])}
    if isinstance(value, torch.Tensor) and rng.random() < 0.5:
        return rng.choice((value.double(), value.flatten()[:1], value.to_sparse(), torch.zeros(3)))
    return rng.choice(ODD)


def case(files: Files, seed: int, number: int) -> str | None:
    """Damages one file, reads it and restores it; returns what went wrong."""
    rng = random.Random(f"{seed}.{number}")
    kinds = files.kinds()
    kind = rng.choice(list(kinds))
    path, damage, read = kinds[kind]
    kept = {file: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    damage(rng, path)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    signal.alarm(WALL)
    try:
        read()
    except UserError as error:
        if len(str(error).splitlines()) != 1 or len(str(error)) > 1000:
            return f"{kind}: a message of {len(str(error))} characters: {str(error)[:2000]!r}"
    except BaseException:
        return f"{kind}: {traceback.format_exc()[-3000:]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for file, content in kept.items():
            file.write_bytes(content)
    return f"{kind}: {peak() >> 20} MB of memory" if peak() > MEMORY else None


def main() -> None:
    """Runs the cases, and ends with code 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        files = Files(Path(scratch) / "files")
        for _, _, read in files.kinds().values():
            read()  # intact
        limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (4 * MEMORY, limit))
        failed = 0
        for number in range(options.first, options.first + options.count):
            line = f"{sys.executable} {Path(__file__)} --seed {options.seed} --first {number} --count 1"
            print(f"\r{line}", end="", flush=True)
            if problem := case(files, options.seed, number):
                print(f"\n{problem}\nreproduce with:\n{line}")
                failed += 1
    print(f"\n{options.count} cases")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
