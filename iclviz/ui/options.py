"""Controls of an analysis that live in the link: the chosen score, hypothesis, label, pooling and the like."""

from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from iclviz.figures.wording import capital
from iclviz.reporting.statements import pooling_title
from iclviz.ui.choice import bound, keep_known
from iclviz.ui.plain import as_text

HELP = {
    "score": "What counts as doing well; the first is the task's main score, fixed before any result.",
    "hypothesis": "The matrix that says which items should be represented alike.",
    "against": "The hypothesis that the one chosen above is compared with.",
    "label": "What the probe tries to read from the embeddings.",
    "pooling": "Over which prompt tokens hidden states are pooled. The query is the item's own, the same text with and "
    "without demonstrations; over the whole prompt, a shared beginning makes all items alike.",
    "metric": "How two items' embeddings are compared; the mean over items is subtracted first.",
    "heads": "Mean: attention is averaged over heads before the ratio; strongest: the one head with the most on both.",
    "level": "Within groups: items made from one thing (a line, a document) are compared with each other; between "
    "groups: the groups' means are. A link at one level says nothing of the other.",
    "method": "How two matrices are correlated. Spearman for one hypothesis over layers; tau-a and rho-a to compare "
    "two hypotheses, since midranks favour ties.",
    "sorted": "How items stand on both axes: by a label, with lines between its values, or by clusters of A's items.",
    "colours": "The similarities, or their order as ranks or percentiles, which outliers do not squeeze.",
    "strength": "The L2 penalty. Chosen inside the training folds, unless you fix it to see how the result depends on "
    "it.",
    "dimensions": "Principal components of the training fold that the probe reads.",
    "measure": "What changed in the model.",
    "effect_of": "The effect within a condition, on one measure, layer by layer.",
    "equivalent": "The score of which to ask whether A and B are as good as equal.",
    "changed": "B minus A of one measure, layer by layer.",
    "section": "Further analyses, one at a time.",
    "over": "Text in this role stands above the fraction line.",
    "under": "Text in this role stands below the fraction line.",
    "per": "Attention to a token of the role on average, or to all its text together.",
    "rows": "Of the response's tokens on average, or of the prompt's last token, which decides the first response "
    "token.",
}

TITLES: dict[str, Callable[[str], str]] = {
    "pooling": lambda name: capital(pooling_title(name)),
    "metric": capital,
    "over": capital,
    "under": capital,
}
"""How values read that are the same on every page; pages say the others."""


def select(
    name: str, title: str, values: Sequence[str], titles: Mapping[str, str] | None = None, default: str = ""
) -> str:
    """A choice kept in the link under its name; one that this page does not have falls back to the default."""
    keep_known(name, values, default if default in values else values[0])
    shown = titles or {value: TITLES.get(name, str)(value) for value in values}
    chosen: str = bound(
        st.selectbox,
        title,
        name,
        list(values),
        format_func=lambda value: shown.get(value, value),
        help=HELP.get(name),
    )
    return chosen


def pick(name: str, title: str, titles: Mapping[str, str], default: str = "") -> str | None:
    """One of a few things to look at, value -> its title, or none where there is no default; kept in the link under its
    name.
    """
    keep_known(name, list(titles) if default else ["", *titles], default)
    chosen: str | None = bound(
        st.segmented_control,
        title,
        name,
        list(titles),
        format_func=lambda name: as_text(titles[name]),
        label_visibility="collapsed",
        help=HELP[name],
    )
    return chosen
