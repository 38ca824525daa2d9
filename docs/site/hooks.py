"""Hooks of mkdocs: charts of benchmarks/results, example files, and links that lead out of docs/."""

import html
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHARTS, EXAMPLE = "<!-- charts -->", r"<!-- (examples/\w+\.py) -->"
WIDTH, BAR, GAP, LEFT = 640, 18, 7, 150  # pixels of a chart


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replaces markers by charts and example files, and links that lead out of docs/ by their text."""
    markdown = re.sub(EXAMPLE, lambda match: f"```python\n{(ROOT / match[1]).read_text(encoding='utf-8')}```", markdown)
    if CHARTS in markdown:
        markdown = markdown.replace(CHARTS, charts(ROOT / "benchmarks" / "results"))
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?:\.\./)+[^)]*\)", r"`\1`", markdown)


def charts(folder: Path) -> str:
    """One section per file of results, one chart per case: medians of the kernel and its peers in milliseconds."""
    sections = []
    for file in sorted(folder.glob("*.json")):
        results = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(results, dict) or "median_seconds" not in results:
            continue  # other results are in tables of other pages
        head = f"{results['cpu']}, {results['cores']} cores, {results['date'][:10]}, commit {results['commit'][:7]}"
        sections.append(f"## {file.stem}\n\n*{html.escape(head)}*\n")
        sections += [f"**{html.escape(case)}**\n\n{bars(times)}\n" for case, times in results["median_seconds"].items()]
    return "\n".join(sections)


def bars(seconds: dict[str, float]) -> str:
    """Horizontal bars as SVG, fastest first; the kernel's in the accent colour of the theme."""
    rows = sorted(seconds.items(), key=lambda row: row[1])
    longest = rows[-1][1]
    height = len(rows) * (BAR + GAP)
    drawn = []
    for number, (name, value) in enumerate(rows):
        y, length = number * (BAR + GAP), max(2.0, value / longest * (WIDTH - LEFT - 90))
        fill = "var(--md-accent-fg-color)" if name == "kernel" else "var(--md-default-fg-color--light)"
        drawn.append(
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3" fill="{fill}"/>'
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}">{value * 1e3:.3g} ms</text>'
        )
    label = "; ".join(f"{name} {value * 1e3:.3g} ms" for name, value in rows)
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {WIDTH} {height}" width="100%" '
        f'style="max-width:{WIDTH}px;font-size:13px;fill:currentColor">{"".join(drawn)}</svg>'
    )
