"""The picture of the house: `python -m docs.building.house` draws the layers of `pyproject.toml` into
docs/images/architecture.svg, with the pages above them, in the colours of the processes in which they do their work.
"""

import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, ROW, BOX, GAP, MARGIN = 960, 44, 32, 10, 16
COLOURS = {
    "#dbeafe": ("app.py", "pages", "ui", "serving"),
    "#fde7c8": ("capture", "jobs"),
    "#dff3e3": ("analysis", "questions", "figures", "answers", "reporting", "primary"),
}
"""Colour -> modules: the page process; the worker; the analyst and exports. All others are shared."""

SHARED = "#eef0f3"
LEGEND = {"#dbeafe": "page process", "#fde7c8": "worker", "#dff3e3": "analyses and exports", SHARED: "used by all"}


def layers() -> list[list[str]]:
    """The rows from above, of the contract that gives every module its layer; the pages stand above all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(one["layers"] for one in contracts if one["type"] == "layers")
    return [["app.py", "pages"], *([name.strip() for name in row.replace(":", "|").split("|")] for row in rows)]


def picture() -> str:
    """The SVG."""
    rows = layers()
    height = 2 * MARGIN + (len(rows) + 1) * ROW
    drawn = [part for place, row in enumerate(rows) for part in _row(row, MARGIN + place * ROW)]
    legend = [
        part
        for place, (colour, words) in enumerate(LEGEND.items())
        for part in _box(words, MARGIN + place * 180, MARGIN + len(rows) * ROW + GAP, 170, colour)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
            "<title>The layers of iclviz: each uses those below it alone</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *drawn,
            *legend,
            "</svg>\n",
        ]
    )


def _row(names: list[str], top: int) -> list[str]:
    """A row's boxes, of one width."""
    width = (WIDTH - 2 * MARGIN - GAP * (len(names) - 1)) // len(names)
    boxes = [_box(name, MARGIN + place * (width + GAP), top, width, _colour(name)) for place, name in enumerate(names)]
    return [part for box in boxes for part in box]


def _box(words: str, left: int, top: int, width: int, colour: str) -> list[str]:
    middle = f'x="{left + width // 2}" y="{top + 21}"'
    return [
        f'<rect x="{left}" y="{top}" width="{width}" height="{BOX}" rx="4" fill="{colour}"/>',
        f'<text {middle} font-size="13" text-anchor="middle" fill="#1f2937">{escape(words)}</text>',
    ]


def _colour(name: str) -> str:
    return next((colour for colour, names in COLOURS.items() if name in names), SHARED)


if __name__ == "__main__":
    PICTURE.write_text(picture())
