from helpers.runs import config, run, scenes

__all__ = ["config", "run", "scenes"]
