"""Preparation of a folder of 360° videos as a dataset folder."""

from avsa_fast.prepare.options import Options
from avsa_fast.prepare.run import prepare, prepare_folder, prepare_for_crops

__all__ = ["Options", "prepare", "prepare_folder", "prepare_for_crops"]
