"""Localisation: correct for a model with perfect maps, and at chance for an untrained one."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from helpers.tracks import video_track

from avsa_fast.data.projection import Projection
from avsa_fast.data.samples import Collection
from avsa_fast.data.spans import ClipSpan
from avsa_fast.data.tables import TRUTH, read_table
from avsa_fast.errors import UserError
from avsa_fast.evaluate.localisation import localise
from avsa_fast.evaluate.truth import read_truth
from avsa_fast.maps.grid import angular_distance
from avsa_fast.run import Run

SIZE = (9, 12)


def test_untrained_run_localises_at_chance_level(run: Run, scenes: Path) -> None:
    collection = Collection(scenes, "yolo")
    path = scenes / "truth.parquet"
    metrics = localise(run, collection.held_out, read_truth(path), path, moments=2, size=SIZE)
    error, accuracy = metrics["angular_error"], metrics["accuracy_20_degrees"]
    assert 60 < error["chance"] < 120
    assert 0 < accuracy["chance"] < 0.1
    assert accuracy["n"] == error["n"] >= 4
    assert abs(error["value"] - error["chance"]) < 60
    # The loudest direction is always near some source, and so is sometimes near the requested source, besides chance.
    assert metrics["energy_accuracy_20_degrees"]["value"] > 3 * accuracy["chance"]


def test_perfect_maps_localise_correctly(run: Run, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With maps that peak at each object, errors are at most half the diagonal of a cell."""
    from avsa_fast.evaluate import localisation

    def perfect(run, frames, sound, directions, *, projection, size):
        cells = localisation.erp_grid(size)
        return -torch.stack([angular_distance(direction, cells) for direction in directions])

    monkeypatch.setattr(localisation, "object_maps", perfect)
    path = scenes / "truth.parquet"
    metrics = localise(run, Collection(scenes, "yolo").held_out, read_truth(path), path, moments=1, size=SIZE)
    assert metrics["angular_error"]["value"] < 19
    assert metrics["accuracy_20_degrees"]["value"] == 1


def test_doa_files_match_truth_table(scenes: Path, tmp_path: Path) -> None:
    rows = [row for row in read_table(scenes / "truth.parquet", TRUTH) if row["name"] == "scene0008-0"]
    lines = ["frame,class,source,azimuth,elevation"]
    for row in rows:
        frame = int(row["time"] / 0.1)
        lines.append(f"{frame},{0},{row['source']},{np.degrees(row['azimuth']):.3f},{np.degrees(row['elevation']):.3f}")
    (tmp_path / "scene0008-0.csv").write_text("\n".join(lines) + "\n")
    ours, theirs = read_truth(scenes / "truth.parquet"), read_truth(tmp_path)
    for time in (0.45, 1.25):
        a = torch.tensor(ours.at("scene0008-0", time))
        b = torch.tensor(theirs.at("scene0008-0", time))
        assert angular_distance(a[:, None], b[None]).amin(dim=1).max() < 3  # DOA frames last 100 ms
    assert not len(theirs.at("scene0009-0", 1.0))


def test_truth_is_valid_only_near_annotations(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("10,0,0,30,0\n11,0,0,32,0\n11,1,1,-90,10\n")
    truth = read_truth(tmp_path)
    assert np.degrees(truth.at("a", 1.16)).round().tolist() == [[32, 0], [-90, 10]]
    assert np.degrees(truth.at("a", 1.0)).round().tolist() == [[30, 0]]
    assert not len(truth.at("a", 1.4))
    assert not len(truth.at("a", 0.5))


def test_invalid_doa_files_are_refused(run: Run, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no NAME\.csv"):
        read_truth(tmp_path)
    (tmp_path / "a.csv").write_text("0,1,0,north,2\n")
    with pytest.raises(UserError, match=r"a\.csv: line 1 is .*, not frame, class, source, azimuth, elevation"):
        read_truth(tmp_path)
    (tmp_path / "a.csv").write_text("0,1,0,10,2,150\n")
    with pytest.raises(UserError, match="no objects are annotated"):
        localise(run, Collection(scenes, "yolo").held_out, read_truth(tmp_path), tmp_path, moments=1)


def test_avc_run_localises(run: Run, scenes: Path) -> None:
    avc = replace(run, config=replace(run.config, stages="avc"))
    path = scenes / "truth.parquet"
    sources = Collection(scenes, "yolo").held_out[:1]
    assert localise(avc, sources, read_truth(path), path, moments=1, size=(3, 4))["angular_error"]["n"] >= 1


def with_video(source: ClipSpan, path: Path, images: torch.Tensor, projection: Projection) -> ClipSpan:
    """The same clip with other images [F, H, W, 3] in its video, 16 a second, encoded without loss."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=16)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "bgr0"
        for number, image in enumerate(images.numpy()):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 16)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    description = replace(source.reader.description, video=video_track(path), projection=projection)
    return replace(source, reader=replace(source.reader, description=description))


def test_stereoscopic_clips_give_the_maps_of_their_left_eyes_view(
    run: Run, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avsa_fast.evaluate import localisation

    maps: list[torch.Tensor] = []

    def recorded(*args: Any, **options: Any) -> torch.Tensor:
        maps.append(object_maps(*args, **options))
        return maps[-1]

    object_maps = localisation.object_maps
    monkeypatch.setattr(localisation, "object_maps", recorded)
    source, path = Collection(scenes, "yolo").held_out[0], scenes / "truth.parquet"
    view = torch.randint(0, 256, (32, 32, 64, 3), dtype=torch.uint8)
    other = torch.randint(0, 256, (32, 32, 64, 3), dtype=torch.uint8)
    clips = [
        with_video(source, tmp_path / "mono.mkv", view, "erp"),
        with_video(source, tmp_path / "over_under.mkv", torch.cat([view, other], dim=1), "erp_top"),
        with_video(source, tmp_path / "beside.mkv", torch.cat([view, other], dim=2), "erp_left"),
    ]
    results = [localise(run, [clip], read_truth(path), path, moments=1, size=(3, 4)) for clip in clips]
    assert results[1] == results[2] == results[0]
    torch.testing.assert_close(maps[1], maps[0])
    torch.testing.assert_close(maps[2], maps[0])
    assert (maps[0].flatten(1).std(dim=1) > 1e-6).all()  # so maps of other crops would differ
