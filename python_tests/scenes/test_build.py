from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from av.video.reformatter import VideoReformatter
from helpers.commands import module, run
from helpers.seeds import seed_of

from avsa_fast.data.encode_video import FPS, GOP, write_video
from avsa_fast.data.frame_conversion import to_rgb
from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, read_table
from avsa_fast.errors import UserError
from avsa_fast.prepare import PrepareOptions, prepare_folder
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.scene import Material, draw_scene
from avsa_fast.scenes.sound import RATE

COUNT, SECONDS, SEED = 3, 1.5, seed_of("scenes")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "deeper" / "out"
    build_scenes(out, count=COUNT, seconds=SECONDS, seed=SEED)
    return out


def decode(path: Path) -> np.ndarray:
    converter = VideoReformatter()
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return np.stack([to_rgb(frame, converter, (frame.width, frame.height)).numpy() for frame in frames])


def test_layout(dataset):
    names = [f"scene{i:04d}-0" for i in range(COUNT)]
    expected = ["audio", "detections.parquet", "index.parquet", "test.txt", "train.txt", "truth.parquet", "video"]
    assert sorted(path.name for path in dataset.iterdir()) == expected
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["out"]
    assert sorted(path.name for path in (dataset / "video").iterdir()) == [f"{name}.mp4" for name in names]
    assert sorted(path.name for path in (dataset / "audio").iterdir()) == [f"{name}.flac" for name in names]
    assert (dataset / "train.txt").read_text().split() == names[:2]
    assert (dataset / "test.txt").read_text().split() == names[2:]


EVIDENCE = ("projection_evidence", "channel_evidence")  # a scene's layout is known, and not detected


def without_evidence(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in EVIDENCE} for row in rows]


def described_by_prepare(dataset: Path, folder: Path) -> list[dict]:
    """The index that prepare writes for a dataset's media and lists."""
    folder.mkdir()
    for name in ("video", "audio", "train.txt", "test.txt"):
        (folder / name).symlink_to(dataset / name)
    prepare_folder(folder, PrepareOptions(detector=None), progress=False)
    return read_table(folder / "index.parquet", INDEX)


def test_tables(dataset, tmp_path):
    index = read_table(dataset / "index.parquet", INDEX)
    for row in index:
        assert (row["seconds"], row["fps"], row["width"], row["height"]) == (SECONDS, FPS, 320, 160)
        assert (row["rate"], row["channels"], row["channel_map"], row["state"]) == (RATE, 4, [0, 1, 2, 3], "ok")
        assert row["spatial_validity"] == pytest.approx(1, abs=0.3)
    assert [row["split"] for row in index] == ["train", "train", "test"]
    assert without_evidence(index) == without_evidence(described_by_prepare(dataset, tmp_path / "media"))

    truth = read_table(dataset / "truth.parquet", TRUTH)
    frames = round(SECONDS * FPS)
    assert len(truth) == COUNT * 4 * frames
    first = [row for row in truth if row["name"] == "scene0000-0"]
    assert len({row["class"] for row in first}) == 4
    assert {row["source"] for row in first} == {0, 1, 2, 3}
    assert sorted({row["time"] for row in first}) == [i / FPS for i in range(frames)]
    assert {int(np.floor(row["azimuth"] / (np.pi / 2))) for row in first} == {-2, -1, 0, 1}

    detections = read_table(dataset / "detections.parquet", DETECTIONS)
    assert {row["score"] for row in detections} == {1.0}
    shared = ("name", "time", "class", "azimuth", "elevation")
    assert [[row[key] for key in shared] for row in detections] == [[row[key] for key in shared] for row in truth]
    assert all(np.radians(5) < row[key] < np.radians(41) for row in detections for key in ("width", "height"))


def test_video_is_h264_with_short_gops_and_correct_colours(dataset):
    scene = draw_scene(np.random.default_rng([SEED, 0]), round(SECONDS * FPS), Material())
    rendered = np.stack(list(scene.frames())).astype(float)
    path = dataset / "video" / "scene0000-0.mp4"
    assert np.abs(decode(path) - rendered).mean() < 3

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == FPS
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == [i / FPS for i in range(len(frames))]
    assert all(frame.key_frame for frame in frames[::GOP])
    assert {(int(frame.colorspace), int(frame.color_range)) for frame in frames} == {(1, 1)}  # BT.709, limited range


def test_uniform_colours_are_preserved(tmp_path, rng):
    colours = rng.integers(0, 256, (8, 1, 1, 3), dtype=np.uint8)
    write_video(tmp_path / "flat.mp4", np.broadcast_to(colours, (8, 64, 128, 3)).copy())
    assert np.abs(decode(tmp_path / "flat.mp4").astype(int) - colours).max() <= 6


def test_sound_is_lossless_and_has_headroom(dataset):
    scene = draw_scene(np.random.default_rng([SEED, 1]), round(SECONDS * FPS), Material())
    sound, rate = soundfile.read(dataset / "audio" / "scene0001-0.flac", dtype="float32")
    assert rate == RATE
    assert sound.shape == (round(SECONDS * RATE), 4)
    np.testing.assert_allclose(sound.T, scene.sound, atol=2 / 2**15)
    assert 0.05 < np.abs(sound).max() < 0.5


def test_directions_of_arrival_match_the_truth(dataset):
    """In the file, each source is located at the frequencies where it is 25 dB above the other three."""
    scene = draw_scene(np.random.default_rng([SEED, 0]), round(SECONDS * FPS), Material())
    truth = [
        r for r in read_table(dataset / "truth.parquet", TRUTH) if r["name"] == "scene0000-0" and r["time"] == 0.75
    ]
    middle, window = slice(RATE // 2, RATE), np.hanning(RATE // 2)
    sound = soundfile.read(dataset / "audio" / "scene0000-0.flac")[0].T
    w, y, z, x = np.fft.rfft(sound[:, middle] * window)
    signals = [source.signal[middle] * window * row["gain"] for source, row in zip(scene.sources, truth, strict=True)]
    powers = np.abs(np.fft.rfft(signals)) ** 2  # [4, bins]
    for power, row in zip(powers, truth, strict=True):
        alone = (power > 300 * (powers.sum(axis=0) - power)) & (power > 0.003 * power.max())
        arrival = np.real(w.conj() * np.stack([x, y, z]))[:, alone].sum(axis=1)
        cosine = arrival @ unit_vectors(np.array([row["azimuth"], row["elevation"]])) / np.linalg.norm(arrival)
        assert np.degrees(np.arccos(min(cosine, 1))) < 2
        # The gain is the source's level in W.
        assert np.square(np.abs(w[alone])).sum() == pytest.approx(power[alone].sum(), rel=0.25)


def test_scenes_depend_only_on_the_seed_and_their_number(tmp_path, dataset):
    build_scenes(tmp_path / "again", count=2, seconds=SECONDS, seed=SEED)
    for name in ("scene0000-0", "scene0001-0"):
        for file in (f"video/{name}.mp4", f"audio/{name}.flac"):
            assert (tmp_path / "again" / file).read_bytes() == (dataset / file).read_bytes()
    table = pq.read_table(dataset / "truth.parquet")
    assert pq.read_table(tmp_path / "again" / "truth.parquet").equals(table.slice(0, table.num_rows * 2 // 3))

    build_scenes(tmp_path / "other", count=1, seconds=SECONDS, seed=SEED + 1)
    assert not (tmp_path / "other" / "test.txt").exists()
    other = soundfile.read(tmp_path / "other" / "audio" / "scene0000-0.flac")[0]
    assert not np.allclose(other, soundfile.read(dataset / "audio" / "scene0000-0.flac")[0], atol=1e-3)


def test_recorded_material(tmp_path, assets, rng):
    progress: list[tuple[int, int]] = []
    build_scenes(
        tmp_path / "real",
        count=2,
        seconds=1,
        seed=int(rng.integers(1 << 32)),
        objects=assets / "objects",
        panoramas=assets / "panoramas",
        rir=assets / "rir" / "gewandhaus_foa_acn_n3d.wav",
        progress=lambda done, total: progress.append((done, total)),
    )
    assert progress == [(1, 2), (2, 2)]
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == [
        "audio",
        "index.parquet",
        "test.txt",
        "train.txt",
        "truth.parquet",
        "video",
    ]
    index = read_table(tmp_path / "real" / "index.parquet", INDEX)
    assert without_evidence(index) == without_evidence(described_by_prepare(tmp_path / "real", tmp_path / "media"))
    truth = read_table(tmp_path / "real" / "truth.parquet", TRUTH)
    assert {row["class"] for row in truth} <= {path.stem for path in (assets / "objects").glob("*.png")}
    assert {len({row["source"] for row in truth if row["name"] == name}) for name in {r["name"] for r in truth}} <= {
        3,
        4,
    }
    assert decode(tmp_path / "real" / "video" / "scene0001-0.mp4").shape == (FPS, 512, 1024, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "--count 0 must be at least 1"),
        ({"seconds": 0.5}, "--seconds 0.5 must be between 1 and 600"),
        ({"seconds": float("nan")}, "--seconds nan"),
        ({"seed": -1}, "--seed -1 must be at least 0"),
        ({"distance": 0.0}, "--distance 0.0 must be between 0.01 and 1"),
        ({"distance": 0.5}, "--distance 0.5 requires --rir"),
        ({"distance": float("nan")}, "--distance nan"),
        ({"objects": Path("nowhere")}, "--objects nowhere: not a readable folder"),
        ({"panoramas": Path("nowhere")}, "--panoramas nowhere: not a readable folder"),
        ({"rir": Path("nowhere.wav")}, "nowhere.wav: not a readable sound"),
    ],
)
def test_invalid_arguments_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        build_scenes(tmp_path / "out", **{"count": 1, "seconds": 1, "seed": 0, **options})
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_not_modified(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        build_scenes(tmp_path, count=1, seconds=1, seed=0)
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        build_scenes(tmp_path / "note", count=1, seconds=1, seed=0)
    with pytest.raises(UserError, match="cannot be written"):
        build_scenes(tmp_path / "note" / "below", count=1, seconds=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_interrupted_build_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_scenes(tmp_path / "out", count=20, seconds=1, seed=0, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_command(tmp_path):
    built = run(*module("scenes"), tmp_path / "out", "--count", 1, "--seconds", 1)
    assert (built.returncode, built.stderr) == (0, "Rendering scenes: 1/1\n")
    assert (tmp_path / "out" / "truth.parquet").is_file()
    refused = run(*module("scenes"), tmp_path / "out")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("scenes: ")
