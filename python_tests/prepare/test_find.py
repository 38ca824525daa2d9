"""Which files make a clip, and under what name."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avsa_fast.data.clip_names import MAX_BYTES, distinct_name, is_valid_name
from avsa_fast.data.media_folders import os as searched_os
from avsa_fast.errors import UserError
from avsa_fast.prepare.find import Job, Source
from avsa_fast.prepare.layouts import find_source

Touch = Callable[..., None]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def files(found: Source, root: Path) -> dict[str, tuple[str, ...]]:
    """Paths of the video, and of the sound if it is another file, by clip."""
    return {
        job.name: tuple(str(path.relative_to(root)) for path in dict.fromkeys((job.video, job.sound)) if path)
        for job in found.jobs.values()
    }


def lines(found: Source, root: Path) -> list[str]:
    return [line.replace(f"{root}/", "").removeprefix("passed over ") for line in found.passed.lines()]


def test_tree(tmp_path: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "src" / "dst"
    touch(src, "a.mp4", "a.FLAC", "b.MKV", "b.webm", "deep/er/a.mp4", "deep/er/a.wav", "deep/er/a.m4a", "alone.flac")
    touch(src, ".hidden.mp4", ".git/c.mp4", "dst/video/d.mp4", "notes.txt", "deep/e.mov", "f.avi")
    found = find_source(src, dst, transcode=False)
    assert list(found.jobs.values()) == [
        Job("a", src / "a.mp4", src / "a.FLAC"),
        Job("b", src / "b.webm", src / "b.webm"),
        Job("deep__e", src / "deep/e.mov", src / "deep/e.mov"),
        Job("deep__er__a", src / "deep/er/a.mp4", src / "deep/er/a.wav"),
    ]
    assert found.splits is None
    assert found.notes == []
    assert lines(found, src) == [
        "f.avi: a format that does not state when each frame is shown; convert it to mp4 or mkv",
        "b.MKV: another file of its name is used",
        "deep/er/a.m4a: another file of its name is used",
        "alone.flac: a sound without a video of its name beside it",
    ]


@pytest.mark.parametrize("sound", ["w64", "caf", "ogg", "aif", "wav", "W64", "oga", "aiff", "mka"])
@pytest.mark.parametrize("video", ["mp4", "mov", "m4v", "insv", "360", "MP4"])
def test_recorders_beside_a_camera(tmp_path: Path, video: str, sound: str) -> None:
    touch(tmp_path, f"take.{video}", f"take.{sound}")
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    assert files(found, tmp_path) == {"take": (f"take.{video}", f"take.{sound}")}


def test_pairs(tmp_path: Path) -> None:
    touch(tmp_path, "video/x-10.mp4", "audio/x-10.m4a", "video/y-20.mov", "audio/z-30.caf", "else.mp4", "video/w-1.mp4")
    touch(tmp_path, "video/day/v.mp4", "audio/x-10.wav", "audio/w-1.webm", "report.html", "video/u.wav", "video/t.avi")
    os.mkfifo(tmp_path / "video" / "pipe.mp4")
    video, audio = tmp_path / "video", tmp_path / "audio"
    found = find_source(tmp_path, tmp_path, transcode=False)
    assert list(found.jobs.values()) == [
        Job("w-1", video / "w-1.mp4", audio / "w-1.webm"),
        Job("x-10", video / "x-10.mp4", audio / "x-10.wav"),
        Job("y-20", video / "y-20.mov", None),
        Job("z-30", None, audio / "z-30.caf"),
    ]
    assert sorted(lines(found, tmp_path)) == [
        "audio/x-10.m4a: another file of its name is used",
        "else.mp4: not in video/ or audio/",
        "video/day/v.mp4: not in video/ or audio/",
        "video/pipe.mp4: not a regular file",
        "video/t.avi: a format that does not state when each frame is shown; convert it to mp4 or mkv",
        "video/u.wav: a sound in video/",
    ]


def test_pairs_that_are_links_to_one_folder(tmp_path: Path) -> None:
    """The sound inside each video is then used."""
    touch(tmp_path, "media/a.mp4", "media/b.mp4")
    for name in ("video", "audio"):
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / name).symlink_to(tmp_path / "media")
    found = find_source(tmp_path / "src", tmp_path / "dst", transcode=False)
    assert files(found, tmp_path / "src") == {name: (f"video/{name}.mp4", f"audio/{name}.mp4") for name in "ab"}
    assert found.passed.lines() == []


def test_names_that_cannot_be_kept(tmp_path: Path) -> None:
    long, cjk, latin = "L" * 245, "音" * 82, os.fsdecode(b"caf\xe9")
    nested = "/".join(f"a folder name of some fifty characters, number {number}" for number in range(1, 7))
    touch(tmp_path, f"{long}.mp4", f"{nested}/take 1.mp4", f"{cjk}.mp4", f"{latin}.mp4", "line\nbreak.mp4", "ok.mp4")
    touch(tmp_path, f"{cjk}.wav")
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    names = {job.video.name: name for name, job in found.jobs.items() if job.video}
    assert len(names) == 6
    assert all(map(is_valid_name, found.jobs))
    assert names["ok.mp4"] == "ok"
    assert names[f"{cjk}.mp4"] == distinct_name(cjk, f"{cjk}.mp4")
    assert names["take 1.mp4"].startswith("a folder name of some fifty characters, number 1__a folder")
    assert found.jobs[names[f"{cjk}.mp4"]].sound == tmp_path / f"{cjk}.wav"
    (note,) = found.notes
    assert note.startswith("5 clips have names of their own, the first is ")
    assert note.endswith(f"has at most {MAX_BYTES} bytes, and is not used twice")
    assert note.encode()
    assert find_source(tmp_path, tmp_path / "dst", transcode=False).jobs == found.jobs


def test_one_changed_name_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "tab\t.mp4", "b.mp4")
    (note,) = find_source(tmp_path, tmp_path / "dst", transcode=False).notes
    name = distinct_name("tab\t", "tab\t.mp4")
    assert note.startswith(f"a clip is named {name} for {tmp_path}/tab\ufffd.mp4: a name is UTF-8 ")


def test_paths_that_give_the_same_name(tmp_path: Path) -> None:
    touch(tmp_path, "a/b/same.mp4", "a__b__same.mp4", "a/b__same.mp4", "a/b/same.wav", "x.mp4", "x.MP4", "x.mkv")
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    assert files(found, tmp_path) == {
        "a__b__same": ("a__b__same.mp4",),
        distinct_name("a__b__same", "a/b__same.mp4"): ("a/b__same.mp4",),
        distinct_name("a__b__same", "a/b/same.mp4"): ("a/b/same.mp4", "a/b/same.wav"),
        "x": ("x.MP4",),
    }
    assert list(found.jobs) == sorted(found.jobs)
    assert lines(found, tmp_path) == [f"x.{suffix}: another file of its name is used" for suffix in ("mkv", "mp4")]
    assert found.notes[0].startswith("2 clips have names of their own")
    # A file that has the name already keeps it.
    taken = distinct_name("a__b__same", "a/b/same.mp4")
    touch(tmp_path, f"{taken}.mp4")
    again = files(find_source(tmp_path, tmp_path / "dst", transcode=False), tmp_path)
    assert again[taken] == (f"{taken}.mp4",)
    assert again[distinct_name(taken, "a/b/same.mp4")] == ("a/b/same.mp4", "a/b/same.wav")
    assert len(again) == 5


@pytest.mark.parametrize(
    ("names", "clips", "unused"),
    [
        ("Clip.mp4 Clip.flac clip.mp4 clip.flac", {"Clip": "Clip.flac", "clip": "clip.flac"}, []),
        ("Clip.mp4 clip.flac", {"Clip": "clip.flac"}, []),
        ("Clip.mp4 clip.flac Clip.wav", {"Clip": "Clip.wav"}, ["clip.flac"]),
        ("Clip.mp4 clip.mp4 CLIP.flac", {"Clip": "Clip.mp4", "clip": "clip.mp4"}, ["CLIP.flac"]),
        ("Clip.mp4 CLIP.flac clip.wav", {"Clip": "Clip.mp4"}, ["CLIP.flac", "clip.wav"]),
        ("Clip.mp4 clip.mp4 clip.flac", {"Clip": "Clip.mp4", "clip": "clip.flac"}, []),
        ("Clip.mp4 clip.mp4 clip.flac CLIP.flac", {"Clip": "CLIP.flac", "clip": "clip.flac"}, []),
    ],
)
def test_names_that_differ_in_case(tmp_path: Path, names: str, clips: dict[str, str], unused: list[str]) -> None:
    touch(tmp_path, *names.split())
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    assert {job.name: job.sound.name for job in found.jobs.values() if job.sound} == clips
    assert lines(found, tmp_path) == [f"{name}: a sound without a video of its name beside it" for name in unused]


def test_the_result_does_not_depend_on_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(
        tmp_path, "x.mp4", "x.MP4", "x.mkv", "X.wav", "x.WAV", "a/b.mp4", "a__b.mp4", "Clip.mp4", "clip.mp4", "clip.aif"
    )
    found = find_source(tmp_path, tmp_path / "dst", transcode=False)
    scandir = os.scandir

    class Shuffled:
        def __init__(self, folder: Path) -> None:
            self._entries = list(scandir(folder))
            random.shuffle(self._entries)

        def __enter__(self) -> Any:
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(searched_os, "scandir", Shuffled)
    for _ in range(5):
        again = find_source(tmp_path, tmp_path / "dst", transcode=False)
        assert list(again.jobs.items()) == list(found.jobs.items())
        assert again.passed.lines() == found.passed.lines()
        assert again.notes == found.notes


def test_linked_folders(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/in.mp4", "src/ok.mp4")
    (tmp_path / "src" / "day1").symlink_to(tmp_path / "elsewhere")
    found = find_source(tmp_path / "src", tmp_path / "dst", transcode=False)
    assert files(found, tmp_path / "src") == {"day1__in": ("day1/in.mp4",), "ok": ("ok.mp4",)}
    assert found.passed.lines() == found.notes == []


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find_source(tmp_path / "nowhere", tmp_path, transcode=False)
    with pytest.raises(UserError, match=r"no videos in it \(\.mp4, [^)]*\.360\)$"):
        find_source(tmp_path, tmp_path, transcode=False)
    touch(tmp_path, "a.ts")
    with pytest.raises(UserError, match=r"no videos in it .*; passed over .*/a\.ts: \.ts files are not read$"):
        find_source(tmp_path, tmp_path, transcode=False)
