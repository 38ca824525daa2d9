from helpers.untrained import config, run, scenes

__all__ = ["config", "run", "scenes"]
