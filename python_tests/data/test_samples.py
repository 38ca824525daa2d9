"""Samples: reproducible by number, clips taken in turn, times and augmentation within their ranges."""

import shutil
from math import pi, radians
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.unprepared import link_media

from avsa_fast.data.batches import batch_of
from avsa_fast.data.describe import Description
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.recordings import recording_of
from avsa_fast.data.samples import Collection, Sample, SampleConfig, Samples
from avsa_fast.data.spans import ClipSpan, names_of
from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.data.views import ViewConfig, make_crops
from avsa_fast.errors import UserError
from avsa_fast.scenes.build import build_scenes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "scenes"
    build_scenes(folder, count=6, seconds=2.0, seed=3)
    return folder


def samples(data: Path, *, count: int = 40, spatial: bool = True, augment: bool = True, seed: int = 0) -> Samples:
    return Samples(
        Collection(data, "yolo"), SampleConfig(), seed=seed, count=count, spatial=spatial, augment=augment
    )  # fmt: skip


def same(a: Sample, b: Sample) -> bool:
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) else np.array_equal(x, y)
        for x, y in zip(a[1:8], b[1:8], strict=True)
    )


def test_sample_depends_only_on_its_number_and_the_seed(data: Path) -> None:
    first, again, other = samples(data), samples(data), samples(data, seed=1)
    _ = again[3]
    assert same(first[7], again[7])
    assert not same(first[7], first[8])
    assert not same(first[7], other[7])


def test_shapes_and_ranges(data: Path) -> None:
    config = SampleConfig()
    for number in range(6):
        sample = samples(data)[number]
        assert sample.frames.shape == (8, 160, 320, 3)
        assert sample.sound.shape == (4, 24000)
        assert sample.directions.shape == (4, 2)
        quadrants = np.floor((sample.directions[:, 0] + pi) / (pi / 2))
        assert quadrants.tolist() == [0, 1, 2, 3]
        assert ((sample.fov >= radians(config.min_fov)) & (sample.fov <= radians(config.max_fov))).all()
        assert (np.abs(sample.jitter[:, :3] - 1) <= 0.4).all()
        assert (np.abs(sample.jitter[:, 3]) <= 0.2).all()
    assert samples(data, spatial=False)[0].directions.shape == (1, 2)


def test_held_out_samples_are_not_augmented(data: Path) -> None:
    sample = samples(data, augment=False)[0]
    assert sample.jitter is None
    assert not sample.flip.any()
    np.testing.assert_allclose(sample.fov, np.full(4, radians(65)), rtol=1e-6)


def test_each_epoch_has_a_new_order_of_the_clips(data: Path) -> None:
    """Two samples of each of the 5 clips, at other moments."""
    reader = samples(data)
    epochs = [[reader._position(n, 0) for n in range(e * 10, e * 10 + 10)] for e in range(4)]
    assert all(sorted(epoch) == sorted([*range(5)] * 2) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_step_has_no_clip_twice_but_for_its_moments(data: Path) -> None:
    collection, config = Collection(data, "yolo"), SampleConfig(moments=2)
    reader = Samples(collection, config, seed=0, count=40, spatial=True, augment=True, per_step=7)
    for step in range(5):
        drawn = [reader._position(step * 7 + place, 0) for place in range(7)]
        assert drawn[0:6:2] == drawn[1:6:2]
        assert len({*drawn}) == 4
        spans = [reader.spans[position] for position in drawn]
        times = [
            reader._moment(span, step * 7 + place, np.random.default_rng(place)) for place, span in enumerate(spans)
        ]
        halves = [(time - 0.5) / (span.end - span.begin - 1) > 0.5 for time, span in zip(times, spans, strict=True)]
        assert halves == [False, True] * 3 + [False]


def test_masks_and_aspect_ratios_are_within_their_ranges(data: Path) -> None:
    config = SampleConfig(aspect=4 / 3, mel_mask=0.25, time_mask=0.5)
    reader = Samples(Collection(data, "yolo"), config, seed=0, count=40, spatial=True, augment=True)
    plain = samples(data)
    drawn = [reader[number] for number in range(20)]
    assert all(same(sample, plain[number]) for number, sample in enumerate(drawn))  # what is off changes nothing
    aspect, masks = (np.concatenate([getattr(sample, name) for sample in drawn]) for name in ("aspect", "masks"))
    assert ((aspect >= 3 / 4) & (aspect <= 4 / 3)).all()
    assert aspect.min() < 0.8
    assert aspect.max() > 1.25
    begins, ends = masks[:, ::2], masks[:, 1::2]
    assert ((begins >= 0) & (ends <= 1)).all()
    widths = ends - begins
    assert ((widths >= 0) & (widths <= [0.25, 0.5])).all()
    assert (widths.max(axis=0) > [0.2, 0.4]).all()
    assert plain[0].aspect is plain[0].masks is None
    held_out = Samples(Collection(data, "yolo"), config, seed=0, count=1, spatial=True, augment=False)[0]
    assert held_out.aspect is held_out.masks is None


def with_splits(data: Path, folder: Path, splits: list[str], names: list[str] | None = None) -> Path:
    """An index with these splits, of copies of the dataset's clips."""
    for kind in ("video", "audio"):
        (folder / kind).mkdir(parents=True)
    rows = []
    originals = read_table(data / "index.parquet", INDEX)
    for number, split in enumerate(splits):
        row = originals[number % len(originals)]
        name = names[number] if names else f"clip{number:03d}"
        for kind in ("video", "audio"):
            (path,) = (data / kind).glob(f"{row['name']}.*")
            (folder / kind / f"{name}{path.suffix}").symlink_to(path)
        rows.append(row | {"name": name, "split": split})
    write_table(folder / "index.parquet", rows, INDEX)
    return folder


def members(collection: Collection) -> list[set[str]]:
    return [set(names_of(spans)) for spans in (collection.train, collection.validation, collection.held_out)]


def test_the_validation_split_of_the_index_is_used(data: Path, tmp_path: Path) -> None:
    folder = with_splits(data, tmp_path / "a", ["train"] * 20 + ["validation"] * 3 + ["test"] * 2)
    train, validation, held_out = members(Collection(folder, "random"))
    assert (len(train), validation, held_out) == (20, {"clip020", "clip021", "clip022"}, {"clip023", "clip024"})


def test_a_tenth_of_the_training_clips_is_for_validation(data: Path, tmp_path: Path) -> None:
    """In whole recordings, the same ones each time, and none of the test."""
    names = [f"r{number // 2}-{number % 2}" for number in range(50)]
    folder = with_splits(data, tmp_path / "a", ["train"] * 40 + ["test"] * 10, names)
    train, validation, held_out = members(Collection(folder, "random"))
    assert held_out == {*names[40:]}
    assert train | validation == {*names[:40]}
    assert len(validation) == 4
    recordings = [{recording_of(name) for name in split} for split in (train, validation, held_out)]
    assert len(set.union(*recordings)) == sum(map(len, recordings))
    assert members(Collection(folder, "random")) == [train, validation, held_out]
    few = with_splits(data, tmp_path / "few", ["train"] * 9 + ["test"])
    assert [len(split) for split in members(Collection(few, "random"))] == [9, 0, 1]
    two = with_splits(data, tmp_path / "two", ["train"] * 20, [f"r{number % 2}-{number}" for number in range(20)])
    assert [len(split) for split in members(Collection(two, "random"))] == [20, 0, 0]


def test_one_recording_is_held_out_by_time(data: Path, tmp_path: Path) -> None:
    folder = with_splits(data, tmp_path / "a", ["train"] * 3, ["tour-0", "tour-10", "tour-20"])
    collection = Collection(folder, "random")
    assert collection.split_in_time
    assert [len(split) for split in members(collection)] == [3, 0, 3]
    assert [(span.begin, span.end) for span in collection.train] == [(0.0, pytest.approx(1.6))] * 3
    assert [(span.begin, span.end) for span in collection.held_out] == [(pytest.approx(1.6), pytest.approx(2.0))] * 3


def test_flips_are_balanced(data: Path) -> None:
    drawn = [samples(data)[number] for number in range(40)]
    flips = np.concatenate([sample.flip for sample in drawn]).mean()
    assert 0.3 < flips < 0.7


def test_held_out_crops_are_centred_on_detections(data: Path) -> None:
    """Held-out crops are centred exactly on an object of the scene's ground truth at that time."""
    collection = Collection(data, "yolo")
    reader = Samples(collection, SampleConfig(), seed=0, count=1, spatial=True, augment=False)
    source = collection.held_out[0]
    objects = collection.detections.at(source.name, source.moment(0.5, 0.5))
    for direction in reader[0].directions:
        assert np.abs(objects - direction).sum(axis=1).min() < 1e-6
    elsewhere = Samples(Collection(data, "random"), SampleConfig(), seed=0, count=1, spatial=True, augment=False)
    assert not np.array_equal(elsewhere[0].directions, reader[0].directions)


def test_moments_keep_the_sound_within_the_span() -> None:
    source = ClipSpan("a", MediaReader(Description()), begin=8.0, end=10.0)
    assert source.moment(0.0, 0.5) == 8.5
    assert source.moment(1.0, 0.5) == 9.5
    short = ClipSpan("a", MediaReader(Description()), begin=0.0, end=0.8)
    assert short.moment(0.3, 0.5) == 0.4


def test_a_single_clip_is_held_out_by_time(data: Path, tmp_path: Path) -> None:
    for kind in ("video", "audio"):
        (tmp_path / "one" / kind).mkdir(parents=True)
        (path,) = (data / kind).glob("scene0000*")
        shutil.copy(path, tmp_path / "one" / kind)
    for table in ("index.parquet", "detections.parquet"):
        shutil.copy(data / table, tmp_path / "one")
    collection = Collection(tmp_path / "one", "yolo")
    assert (collection.train[0].begin, collection.train[0].end) == (0.0, pytest.approx(1.6))
    assert (collection.held_out[0].begin, collection.held_out[0].end) == (pytest.approx(1.6), pytest.approx(2.0))


def test_mono_clips_are_used_for_avc_only(data: Path, tmp_path: Path) -> None:
    """A mono clip gives AVC samples with all sound in W; AVSA skips it, or refuses it if there are no other clips."""
    folder = tmp_path / "mixed"
    shutil.copytree(data, folder)
    table = read_table(folder / "index.parquet", INDEX)
    mono = next(row["name"] for row in table if row["split"] == "train")
    (path,) = (folder / "audio").glob(f"{mono}.*")
    sound, rate = soundfile.read(path)
    soundfile.write(path, sound[:, 0], rate)
    rows = [row | ({"channels": 1, "channel_map": []} if row["name"] == mono else {}) for row in table]
    write_table(folder / "index.parquet", rows, INDEX)

    both, directed = Collection(folder, "yolo", spatial=False), Collection(folder, "yolo", spatial=True)
    assert both.without_direction == directed.without_direction == 1
    assert {source.name for source in both.train} - {source.name for source in directed.train} == {mono}
    both.train = [source for source in both.train if source.name == mono]
    sample = Samples(both, SampleConfig(), seed=0, count=1, spatial=False, augment=True)[0]
    assert sample.name == mono
    assert sample.sound[0].abs().max() > 0
    assert not sample.sound[1:].any()

    write_table(folder / "index.parquet", [row for row in rows if row["name"] == mono], INDEX)
    with pytest.raises(UserError, match=f"^{mono}: 1-channel sound has no direction in it, which AVSA needs"):
        Collection(folder, "yolo", spatial=True)


def test_unprepared_dataset_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        Collection(tmp_path / "nowhere", "yolo")
    folder = link_media(data, tmp_path / "media")
    with pytest.raises(UserError, match=r"no index\.parquet in it; python -m avsa_fast\.prepare \S+ \S+ creates it"):
        Collection(folder, "random")
    (folder / "index.parquet").symlink_to(data / "index.parquet")
    assert Collection(folder, "random").train
    with pytest.raises(UserError, match=r"no detections\.parquet in it; python -m avsa_fast\.prepare"):
        Collection(folder, "yolo")


@pytest.mark.parametrize(
    ("projection", "rows", "columns"), [("erp_top", 80, 320), ("erp_left", 160, 160), ("eac", 160, 320)]
)
def test_crops_use_the_projection_of_the_index(
    data: Path, tmp_path: Path, projection: str, rows: int, columns: int
) -> None:
    plain = samples(data)
    clip = plain.spans[0].name
    folder = tmp_path / "projected"
    shutil.copytree(data, folder)
    table = read_table(folder / "index.parquet", INDEX)
    write_table(folder / "index.parquet", [row | {"projection": projection} for row in table], INDEX)
    number = next(n for n in range(40) if plain[n].name == clip)
    whole, part = plain[number], samples(folder)[number]
    assert part.projection == projection
    cut = whole.frames[:, :rows, :columns].contiguous()
    actual, expected = (
        make_crops(batch_of([one]), ViewConfig(crop_size=16), torch.device("cpu"))
        for one in (part, whole._replace(frames=cut, projection="eac" if projection == "eac" else "erp"))
    )
    torch.testing.assert_close(actual, expected)
