"""Produces the tables of docs/results.md: scenes from real assets, training runs, metrics with intervals.

    python experiments/results.py OUT --assets DIR                       # both tables: hours each on two cores
    python experiments/results.py OUT --assets DIR --tables panoramas --kinds 54 --scenes 400 --steps 4000

It can be interrupted and restarted: scenes, runs and metrics that exist in OUT are reused. Object directions are taken
from the scenes' ground truth, so that no metric depends on a detector; --detect yolo detects them instead.
"""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from PIL import Image, ImageEnhance, ImageOps
from tyro.conf import Positional

from avsa_fast.command import run_command
from avsa_fast.data.tables import DETECTIONS, TRUTH, read_table, write_table
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cli import main as evaluate
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.cache import embedded_default
from avsa_fast.train.cli import main as train

Table = Literal["panoramas", "instances", "procedural"]
TRAIN_SHARE = 0.7  # share of each sound used for training; the rest is for testing
TEST_PANORAMAS = 4  # every fourth panorama is for testing
TEST_INSTANCES = 3  # every third bird, every third mammal
NOMINAL_SIZE = 0.7  # radians, width and height of the boxes derived from ground truth

ROWS = ("foa-yolo", "untrained", "avc-only")  # of the ablation, beside the run itself


@dataclass(frozen=True)
class Material:
    """Folders of the objects and panoramas for one split's scenes."""

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
    seeds: int = 3,
    classifiers: int = 8,
    moments: int = 2,
    workers: int = 2,
    detect: Literal["truth", "yolo"] = "truth",
) -> None:
    """Builds the scenes, trains the runs, evaluates them, and prints the tables with intervals and differences.

    Args:
        out: Folder of scenes, runs and tables.
        assets: Folder with objects/NAME.png, NAME.ogg and index.tsv, panoramas/*.jpg and rir/*.wav.
        tables: panoramas: unseen panoramas, unseen segments of each sound, altered images. instances: unseen birds
            and mammals. procedural: the built-in procedural scenes, of eight kinds generated from a seed.
        kinds: Maximum number of objects in the first table: every n-th in the list sorted by name.
        scenes: Number of training scenes; a third as many are for testing.
        seconds: Duration of each scene.
        distance: Distance of objects, as a share of the distance at which the room response was measured.
        steps: Steps per run.
        seed: Seed of scenes and classifiers, and first seed of the runs.
        seeds: Trainings per row.
        classifiers: Classifiers per metric of a training.
        moments: Evaluated moments per clip.
        workers: Processes that decode media.
        detect: Source of the objects' directions.
    """
    if not assets.is_dir():
        raise UserError(f"--assets {assets}: no such folder")
    for table in tables:
        data = embedded_default() if table == "procedural" else out / table / "data"
        if not data.is_dir():
            _build(out / table, assets, table, kinds, scenes, seconds, distance, seed, detect)
        run = out / table / "run"
        if not (run / "weights.safetensors").exists():
            if (run / "config.yaml").exists():
                train(out=run, resume=True, workers=workers)
            else:
                train(data=data, out=run, preset="tiny", steps=steps, seed=seed, workers=workers)
        evaluate(
            run,
            ("ablation",),
            rows=ROWS,
            seeds=seeds,
            moments=moments,
            seed=seed,
            classifiers=classifiers,
            workers=workers,
        )


def _build(
    folder: Path, assets: Path, table: Table, kinds: int, scenes: int, seconds: float, distance: float, seed: int,
    detect: str,
) -> None:  # fmt: skip
    """Builds a dataset of training and test scenes from disjoint assets; it is renamed into place when complete."""
    split_assets = _split_by_segment if table == "panoramas" else _split_by_instance
    assets_by_split = split_assets(folder / "material", assets, kinds)
    (rir,) = (assets / "rir").glob("*.wav")
    part = folder / ".data.part"
    shutil.rmtree(part, ignore_errors=True)
    for kind in ("video", "audio"):
        (part / kind).mkdir(parents=True)
    truth = []
    for number, (split, material) in enumerate(assets_by_split.items()):
        count = scenes if split == "train" else max(2, scenes // 3)
        shutil.rmtree(folder / split, ignore_errors=True)
        with show_progress(f"rendering the {split} scenes") as progress:
            build_scenes(
                folder / split, count=count, seconds=seconds, seed=2 * seed + number, objects=material.objects,
                panoramas=material.panoramas, rir=rir, distance=distance, progress=progress,
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


def _split_by_segment(folder: Path, assets: Path, kinds: int) -> dict[str, Material]:
    """Splits by sound segment: both splits have the same objects; the test split has later sound and altered images."""
    names = list(_categories(assets))
    names = names[:: max(1, len(names) // kinds)][:kinds]
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for name in names:
            sound, rate = soundfile.read(assets / "objects" / f"{name}.ogg", always_2d=True)
            cut = round(TRAIN_SHARE * len(sound))
            segment = sound[:cut] if split == "train" else sound[cut:]
            if not np.abs(segment).max() > 0.01 * np.abs(sound).max():
                segment = sound  # the sound has decayed by then
            soundfile.write(folder / split / f"{name}.wav", segment, rate)
            picture = Image.open(assets / "objects" / f"{name}.png").convert("RGBA")
            (picture if split == "train" else _altered(picture)).save(folder / split / f"{name}.png")
    panoramas = _split_panoramas(folder, assets)
    return {split: Material(folder / split, panoramas[split]) for split in ("train", "test")}


def _split_by_instance(folder: Path, assets: Path, kinds: int) -> dict[str, Material]:
    """Splits birds and mammals into training and test instances."""
    groups = {kind: [n for n, c in _categories(assets).items() if f"/{kind}" in c] for kind in ("birds", "mammals")}
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
    """Copies panoramas into one folder per split."""
    folders = {split: folder / f"{split}-panoramas" for split in ("train", "test")}
    for split, path in folders.items():
        path.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(sorted((assets / "panoramas").glob("*.jpg"))):
            if (number % TEST_PANORAMAS == TEST_PANORAMAS - 1) == (split == "test"):
                shutil.copy(picture, path)
    return folders


def _categories(assets: Path) -> dict[str, str]:
    """Reads the objects' names and categories, sorted by name."""
    path = assets / "objects" / "index.tsv"
    if not path.is_file():
        raise UserError(f"--assets {assets}: no objects/index.tsv in it")
    with path.open(newline="", encoding="utf-8") as file:
        return dict(sorted((row["name"], row["category"]) for row in csv.DictReader(file, delimiter="\t")))


def _altered(picture: Image.Image) -> Image.Image:
    """Mirrors, rotates by 10°, darkens and desaturates an image; keeps transparency."""
    colours = ImageEnhance.Color(ImageEnhance.Brightness(picture.convert("RGB")).enhance(0.8)).enhance(0.6)
    colours.putalpha(picture.getchannel("A"))
    return ImageOps.mirror(colours).rotate(10, Image.Resampling.BICUBIC, expand=True)


if __name__ == "__main__":
    run_command(main, "results", "python experiments/results.py")
