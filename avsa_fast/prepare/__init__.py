"""Makes the Parquet tables of a dataset folder."""

from avsa_fast.prepare.tables import prepare_folder

__all__ = ["prepare_folder"]
