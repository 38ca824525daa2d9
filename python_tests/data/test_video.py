from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from helpers.tracks import video_track

from avsa_fast.data import container, tracks, video
from avsa_fast.data.projection import Projection
from avsa_fast.data.video import read_frames, read_windows, sample_frames
from avsa_fast.errors import UserError

WriteVideo = Callable[..., Path]
ReadNumbers = Callable[..., list[int]]


def steady(fps: Fraction | int, seconds: float) -> list[Fraction]:
    return [i / Fraction(fps) for i in range(int(seconds * fps))]


def expected(times: list[Fraction], centre: float, count: int = 8, fps: float = 16.0) -> list[int]:
    """By definition: the last frame that starts by centre + (i - (count - 1) / 2) / fps, or else the first frame."""
    requested = [centre + (i - (count - 1) / 2) / fps for i in range(count)]
    return [max([k for k, time in enumerate(times) if time <= t], default=0) for t in requested]


def centres(
    times: list[Fraction], rng: np.random.Generator, number: int, count: int = 8, fps: float = 16.0
) -> list[float]:
    """Random times whose frames do not change with the rounding of timestamps to the time base."""
    draws = iter(lambda: rng.uniform(0, float(times[-1])), None)
    clear = (c for c in draws if expected(times, c - 1e-4, count, fps) == expected(times, c + 1e-4, count, fps))
    return list(islice(clear, number))


@pytest.mark.parametrize("fps", [24, 25, 30, Fraction(30000, 1001), 60, Fraction(25, 2)], ids=str)
@pytest.mark.parametrize("gop", [12, 250])
def test_frames_of_any_rate(
    write_video: WriteVideo, read_numbers: ReadNumbers, rng: np.random.Generator, fps: Fraction, gop: int
) -> None:
    times = steady(fps, 8)
    path = write_video(times, gop=gop)
    for centre in [0.0003, 7.91, 100.0, -3.0, *centres(times, rng, 6)]:
        frames = read_frames(video_track(path), centre)
        assert frames.dtype == torch.uint8
        assert frames.shape == (8, 64, 128, 3)
        assert read_numbers(frames.numpy()) == expected(times, centre), centre


def test_frames_of_variable_rate(write_video: WriteVideo, read_numbers: ReadNumbers, rng: np.random.Generator) -> None:
    steps = rng.choice([Fraction(1, 60), Fraction(1, 24), Fraction(1, 7), Fraction(1, 2)], 80)
    times = [Fraction(0), *np.cumsum(steps)]
    path = write_video(times, gop=15)
    for centre in centres(times, rng, 12, count=5, fps=10):
        assert read_numbers(read_frames(video_track(path), centre, count=5, fps=10).numpy()) == expected(
            times, centre, 5, 10
        )


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_a_time_on_a_frame_boundary_is_that_frame(
    write_video: WriteVideo, read_numbers: ReadNumbers, name: str
) -> None:
    # Matroska timestamps are in whole milliseconds, and 1/16 s is not a whole number of them.
    path = write_video(steady(16, 5), name=name)
    for first in (0, 13, 72):
        assert read_numbers(read_frames(video_track(path), (first + 3.5) / 16).numpy()) == list(range(first, first + 8))


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_seeks_instead_of_decoding_from_the_start(
    write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_video(steady(24, 40), gop=48, name=name)
    decoded: list[float] = []

    def counting(*args: Any) -> Any:
        for frame in container.decode_from(*args):
            decoded.append(frame.time)
            yield frame

    monkeypatch.setattr(video, "decode_from", counting)
    read_frames(video_track(path), 39.0)
    assert decoded[0] >= 39.0 - 3.5 / 16 - 48 / 24 - 0.1
    assert len(decoded) <= 48 + 0.5 * 24 + 3
    decoded.clear()
    read_frames(video_track(path), 1.0)
    assert decoded[-1] < 1.0 + 4 / 16 + 0.1  # nor does it decode to the end


def test_start_of_timestamps(write_video: WriteVideo, read_numbers: ReadNumbers) -> None:
    late = video_track(write_video([Fraction(1, 2) + time for time in steady(25, 4)], name="late.mkv"))
    assert read_numbers(read_frames(late, 1.01, count=1).numpy()) == [25]
    beside_earlier_sound = replace(late, zero=0.0)
    assert read_numbers(read_frames(beside_earlier_sound, 1.51, count=1).numpy()) == [25]
    assert read_numbers(read_frames(beside_earlier_sound, 0.2, count=1).numpy()) == [0]
    cut = write_video([80 + time for time in steady(25, 4)], name="cut.mkv")
    assert read_numbers(read_frames(video_track(cut), 1.51, count=1).numpy()) == [37]


def test_sample_frames_covers_the_file(write_video: WriteVideo, read_numbers: ReadNumbers) -> None:
    path = write_video(steady(30, 3))
    sampled = list(sample_frames(video_track(path), 2.0))
    assert [time for time, _ in sampled] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert read_numbers(torch.stack([frame for _, frame in sampled]).numpy()) == [0, 15, 30, 45, 60, 75]


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
@pytest.mark.parametrize(
    ("params", "min_skipped"),
    [
        ("keyint=8:scenecut=0", 60),
        ("keyint=12:scenecut=0:bframes=3:b-pyramid=normal:open-gop=1", 0),
        ("keyint=15:scenecut=0:bframes=3:b-pyramid=normal:ref=4", 60),
        ("keyint=20:scenecut=0:intra-refresh=1", 0),  # key frames that need preceding frames to be complete
    ],
)
def test_sparse_sampling_skips_packets(
    write_video: WriteVideo, read_numbers: ReadNumbers, name: str, params: str, min_skipped: int
) -> None:
    """The frames match those of full decoding, and at least `min_skipped` of 240 packets are skipped."""
    path = write_video(steady(30, 8), name=name, params=params)
    skipped = 0
    skippable = container._skippable

    def counting(*args: Any) -> int:
        nonlocal skipped
        count = skippable(*args)
        skipped += count
        return count

    for fps in (0.7, 2.0, 7.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(container, "_skippable", counting)
            sampled = list(sample_frames(video_track(path), fps))
        numbers = [int(Fraction(i / fps + 1e-6) * 30) for i in range(int(8 * fps))]
        assert read_numbers(torch.stack([frame for _, frame in sampled]).numpy()) == numbers
        assert skipped >= (min_skipped if fps < 3 else 0)
        skipped = 0


@pytest.mark.parametrize(("projection", "rows", "columns"), [("erp_top", 32, 128), ("erp_left", 64, 64)])
def test_sample_frames_of_one_eye(write_video: WriteVideo, projection: Projection, rows: int, columns: int) -> None:
    path = write_video(steady(4, 2), images=list(np.random.default_rng(0).integers(0, 256, (8, 64, 128, 3), np.uint8)))
    whole, eye = (
        torch.stack([x for _, x in sample_frames(video_track(path), 4, projection=s)]) for s in ("erp", projection)
    )
    assert torch.equal(eye, whole[:, :rows, :columns])
    (_, small), *_ = sample_frames(video_track(path), 4, (columns // 2, rows), projection=projection)
    assert small.shape == (rows // 2, columns // 2, 3)
    assert (small.float().mean((0, 1)) - eye[0].float().mean((0, 1))).abs().max() < 3


def test_probe(write_video: WriteVideo) -> None:
    info = video_track(write_video(steady(Fraction(30000, 1001), 4)))
    assert (info.width, info.height) == (128, 64)
    assert info.seconds == pytest.approx(4, abs=0.05)
    assert info.fps == pytest.approx(30000 / 1001, rel=0.01)


def test_max_height_scales_down_and_never_up(write_video: WriteVideo, read_numbers: ReadNumbers) -> None:
    path = write_video(steady(16, 2))
    assert torch.equal(read_frames(video_track(path), 1.0, max_height=100), read_frames(video_track(path), 1.0))
    small = read_frames(video_track(path), 1.0, max_height=22)
    assert small.shape == (8, 22, 44, 3)
    # Scaling preserves the mean of an image only if it keeps the whole image.
    full = read_frames(video_track(path), 1.0)
    assert (small.float().mean((1, 2)) - full.float().mean((1, 2))).abs().max() < 6


def test_odd_width(write_video: WriteVideo) -> None:
    path = write_video(steady(16, 1), name="odd.mkv", images=[np.zeros((32, 65, 3), np.uint8)] * 16, codec="ffv1")
    assert video_track(path).width == 65
    assert read_frames(video_track(path), 0.5).shape == (8, 32, 65, 3)


def test_read_windows_matches_read_frames(write_video: WriteVideo) -> None:
    path = write_video(steady(30, 4))
    centres = [0.25, 1.1, 2.75, 3.9]
    windows = list(read_windows(video_track(path), centres))
    assert len(windows) == 4
    for centre, window in zip(centres, windows, strict=True):
        assert torch.equal(window, read_frames(video_track(path), centre))


def test_size_is_checked_before_decoding(write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(steady(16, 1))
    monkeypatch.setattr(tracks, "MAX_HEIGHT", 63)
    monkeypatch.setattr(tracks, "decode_from", lambda *_: pytest.fail("decodes"))
    with pytest.raises(UserError, match=r"video\.mp4: 128×64 pixels"):
        read_frames(video_track(path), 0.5)


def test_invalid_video_files_are_refused(tmp_path: Path, write_sound: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"missing\.mp4: no such file"):
        read_frames(video_track(tmp_path / "missing.mp4"), 0.5)
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 50)
    with pytest.raises(UserError, match=r"garbage\.mp4: not a readable video"):
        read_frames(video_track(garbage), 0.5)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UserError, match=r"empty\.mp4: not a readable video"):
        video_track(tmp_path / "empty.mp4")
    sound = write_sound(np.zeros((4, 48000)), 48000, "sound.m4a")
    with pytest.raises(UserError, match=r"sound\.m4a: no video in this file"):
        read_frames(video_track(sound), 0.5)


@pytest.mark.parametrize("name", ["none.mkv", "none.mp4", "none.webm"])
def test_video_without_frames_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx" if name == "none.webm" else "libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        file.start_encoding()
    for read in (video_track, lambda path: read_frames(video_track(path), 0.5)):
        with pytest.raises(UserError, match=rf"{name}: .*no (frames|video)"):
            read(path)


def test_playlists_are_not_followed(write_video: WriteVideo, tmp_path: Path) -> None:
    write_video(steady(16, 1), name="inner.ts")
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\ninner.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match=r"playlist\.mp4: not a readable video"):
        read_frames(video_track(playlist), 0.5)


def test_truncated_file_is_refused_beyond_its_end(write_video: WriteVideo, read_numbers: ReadNumbers) -> None:
    path = write_video(steady(25, 20), gop=25, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert read_numbers(read_frames(video_track(path), 3.0, count=1).numpy()) == [75]
    for centre in (14.0, 19.9, 30.0):
        with pytest.raises(UserError, match=r"video\.mp4: .*truncated"):
            read_frames(video_track(path), centre)
    path.write_bytes(data[:200])
    with pytest.raises(UserError, match=r"video\.mp4: no video in this file"):
        read_frames(video_track(path), 3.0)


def test_damaged_files_raise_only_user_errors(write_video: WriteVideo, rng: np.random.Generator) -> None:
    path = write_video(steady(16, 3), gop=8, options={"movflags": "faststart"})
    intact = np.frombuffer(path.read_bytes(), np.uint8)
    refusals = []
    for _ in range(40):
        data = intact.copy()
        hits = rng.integers(0, len(data), rng.integers(1, 60))
        data[hits] = rng.integers(0, 256, len(hits))
        path.write_bytes(data.tobytes())
        try:
            assert read_frames(video_track(path), rng.uniform(0, 3)).shape[3] == 3
        except UserError as error:
            refusals.append(str(error))
    assert all(line.startswith(f"{path}: ") for line in refusals)


def test_real_clip(assets: Path) -> None:
    path = assets / "video" / "kqAZkf5Odyw-80.mp4"
    info = video_track(path)
    assert (info.seconds, info.fps, info.width, info.height) == (10.0, 24.0, 640, 360)
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    frames = read_frames(video_track(path), 6.31)
    for i, k in enumerate(expected(steady(24, 10), 6.31)):
        assert np.array_equal(frames[i].numpy(), everything[k])
