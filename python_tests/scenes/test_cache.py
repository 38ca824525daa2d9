import shutil
import threading

import pytest

from avsa_fast.data.tables import INDEX, read_table, write_table
from avsa_fast.errors import UserError
from avsa_fast.locks import STATE
from avsa_fast.scenes import cache


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "COUNT", 1)
    monkeypatch.setattr(cache, "SECONDS", 1)
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "cache"))


def test_concurrent_requests_build_once(tmp_path, monkeypatch):
    builds = []
    build = cache.build_scenes
    monkeypatch.setattr(cache, "build_scenes", lambda *args, **kwargs: (builds.append(1), build(*args, **kwargs)))
    folders = []
    threads = [threading.Thread(target=lambda: folders.append(cache.embedded_default())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.embedded_default() == folders[0]
    assert len(set(folders)) == 1
    assert len(builds) == 1
    assert (folders[0] / "train.txt").is_file()
    assert folders[0].parent == tmp_path / "cache"


def test_remains_of_a_killed_build_are_removed(tmp_path):
    name = f"scenes-v{cache.VERSION}-1x1s-seed0"
    remains = tmp_path / "cache" / STATE / "0123456789abcdef" / name / "video"
    remains.mkdir(parents=True)
    (tmp_path / "cache" / STATE / "0123456789abcdef.lock").touch()
    assert cache.embedded_default().name == name
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [name]


def test_unwritable_cache_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AVSA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="AVSA_CACHE"):
        cache.embedded_default()


@pytest.mark.parametrize("damage", ["table", "clip", "row"])
def test_damaged_scenes_are_reported_with_the_cure(damage):
    folder = cache.embedded_default()
    if damage == "clip":
        next((folder / "video").iterdir()).unlink()
    elif damage == "table":
        (folder / "detections.parquet").write_bytes(b"PAR1")
    else:
        rows = read_table(folder / "index.parquet", INDEX)
        write_table(folder / "index.parquet", [row | {"seconds": -1.0} for row in rows], INDEX)
    with pytest.raises(UserError, match=f"the cached scenes are damaged: remove {folder}, and they are rendered again"):
        cache.embedded_default()
    shutil.rmtree(folder)
    assert cache.embedded_default() == folder
