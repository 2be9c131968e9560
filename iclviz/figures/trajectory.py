"""Answer trajectory: what the model would answer at each of its layers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.trajectory import ByOutcome, ItemTrajectory, LayerMeans, OverCandidates
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

TITLES = {
    "answer": "Log-probability of the right answer (nats)",
    "margin": "Margin of the right answer (nats)",
    "rank": "Rank of the right answer (1 = first)",
    "entropy": "Entropy (nats)",
    "kl": "Divergence from the output (nats)",
}
_READ = (
    "Each layer's states at the last prompt token are read by the model's own final norm and unembedding, as if the "
    "model ended there (logit lens); the last layer is its output. Log-probabilities are of the first token that tells "
    "an answer from the others; answers that no such token tells have no value. A layer that was never trained to be "
    "read so can hold an answer in another form."
)
_COLUMNS = ["low", "high", "items"]
_PADDING = 0.05
"""Share of the values' span that stays free above and below them."""


def _lines(
    mean: Array, low: Array, high: Array, n: Array, label: str, colour: str, symbol: str = ""
) -> list[go.Scatter]:
    """The band of an interval and the line of means over layers."""
    x = np.arange(len(mean))
    edge = {
        "x": x,
        "mode": "lines",
        "line": {"width": 0},
        "legendgroup": label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    line = go.Scatter(
        x=x,
        y=mean,
        name=label,
        legendgroup=label,
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH, "dash": theme.dash(label)},
        marker={"size": theme.MARKER_SIZE, "symbol": symbol or theme.mark(label)},
        customdata=np.column_stack([low, high, n]),
        meta={"columns": _COLUMNS},
        hovertemplate="%{y:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), "
        "%{customdata[2]} items",
    )
    band = go.Scatter(y=high, fill="tonexty", fillcolor=theme.translucent(colour), **edge)
    return [go.Scatter(y=low, **edge), band, line]


def _of(result: LayerMeans, label: str, colour: str, symbol: str = "") -> list[go.Scatter]:
    return _lines(result.mean, result.low, result.high, result.n, label, colour, symbol)


def _categories(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The colour and the mark of each candidate, in order."""
    yield from (look for _, look in zip(names, cycle(zip(theme.CATEGORIES, theme.SYMBOLS, strict=True)), strict=False))


def _axes(figure: go.Figure, quantity: str, title: str = "") -> str:
    """Axes that show layers from 1 on, and a sentence where layer 0 lies outside of them.

    Layer 0 is the last prompt token's own embedding: read as an answer it can be so far from all other layers that
    nothing else would be seen.
    """
    layers.layer_axis(figure)
    figure.update_yaxes(title=title or TITLES[quantity], type="log" if quantity == "rank" else "linear")
    lines = [np.asarray(line.y, dtype=float) for line in figure.data]
    later = np.array([value for line in lines for value in line[1:] if np.isfinite(value)])
    first = np.array([line[0] for line in lines if np.isfinite(line[0])])
    if quantity == "rank" or not len(later) or not len(first):
        return ""
    low, high = later.min(), later.max()
    span = high - low
    if low - span <= first.min() and first.max() <= high + span:
        return ""
    figure.update_yaxes(range=[low - _PADDING * span, high + _PADDING * span])
    return " Layer 0 lies outside of the frame: the last prompt token's own embedding is far from any answer."


def _plain(quantity: str) -> str:
    """A quantity's title without its unit."""
    return TITLES[quantity].partition(" (")[0]


def _groups(results: Sequence[LayerMeans]) -> str:
    groups = wording.each(
        {str(place): one for place, one in enumerate(results)}, lambda one: wording.groups(one.n_units)
    )
    return f" Bands are 95 % intervals from resampling {groups}."


@named("trajectory-by-layer")
def trajectory_by_layer(conditions: Mapping[str, LayerMeans], *, demonstrations: str = "") -> go.Figure:
    """A quantity of the answer trajectory, its mean over items at each layer.

    Parameters
    ----------
    conditions: label of the condition -> its means, A first; all of one quantity.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    quantity = next(iter(conditions.values())).quantity
    figure = go.Figure()
    for label, result, colour in theme.coloured(conditions):
        figure.add_traces(_of(result, label, colour))
    outside = _axes(figure, quantity)
    caption = (
        f"{TITLES[quantity]} by layer, if the model ended there, as the mean over items with 95 % intervals. The last "
        f"layer is the model's output; whether conditions differ, “B minus A” tells."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, f"{_plain(quantity)} by layer", "Mean over items, 95 % interval", caption,
        details=_READ + outside + _groups(list(conditions.values())), hovermode="x unified", showlegend=True,
    )  # fmt: skip


@named("trajectory-right-wrong")
def trajectory_right_wrong(
    conditions: Mapping[str, ByOutcome], *, score: str = "", demonstrations: str = ""
) -> go.Figure:
    """A quantity of the answer trajectory over right items less that over wrong ones, at each layer.

    Parameters
    ----------
    conditions: label of the condition -> right against wrong, A first; all of one quantity.
    score: the title of the score that says which items are right.
    demonstrations: what the statement is limited to.
    """
    quantity = next(iter(conditions.values())).right.quantity
    figure = go.Figure()
    for label, result, colour in theme.coloured(conditions):
        n = np.full(len(result.difference), result.n_right + result.n_wrong)
        figure.add_traces(_lines(result.difference, result.low, result.high, n, label, colour))
    layers.layer_axis(figure)
    unit = "ranks" if quantity == "rank" else "nats"
    figure.update_yaxes(title=f"Right − wrong ({unit})", zeroline=True)
    counts = wording.each(conditions, lambda one: f"{one.n_right} right and {one.n_wrong} wrong items")
    caption = (
        f"{TITLES[quantity]} of items that the model gets right less that of items that it gets wrong, by layer, with "
        f"95 % intervals ({counts}). Bands are for each layer alone and are no test: right and "
        "wrong are told by the model's own output."
        f"{wording.sentence(demonstrations)}"
    )
    by = f" Right and wrong are told by {wording.inner(score)}." if score else ""
    return theme.finish(
        figure, f"{_plain(quantity)}: right against wrong items by layer", f"{counts}; 95 % interval", caption,
        details=_READ + by + _groups([one.right for one in conditions.values()]), hovermode="x unified",
        showlegend=True,
    )  # fmt: skip


@named("trajectory-over-candidates")
def trajectory_over_candidates(result: OverCandidates, *, condition: str, demonstrations: str = "") -> go.Figure:
    """The mean log-probability of each candidate answer at each layer.

    Parameters
    ----------
    result: means by candidate; condition: its label.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    names = list(result.candidates)
    for means, text, look in zip(result.candidates.values(), _shown(names), _categories(names), strict=True):
        figure.add_traces(_of(means, text, *look))
    outside = _axes(figure, "answer", "Log-probability (nats)")
    caption = (
        f"Log-probability of each candidate answer by layer in {condition}, if the model ended there, as the mean over "
        "items with 95 % intervals. Lines may rise together by the answer's form and part by the choice."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, "Candidate answers by layer", condition, caption,
        details=_READ + outside + _groups(list(result.candidates.values())), hovermode="x unified", showlegend=True,
    )  # fmt: skip


@named("trajectory-of-item")
def trajectory_of_item(result: ItemTrajectory, *, condition: str, demonstrations: str = "") -> go.Figure:
    """The log-probability of each candidate answer of one item at each layer.

    Parameters
    ----------
    result: the item's layers; condition: the label of its condition.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    x = np.arange(len(result.entropy))
    beside = np.column_stack([result.rank, result.entropy, result.kl])
    names = _numbered(result.tokens)
    for place, (name, (colour, symbol)) in enumerate(zip(names, _categories(names), strict=True)):
        figure.add_scatter(
            x=x,
            y=result.logprobs[:, place],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": theme.LINE_WIDTH, "dash": "dot" if place else "solid"},
            marker={"size": theme.MARKER_SIZE, "symbol": symbol},
            customdata=beside,
            meta={"columns": ["rank of the right answer", "entropy", "divergence from the output"]},
            hovertemplate="%{y:.3~g}, rank of the right answer %{customdata[0]:.0f}",
        )
    outside = _axes(figure, "answer", "Log-probability (nats)")
    caption = (
        f"Log-probability of each candidate answer to {result.item_id} by layer in {condition}, if the model ended "
        f"there. The right answer's line is unbroken; one item shows no regularity.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, "One item's answers by layer", condition, caption, details=_READ + outside, hovermode="x unified",
        showlegend=True,
    )  # fmt: skip


def _numbered(tokens: Sequence[str]) -> list[str]:
    """Candidates' tokens, each told from others that look alike."""
    texts = _shown(tokens)
    return [text if texts.count(text) == 1 else f"{text} ({place})" for place, text in enumerate(texts, start=1)]


def _shown(texts: Sequence[str]) -> list[str]:
    """Texts without the blanks around them; where these are what tells two apart, in quotation marks with them."""
    plain = [text.strip() for text in texts]
    return plain if all(plain) and len(set(plain)) == len(set(texts)) else [f"“{text}”" for text in texts]
