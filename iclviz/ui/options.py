"""Controls of an analysis that live in the link: the chosen score, hypothesis, label, pooling and the like."""

from collections.abc import Mapping, Sequence

import streamlit as st

from iclviz.ui.choice import bound, choices

HELP = {
    "score": "What counts as doing well; the first is the task's main score, fixed before any result.",
    "hypothesis": "The matrix that says which items should be represented alike.",
    "label": "What the probe tries to read from the embeddings.",
    "pooling": "Over which prompt tokens hidden states are averaged. query_mean: the item's own query, the same text "
    "with and without demonstrations; last: the last token; mean and max: the whole prompt, where a shared beginning "
    "makes all items alike.",
    "metric": "How two items' embeddings are compared; the mean over items is subtracted first.",
    "heads": "mean: masses are averaged over heads before the ratio; max: the one head with the most mass on both.",
    "level": "Within groups: items made from one thing (a line, a document) are compared with each other; between "
    "groups: the groups' means are. A link at one level says nothing of the other.",
    "method": "How two matrices are correlated. Spearman for one hypothesis over layers; tau-a and rho-a to compare "
    "two hypotheses, since midranks favour ties.",
    "sorted": "How items stand on both axes: by a label, with lines between its values, or by clusters of A's items.",
    "colours": "raw: the similarities; rank and percentile: their order, which outliers do not squeeze.",
    "strength": "The L2 penalty. Chosen inside the training folds, unless you fix it to see how the result depends on "
    "it.",
    "dimensions": "Principal components of the training fold that the probe reads.",
    "measure": "What changed in the model.",
    "over": "The role above the fraction line.",
    "under": "The role below the fraction line.",
    "per": "token: mass divided by the number of tokens of the span; mass: the whole span's.",
    "rows": "response: attention of the response's tokens; last: of the prompt's last token, which decides the first "
    "response token.",
}


def select(
    name: str, title: str, values: Sequence[str], titles: Mapping[str, str] | None = None, default: str = ""
) -> str:
    """A choice kept in the link under its name; one that this page does not have falls back to the default."""
    fallback = default if default in values else values[0]
    if choices()[name] not in values:
        choices()[name] = fallback
    shown = titles or {}
    chosen: str = bound(
        st.selectbox,
        title,
        name,
        list(values),
        format_func=lambda value: shown.get(value, value),
        help=HELP.get(name),
    )
    return chosen
