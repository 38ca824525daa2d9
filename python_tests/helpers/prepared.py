"""Access to the results of prepare."""

from pathlib import Path
from typing import Any

from avsa_fast.data.tables import INDEX, read_table


def rows(data: Path) -> dict[str, dict[str, Any]]:
    """Reads index.parquet: rows by the name of the clip."""
    return {row["name"]: row for row in read_table(data / "index.parquet", INDEX)}
