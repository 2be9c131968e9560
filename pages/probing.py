"""What can be read from each layer's embeddings by a linear probe, on held-out groups."""

import streamlit as st

from iclviz.analysis.of_recording import demonstration_scope, probed_labels
from iclviz.figures.probing import probe_by_layer
from iclviz.tasks import task
from iclviz.ui import analyses, options
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show

st.title("Probing")
pairs = recorded()
first = next(iter(pairs.values()))
of = task(first.spec.task)
shared = {label: one for label, one in pairs.items() if one.spec.task == first.spec.task}
if len(shared) < len(pairs):
    st.warning("A and B are different tasks, so only A is shown.")
labels = [name for name in probed_labels(first) if all(name in probed_labels(one) for one in shared.values())]
columns = st.columns(2)
with columns[0]:
    label = options.select("label", "Label", labels, of.titles, of.primary.label)
with columns[1]:
    pooling = options.select("pooling", "Embedding", list(first.embeddings), None, of.primary.pooling)
probes = {name: analyses.probe(one.key, label, pooling, one) for name, one in shared.items()}
show(probe_by_layer(probes, label=of.titles[label], demonstrations=demonstration_scope(shared.values())))
for name, result in probes.items():
    if result.reason:
        st.info(f"{name}: {result.reason}.")
