"""From a folder of anyone's 360° videos to a dataset folder."""

from avsa_fast.prepare.options import Options
from avsa_fast.prepare.run import prepare, prepare_folder

__all__ = ["Options", "prepare", "prepare_folder"]
