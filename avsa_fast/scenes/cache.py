"""The embedded default dataset: procedural scenes, built once and cached."""

import fcntl
from pathlib import Path

from avsa_fast.cache import cache_folder
from avsa_fast.data.clips import media_names
from avsa_fast.data.tables import DETECTIONS, INDEX, read_columns
from avsa_fast.errors import UserError
from avsa_fast.files import remove_parts
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes

VERSION = 1  # increment when the same seed gives different scenes
COUNT, SECONDS, SEED = 120, 5, 0


def embedded_default() -> Path:
    """Returns the cached folder of the embedded default dataset, and builds it if it is missing.

    The folder is created atomically, so that a killed build leaves no partial dataset; one process builds while
    others wait.

    Raises:
        UserError: The cache cannot be written, or what is in it is damaged.
    """
    cache = cache_folder()
    folder = cache / f"scenes-v{VERSION}-{COUNT}x{SECONDS}s-seed{SEED}"
    if folder.is_dir():
        _check(folder)
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel when the process ends, even if it is killed
            if not folder.is_dir():
                remove_parts(cache, folder.name)
                with show_progress("Rendering the embedded default's scenes") as progress:
                    build_scenes(folder, count=COUNT, seconds=SECONDS, seed=SEED, progress=progress)
    except OSError as error:
        raise UserError(f"{cache}: cannot be written: {error}; set AVSA_CACHE to another folder") from error
    return folder


def _check(folder: Path) -> None:
    """Raises UserError, with the cure, if a cached dataset is not complete."""
    try:
        videos, sounds = media_names(folder)
        if (clips := len(videos.keys() & sounds.keys())) != COUNT:
            raise UserError(f"{folder}: {clips} of {COUNT} clips")
        for name, schema in (("index.parquet", INDEX), ("detections.parquet", DETECTIONS)):
            if (folder / name).exists():  # training makes those that are missing
                read_columns(folder / name, schema)
    except UserError as error:
        raise UserError(
            f"{error}; the cached scenes are damaged: remove {folder}, and they are rendered again"
        ) from error
