"""What the order of demonstrations does alone: the mean outcome of each order, beside other sets of demonstrations."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.order_shares import Components, OrderShare
from iclviz.figures import theme, wording
from iclviz.figures.effect_maps import OUTCOMES
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.recording import Array

AS_DRAWN, OTHERS, MEAN = "as drawn", "other orders", "mean of the set"
SET = "Set of demonstrations"
RUN = "this run"


@named("order-share")
def order_share(
    conditions: Mapping[str, OrderShare], *, blind: str, name: str = "order-share", demonstrations: str = ""
) -> go.Figure:
    """The mean outcome under each order of each set of demonstrations, conditions below each other on one scale.

    Parameters
    ----------
    conditions: label -> what order does, A first.
    blind: what the map cannot show; name: what its files are called.
    demonstrations: what the statement is limited to.
    """
    titles = [f"{label}: {_panel(found)}" for label, found in conditions.items()]
    figure = make_subplots(len(titles), 1, subplot_titles=titles, vertical_spacing=0.36 / len(titles))
    for row, (label, found, colour) in enumerate(theme.coloured(conditions), start=1):
        for trace in _points(found, label, colour):
            figure.add_trace(trace.update(showlegend=row == 1), row=row, col=1)
        figure.add_hline(
            y=found.base, line={"color": theme.CHANCE, "width": theme.THIN, "dash": "dash"}, annotation_text=RUN,
            annotation_position="bottom right", annotation_font_color=theme.CHANCE, row=row, col=1,
        )  # fmt: skip
    first = next(iter(conditions.values()))
    figure.update_xaxes(title=SET, showgrid=False, dtick=1, matches="x")
    figure.update_yaxes(title=OUTCOMES[first.outcome], matches="y")
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    caption = (
        f"Means over {units} under each order of each set of demonstrations: order matters as far as the points of a "
        f"set lie apart, and which demonstrations are shown as far as sets do; {wording.each(conditions, _shares)}. "
        f"{blind}{wording.sentence(demonstrations)}"
    )
    details = (
        "Order's share is the variance between orders of a set over that and the variance between sets, averaged over "
        "items before: the mean squared difference between two orders of one set over that between two sets. The "
        "interval over items is Fieller's over groups; that for other sets and orders rests on the F distribution."
    )
    theme.finish(
        figure, "Order of demonstrations: how much it does alone", "Mean outcome of each order, by set", caption,
        details=details, showlegend=True, height=260 * len(titles) + 120,
    )  # fmt: skip
    figure.update_annotations(selector={"text": RUN}, font_size=theme.TEXT_SIZE)  # no panel's title
    figure.layout.meta = {**figure.layout.meta, "name": name}
    return figure


def _points(found: OrderShare, label: str, colour: str) -> list[go.Scatter]:
    """The orders of each set, as drawn and others, and the mean of the set."""
    as_drawn = np.array(found.orders) == 1
    looks = {"color": colour, "size": theme.MARKER_SIZE}
    open_, line = f"{theme.mark(label)}-open", {"color": colour, "width": 2}
    return [
        _of_orders(found, ~as_drawn, label, OTHERS, {**looks, "symbol": open_, "line": line}),
        _of_orders(found, as_drawn, label, AS_DRAWN, {**looks, "symbol": theme.mark(label)}),
        go.Scatter(
            x=list(found.sets),
            y=found.means.mean(axis=1),
            name=MEAN,
            legendgroup=MEAN,
            mode="markers",
            marker={"symbol": "line-ew", "size": 34, "line": {"color": colour, "width": 2}},
            meta={"columns": [], "panel": label},
            hovertemplate=f"set %{{x}}, mean of its orders: %{{y:.3~g}}<extra>{in_pattern(label)}</extra>",
        ),
    ]


def _of_orders(found: OrderShare, which: Array, label: str, series: str, marker: Mapping[str, object]) -> go.Scatter:
    """The points of some of the orders under every set."""
    sets, orders = np.meshgrid(found.sets, np.array(found.orders)[which], indexing="ij")
    right = found.right[:, which].ravel()
    said = ", right answer preferred %{customdata[1]:.0%}" if np.isfinite(right).all() else ""
    return go.Scatter(
        x=sets.ravel(),
        y=found.means[:, which].ravel(),
        name=series,
        legendgroup=series,
        mode="markers",
        marker=dict(marker),
        customdata=np.column_stack([orders.ravel(), right]),
        meta={"columns": ["order", "right"], "panel": label},
        hovertemplate=f"set %{{x}}, order %{{customdata[0]}}: %{{y:.3~g}}{said}<extra>{in_pattern(label)}</extra>",
    )


def _panel(found: OrderShare) -> str:
    if np.isnan(found.of_items.share):
        return str(found.reason)
    over = "" if np.isnan(found.low) else f" ({_percent(found.low)} to {_percent(found.high)} over items)"
    return f"order’s share {_percent(found.of_items.share)}{over}"


def _shares(found: OrderShare) -> str:
    """Order's share of an item's outcome and of the mean outcome, for other sets and orders too."""
    if np.isnan(found.of_items.share):
        return f"no share: {found.reason}"
    mean = "" if np.isnan(found.of_mean.share) else f", of the mean’s {_of_draws(found.of_mean)}"
    return f"order’s share of an item’s variance is {_of_draws(found.of_items)}{mean}"


def _of_draws(found: Components) -> str:
    return f"{_percent(found.share)} ({_percent(found.low)} to {_percent(found.high)} for other sets and orders)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
