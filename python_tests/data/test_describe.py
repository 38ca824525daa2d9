"""Descriptions of files that are easily misread: one right value for each, also after the index has stored it."""

import os
from dataclasses import replace
from math import degrees
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avsa_fast.data.describe import Description, Overrides, describe, inspect, synchronised
from avsa_fast.data.reader import MediaReader
from avsa_fast.data.rows import description_of, inspected_row
from avsa_fast.data.tracks import SoundTrack, VideoTrack
from avsa_fast.data.validity import arrivals, directions_of_arrival
from avsa_fast.errors import ClipError, UserError

CASES = Path(__file__).parents[1] / "media_cases"
DIRECTION = 60.0, 30.0  # azimuth and elevation of the sound in all files, degrees
MAX_CODING_ERROR = 4.0  # degrees, of directions in low-rate AAC

# By name: the projection, the channel map, the gains, when all tracks have started, and when the first one ends.
RIGHT: dict[str, tuple[Any, ...]] = {
    "bformat_guid.mp4": ("erp", (0, 2, 3, 1), "fuma", 0.0, 0.25),
    "flat_pillarboxed.mp4": (None, (0, 1, 2, 3), "sn3d", 0.0, 1.5),
    "late_video.mp4": ("erp", (0, 1, 2, 3), "sn3d", 1.5, 4.0),
    "no_duration.webm": ("erp", (0, 1, 2, 3), "sn3d", 0.003, 1.503),
    "no_length.mp4": ("erp", (0, 1, 2, 3), "sn3d", 0.0, 0.5),
    "over_under_v2.mp4": ("erp_top", (0, 1, 2, 3), "sn3d", 0.0, 1.5),
    "rotated180.mp4": ("erp", (0, 1, 2, 3), "sn3d", 0.0, 1.5),
    "sa3d_wxyz.mp4": ("erp", (0, 2, 3, 1), "sn3d", 0.0, 1.5),
    "stereo_first_foa_second.mp4": ("erp", (0, 1, 2, 3), "sn3d", 0.0, 1.5),
    "video_ends_early.mkv": ("erp", (0, 1, 2, 3), "sn3d", 0.007, 2.807),
}


def files(name: str) -> tuple[Path, Path]:
    """A video, and the file with its sound."""
    video = CASES / name
    beside = [path for path in CASES.glob(f"{video.stem}.*") if path.suffix in (".wav", ".flac", ".m4a")]
    return video, beside[0] if beside else video


@pytest.mark.parametrize("name", RIGHT)
def test_files_that_are_easily_misread(name: str) -> None:
    video, sound = files(name)
    found = describe(video, sound)
    projection, channel_map, gains, begin, end = RIGHT[name]
    assert found.projection == projection
    assert found.projection_evidence
    assert (found.layout.channel_map, found.layout.gains) == (channel_map, gains)
    assert (found.begin, found.end) == pytest.approx((begin, end), abs=1e-6)
    scene = MediaReader(found).scene((begin + end) / 2, end - begin)
    arrival = arrivals(*directions_of_arrival(scene, 24000))
    assert arrival.azimuth is not None
    assert arrival.elevation is not None
    assert (degrees(arrival.azimuth), degrees(arrival.elevation)) == pytest.approx(DIRECTION, abs=MAX_CODING_ERROR)


@pytest.mark.parametrize("name", [name for name, (projection, *_) in RIGHT.items() if projection])
def test_the_index_stores_the_description(name: str) -> None:
    video, sound = files(name)
    inspection = inspect(video, sound)
    row = inspected_row("clip", inspection)
    stored = description_of(row, video, sound)
    geometry = replace(inspection.description.geometry, projection=None, stereo=None)  # not needed for reading
    assert stored == replace(inspection.description, geometry=geometry)


@pytest.mark.parametrize("name", ["late_video.mp4", "video_ends_early.mkv", "no_length.mp4"])
def test_rows_without_tracks_are_completed_from_the_files(name: str) -> None:
    """As in tables from other tools, which have only the channel map and the projection."""
    video, sound = files(name)
    row = inspected_row("clip", inspect(video, sound))
    row |= {"video_stream": None, "sound_stream": None}
    whole, completed = describe(video, sound), description_of(row, video, sound)
    assert (completed.video, completed.sound) == (whole.video, whole.sound)
    row["channel_map"] = [0, 1, 2, 3]
    with pytest.raises(UserError, match="no such file"):
        description_of(row, video, sound.with_name("missing.wav"))


def test_passed_over_tracks_are_named() -> None:
    video, sound = files("stereo_first_foa_second.mp4")
    found = describe(video, sound)
    (note,) = found.notes
    assert note == f"{video}: audio track 1 (aac, 2 channels) is passed over for track 2 (aac, 4 channels)"
    assert found.sound is not None
    assert found.sound.stream == 2


def test_display_matrix_turns_the_picture() -> None:
    found = describe(*files("rotated180.mp4"))
    assert found.video is not None
    assert found.video.turns == 2
    reader = MediaReader(found)
    upright = MediaReader(replace(found, video=replace(found.video, turns=0)))
    assert reader.frames(0.5, 2).equal(upright.frames(0.5, 2).flip(1, 2))


def test_bars_are_named() -> None:
    found = describe(*files("flat_pillarboxed.mp4"))
    assert "bars of one colour at the left and right (12% and 11% of it)" in found.projection_evidence


def test_overrides_come_first() -> None:
    video, sound = files("bformat_guid.mp4")
    found = describe(video, sound, Overrides((3, 2, 1, 0), "sn3d", "flat"))
    assert (found.projection, found.projection_evidence) == (None, "--projection flat")
    assert (found.layout.channel_map, found.layout.gains) == ((3, 2, 1, 0), "sn3d")


def test_wanted_tracks_only() -> None:
    video, _ = files("sa3d_wxyz.mp4")
    assert describe(video, None).sound is None
    assert describe(None, video).video is None
    assert describe(files("bformat_guid.mp4")[0], files("bformat_guid.mp4")[0]).sound is None


def test_tracks_of_two_files_share_their_timestamps() -> None:
    video = VideoTrack(Path("a.mp4"), 0, 10.0, 25.0, 64, 32, start=3.0)
    sound = SoundTrack(Path("a.wav"), 0, 12.0, 24000, 4, "pcm_s16le", "", start=1.0)
    together = synchronised(Description(video=video, sound=sound))
    assert together.video is not None
    assert together.sound is not None
    assert (together.video.zero, together.sound.zero) == (1.0, 1.0)
    assert (together.begin, together.end) == (2.0, 12.0)
    assert together.notes == ()


def test_timestamps_of_a_longer_recording_do_not_apply_to_the_other_file() -> None:
    """An excerpt that kept them, beside one that did not: each is read from its own start, and a line says so."""
    video = VideoTrack(Path("a.mp4"), 0, 10.0, 25.0, 64, 32, start=80.0)
    sound = SoundTrack(Path("a.wav"), 0, 10.0, 24000, 4, "pcm_s16le", "", start=0.0)
    apart = synchronised(Description(video=video, sound=sound))
    assert (apart.begin, apart.end) == (0.0, 10.0)
    assert "timestamps start at 80.00 s, and at 0.00 s in a.wav" in apart.notes[0]
    in_one_file = synchronised(Description(video=video, sound=replace(sound, path=video.path)))
    assert (in_one_file.begin, in_one_file.end) == (80.0, 10.0)  # prepare refuses it


def test_missing_and_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("missing.mp4", "pipe.mp4"):
        with pytest.raises(UserError, match=rf"{name}: no such file"):
            describe(tmp_path / name, tmp_path / name)


@pytest.mark.parametrize("name", ["a:b.mp4", "http:x.mp4", "concat:a.mp4", "%03d.mp4", "-.mp4"])
def test_names_that_look_like_urls(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((CASES / "sa3d_wxyz.mp4").read_bytes())
    assert describe(path, path).layout.channel_map == (0, 2, 3, 1)


def test_two_videos_of_one_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "GS010001.360"
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    with pytest.raises(ClipError, match=r"two video tracks of 64×32 pixels.*GoPro \.360") as refusal:
        describe(path, path)
    assert refusal.value.state == "refused"
