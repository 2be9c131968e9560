"""Figures of traces as recipes: information flow, and the scores of every head."""

from collections.abc import Iterator, Mapping

import numpy as np

from iclviz import analysis
from iclviz.analysis.every_head import HeadScores
from iclviz.analysis.information_flow import PAIRS, TITLES, Flow
from iclviz.maps import EffectMap, Made, Trace
from iclviz.natural_units import plain
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import map_label
from iclviz.reporting.recipes import Recipe, Runs
from iclviz.reporting.scope import demonstration_scope

Traces = Mapping[str, Trace]
Recordings = Mapping[str, Recording]
SCORING = ("heads", "head_means")
"""Kinds of maps that give each head a score."""


def flow_by_block(traces: Traces, pairs: Recordings) -> tuple[Recipe, Runs]:
    """The information flow of each block; traces: label of a condition -> its trace."""
    labels = {label: map_label(label, made.tracer) for label, made in traces.items()}
    drawn = {
        "blind": next(iter(traces.values())).tracer.blind,
        "demonstrations": demonstration_scope(pairs[label] for label in traces),
    }
    runs: Runs = {**pairs, **{labels[label]: made for label, made in traces.items()}}
    asked = {label: (labels[label], label) for label in traces}
    return Recipe(analysis.flow_by_block, asked, "information_flow", {}, drawn), runs


def every_head(label: str, run: Recording, catalogue: Trace, maps: Mapping[str, EffectMap]) -> tuple[Recipe, Runs]:
    """The scores of every head of a run's model.

    label: of the run; maps: label of `map_label` -> a map of heads.
    """
    own = map_label(label, catalogue.tracer)
    asked = {"heads": (own, label, *maps)}
    drawn = {"model": run.spec.model, "run": label, "demonstrations": demonstration_scope([run])}
    return Recipe(analysis.head_scores, asked, "head_scores", {}, drawn, alone=True), {
        label: run,
        own: catalogue,
        **maps,
    }


def flow_sentence(found: Mapping[str, Flow]) -> str:
    """Where each condition's flow is largest, and where it goes there."""
    return " ".join(_flow_of(label.partition(":")[0], one) for label, one in found.items())


def _flow_of(label: str, found: Flow) -> str:
    block = int(np.argmax(found.total))
    place = int(np.nanargmax(found.estimate[:, block]))
    told = (found.estimate, found.low, found.high, found.control)
    share, low, high, beside = (plain(100 * float(one[place, block])) for one in told)
    return (
        f"{label}: most flows in block {block + 1}, of which {share} % ({low} to {high}) is "
        f"“{TITLES[PAIRS[place]]}”; with random tokens for answers {beside} %."
    )


def heads_sentence(found: HeadScores) -> str:
    """The strongest head of each score."""
    each = "; ".join(
        f"{title.partition(' (')[0].lower()} block {block}, head {head} ({plain(round(value, 2))})"
        for title, block, head, value in found.strongest()
    )
    return f"Strongest: {each}."


def recipes_of_traces(made: Mapping[str, Made], pairs: Recordings) -> Iterator[Recipe]:
    """Every figure of traces, by the labels of `map_label`; of heads that of the last run that has a catalogue."""
    flows: dict[str, Trace] = {}
    heads: dict[str, Trace] = {}
    for label in pairs:
        for name, one in made.items():
            if isinstance(one, Trace) and name == map_label(label, one.tracer):
                (heads if one.tracer.kind == "head_catalogue" else flows)[label] = one
    if flows:
        yield flow_by_block(flows, pairs)[0]
    for label, catalogue in list(heads.items())[-1:]:
        maps = {
            name: one
            for name, one in made.items()
            if isinstance(one, EffectMap) and one.grid.kind in SCORING and name == map_label(label, one.grid)
        }
        yield every_head(label, pairs[label], catalogue, maps)[0]
