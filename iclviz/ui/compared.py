"""A against B as pages show it: over every demonstration seed that both have in the cache."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import streamlit as st

from iclviz.analysis.comparison import Comparison, compare
from iclviz.analysis.headlines import Headline, headline
from iclviz.errors import AnalysisError, UserError
from iclviz.primary import primary_measuring
from iclviz.questions.question import Question
from iclviz.recording import Recording
from iclviz.reporting.scope import ENOUGH_SEEDS, demonstration_scope, seeds_scope
from iclviz.resolve import Resolved
from iclviz.spec import Demonstrations, RunSpec, draws
from iclviz.tasks import task
from iclviz.ui import jobs, loading, options
from iclviz.ui.answering import prepare, slot
from iclviz.ui.plain_text import lines_as_text

View = TypeVar("View")


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

    @cached_property
    def labels(self) -> list[str]:
        """What A and B of each demonstration seed are called, in turn: A, B, A1, B1 and so on."""
        names: dict[str, str] = {}
        for place, side in enumerate("AB"):
            for number, one in enumerate(dict.fromkeys(self.comparison.side(place))):
                names[one.key] = f"{side}{number or ''}"
        return [names[key] for key in self.key]

    @property
    def runs(self) -> dict[str, Recording]:
        """The recordings under these labels."""
        return dict(zip(self.labels, (one for pair in self.comparison.pairs for one in pair), strict=True))

    @property
    def scope(self) -> str:
        """What statements over its seeds are limited to."""
        n_seeds = self.comparison.n_seeds
        if n_seeds == 1:
            return demonstration_scope(self.comparison.pairs[0])
        return seeds_scope(n_seeds)


def compared(pairs: dict[str, Recording]) -> Compared | None:
    """The conditions over all demonstration seeds that both have; None, with a sentence, where they do not compare.

    The chosen seed comes first. A and B of different seeds were chosen as a pair, and stay one.
    """
    if len(pairs) < 2:
        st.info("Run both A and B to compare them.")
        return None
    a, b = pairs.values()
    try:
        comparison = compare(*_over_seeds(a, b))
    except AnalysisError as error:
        st.warning(lines_as_text(str(error)))
        return None
    keys = tuple(recording.key for pair in comparison.pairs for recording in pair)
    return Compared(comparison, keys, a.spec, b.spec)


def _over_seeds(a: Recording, b: Recording) -> tuple[list[Recording], list[Recording]]:
    """The runs of A and of B, a place for each demonstration seed that both have; those without one stand in each."""
    ours, theirs = of_seeds(a), of_seeds(b)
    if draws(a.spec) and draws(b.spec):
        common = ours.keys() & theirs.keys() if _of_one_seed(a.spec, b.spec) else set()
    else:
        common = ours.keys() | theirs.keys()
    first = {one.spec.demonstrations.seed for one in (a, b) if draws(one.spec)}
    seeds = sorted(common, key=lambda seed: (seed not in first, seed))
    if not seeds:
        return [a], [b]
    return [ours.get(seed, a) for seed in seeds], [theirs.get(seed, b) for seed in seeds]


def runs_over_seeds(pairs: Mapping[str, Recording]) -> dict[str, list[Recording]]:
    """The runs of each condition, label -> recording, under every demonstration seed that all have; the
    chosen one comes first.
    """
    sides: Sequence[list[Recording]]
    if len(pairs) == 2:
        sides = _over_seeds(*pairs.values())
    else:
        sides = [list(of_seeds(one).values()) or [one] for one in pairs.values()]
    return {label: list({one.key: one for one in side}.values()) for label, side in zip(pairs, sides, strict=True)}


def seeds_of(pairs: Mapping[str, Recording]) -> list[int]:
    """The demonstration seeds that all conditions have, the chosen one first; none where nothing is drawn."""
    drawn = [runs for runs in runs_over_seeds(pairs).values() if draws(runs[0].spec)] if pairs else []
    return [one.spec.demonstrations.seed for one in drawn[0]] if drawn else []


def _of_one_seed(a: RunSpec, b: RunSpec) -> bool:
    return a.demonstrations.seed == b.demonstrations.seed or not (draws(a) and draws(b))


def summary_question(both: Compared) -> Question[Headline]:
    """What the Summary asks of a comparison: its task's primary analysis."""
    the_task, first = task(both.b.task), both.comparison.first
    return headline.of(both.key, the_task.primary.score, primary_measuring(the_task, first), the_task.contrast)


def prepare_summary(pairs: dict[str, Recording]) -> None:
    """Have the Summary of two conditions computed before anybody opens it, where they compare."""
    a, b = pairs.values()
    if (a.spec.task, a.n_layers) == (b.spec.task, b.n_layers) and set(a.item_ids) & set(b.item_ids):
        both = compared(pairs)
        if both is not None:
            prepare(summary_question(both))


def of_seeds(recording: Recording) -> dict[int, Recording]:
    """Demonstration seed -> the recording that differs in it alone; none where no seed draws what it shows."""
    own = recording.spec.demonstrations
    if not draws(recording.spec):
        return {}
    found = runs_like(recording, lambda shown: replace(shown, seed=own.seed) == own)
    return {shown.seed: one for shown, one in found.items()}


def conditions_like(recording: Recording) -> dict[str, Recording]:
    """Every recording of the cache that differs in its demonstrations alone, by a few words; the given one too."""
    found = {
        "none" if shown.kind == "none" else f"{shown.kind}, k = {shown.k}, seed {shown.seed}{shown.order_words}": one
        for shown, one in runs_like(recording, lambda shown: True).items()
    }
    return dict(sorted(found.items()))


def runs_like(recording: Recording, wanted: Callable[[Demonstrations], bool]) -> dict[Demonstrations, Recording]:
    """The recording, and every other of the cache that differs in its demonstrations alone and shows what is wanted."""
    spec = recording.spec
    found = {spec.demonstrations: recording}
    for entry in loading.store().summaries():
        shown = entry.spec.demonstrations
        alike = shown not in found and wanted(shown) and _differ_in_demonstrations(spec, entry.spec)
        # A spec names a model's folder, and an origin what lay in it.
        if alike and (one := loading.recording(entry.key)) and one.origin == recording.origin:
            found[shown] = one
    return found


def _differ_in_demonstrations(spec: RunSpec, other: RunSpec) -> bool:
    """Whether two runs differ in nothing else; the other may keep more."""
    return set(spec.differences(other)) <= {"demonstrations", *spec.fields_that("kept")} and other.keeps_all_of(spec)


def seeds_button(both: Compared) -> None:
    """A button that runs A and B under further demonstration seeds, where there are fewer than a statement needs."""
    if both.comparison.n_seeds >= ENOUGH_SEEDS or not (draws(both.a) or draws(both.b)):
        return
    if not _of_one_seed(both.a, both.b):
        st.caption("A and B have different demonstration seeds. Choose one seed for both to compare over several.")
        return
    runs: dict[str, Resolved] = {}
    for spec in (both.a, both.b):
        for seed in range(ENOUGH_SEEDS):
            try:
                resolved = loading.resolved(spec.with_(demonstrations=replace(spec.demonstrations, seed=seed)))
            except UserError:
                continue
            runs[resolved.key] = resolved
    jobs.run_button(f"Run {ENOUGH_SEEDS} demonstration seeds", list(runs.values()), primary=False)
    jobs.progress()


def look_further(sections: Mapping[str, Callable[[View], None]], view: View, note: str = "") -> None:
    """The further analyses of a page, one at a time; one that these conditions do not have says why.

    note: which of the page's choices do not hold here.
    """
    st.subheader("Look further")
    section = options.pick("section", "Look further", {name: name for name in sections})
    if not section:
        return
    if note:
        st.caption(note)
    with slot():
        sections[section](view)
