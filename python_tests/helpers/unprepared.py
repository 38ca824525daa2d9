"""Dataset folders as they are before prepare: only media."""

from pathlib import Path


def link_media(dataset: Path, folder: Path) -> Path:
    """Creates a folder with links to a dataset's video/ and audio/, and to its truth.parquet if it exists."""
    folder.mkdir()
    for name in ("video", "audio", "truth.parquet"):
        if (dataset / name).exists():
            (folder / name).symlink_to(dataset / name)
    return folder
