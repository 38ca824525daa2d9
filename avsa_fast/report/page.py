"""Renders a self-contained HTML file, with styles, scripts and libraries inlined."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import avsa_fast
from avsa_fast.files import write_text

HERE = Path(__file__).parent
LIBRARIES = {"Pannellum 2.5.7": "pannellum", "Omnitone 1.3.0": "omnitone", "plotly.js 4.1.1 (basic)": "plotly"}
SCRIPTS = ("media.js", "sound.js", "look.js", "charts.js", "clips.js")


def render(template: str, **content: Any) -> str:
    """Renders a page.

    Args:
        template: Name of a template in the folder "page".
        content: Variables of the template; HTML in them is escaped.

    Returns:
        The HTML page.
    """
    environment = Environment(
        loader=PackageLoader("avsa_fast.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    libraries = [HERE / "vendor" / folder for folder in LIBRARIES.values()]
    return environment.get_template(template).render(
        version=avsa_fast.__version__,
        styles=_joined([*_files(libraries, "*.css"), HERE / "page" / "page.css"]),
        scripts=_joined([*_files(libraries, "*.js"), *(HERE / "page" / name for name in SCRIPTS)]),
        licences={name: _read(HERE / "vendor" / folder / "LICENSE") for name, folder in LIBRARIES.items()},
        **content,
    )


def write_page(path: Path, html: str) -> None:
    """Writes a page, replacing the file atomically.

    Args:
        path: File to write.
        html: The page.
    """
    write_text(path, html)


def _files(folders: list[Path], pattern: str) -> list[Path]:
    """Files of some folders that match a pattern, sorted within each folder."""
    return [file for folder in folders for file in sorted(folder.glob(pattern))]


def _joined(files: list[Path]) -> Markup:
    """Concatenates files of this package, which are trusted and not escaped."""
    return Markup("\n".join(_read(file) for file in files))


def _read(path: Path) -> str:
    """Text of a file."""
    return path.read_text(encoding="utf-8")
