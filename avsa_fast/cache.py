"""Location of the cache for generated and downloaded files that all runs share."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Returns the cache folder: the environment variable AVSA_CACHE, or ~/.cache/avsa_fast by default."""
    return Path(os.environ.get("AVSA_CACHE") or "~/.cache/avsa_fast").expanduser().absolute()
