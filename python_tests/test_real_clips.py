"""The real clips: prepare, training, embedding, evaluation and reports read them alike."""

from dataclasses import replace
from pathlib import Path

import pytest

from avsa_fast.data.describe import Description, Overrides, describe
from avsa_fast.data.index import Index
from avsa_fast.data.samples import Collection, SampleConfig, Samples
from avsa_fast.data.spans import span_of
from avsa_fast.embed.media import DescribeTask, find_sources
from avsa_fast.evaluate.datasets import Fold, Item, Labelled
from avsa_fast.evaluate.downstream import open_items
from avsa_fast.prepare import PrepareOptions, prepare
from avsa_fast.report.dataset import dataset_page

# By name: the suffix of the file with the sound, the projection, and the channel map.
CLIPS = {
    "kqAZkf5Odyw-80": (".m4a", "erp", (2, 1, 4, 0)),
    "richoh1_erp_mono_audio": (".mp4", "erp", ()),
    "congo_overunder_stereo_audio": (".mp4", "erp_top", ()),
}


@pytest.fixture(scope="module")
def pairs(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips in YT-360's layout."""
    folder = tmp_path_factory.mktemp("real")
    for kind in ("video", "audio"):
        (folder / kind).mkdir()
    for name, (suffix, *_) in CLIPS.items():
        (folder / "video" / f"{name}.mp4").symlink_to(assets / "video" / f"{name}.mp4")
        (folder / "audio" / f"{name}{suffix}").symlink_to(assets / "video" / f"{name}{suffix}")
    return folder


@pytest.fixture(scope="module")
def described(pairs: Path) -> dict[str, Description]:
    """Descriptions of the files as they are."""
    return {
        name: describe(pairs / "video" / f"{name}.mp4", pairs / "audio" / f"{name}{suffix}")
        for name, (suffix, *_) in CLIPS.items()
    }


def test_descriptions(described: dict[str, Description]) -> None:
    for name, (_, projection, channel_map) in CLIPS.items():
        assert described[name].projection == projection
        assert described[name].layout.channel_map == channel_map


def test_all_commands_read_them_alike(pairs: Path, described: dict[str, Description], tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(pairs, data, PrepareOptions(detector=None), workers=1, progress=False)
    stored = {clip.name: span_of(clip, row).reader.description for clip, row in Index(data)}
    for name, found in stored.items():
        assert found.video is not None
        assert found.sound is not None
        whole = described[name]
        assert whole.video is not None
        assert whole.sound is not None
        assert replace(found.video, path=whole.video.path) == whole.video
        assert replace(found.sound, path=whole.sound.path) == whole.sound
        assert (found.projection, found.layout) == (whole.projection, whole.layout)

    collection = Collection(data, "random", spatial=False)  # training and evaluation
    spans = [*collection.train, *collection.held_out]
    assert {span.name: span.reader.description for span in spans} == stored
    sample = Samples(collection, SampleConfig(max_height=64), seed=0, count=1, spatial=False, augment=True)[0]
    assert sample.projection == stored[sample.name].projection

    for source in find_sources([data], ["video", "audio"]):  # embed, of the prepared dataset
        assert source.video is not None
        assert source.description == stored[source.video.stem]
    start = DescribeTask(Overrides()).start()
    for source in find_sources([pairs], ["video", "audio"]):  # and of files that were not prepared
        assert source.video is not None
        assert start(source, lambda: None).description == described[source.video.stem]

    items = [Item(name, "class", span.reader.video.path, span.reader.sound.path) for name, span in
             ((span.name, span) for span in spans)]  # fmt: skip
    readers = open_items(Labelled("real", ["class"], [Fold(items, [])], 1), ["video", "audio"])  # evaluate's probes
    for name, reader in readers.items():
        assert (reader.description.projection, reader.description.layout) == (
            stored[name].projection, stored[name].layout,
        )  # fmt: skip
    page = dataset_page(data, clips=3)  # report
    assert all(name in page for name in CLIPS)
