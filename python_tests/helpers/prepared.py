"""Access to the results of prepare."""

from pathlib import Path

from avsa_fast.data.tables import INDEX, read_table


def rows(data: Path) -> dict[str, dict]:
    return {row["name"]: row for row in read_table(data / "index.parquet", INDEX)}
