"""Where avsa_fast keeps what it makes or downloads once for all runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """AVSA_CACHE, else ~/.cache/avsa_fast."""
    return Path(os.environ.get("AVSA_CACHE") or "~/.cache/avsa_fast").expanduser().absolute()
