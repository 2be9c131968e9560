"""How well the model does: scores by condition, over the number of demonstrations, and over items."""

import streamlit as st

from iclviz import analysis
from iclviz.analysis.behaviour import ScoreSummary
from iclviz.analysis.comparison import Comparison, compare
from iclviz.figures.behaviour import score_by_condition, score_distribution, score_over_k
from iclviz.natural_units import NaturalUnit
from iclviz.recording import Recording
from iclviz.reporting.first_glance import score_went
from iclviz.reporting.followed import followed, followed_sentence
from iclviz.reporting.item_rows import few_valued
from iclviz.reporting.recipes import in_words, outcomes_recipe, scored
from iclviz.reporting.scope import demonstration_scope
from iclviz.reporting.scope import scope as limits_of
from iclviz.reporting.statements import effect_sentence, level_rows
from iclviz.spec import Demonstrations
from iclviz.tasks import Task, task
from iclviz.ui import cached, options
from iclviz.ui.answering import answer, slot
from iclviz.ui.compared import compared, runs_like
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.items import show_items
from iclviz.ui.plain_text import as_text
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Behaviour",
    "icon": "monitoring",
    "section": "compare",
    "order": 2,
    "question": "How well does the model do?",
    "invitation": "The scores",
    "fields": {"score": "", "split": ""},
}


def parse_lines(recordings: dict[str, Recording]) -> None:
    """How many responses could not be read, beside every score."""
    for column, (label, recording) in zip(st.columns(len(recordings)), recordings.items(), strict=True):
        unparsed = sum(value is None for value in recording.parsed)
        column.metric(
            f"{as_text(label)}: responses read",
            f"{recording.n_items - unparsed} of {recording.n_items}",
            help="An unparseable response gets the worst value of the main score, and no value of the other scores.",
        )


def k_curve(recordings: dict[str, Recording], score: str, unit: NaturalUnit) -> dict[str, dict[int, ScoreSummary]]:
    """Summaries of every run in the cache that differs from A or B in its demonstrations alone."""
    a, *_ = (one.spec for one in recordings.values())
    differ = any(one.spec.with_(demonstrations=a.demonstrations) != a for one in recordings.values())
    series: dict[str, dict[int, ScoreSummary]] = {}
    for label, one in recordings.items():
        own = one.spec.demonstrations
        name = f"{own.kind}, seed {own.seed}{own.order_words}" if own.kind != "none" else "none"
        if differ:
            name = f"{label[0]}: {name}"
        series.setdefault(name, {}).update(over_k(one, score, unit))
    return series


def over_k(recording: Recording, score: str, unit: NaturalUnit) -> dict[int, ScoreSummary]:
    """Summaries of every run in the cache that differs from one in its number of demonstrations alone, 0 among them."""
    own = recording.spec.demonstrations

    def same(shown: Demonstrations) -> bool:
        return (shown.kind, shown.seed, shown.order) == (own.kind, own.seed, own.order)

    like = runs_like(recording, lambda shown: not shown.k or same(shown))
    return {shown.k: cached.score(one.key, score, one, unit) for shown, one in like.items()}


def difference(recordings: dict[str, Recording], score: str, the_task: Task) -> None:
    """B minus A of the score, item by item: of what the figures show, and over all demonstration seeds of both."""
    if len(recordings) < 2 or len({recording.spec.task for recording in recordings.values()}) > 1:
        return
    both = compared(recordings)
    if both is None:
        return
    if score != the_task.primary.score:
        main = as_text(the_task.titles[the_task.primary.score])
        st.caption(
            f"Exploratory: the main score, fixed before any result, is “{main}”, and p is not corrected over the "
            f"{len(both.comparison.first.scores)} scores."
        )

    def sentence(comparison: Comparison) -> str:
        keys = tuple(one.key for pair in comparison.pairs for one in pair)
        change, n_items = cached.score_change(keys, score, comparison)
        limits = limits_of(comparison.n_seeds, both.a.demonstrations, both.b.demonstrations)
        unit = the_task.natural_unit(score)
        return with_terms(score_went(change, unit, n_items, unit.better(the_task.better(score)), limits))

    if both.comparison.n_seeds == 1:
        st.markdown(sentence(both.comparison))
        return
    st.markdown(f"**Over {both.comparison.n_seeds} demonstration seeds:** {sentence(both.comparison)}")
    one = compare(*recordings.values())
    st.markdown(f"**The chosen demonstration seed alone**, which the figures show: {sentence(one)}")


def by_level(recordings: dict[str, Recording], score: str, the_task: Task) -> None:
    """The score at each level of the task's contrast, and the effect in A, in B and how it changed."""
    if (
        the_task.contrast is None
        or len(recordings) < 2
        or not all(the_task.contrast.factor in one.factors for one in recordings.values())
    ):
        return
    both = compared(recordings)
    if both is None:
        return
    levels = answer(analysis.score_by_level.of(both.key, the_task.contrast, score))
    effect = answer(analysis.score_effect.of(both.key, the_task.contrast, score))
    st.markdown(f"**By {the_task.contrast.factor}**")
    st.table(level_rows(levels))
    limits = limits_of(both.comparison.n_seeds, both.a.demonstrations, both.b.demonstrations)
    st.markdown(with_terms(effect_sentence(effect, the_task.contrast.title, the_task.titles[score], limits)))


def split(conditions: dict[str, Recording], score: str, the_task: Task, limits: str) -> None:
    """What became of the items at each value of a label or factor, A beside B; one where they are a share."""
    first = next(iter(conditions.values()))
    outcomes = the_task.outcomes
    if not outcomes or any(name not in one.scores for name, _ in outcomes for one in conditions.values()):
        return
    names = [the_task.contrast.factor] if the_task.contrast else []
    names = list(dict.fromkeys([*(name for name in names if name in first.factors), *few_valued(first)]))
    by = (
        options.pick("split", "Split by", {name: the_task.titles.get(name, name) for name in names}, names[0])
        if names
        else ""
    )
    show_recipe(outcomes_recipe(conditions, the_task, by or "", limits), conditions)


pairs = recorded()
tasks = {recording.spec.task for recording in pairs.values()}
if len(tasks) > 1:
    st.info("A and B are different tasks, so their scores do not compare; each is shown by its own main score.")
first = next(iter(pairs.values()))
names = [name for name in first.scores if all(name in recording.scores for recording in pairs.values())]
the_task = task(first.spec.task)
controls = options.Controls()
score = controls.select(
    "score", "Score", names or list(first.scores), the_task.titles, the_task.primary.score, is_main=True
)
comparable = {label: recording for label, recording in pairs.items() if score in recording.scores}
unit, limits = the_task.natural_unit(score), demonstration_scope(comparable.values())
summaries = {label: cached.score(one.key, score, one, unit) for label, one in comparable.items()}
words = in_words(the_task, score, first.spec.task_options, limits)
left, right = st.columns(2)
for column, draw in ((left, score_by_condition), (right, score_distribution)):
    with column:
        recipe = scored(comparable, the_task, score, draw.__name__, limits)
        show(draw(summaries, **words), copied=Copied(recipe, comparable))
difference(comparable, score, the_task)
if told := followed_sentence({label.partition(":")[0]: followed(one, the_task) for label, one in comparable.items()}):
    st.markdown(as_text(told))
parse_lines(pairs)
with slot():
    by_level(comparable, score, the_task)
with slot():
    split(comparable, score, the_task, limits)
show(score_over_k(k_curve(comparable, score, unit), **words))
st.caption(
    "The curve shows every run in the cache that differs from A or B in the number of demonstrations alone: "
    "run more values of k to fill it."
)
with st.expander("All items: what was answered, A beside B", expanded=True):
    show_items(pairs, the_task, score)
