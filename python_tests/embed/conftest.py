"""Fixtures for tests of embeddings."""

from helpers.described import described_in_this_process
from helpers.untrained import config, run, scenes

__all__ = ["config", "described_in_this_process", "run", "scenes"]
