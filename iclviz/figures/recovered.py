"""How much of a difference between demonstrations comes back when something is put in place."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.recovered import Recovered
from iclviz.analysis.wording import capital
from iclviz.figures import theme, wording
from iclviz.figures.bands import banded_line
from iclviz.figures.effect_maps import OUTCOMES
from iclviz.figures.registry import named

SHARE = "Share that comes back (%)"
_SEEN = 1.6
"""Shares beyond this many times the whole lie outside of the frame, unless estimates do."""


@named("recovered-share")
def recovered_share(
    conditions: Mapping[str, Recovered],
    *,
    title: str,
    done: str,
    blind: str,
    names: Mapping[str, str] | None = None,
    name: str = "recovered-share",
    demonstrations: str = "",
) -> go.Figure:
    """The share of a difference that comes back at each site, a line for each value of the first axis.

    Parameters
    ----------
    conditions: label -> its shares, A first.
    title: the map's title; done: what was done at each site, as a clause; blind: what the map cannot show.
    names: value of the first axis -> what it is called.
    name: what its files are called.
    demonstrations: what the statement is limited to.
    """
    titles = [f"{label}: {_difference(one)}" for label, one in conditions.items()]
    figure = make_subplots(len(titles), 1, subplot_titles=titles, vertical_spacing=0.36 / len(titles))
    for row, (label, found) in enumerate(conditions.items(), start=1):
        for place, value in enumerate(found.first):
            shown = found.line_of(value, names or {})
            for trace in banded_line(
                found,
                place,
                found.second,
                shown,
                (theme.SERIES[place % len(theme.SERIES)], theme.SYMBOLS[place % len(theme.SYMBOLS)]),
                panel=label,
                unit=" %",
                times=100,
                control=found.control[place],
                control_name="at random",
                alpha=0.16,
            ):
                trace.update(showlegend=trace.mode == "lines+markers" and row == 1, legendgroup=shown)
                figure.add_trace(trace, row=row, col=1)
        figure.add_hline(y=100, line={"color": theme.CHANCE, "width": theme.THIN, "dash": "dash"}, row=row, col=1)
    first = next(iter(conditions.values()))
    figure.update_xaxes(title=capital(first.axes[1]), showgrid=False, tickformat="d", matches="x")
    figure.update_yaxes(title=SHARE, zeroline=True, range=_range(list(conditions.values())))
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    caption = (
        f"Share of the difference between both runs that comes back when {done}: the mean effect over the mean "
        f"difference, of {units}; 100 % is all of it{_controls(conditions)}. {blind}"
        f"{wording.sentence(demonstrations)}"
    )
    details = (
        "Bands are 95 % intervals by Fieller's method over groups of items: they hold the doubt about the difference "
        "too. Where both runs cannot be told apart there is no share."
    )
    theme.finish(
        figure,
        title,
        OUTCOMES[first.outcome],
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
        height=300 * len(titles) + 120,
        legend_rows=len({str(value) for one in conditions.values() for value in one.first}) // 2,
    )
    figure.layout.meta = {**figure.layout.meta, "name": name}
    return figure


def _controls(conditions: Mapping[str, Recovered]) -> str:
    there = any(np.isfinite(one.control).any() for one in conditions.values())
    return ", thin broken lines are random directions as long" if there else ""


def _difference(found: Recovered) -> str:
    if found.reason:
        return found.reason
    return f"{found.gain:+.3g} nats to bring back ({found.gain_low:+.3g} to {found.gain_high:+.3g})"


def _range(conditions: list[Recovered]) -> list[float]:
    known = np.concatenate([one.estimate[np.isfinite(one.estimate)] for one in conditions])
    low, high = float(known.min(initial=0.0)), float(known.max(initial=1.0))
    bounds = np.concatenate([side[np.isfinite(side)] for one in conditions for side in (one.low, one.high)])
    low = min(low, max(float(bounds.min(initial=0.0)), -_SEEN))
    high = max(high, min(float(bounds.max(initial=1.0)), _SEEN))
    room = 0.05 * (high - low)
    return [100 * (low - room), 100 * (high + room)]
