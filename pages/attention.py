"""Whether response tokens attend to what answers: relevant over irrelevant, by layer and head, and the whole split."""

from typing import cast

import numpy as np
import streamlit as st

from iclviz.analysis.attention import Heads, Rows
from iclviz.analysis.of_recording import demonstration_scope
from iclviz.figures.attention import attention_ratio_by_head, attention_ratio_by_layer, attention_split
from iclviz.ui import analyses, options
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show

st.title("Attention")
pairs = recorded()
scope = demonstration_scope(pairs.values())
columns = st.columns(2)
with columns[0]:
    names = {"mean": "mean of masses", "max": "strongest head"}
    heads = cast(Heads, options.select("heads", "Heads joined by", ["mean", "max"], names))
with columns[1]:
    names = {"response": "response tokens", "last": "the last prompt token"}
    rows = cast(Rows, options.select("rows", "Attention of", ["response", "last"], names))
for label, one in pairs.items():
    for reason, count in analyses.missing(one.key, heads, rows, one).items():
        share = count / (one.n_items * one.n_layers)
        st.info(f"{label}: {count:,} of {one.n_items * one.n_layers:,} ratios ({share:.0%}) are missing: {reason}.")
ratios = {label: analyses.log_ratio(one.key, heads, rows, one) for label, one in pairs.items()}
drawn = {label: summary for label, summary in ratios.items() if np.isfinite(summary.mean).any()}
if drawn:
    show(attention_ratio_by_layer(drawn, rows=rows, heads=heads, demonstrations=scope))
    by_head = {label: analyses.log_ratio_by_head(pairs[label].key, rows, pairs[label]) for label in drawn}
    show(attention_ratio_by_head(by_head, rows=rows, demonstrations=scope))
else:
    st.info("No condition has both a relevant and an irrelevant span, so there is no ratio; the split is below.")
split = {label: analyses.split(one.key, rows, one) for label, one in pairs.items()}
show(attention_split(split, rows=rows, demonstrations=scope))
