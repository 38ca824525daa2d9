"""The embedded default: procedural scenes, built once on this machine."""

import fcntl
import shutil
from pathlib import Path

from avsa_fast.cache import cache_folder
from avsa_fast.errors import UserError
from avsa_fast.progress import show_progress
from avsa_fast.scenes.build import build_scenes

VERSION = 1  # to be raised whenever the same seed gives other scenes
COUNT, SECONDS, SEED = 120, 5, 0


def embedded_default() -> Path:
    """The folder of the embedded default's dataset, in the cache; built where it is missing.

    Safe against a kill and against other processes: the folder appears whole, and one process builds while others wait.
    Raises UserError where the cache cannot be written.
    """
    cache = cache_folder()
    folder = cache / f"scenes-v{VERSION}-{COUNT}x{SECONDS}s-seed{SEED}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the kernel when the process ends, however it ends
            if not folder.is_dir():
                for remains in cache.glob(f".{folder.name}.*.part"):  # of a build that was killed
                    shutil.rmtree(remains)
                with show_progress("Rendering the embedded default's scenes") as progress:
                    build_scenes(folder, count=COUNT, seconds=SECONDS, seed=SEED, progress=progress)
    except OSError as error:
        raise UserError(f"{cache}: cannot be written: {error}; AVSA_CACHE names another folder") from error
    return folder
