"""Which items a model represents alike, layer by layer, and how that goes with a hypothesis."""

import streamlit as st

from iclviz.analysis.of_recording import demonstration_scope
from iclviz.analysis.rsa import METRICS
from iclviz.figures.rsa import alignment_by_layer, similarity_matrices
from iclviz.recording import Recording
from iclviz.tasks import task
from iclviz.ui import analyses, options
from iclviz.ui.choice import bound, choices
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show


@st.fragment
def matrices(pairs: dict[str, Recording], hypothesis: str, pooling: str, metric: str) -> None:
    """RSMs of A, B and the hypothesis at one layer; a layer change redraws this alone."""
    last = analyses.largest_common_layer(list(pairs.values()))
    choices()["layer"] = min(choices()["layer"], last)
    layer = bound(st.slider, "Layer", "layer", 0, last, help="0 enters the first block; the last leaves it.")
    first = next(iter(pairs.values()))
    of = task(first.spec.task)
    label = of.hypothesis_labels[hypothesis]
    stacks = {name: analyses.rsm_stack(one.key, pooling, metric, one) for name, one in pairs.items()}
    figure = similarity_matrices(
        {name: stack[layer] for name, stack in stacks.items()},
        first.hypotheses[hypothesis],
        item_ids=first.item_ids,
        groups=first.labels[label],
        hypothesis_title=of.titles[hypothesis],
        group_title=of.titles[label],
        metric=metric,
        layer=layer,
        demonstrations=demonstration_scope(pairs.values()),
    )
    show(figure)


st.title("RSA")
pairs = recorded()
first = next(iter(pairs.values()))
if any(list(one.item_ids) != list(first.item_ids) for one in pairs.values()):
    st.warning("A and B have different items, so only A is shown. Choose the same task, items and item seed.")
    pairs = dict(list(pairs.items())[:1])
of = task(first.spec.task)
columns = st.columns(3)
with columns[0]:
    hypothesis = options.select("hypothesis", "Hypothesis", list(first.hypotheses), of.titles, of.primary.hypothesis)
with columns[1]:
    pooling = options.select("pooling", "Embedding", list(first.embeddings), None, of.primary.pooling)
with columns[2]:
    metric = options.select("metric", "Similarity", list(METRICS), None, of.primary.metric)
if pooling in ("mean", "max"):
    st.info("Over the whole prompt, text that items share makes them alike whatever the model understood.")
matrices(pairs, hypothesis, pooling, metric)
tests = {name: analyses.alignment(one.key, hypothesis, pooling, metric, one) for name, one in pairs.items()}
scope = demonstration_scope(pairs.values())
show(alignment_by_layer(tests, hypothesis=of.titles[hypothesis], demonstrations=scope))
