"""The embedded default dataset: procedural scenes, built once and cached."""

from pathlib import Path

from avsa_fast.cache import cache_folder
from avsa_fast.data.clips import media_names
from avsa_fast.data.tables import DETECTIONS, INDEX, read_columns
from avsa_fast.errors import UserError
from avsa_fast.locks import STATE, owner_lock
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes
from avsa_fast.terminal import notice
from avsa_fast.writing import WriteError

VERSION = 1  # increment when the same seed gives different scenes
COUNT, SECONDS, SEED = 120, 5, 0


def embedded_default() -> Path:
    """Returns the cached folder of the embedded default dataset, and builds it if it is missing.

    The folder is created atomically, so that a killed build leaves no partial dataset; one process builds while
    others wait.

    Raises:
        UserError: What is in the cache is damaged.
        WriteError: The cache cannot be written.
    """
    cache = cache_folder()
    folder = cache / f"scenes-v{VERSION}-{COUNT}x{SECONDS}s-seed{SEED}"
    if folder.is_dir():
        _check(folder)
        return folder
    try:
        # Not the lock that build_scenes takes, which refuses a second build instead of waiting for the first.
        with owner_lock(cache / STATE / f"{folder.name}.cache.owner", folder, waiting=notice):
            if not folder.is_dir():
                with show_progress("Rendering the embedded default's scenes") as progress:
                    build_scenes(folder, count=COUNT, seconds=SECONDS, seed=SEED, progress=progress)
    except WriteError as error:
        raise WriteError(f"{error}; or set AVSA_CACHE to another folder") from error
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
