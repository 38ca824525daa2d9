"""Preparation of a folder of 360° videos as a dataset folder."""

from avsa_fast.prepare.options import PrepareOptions
from avsa_fast.prepare.run import prepare, prepare_folder, prepare_for_crops

__all__ = ["PrepareOptions", "prepare", "prepare_folder", "prepare_for_crops"]
