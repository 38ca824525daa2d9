import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from avsa_fast.data.tables import DETECTIONS, INDEX, TRUTH, read_table
from avsa_fast.errors import UserError
from avsa_fast.scenes.build import build_scenes
from avsa_fast.scenes.motion import unit_vectors
from avsa_fast.scenes.scene import Material, draw_scene
from avsa_fast.scenes.sound import direction_of_arrival
from avsa_fast.scenes.write import FPS, GOP, RATE, write_video

COUNT, SECONDS = 3, 1.5


@pytest.fixture(scope="module")
def seed() -> int:
    return int(np.random.default_rng().integers(1 << 32))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, seed) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "deeper" / "out"
    build_scenes(out, count=COUNT, seconds=SECONDS, seed=seed)
    return out


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_layout(dataset):
    names = [f"scene{i:04d}-0" for i in range(COUNT)]
    wanted = ["audio", "detections.parquet", "index.parquet", "test.txt", "train.txt", "truth.parquet", "video"]
    assert sorted(path.name for path in dataset.iterdir()) == wanted
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["out"]
    assert sorted(path.name for path in (dataset / "video").iterdir()) == [f"{name}.mp4" for name in names]
    assert sorted(path.name for path in (dataset / "audio").iterdir()) == [f"{name}.flac" for name in names]
    assert (dataset / "train.txt").read_text().split() == names[:2]
    assert (dataset / "test.txt").read_text().split() == names[2:]


def test_tables(dataset):
    index = read_table(dataset / "index.parquet", INDEX)
    for row in index:
        assert (row["seconds"], row["fps"], row["width"], row["height"]) == (SECONDS, FPS, 320, 160)
        assert (row["rate"], row["channels"], row["channel_map"], row["state"]) == (RATE, 4, [0, 1, 2, 3], "ok")
        assert row["spatial_validity"] == pytest.approx(1, abs=0.3)
    assert [row["split"] for row in index] == ["train", "train", "test"]

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


def test_video_is_short_gop_h264_with_the_frames_colours(dataset, seed):
    scene = draw_scene(np.random.default_rng([seed, 0]), round(SECONDS * FPS), Material())
    rendered = np.concatenate(list(scene.frames())).astype(float)
    path = dataset / "video" / "scene0000-0.mp4"
    assert np.abs(decode(path) - rendered).mean() < 3

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == FPS
        frames = list(container.decode(stream))
    assert [frame.time for frame in frames] == [i / FPS for i in range(len(frames))]
    assert all(frame.key_frame for frame in frames[::GOP])
    assert {(int(frame.colorspace), int(frame.color_range)) for frame in frames} == {(1, 1)}  # BT.709, limited


def test_flat_colours_survive_video(tmp_path):
    colours = np.random.default_rng().integers(0, 256, (8, 1, 1, 3), dtype=np.uint8)
    write_video(tmp_path / "flat.mp4", [np.broadcast_to(colours, (8, 64, 128, 3)).copy()], 64, 128)
    assert np.abs(decode(tmp_path / "flat.mp4").astype(int) - colours).max() <= 6


def test_sound_is_lossless_with_headroom(dataset, seed):
    scene = draw_scene(np.random.default_rng([seed, 1]), round(SECONDS * FPS), Material())
    sound, rate = soundfile.read(dataset / "audio" / "scene0001-0.flac", dtype="float32")
    assert rate == RATE
    assert sound.shape == (round(SECONDS * RATE), 4)
    np.testing.assert_allclose(sound.T, scene.sound, atol=2 / 2**15)
    assert 0.05 < np.abs(sound).max() < 0.5


@pytest.mark.parametrize("source", range(4))
def test_sound_of_a_source_arrives_from_where_truth_says(dataset, source):
    """In the band that the source has for itself: the bins where it is far louder than the three others."""
    truth = [r for r in read_table(dataset / "truth.parquet", TRUTH) if r["name"] == "scene0000-0"]
    mine = [r for r in truth if r["source"] == source]
    sound = soundfile.read(dataset / "audio" / "scene0000-0.flac")[0].T
    middle = int(0.75 * RATE)
    row = min(mine, key=lambda r: abs(r["time"] - 0.75))
    window = slice(middle - 3000, middle + 3000)
    spectrum = np.fft.rfft(sound[:, window] * np.hanning(6000), axis=1)
    wanted = unit_vectors(np.array([row["azimuth"], row["elevation"]]))
    flow = np.real(spectrum[0].conj() * spectrum[[3, 1, 2]])  # [3, bins]
    power = np.abs(spectrum[0]) ** 2
    alone = (wanted @ flow > 0.98 * power) & (power > 0.02 * power.max())
    assert alone.sum() > 2
    arrival = flow[:, alone].sum(axis=1)
    angle = np.degrees(np.arccos(arrival @ wanted / np.linalg.norm(arrival)))
    assert angle < 2
    rms = np.sqrt(power[alone].sum() * 2 / 6000**2 * 8 / 3)
    assert 0.2 * row["gain"] < rms < 2 * row["gain"]


def test_the_same_seed_gives_the_same_scenes_however_many(tmp_path, dataset, seed):
    build_scenes(tmp_path / "again", count=2, seconds=SECONDS, seed=seed)
    for name in ("scene0000-0", "scene0001-0"):
        for file in (f"video/{name}.mp4", f"audio/{name}.flac"):
            assert (tmp_path / "again" / file).read_bytes() == (dataset / file).read_bytes()
    table = pq.read_table(dataset / "truth.parquet")
    assert pq.read_table(tmp_path / "again" / "truth.parquet").equals(table.slice(0, table.num_rows * 2 // 3))

    build_scenes(tmp_path / "other", count=1, seconds=SECONDS, seed=seed + 1)
    assert not (tmp_path / "other" / "test.txt").exists()
    other = soundfile.read(tmp_path / "other" / "audio" / "scene0000-0.flac")[0]
    assert not np.allclose(other, soundfile.read(dataset / "audio" / "scene0000-0.flac")[0], atol=1e-3)


def test_one_source_alone_arrives_from_its_direction(assets):
    """A still of the whole chain: the intensity of a moving source in the measured room, early sound only."""
    from avsa_fast.scenes.sound import read_room

    room = read_room(assets / "rir" / "gewandhaus_foa_acn_n3d.wav")
    times = np.arange(RATE) / RATE
    directions = np.stack([0.5 + 0.2 * times, -0.3 + 0.1 * times], axis=1)
    clicks = np.zeros(RATE, np.float32)
    clicks[12_000] = 1
    heard = room.record(clicks, directions)[:, 12_000:12_050]
    assert np.degrees(np.abs(direction_of_arrival(heard) - directions[12_025])).max() < 2


def test_real_material(tmp_path, assets):
    progress: list[tuple[int, int]] = []
    build_scenes(
        tmp_path / "real",
        count=2,
        seconds=1,
        seed=int(np.random.default_rng().integers(1 << 32)),
        objects=assets / "objects",
        panoramas=assets / "panoramas",
        rir=assets / "rir" / "gewandhaus_foa_acn_n3d.wav",
        progress=lambda done, total: progress.append((done, total)),
    )
    assert progress == [(1, 2), (2, 2)]
    assert sorted(path.name for path in (tmp_path / "real").iterdir()) == [
        "audio",
        "test.txt",
        "train.txt",
        "truth.parquet",
        "video",
    ]
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
        ({"count": 0}, "--count 0: at least 1"),
        ({"seconds": 0.5}, "--seconds 0.5: between 1 and 600"),
        ({"seconds": float("nan")}, "--seconds nan"),
        ({"seed": -1}, "--seed -1: not negative"),
        ({"objects": Path("nowhere")}, "--objects nowhere: not a readable folder"),
        ({"panoramas": Path("nowhere")}, "--panoramas nowhere: not a readable folder"),
        ({"rir": Path("nowhere.wav")}, "nowhere.wav: not a readable sound"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        build_scenes(tmp_path / "out", **{"count": 1, "seconds": 1, "seed": 0, **options})
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        build_scenes(tmp_path, count=1, seconds=1, seed=0)
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        build_scenes(tmp_path / "note", count=1, seconds=1, seed=0)
    with pytest.raises(UserError, match="cannot be written"):
        build_scenes(tmp_path / "note" / "below", count=1, seconds=1, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_an_interrupted_build_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_scenes(tmp_path / "out", count=20, seconds=1, seed=0, progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_command(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "avsa_fast.scenes", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)

    built = run(str(tmp_path / "out"), "--count", "1", "--seconds", "1")
    assert (built.returncode, built.stderr) == (0, "Rendering scenes: 1/1\n")
    assert (tmp_path / "out" / "truth.parquet").is_file()
    refused = run(str(tmp_path / "out"))
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("scenes: ")
