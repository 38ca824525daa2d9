"""The tables of docs/results.md, from real objects, panoramas and a room response to figures with intervals.

    python benchmarks/results.py OUT --assets DIR                       # both tables: an hour each on two cores
    python benchmarks/results.py OUT --assets DIR --tables panoramas --kinds 54 --scenes 400 --steps 4000

Stops and goes on: scenes, runs and figures that OUT holds already are not made again. Objects' directions are taken
from the scenes' truth, so that no figure depends on a detector; --detect yolo has them found.
"""

import csv
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from PIL import Image, ImageEnhance, ImageOps
from tyro.conf import Positional

from avsa_fast.data.tables import DETECTIONS, TRUTH, read_table, write_table
from avsa_fast.errors import UserError, run_command
from avsa_fast.evaluate.__main__ import main as evaluate
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.cache import embedded_default
from avsa_fast.train.__main__ import main as train

Table = Literal["panoramas", "instances", "procedural"]
HEARD = 0.7  # of each sound is for training; the rest is for testing
TEST_PANORAMAS = 4  # every fourth panorama is for testing
TEST_INSTANCES = 3  # every third bird, every third mammal
NOMINAL_SIZE = 0.7  # radians, of the boxes that truth gives in a detector's place

# The rows of a table: a run's options, beside those that all rows share.
ROWS: dict[str, dict[str, Any]] = {
    "AVC, then AVSA, FOA + FOA-IV": {"audio": "foa_iv"},
    "AVC only, FOA + FOA-IV": {"audio": "foa_iv", "stages": "avc"},
    "AVC, then AVSA, FOA": {"audio": "foa"},
}
COLUMNS = {
    "AVC-Bin": ("avc", "avc_bin"),
    "AVSA-Bin": ("avsa", "avsa_bin"),
    "AVC matching": ("avc", "avc_matching"),
    "AVSA matching": ("avsa", "avsa_matching"),
    "found within 20°": ("localisation", "accuracy_20_degrees"),
    "angular error": ("localisation", "angular_error"),
}


@dataclass(frozen=True)
class Material:
    """Folders of objects and panoramas that a part of a table's scenes is built from."""

    objects: Path
    panoramas: Path


def main(
    out: Positional[Path],
    assets: Path,
    tables: tuple[Table, ...] = ("panoramas", "instances"),
    kinds: int = 16,
    scenes: int = 200,
    seconds: float = 4.0,
    distance: float = 0.25,
    steps: int = 1000,
    seed: int = 0,
    moments: int = 2,
    workers: int = 2,
    detect: Literal["truth", "yolo"] = "truth",
) -> None:
    """Builds the scenes, trains the runs, scores them and prints the tables.

    Args:
        out: Folder of scenes, runs and tables.
        assets: Folder with objects/NAME.png, NAME.ogg and index.tsv, panoramas/*.jpg and rir/*.wav.
        tables: panoramas: unseen panoramas, unseen stretches of each sound, altered pictures. instances: unseen birds
            and mammals. procedural: the scenes that train makes for itself, of eight kinds made from a seed.
        kinds: Objects of the first table, at most; the first of every n by name.
        scenes: To train on; a third as many are for testing.
        seconds: Of each scene.
        distance: Of objects, as a share of the one at which the room response was measured.
        steps: Of each run.
        seed: Of scenes, runs and classifiers.
        moments: Of each clip, that are scored; objects are localised at one.
        workers: Processes that decode media.
        detect: Where objects' directions come from.
    """
    if not assets.is_dir():
        raise UserError(f"--assets {assets}: no such folder")
    for table in tables:
        data = embedded_default() if table == "procedural" else out / table / "data"
        if not data.is_dir():
            _build(out / table, assets, table, kinds, scenes, seconds, distance, seed, detect)
        for name, options in ROWS.items():
            run, began = out / table / _folder(name), time.monotonic()
            if not (run / "weights.safetensors").exists():
                begun = (run / "config.yaml").exists()
                chosen = {} if begun else options | {"data": data, "preset": "tiny", "steps": steps, "seed": seed}
                train(out=run, resume=begun, workers=workers, **chosen)
                (run / "seconds.json").write_text(json.dumps(time.monotonic() - began))
            _score(run, moments, seed, workers, untrained=False)
            if name == next(iter(ROWS)):
                _score(run, moments, seed, workers, untrained=True)
            (out / table / "table.md").write_text(_markdown(out / table), encoding="utf-8")
        print((out / table / "table.md").read_text(encoding="utf-8"))


def _score(run: Path, moments: int, seed: int, workers: int, *, untrained: bool) -> None:
    """The figures that are not there yet; objects are localised at the middle of each clip."""
    folder = run / "eval" / "untrained" if untrained else run / "eval"
    options = {"seed": seed, "workers": workers, "untrained": untrained}
    if missing := [task for task in ("avc", "avsa", "retrieval") if not (folder / f"{task}.json").exists()]:
        evaluate(run, tuple(missing), moments=moments, **options)
    if not (folder / "localisation.json").exists():
        evaluate(run, ("localisation",), moments=1, **options)


def _build(
    folder: Path, assets: Path, table: Table, kinds: int, scenes: int, seconds: float, distance: float, seed: int,
    detect: str,
) -> None:  # fmt: skip
    """A dataset of training and test scenes of disjoint material; it appears when all of it is there."""
    make = _seen_and_unseen if table == "panoramas" else _instances
    material = make(folder / "material", assets, kinds)
    (rir,) = (assets / "rir").glob("*.wav")
    part = folder / ".data.part"
    shutil.rmtree(part, ignore_errors=True)
    for kind in ("video", "audio"):
        (part / kind).mkdir(parents=True)
    truth = []
    for number, (split, source) in enumerate(material.items()):
        count = scenes if split == "train" else max(2, scenes // 3)
        shutil.rmtree(folder / split, ignore_errors=True)
        with show_progress(f"rendering the {split} scenes") as progress:
            build_scenes(
                folder / split, count=count, seconds=seconds, seed=2 * seed + number, objects=source.objects,
                panoramas=source.panoramas, rir=rir, distance=distance, progress=progress,
            )  # fmt: skip
        for file in [*(folder / split / "video").iterdir(), *(folder / split / "audio").iterdir()]:
            file.rename(part / file.parent.name / f"{split}{file.name}")
        rows = read_table(folder / split / "truth.parquet", TRUTH)
        truth += [row | {"name": f"{split}{row['name']}"} for row in rows]
        names = sorted({f"{split}{row['name']}" for row in rows})
        (part / f"{split}.txt").write_text("\n".join(names) + "\n")
        shutil.rmtree(folder / split)
    write_table(part / "truth.parquet", truth, TRUTH)
    if detect == "truth":
        size = {"width": NOMINAL_SIZE, "height": NOMINAL_SIZE, "score": 1.0}
        write_table(part / "detections.parquet", [row | size for row in truth], DETECTIONS)
    part.rename(folder / "data")


def _seen_and_unseen(folder: Path, assets: Path, kinds: int) -> dict[str, Material]:
    """The same objects in both parts, but of each sound the later stretch, and the picture altered, in the second."""
    names = _index(assets)
    names = dict(list(names.items())[:: max(1, len(names) // kinds)][:kinds])
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name in names:
            sound, rate = soundfile.read(assets / "objects" / f"{name}.ogg", always_2d=True)
            cut = round(HEARD * len(sound))
            stretch = sound[:cut] if split == "train" else sound[cut:]
            if not np.abs(stretch).max() > 0.01 * np.abs(sound).max():
                stretch = sound  # a sound that has died away by then
            soundfile.write(folder / split / f"{name}.wav", stretch, rate)
            picture = Image.open(assets / "objects" / f"{name}.png").convert("RGBA")
            (picture if split == "train" else _altered(picture)).save(folder / split / f"{name}.png")
    panoramas = _split_panoramas(folder, assets)
    return {split: Material(folder / split, panoramas[split]) for split in ("train", "test")}


def _instances(folder: Path, assets: Path, kinds: int) -> dict[str, Material]:
    """Birds and mammals, some of each unseen in training."""
    groups = {kind: [n for n, c in _index(assets).items() if f"/{kind}" in c] for kind in ("birds", "mammals")}
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for group in groups.values():
            for number, name in enumerate(group):
                if (number % TEST_INSTANCES == TEST_INSTANCES - 1) == (split == "test"):
                    for suffix in (".png", ".ogg"):
                        shutil.copy(assets / "objects" / f"{name}{suffix}", folder / split)
    panoramas = _split_panoramas(folder, assets)
    return {split: Material(folder / split, panoramas[split]) for split in ("train", "test")}


def _split_panoramas(folder: Path, assets: Path) -> dict[str, Path]:
    folders = {split: folder / f"{split}-panoramas" for split in ("train", "test")}
    for split, path in folders.items():
        path.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(sorted((assets / "panoramas").glob("*.jpg"))):
            if (number % TEST_PANORAMAS == TEST_PANORAMAS - 1) == (split == "test"):
                shutil.copy(picture, path)
    return folders


def _index(assets: Path) -> dict[str, str]:
    """Objects' names and categories, sorted."""
    path = assets / "objects" / "index.tsv"
    if not path.is_file():
        raise UserError(f"--assets {assets}: no objects/index.tsv in it")
    with path.open(newline="", encoding="utf-8") as file:
        return dict(sorted((row["name"], row["category"]) for row in csv.DictReader(file, delimiter="\t")))


def _altered(picture: Image.Image) -> Image.Image:
    """Mirrored, tilted by 10°, darker and paler; what is transparent stays so."""
    colours = ImageEnhance.Color(ImageEnhance.Brightness(picture.convert("RGB")).enhance(0.8)).enhance(0.6)
    colours.putalpha(picture.getchannel("A"))
    return ImageOps.mirror(colours).rotate(10, Image.Resampling.BICUBIC, expand=True)


def _folder(row: str) -> str:
    return row.lower().replace(",", "").replace(" + ", "-").replace(" ", "-")


def _markdown(folder: Path) -> str:
    """The table of what has been run: a row a run, the untrained control, chance."""
    lines = ["| training | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    chances: dict[str, str] = {}
    results = {name: folder / _folder(name) / "eval" for name in ROWS}
    results["untrained"] = results[next(iter(ROWS))] / "untrained"
    for name, path in results.items():
        if not (path / "localisation.json").exists():
            continue
        cells = []
        for column, (task, key) in COLUMNS.items():
            degrees = column == "angular error"
            figure = json.loads((path / f"{task}.json").read_text(encoding="utf-8"))[key]
            cells.append(_cell(figure, degrees=degrees))
            chances[column] = f"{figure['chance']:.0f}°" if degrees else f"{figure['chance']:.1%}"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "| chance | " + " | ".join(chances.values()) + " |"]) + "\n"


def _cell(figure: dict[str, float], *, degrees: bool) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    if degrees:
        return f"{value:.0f}° [{low:.0f}, {high:.0f}]"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    run_command(main, "results", "python benchmarks/results.py")
