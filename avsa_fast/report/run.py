"""Report page of a run: metrics, training curves, and its output on held-out clips."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.nn.functional import normalize

from avsa_fast.data.samples import Collection, Sample, Samples, Unreadable
from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tables import DETECTIONS, read_table
from avsa_fast.errors import UserError
from avsa_fast.maps import object_maps
from avsa_fast.maps.grid import erp_grid
from avsa_fast.prepare import prepare_for_crops
from avsa_fast.progress import show_progress
from avsa_fast.run import Run, load_run
from avsa_fast.terminal import notice

from .clips import by_clip, clip_content, rows_at, spread
from .curves import read_curves
from .media import heat_png, rescaled
from .metrics import read_metrics
from .page import render

MAP_SIZE = (12, 24)  # rows and columns of a similarity map
NEIGHBOURS = 4  # number of sounds shown per picture, and of pictures per sound
MAP_SAMPLES = 64  # maximum number of moments in the map of embeddings


@torch.inference_mode()
def run_page(folder: Path, *, clips: int, seed: int = 0, device: torch.device | None = None) -> str:
    """Renders the report of a run.

    Args:
        folder: Folder of the run.
        clips: Maximum number of clips shown, evenly spread over the held-out ones.
        seed: Seed of the random view directions.
        device: Device of the network. Default: the GPU if there is one, else the CPU.

    Returns:
        The HTML page.

    Raises:
        UserError: If the run or its dataset cannot be read.
    """
    run = load_run(folder, device)
    data = Path(run.config.data)
    prepare_for_crops(data, run.config.samples.crops, named=False)
    collection = Collection(data, run.config.samples.crops, spatial=run.config.spatial)
    rows = by_clip(read_table(data / "detections.parquet", DETECTIONS) if run.config.samples.crops == "yolo" else [])
    sources = collection.held_out or collection.train
    metrics, curves = read_metrics(folder), read_curves(folder)
    contents, samples, skipped = [], [], {}
    with show_progress("drawing clips") as progress:
        for number, source in enumerate(spread(sources, clips)):
            try:
                sample, moment = _sample(run, collection, source, seed)
                objects = rows_at(rows[source.name], moment)
                directions = torch.from_numpy(sample.directions)
                contents.append(clip_content(source, moment, objects, directions, run.config.samples))
                samples.append(sample)
            except UserError as error:
                skipped[source.name] = str(error)
                notice(f"skipped {source.name}: {error}")
                continue
            _add_similarities(run, sample, contents[-1])
            progress(number + 1, min(clips, len(sources)))
    if not contents:
        raise UserError(f"{data}: no clip can be read; the first: {next(iter(skipped.values()), 'no clips')}")
    neighbours = _neighbours(run, samples)
    held_out = bool(collection.held_out)
    return render(
        "run.html",
        title=folder.resolve().name,
        facts=_facts(run, collection),
        metrics=metrics,
        curves=curves,
        clips=contents,
        neighbours=neighbours,
        embeddings=_embedding_map(run, collection, sources, rows, seed),
        skipped=skipped,
        held_out=held_out,
        aligned=run.aligned,
        config=yaml.safe_dump(asdict(run.config), sort_keys=False),
    )


def _sample(
    run: Run, collection: Collection, source: ClipSpan, seed: int, number: int = 0, count: int = 1
) -> tuple[Sample, float]:
    """One of `count` evenly spaced moments of a clip, sampled as for training's final metrics: a view per quadrant."""
    samples = Samples(collection, run.config.samples, seed=seed, count=count, spatial=True, augment=False)
    samples.spans = [source]
    sample = samples[number]
    if isinstance(sample, Unreadable):
        raise UserError(sample.failures[source.name])
    return sample, source.moment((number + 0.5) / count, run.config.samples.seconds / 2)


def _add_similarities(run: Run, sample: Sample, clip: dict[str, Any]) -> None:
    """Adds the K x K similarities of crops and sound views, and for each view the localisation map of its sound."""
    clip["matrix"] = run.alignment(run.video([sample]), run.audio([sample]))[0].tolist()
    if not clip["spatial"]:
        return
    assert isinstance(sample.frames, Tensor)  # not planes
    directions = torch.from_numpy(sample.directions)
    grid = erp_grid(MAP_SIZE)
    maps = object_maps(run, sample.frames, sample.sound, directions, projection=sample.projection, grid=grid)
    for view, heat in zip(clip["views"], maps, strict=True):
        view["heat"] = heat_png(rescaled(heat).clamp_min(0.0) ** 2, "viridis")


def _neighbours(run: Run, samples: Sequence[Sample]) -> list[list[dict[str, Any]]]:
    """For every view, [N][K]: the nearest sounds of its picture and the nearest pictures of its sound."""
    video, audio = run.video(samples), run.audio(samples)  # [N, K, E]
    N, K = video.shape[:2]
    scores = video.new_empty(N, K, N, K)  # crop k of sample n with sound view j of sample m
    for shift in range(K):
        similarity = run.similarity(video, audio.roll(-shift, dims=1))  # [N, M, K]: crop k with sound view k + shift
        for k in range(K):
            scores[:, k, :, (k + shift) % K] = similarity[..., k]
    return [[_nearest(scores, n, k) for k in range(K)] for n in range(N)]


def _nearest(scores: Tensor, n: int, k: int) -> dict[str, list[dict[str, Any]]]:
    """Best matches of the crop and of the sound view k of sample n."""
    K = scores.shape[1]
    found = {}
    for name, row in (("sounds", scores[n, k]), ("pictures", scores[:, :, n, k])):
        best = row.flatten().topk(min(NEIGHBOURS, row.numel()))
        found[name] = [
            {"clip": i // K, "view": i % K, "score": score, "own": i == n * K + k}
            for i, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
    return found


def _embedding_map(
    run: Run, collection: Collection, sources: Sequence[ClipSpan], rows: dict[str, list[dict[str, Any]]], seed: int
) -> dict[str, Any]:
    """First two principal components of the views' projections, after centring each modality."""
    selected = spread(sources, MAP_SAMPLES)
    count = max(1, MAP_SAMPLES // len(selected))
    video, audio, labels, names = [], [], [], []
    for source in selected:
        for number in range(count):
            try:
                sample, moment = _sample(run, collection, source, seed, number, count)
            except UserError:
                continue  # reported when the clips are drawn
            video.append(normalize(run.model.video_head(run.video([sample])[0]), dim=-1))
            audio.append(normalize(run.model.audio_head(run.audio([sample])[0]), dim=-1))
            objects = rows_at(rows[source.name], moment)
            for direction in sample.directions.tolist():
                near = [r["class"] for r in objects if abs(r["azimuth"] - direction[0]) < 1e-3]
                labels.append(near[0] if near else "")
                names.append(f"{source.name}, {moment:.1f} s")
    projections = [torch.cat(parts).float().cpu() for parts in (video, audio)]
    centred = [p - p.mean(dim=0) for p in projections]
    _, singular, axes = torch.linalg.svd(torch.cat(centred), full_matrices=False)
    shares = (singular.square() / singular.square().sum().clamp_min(1e-12)).tolist()
    points = [(p @ axes[:2].T).tolist() for p in centred]
    return {"picture": points[0], "sound": points[1], "labels": labels, "names": names, "shares": shares[:2]}


def _facts(run: Run, collection: Collection) -> list[str]:
    """Summary of the run in a few phrases."""
    parameters = sum(p.numel() for p in run.model.parameters())
    return [
        f"preset {run.config.preset}",
        f"{parameters / 1e6:.1f} M parameters",
        f"sound {run.config.views.audio}",
        f"crops {run.config.samples.crops}",
        f"seed {run.config.seed}",
        f"{len(collection.train)} clips to train on, {len(collection.held_out)} held out",
    ]
