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
from avsa_fast.evaluate.localisation import _Found, _silent, localise
from avsa_fast.evaluate.truth import read_truth
from avsa_fast.maps.grid import angular_distance, equal_area_grid
from avsa_fast.run import Run

SIZE = (9, 12)


def test_untrained_run_localises_at_chance_level(run: Run, scenes: Path) -> None:
    collection = Collection(scenes, "yolo")
    path = scenes / "truth.parquet"
    scores = localise(run, collection.held_out, read_truth(path), path, moments=2, size=SIZE)
    metrics = {name: cases.metric() for name, cases in scores.items()}
    error, accuracy = metrics["angular_error"], metrics["accuracy_20_degrees"]
    assert 60 < error["chance"] < 120
    # A cap of 20° is 3.0 % of the sphere, and a grid of 9 x 12 equal areas holds it roughly.
    assert accuracy["chance"] == pytest.approx((1 - np.cos(np.radians(20))) / 2, abs=0.015)
    assert accuracy["n"] == error["n"] >= 4
    assert abs(error["value"] - error["chance"]) < 60
    # The loudest direction is always near some source, and so is sometimes near the requested source, besides chance.
    assert metrics["energy_accuracy_20_degrees"]["value"] > 3 * accuracy["chance"]


def test_perfect_maps_localise_correctly(run: Run, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With maps that peak at each object, errors are at most half the diagonal of a cell."""
    from avsa_fast.evaluate import localisation

    def perfect(run, frames, sound, directions, *, projection, grid):
        return -torch.stack([angular_distance(direction, grid) for direction in directions])

    monkeypatch.setattr(localisation, "object_maps", perfect)
    path = scenes / "truth.parquet"
    size = (18, 36)
    scores = localise(run, Collection(scenes, "yolo").held_out, read_truth(path), path, moments=1, size=size)
    assert scores["angular_error"].values.max() < 8
    assert scores["accuracy_20_degrees"].values.all()
    assert scores["which_object"].values.all()


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
    assert localise(avc, sources, read_truth(path), path, moments=1, size=(3, 4))["angular_error"].values.size >= 1


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
    found = [localise(run, [clip], read_truth(path), path, moments=1, size=(3, 4)) for clip in clips]
    results = [{name: cases.metric() for name, cases in scores.items()} for scores in found]
    assert results[1] == results[2] == results[0]
    torch.testing.assert_close(maps[1], maps[0])
    torch.testing.assert_close(maps[2], maps[0])
    assert (maps[0].flatten(1).std(dim=1) > 1e-6).all()  # so maps of other crops would differ


def at(*degrees: tuple[float, float]) -> torch.Tensor:
    return torch.deg2rad(torch.tensor(degrees))


def test_baselines_of_known_objects() -> None:
    """Two sounding objects on the horizon, 90° apart, and a silent one; the loudest sound is 5° beside the first."""
    found = _Found()
    objects, silent = at((0, 0), (90, 0)), at((180, 0))
    found.add("a", objects, torch.cat([objects, silent]), at((10, 0), (170, 0)), at((5, 0))[0])
    scores = found.cases(equal_area_grid((90, 180)).flatten(0, 1))
    values = {name: cases.values[0].tolist() for name, cases in scores.items()}
    assert values["angular_error"] == pytest.approx([10, 80], abs=1e-3)
    assert values["energy_angular_error"] == pytest.approx([5, 85], abs=1e-3)
    assert values["energy_object_angular_error"] == pytest.approx([0, 90], abs=1e-3)
    assert values["which_object"] == [1, 0]  # the second sound seems to come from the silent object
    assert values["energy_which_object"] == values["energy_object_which_object"] == [1, 0]
    assert scores["which_object"].chance == pytest.approx(1 / 3)
    assert values["random_object_accuracy_20_degrees"] == pytest.approx([1 / 3, 1 / 3])
    assert values["horizon_accuracy_20_degrees"] == pytest.approx([41 / 360] * 2, abs=2 / 360)
    assert values["elevation_band_accuracy_20_degrees"] == pytest.approx([41 / 360] * 2, abs=2 / 360)
    assert scores["accuracy_20_degrees"].chance == pytest.approx((1 - np.cos(np.radians(20))) / 2, abs=2e-3)


def test_a_single_object_is_no_choice() -> None:
    found = _Found()
    found.add("a", at((0, 0)), at((0, 0)), at((10, 0)), at((5, 0))[0])
    assert not [name for name in found.cases(equal_area_grid((9, 12)).flatten(0, 1)) if "which_object" in name]


def test_silent_objects_are_those_that_are_not_annotated(scenes: Path) -> None:
    detections = Collection(scenes, "yolo").detections
    seen = torch.from_numpy(detections.at("scene0008-0", 0.5)).float()
    assert len(seen) > 1
    assert len(_silent(seen, detections, "scene0008-0", 0.5)) == 0
    torch.testing.assert_close(_silent(seen[:1], detections, "scene0008-0", 0.5), seen[1:])
    assert len(_silent(seen, None, "scene0008-0", 0.5)) == 0
