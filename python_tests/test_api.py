"""avsa_fast.load: a run by its path, with the results of the commands, from all places that a network may be in."""

import json
import shutil
from math import pi
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from helpers import commands
from helpers.localised import Clip, make_clip
from helpers.untrained import config, run, scenes

import avsa_fast
from avsa_fast.data.describe import describe
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.samples import Sample
from avsa_fast.embed import media
from avsa_fast.embed.cli import main as embed
from avsa_fast.errors import UserError
from avsa_fast.export import Pretrained
from avsa_fast.localise.cli import main as localise
from avsa_fast.maps import intensity_map
from avsa_fast.run import Run

__all__ = ["config", "run", "scenes"]
VIEWS = [(0.0, 0.0), (pi / 2, 0.3)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return make_clip(tmp_path_factory.mktemp("clip") / "data", seconds=2.0)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What export writes for the hub, without the programs."""
    folder = tmp_path_factory.mktemp("exported")
    model = Pretrained(run.config.model, run.config.views, run.config.stages, run.config.samples)
    model.network.load_state_dict(run.model.state_dict())
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def described_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "Worker", lambda task: task)
    monkeypatch.setattr(media, "work", lambda jobs, pool: [pool[0].start()(job, lambda: None) for job in jobs])
    monkeypatch.setattr(media, "close", lambda pool: None)


def test_import_is_light() -> None:
    code = "import avsa_fast, sys; print(sorted({'torch', 'numpy', 'av', 'pyarrow'} & set(sys.modules)))"
    assert commands.run(*commands.module("x")[:1], "-c", code, check=True).stdout == "[]\n"


def test_embeds_as_the_command(run: Run, clip: Clip, tmp_path: Path) -> None:
    found = avsa_fast.load(run.folder).embed(clip.video, directions=VIEWS, hop=0.5)
    folder = clip.video.parents[1]
    embed(run.folder, (str(folder),), out=str(tmp_path / "e.parquet"), hop=0.5, directions=("0,0", "90,17.188733854"))
    rows = pq.read_table(tmp_path / "e.parquet").to_pylist()
    for modality, (times, directions, embeddings) in found.items():
        expected = [row for row in rows if row["modality"] == modality]
        stored = [row["embedding"] for row in expected]
        np.testing.assert_allclose(embeddings.reshape(len(expected), -1), stored, atol=1e-5)
        np.testing.assert_allclose(np.repeat(times, 2), [row["time"] for row in expected])
        np.testing.assert_allclose(directions, VIEWS, rtol=1e-6)
    assert [len(each.times) for each in found.values()] == [4, 3]  # windows of half a second, and of one
    one = avsa_fast.load(run.folder).embed(folder / "audio" / "disc-0.flac", hop=0.5, directions=VIEWS)
    assert list(one) == ["audio"]
    np.testing.assert_array_equal(one["audio"].embeddings, found["audio"].embeddings)


def test_localises_as_the_command(run: Run, clip: Clip, tmp_path: Path) -> None:
    found = avsa_fast.load(run.folder).localise(clip.video, rate=1.0)
    localise(str(run.folder), clip.video, tmp_path / "o.mp4", rate=1.0)
    assert found.objects.to_pylist() == pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert found.times.tolist() == [0.5, 1.5]
    for number, time in enumerate(found.times):
        (peak,) = (row for row in found.objects.to_pylist() if row["time"] == time and row["object"] is None)
        row, column = np.unravel_index(found.maps[number].argmax(), found.maps[number].shape)
        np.testing.assert_allclose(found.directions[row, column], [peak["azimuth"], peak["elevation"]], rtol=1e-6)
        assert found.maps[number].max() == pytest.approx(peak["score"])
    energy = avsa_fast.load(run.folder).localise(clip.video, rate=1.0, map="energy")
    sound = MediaReader(describe(None, clip.video.parents[1] / "audio" / "disc-0.flac")).scene(0.5)
    np.testing.assert_allclose(energy.maps[0], intensity_map(sound, 24000), atol=1e-6)


def test_aligns_as_the_run(run: Run, clip: Clip) -> None:
    """The scores of a sample of the same moment, with views to the front, the left, the back and the right."""
    found = avsa_fast.load(run.folder).align(clip.video, clip.video.parents[1] / "audio" / "disc-0.flac")
    assert found.times.tolist() == [0.5, 1.5]
    np.testing.assert_allclose(np.degrees(found.directions[:, 0]), [0, 90, -180, -90])
    samples = run.config.samples
    reader = MediaReader(describe(clip.video, clip.video.parents[1] / "audio" / "disc-0.flac"))
    sample = Sample(
        "", "erp", reader.frames(1.5, samples.frames, samples.fps, samples.max_height), reader.scene(1.5),
        found.directions, np.full(4, np.radians(samples.held_out_fov), np.float32), np.zeros(4, bool), None, {},
    )  # fmt: skip
    expected = run.alignment(run.video([sample]), run.audio([sample]))[0]
    np.testing.assert_allclose(found.scores[1], expected, atol=1e-5)


def test_exported_folder_is_the_same_network(run: Run, exported: Path, clip: Clip) -> None:
    own, other = avsa_fast.load(run.folder), avsa_fast.load(str(exported), device="cpu")
    assert other.run.config.samples == run.config.samples
    for modality, expected in own.embed(clip.video, directions=VIEWS).items():
        np.testing.assert_array_equal(other.embed(clip.video, directions=VIEWS)[modality].embeddings, expected[2])


def test_hub_id_is_read_from_the_cache(
    run: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository as huggingface_hub stores it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached, commit = tmp_path / "models--user--net", "0" * 40
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    shutil.copytree(exported, cached / "snapshots" / commit)
    loaded = avsa_fast.load("user/net")
    torch.testing.assert_close(loaded.run.model.state_dict(), run.model.state_dict())
    with pytest.raises(UserError, match="user/other: no such folder, nor in the hub's cache, where `hf download"):
        avsa_fast.load("user/other")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "it holds a list"),
        ('{"views": {}}', 'missing value for field "model"'),
        ('{"model": {"video_width": "8"}}', 'wrong value type for field "model.video_width"'),
        ('{"model": {}, "samples": {"frames": 1000000}}', "samples.frames 1000000 must be within 1 and 128"),
        ('{"model": {}, "other": 1}', "other"),
        ("[" * 100_000, "larger than 100 kB|recursion"),
    ],
)
def test_damaged_exports(exported: Path, tmp_path: Path, content: str, message: str) -> None:
    shutil.copytree(exported, tmp_path / "net")
    (tmp_path / "net" / "config.json").write_text(content)
    with pytest.raises(UserError, match=message) as error:
        avsa_fast.load(tmp_path / "net")
    assert str(error.value).startswith(f"{tmp_path / 'net' / 'config.json'}: not the configuration of an exported run")


def test_errors(run: Run, exported: Path, clip: Clip, tmp_path: Path) -> None:
    loaded = avsa_fast.load(run.folder)
    with pytest.raises(UserError, match="nothing here: no such folder; expected one of a run"):
        avsa_fast.load("nothing here")
    with pytest.raises(UserError, match=f"{tmp_path}: not the folder of a run"):
        avsa_fast.load(tmp_path)
    values = json.loads((exported / "config.json").read_text())
    shutil.copytree(exported, tmp_path / "net")
    values["model"]["audio_width"] = 16
    (tmp_path / "net" / "config.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="not the weights of this model"):
        avsa_fast.load(tmp_path / "net")
    with pytest.raises(UserError, match=r"directions: \(90.0, 45.0\) must be azimuth and elevation"):
        loaded.embed(clip.video, directions=[(90.0, 45.0)])
    with pytest.raises(UserError, match="at least one is needed"):
        loaded.embed(clip.video, directions=[])
    with pytest.raises(UserError, match="hop 0 must be within"):
        loaded.embed(clip.video, hop=0)
    with pytest.raises(UserError, match="rate 0 must be within"):
        loaded.localise(clip.video, rate=0)
    with pytest.raises(UserError, match="no video in this file"):
        loaded.align(clip.video.parents[1] / "audio" / "disc-0.flac")
    with pytest.raises(UserError, match=r"none\.mp4: no such file"):
        loaded.embed(tmp_path / "none.mp4")
