"""Figures at the size of a journal's column: what a page prints, with the caption beside it and no title above.

A figure is laid out with the text size of the screen on a canvas so wide that, scaled to the column, its text has the
size that the journal asks for; lines and marks shrink alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from iclviz.figures import theme
from iclviz.figures.arranging import arrange

PX_PER_MM, PX_PER_PT = 96 / 25.4, 96 / 72


@dataclass(frozen=True)
class Column:
    """A width of a printed page and the size of its text."""

    width_mm: float
    text_pt: float

    @property
    def scale(self) -> float:
        """Printed px for each px of the canvas."""
        return self.text_pt * PX_PER_PT / theme.TEXT_SIZE

    @property
    def canvas(self) -> int:
        """The width of the canvas."""
        return round(self.width_mm * PX_PER_MM / self.scale)


COLUMNS: Mapping[str, Column] = {"single column": Column(89, 7), "double column": Column(183, 7)}
"""Widths and largest text of Nature's figure guide, which also asks for Helvetica or Arial, for text that stays text,
for no more than 170 mm of height, and for no lines in the background:
https://research-figure-guide.nature.com/figures/building-and-exporting-figure-panels"""

FONT = 'Helvetica, Arial, "Liberation Sans", "Nimbus Sans", sans-serif'


def fitted(figure: go.Figure, column: Column) -> go.Figure:
    """A copy of the figure on the column's canvas; its printed size is that of its layout times `column.scale`."""
    copy = theme.apply(figure, "light")
    copy.update_layout(font={"family": FONT}, width=column.canvas, sliders=(), updatemenus=())
    copy.update_xaxes(showgrid=False)
    copy.update_yaxes(showgrid=False)
    arrange(copy, column.canvas)
    return copy
