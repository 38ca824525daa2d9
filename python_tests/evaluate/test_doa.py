"""The direction probe: its regression and angles in closed form, and the task on scenes of one source."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from avsa_fast.data.tables import TRUTH
from avsa_fast.errors import UserError
from avsa_fast.evaluate.cli import main
from avsa_fast.evaluate.doa import angles, probe_directions, regressed
from avsa_fast.evaluate.truth import Truth
from avsa_fast.run import Run
from avsa_fast.scenes.build import build_scenes

KINDS = ("angular_error", "accuracy_20_degrees")


def directions(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_angles() -> None:
    x = np.array([[1.0, 0, 0]] * 4)
    others = np.array([[2.0, 0, 0], [0, 0, 3], [-1, 0, 0], [np.cos(1e-9), np.sin(1e-9), 0]])
    assert angles(x, others) == pytest.approx([0, 90, 180, np.degrees(1e-9)], rel=1e-9)


def test_directions_that_are_linear_in_the_inputs_are_found(rng: np.random.Generator) -> None:
    """Also among inputs of other scales, with offsets, and with more of them than cases."""
    train, test = directions(rng, 60), directions(rng, 30)
    mixing = rng.standard_normal((3, 100)) * rng.uniform(0.1, 100, 100)
    errors = angles(regressed(train @ mixing + 7, train, test @ mixing + 7), test)
    assert errors.max() < 0.1


def test_directions_that_the_inputs_do_not_have_are_at_chance(rng: np.random.Generator) -> None:
    train, test = directions(rng, 400), directions(rng, 400)
    errors = angles(regressed(rng.standard_normal((400, 20)), train, rng.standard_normal((400, 20))), test)
    assert errors.mean() == pytest.approx(90, abs=6)  # the standard deviation of an angle is 39°: 3 deviations


def test_the_task(run: Run, tmp_path: Path) -> None:
    """Plain intensity finds a single source in diffuse noise at -20 dB; random weights find more than nothing."""
    build_scenes(tmp_path / "scenes", count=15, seconds=2.0, seed=1, sources=1)
    main(run.folder, ("doa",), data=tmp_path / "scenes", moments=4)
    metrics = json.loads((run.folder / "eval" / "doa.json").read_text())
    names = [f"{name}_{kind}" for name in ("doa", "doa_log_mel", "doa_intensity") for kind in KINDS]
    assert list(metrics) == names
    assert metrics["doa_intensity_angular_error"]["value"] < 5
    assert metrics["doa_intensity_accuracy_20_degrees"]["value"] == 1
    assert metrics["doa_angular_error"]["n"] == 3 * 4
    assert metrics["doa_angular_error"]["chance"] == 90
    assert metrics["doa_accuracy_20_degrees"]["chance"] == pytest.approx((1 - np.cos(np.pi / 9)) / 2)


def test_clips_with_several_sounds_at_once_cannot_be_probed(run: Run, tmp_path: Path) -> None:
    empty = Truth(pa.Table.from_pylist([], schema=TRUTH))
    with pytest.raises(UserError, match="0 moments of the training clips have exactly one annotated object; the dir"):
        probe_directions(run, [], [], empty, tmp_path / "truth.parquet", moments=1)
