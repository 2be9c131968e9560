"""A against B as pages show it: over every demonstration seed that both have in the cache."""

from dataclasses import dataclass, replace

import streamlit as st

from iclviz.analysis.of_pairs import Comparison, Measuring, compare
from iclviz.errors import AnalysisError, UserError
from iclviz.recording import Recording
from iclviz.resolve import Resolved
from iclviz.spec import RunSpec
from iclviz.tasks import PrimaryAnalysis, task
from iclviz.ui import jobs, loading

SEEDS = 5
"""Demonstration seeds that the button asks for: from so many on a statement is about in-context learning."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison with what the pages say beside it.

    Attributes
    ----------
    comparison: the pairs of recordings.
    key: what tells it from any other, for caches.
    a, b: specs of the two conditions, of the chosen seed.
    """

    comparison: Comparison
    key: tuple[str, ...]
    a: RunSpec
    b: RunSpec


def compared(pairs: dict[str, Recording]) -> Compared | None:
    """The conditions over all demonstration seeds that both have; None, with a sentence, where they do not compare."""
    if len(pairs) < 2:
        st.info("Run both A and B to compare them.")
        return None
    a, b = pairs.values()
    ours, theirs = _of_seeds(a), _of_seeds(b)
    common = sorted(ours.keys() & theirs.keys()) if len(ours) > 1 or len(theirs) > 1 else []
    if not _shows(a) or not _shows(b):
        common = sorted(ours.keys() | theirs.keys())
    sides = ([of.get(seed, own) for seed in common] for of, own in ((ours, a), (theirs, b)))
    try:
        comparison = compare(*(side or [own] for side, own in zip(sides, (a, b), strict=True)))
    except AnalysisError as error:
        st.warning(str(error))
        return None
    keys = tuple(recording.key for pair in comparison.pairs for recording in pair)
    return Compared(comparison, keys, a.spec, b.spec)


def _shows(recording: Recording) -> bool:
    return recording.spec.demonstrations.canonical().k > 0


def _of_seeds(recording: Recording) -> dict[int, Recording]:
    """Demonstration seed -> the recording that differs in it alone; the given one where it shows nothing."""
    spec = recording.spec
    if not _shows(recording):
        return {}
    found = {spec.demonstrations.seed: recording}
    for entry in loading.store().summaries():
        shown = entry.spec.demonstrations
        alike = entry.spec.with_(demonstrations=replace(shown, seed=spec.demonstrations.seed)) == spec
        if alike and shown.seed not in found and (other := loading.recording(entry.key)):
            found[shown.seed] = other
    return found


def seeds_button(chosen: Compared) -> None:
    """A button that runs A and B under further demonstration seeds, where there are fewer than a statement needs."""
    if chosen.comparison.n_seeds >= SEEDS or not (chosen.a.demonstrations.k or chosen.b.demonstrations.k):
        return
    runs: dict[str, Resolved] = {}
    for spec in (chosen.a, chosen.b):
        for seed in range(SEEDS):
            try:
                resolved = loading.resolved(spec.with_(demonstrations=replace(spec.demonstrations, seed=seed)))
            except UserError:
                continue
            runs[resolved.key] = resolved
    jobs.run_button(f"Run {SEEDS} demonstration seeds", list(runs.values()), primary=False)
    jobs.progress()


def primary(spec: RunSpec, recording: Recording) -> tuple[PrimaryAnalysis, Measuring]:
    """The task's primary analysis, and how it measures an item: by the first there is of what the recording lacks."""
    of = task(spec.task).primary
    hypothesis = of.hypothesis if of.hypothesis in recording.hypotheses else None
    label = of.label if of.label in recording.groups else None
    return of, Measuring(hypothesis, label, of.pooling, of.metric)  # type: ignore[arg-type]
