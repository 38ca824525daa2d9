"""Probes, nearest neighbours, fine-tuning and fusion on small trees of real files."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.media import write_sound, write_video

from avsa_fast.errors import UserError
from avsa_fast.evaluate.cli import main
from avsa_fast.evaluate.datasets import LOADERS, Fold, Item, Labelled
from avsa_fast.evaluate.downstream import embed_items, finetune, probe
from avsa_fast.run import Run


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ESC-50-style dataset of high and low tones in four folds, which a random encoder can separate."""
    root = tmp_path_factory.mktemp("tones")
    lines = ["filename,fold,category"]
    for fold in range(1, 5):
        for label, pitch in (("low", 300), ("high", 5000)):
            name = f"{label}{fold}.wav"
            write_sound(root / "audio" / name, 1.5, 1, tone=pitch * (1 + fold / 50))
            lines.append(f"{name},{fold},{label}")
    (root / "meta").mkdir()
    (root / "meta" / "tones.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("task", ["linear", "knn"])
def test_classification_of_tones(run: Run, tones: Path, task: str) -> None:
    main(run.folder, (task,), data=tones, format="esc50")
    metrics = json.loads((run.folder / "eval" / f"{task}-esc50-audio.json").read_text())
    assert metrics[f"{task}_video_at_1"]["value"] >= 0.75  # low, because the encoder is untrained
    assert metrics[f"{task}_video_at_1"]["n"] == 8
    assert metrics[f"{task}_clip_at_1"]["n"] == 40  # 5 windows each
    assert metrics[f"{task}_clip_at_1"]["chance"] == 0.5
    assert f"{task}_video_at_1_shuffled_labels" in metrics


def test_finetuning(run: Run, tones: Path) -> None:
    model = copy.deepcopy(run.model)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5  # adapts running averages faster, as they start untrained here
    run = replace(run, model=model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = LOADERS["esc50"](tones)
    data = replace(data, folds=data.folds[:1], windows=2)
    metrics = finetune(run, data, "audio", seed=0, epochs=20)  # one step per epoch
    assert metrics["finetune_video_at_1"].metric()["value"] == 1
    assert all((value == before[name]).all() for name, value in run.model.state_dict().items())
    with pytest.raises(UserError, match="--modality video or audio"):
        main(run.folder, ("finetune",), data=tones, format="esc50", modality="both")


@pytest.mark.slow
def test_early_fusion_on_binaural_scenes(run: Run, tmp_path: Path) -> None:
    """A subset of TAU's tree: sound separates two groups of scenes, pictures another two, and both all four scenes."""
    lines = {"train": ["filename_audio\tfilename_video\tscene_label"]}
    lines["evaluate"] = lines["train"].copy()
    scenes = {"bus": (300, 255), "tram": (300, 60), "park": (5000, 255), "metro": (5000, 60)}
    for scene, (pitch, level) in scenes.items():
        for place, part in ((1, "train"), (2, "train"), (3, "evaluate")):
            name = f"{scene}-oslo-{place}-0"
            write_sound(tmp_path / "audio" / f"{name}.wav", 1.5, 2, tone=pitch)
            write_video(tmp_path / "video" / f"{name}.mp4", 1.5, 32, 24, level=level)
            lines[part].append(f"audio/{name}.wav\tvideo/{name}.mp4\t{scene}")
    (tmp_path / "evaluation_setup").mkdir()
    for part, rows in lines.items():
        (tmp_path / "evaluation_setup" / f"fold1_{part}.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError, match="TAU UAVS 2021 has 10 classes; 4 are here"):
        LOADERS["tau2021"](tmp_path)
    data = LOADERS["tau2021"](tmp_path, partial=True)
    value = {}
    for modality in ("audio", "video", "both"):
        rows = embed_items(run, data, modality)
        assert {len(row) for row in rows.values()} == {10}
        value[modality] = probe(data, rows, "linear", seed=0)["linear_video_at_1"].metric()["value"]
    assert rows["bus-oslo-1-0"].shape == (10, 128)
    assert value["both"] == 1
    assert max(value["audio"], value["video"]) < 1


def test_mpeg4_avi_videos(run: Run, tmp_path: Path) -> None:
    for label, level in (("bright", 255), ("dark", 40)):
        for i in range(5):
            write_video(tmp_path / label / f"{i}.avi", 0.7, 42, 30, codec="mpeg4", level=level)
    main(run.folder, ("linear",), data=tmp_path, modality="video")
    metrics = json.loads((run.folder / "eval" / "linear-folders-video.json").read_text())
    assert metrics["linear_video_at_1"]["value"] == 1


def test_order_4_ambisonics(run: Run, tmp_path: Path) -> None:
    for scene, pitch in (("Beach", 300), ("Park", 5000)):
        for number in (1, 3, 5, 7):
            write_sound(tmp_path / f"{scene}.{number}.wav", 2, 25, tone=pitch)
    data = replace(LOADERS["eigenscape"](tmp_path, partial=True), windows=3)
    metrics = probe(data, embed_items(run, data, "audio"), "linear", seed=0)
    assert metrics["linear_video_at_1"].metric()["value"] == 1
    assert metrics["linear_clip_at_1"].metric()["n"] == 8 * 3


def labelled(classes: int, videos: int) -> Labelled:
    """Recordings with classes, and five folds that each test one recording in five."""
    items = [Item(f"{label}-{i}", f"c{label}") for label in range(classes) for i in range(videos)]
    folds = [
        Fold([x for i, x in enumerate(items) if i % 5 != fold], [x for i, x in enumerate(items) if i % 5 == fold])
        for fold in range(5)
    ]
    return Labelled("made up", [f"c{label}" for label in range(classes)], folds, windows=3)


def test_clip_and_video_accuracies(rng: np.random.Generator) -> None:
    """Noise hides the class in single windows, but not in the mean of many."""
    data = labelled(4, 20)
    centre = rng.normal(size=(4, 8)) * 0.7
    rows = {
        item.name: (centre[data.classes.index(item.label)] + rng.normal(size=(25, 8))).astype(np.float32)
        for item in data.folds[0].train + data.folds[0].test
    }
    metrics = probe(data, rows, "linear", seed=0)
    assert metrics["linear_video_at_1"].metric()["n"] == 80
    assert metrics["linear_clip_at_1"].metric()["n"] == 80 * 25
    assert metrics["linear_clip_at_1"].metric()["value"] < 0.97 < metrics["linear_video_at_1"].metric()["value"] + 0.05


@pytest.mark.parametrize("method", ["linear", "knn"])
def test_noise_and_shuffled_labels_are_at_chance_level(method: str) -> None:
    data, rng = labelled(4, 40), np.random.default_rng(3)
    names = [item for fold in data.folds[:1] for item in fold.train + fold.test]
    noise = {item.name: rng.normal(size=(3, 8)).astype(np.float32) for item in names}
    metrics = probe(data, noise, method, seed=0)
    assert abs(metrics[f"{method}_video_at_1"].metric()["value"] - 0.25) < 0.12
    clear = {item.name: noise[item.name] + 5 * np.eye(8, dtype=np.float32)[int(item.label[1:])] for item in names}
    metrics = probe(data, clear, method, seed=0)
    assert metrics[f"{method}_video_at_1"].metric()["value"] > 0.95
    assert abs(metrics[f"{method}_video_at_1_shuffled_labels"].metric()["value"] - 0.25) < 0.12


def test_missing_modality_and_data_are_refused(run: Run, tones: Path) -> None:
    with pytest.raises(UserError, match="no video to classify"):
        embed_items(run, LOADERS["esc50"](tones), "video")
    with pytest.raises(UserError, match="--data must name the folder of a labelled dataset"):
        main(run.folder, ("linear",))
