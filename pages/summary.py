"""The headline: did behaviour change, and does what changed inside the model go with it?"""

from typing import cast

import streamlit as st

from iclviz import analysis
from iclviz.analysis.headlines import Headline, most_changed
from iclviz.analysis.link import LEVELS, Level
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import all_measures, measure_named
from iclviz.analysis.score_changes import score_change
from iclviz.analysis.wording import capital, pooling_title
from iclviz.figures.changes import change_by_layer as change_figure
from iclviz.figures.links import conditions_scatter, link_scatter
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.recipes import NO_MEASURE, change_by_layer, links_by_layer
from iclviz.reporting.scope import scope
from iclviz.reporting.setting import setting
from iclviz.reporting.statements import LEVEL_TITLES, equivalence_sentence, sentences, table_row
from iclviz.tasks import Task, task
from iclviz.ui import options
from iclviz.ui.answering import answer, answers_there_are, slot
from iclviz.ui.compared import Compared, compared, conditions_like, seeds_button, summary_question
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import copy_comparison
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.page_files import pages
from iclviz.ui.page_state import bound, keep_known
from iclviz.ui.paper import paper_section
from iclviz.ui.plain_text import as_text

PAGE = {
    "title": "Summary",
    "icon": "summarize",
    "section": "compare",
    "order": 1,
    "question": "Did behaviour change, and does what changed inside the model go with it?",
    "fields": {
        "level": "",
        "measure": "",
        "at": (-1, -1, 1000),
        "over_conditions": False,
        "changed": "",
        "effect_of": "",
        "equivalent": "",
        "equivalence_bound": 0.1,
    },
}

FEWEST_CONDITIONS = 3


def statement(both: Compared, found: Headline, the_task: Task, measuring: Measuring) -> None:
    """The headline in sentences, behaviour first and large."""
    hypothesis, label = (the_task.titles.get(name, "none") for name in measuring.of(both.comparison.first))
    expected = setting(the_task, both.a, both.b)
    first, *others = sentences(found, the_task.titles[found.score], both.a, both.b, expected, hypothesis)
    with st.container(border=True):
        verdict, _, numbers = first.partition(": ")
        st.markdown(f"#### {as_text(verdict)}")
        st.markdown(as_text(capital(numbers)))
        st.markdown("\n".join(f"- {as_text(sentence)}" for sentence in others))
        primary = (
            f"The task's primary analysis, fixed before any result: score “{the_task.titles[found.score]}”, hypothesis "
            f"“{hypothesis}”, label “{label}”, embedding: {pooling_title(measuring.pooling)}, "
            f"{measuring.metric} similarity. What is called exploratory below was not fixed so."
        )
        st.caption(as_text(primary))


def deeper() -> None:
    """Buttons to the pages behind the headline's parts."""
    with st.container(horizontal=True, gap="small"):
        for page in pages():
            opens = f"Opens the page {page.title}: {page.question}"
            if page.invitation and st.button(
                page.invitation, type="tertiary", icon=f":material/{page.icon}:", help=opens
            ):
                st.switch_page(str(page.path))


def link_figures(both: Compared, found: Headline, the_task: Task, measuring: Measuring, limits: str) -> None:
    """Links by layer at one level, and the items behind one of them."""
    level = cast(Level, options.select("level", "Items compared", LEVELS, LEVEL_TITLES, found.strongest_level))
    if not found.links[level]:
        st.info(f"{NO_MEASURE}.")
        return
    recipe = links_by_layer(both.labels, found.score, measuring, the_task, level, limits)
    show_recipe(recipe, both.runs)
    copy_comparison(both, recipe)
    scatter(both, found, measuring, the_task.titles[found.score], limits)


@st.fragment
def scatter(both: Compared, found: Headline, measuring: Measuring, score: str, limits: str) -> None:
    """The items behind the link of one measure in one layer, the strongest first."""
    strongest = min(found.strongest.values(), key=lambda one: one.p, default=None)
    names = present(both, measuring)
    default = strongest.measure if strongest else next(iter(names))
    columns = st.columns(2)
    with columns[0]:
        titles = {name: capital(one.title) for name, one in names.items()}
        measure = names[options.select("measure", "Measure", list(names), titles, default)]
    with slot():
        changes = answer(analysis.item_changes.of(both.key, measure.name, measuring))
        first, last = measure.first_layer, measure.first_layer + changes.shape[1] - 1
        at = strongest.layer if strongest and strongest.measure == measure.name else (first + last) // 2
        keep_known("at", range(first, last + 1), at)
        layer = first
        if last > first:
            meaning = "The strongest link's layer, until you move it."
            with columns[1]:
                layer = bound(st.slider, "Layer", "at", first, last, help=meaning)
        show(
            link_scatter(
                changes[:, layer - first],
                score_change(both.comparison, found.score).mean(axis=0),
                item_ids=both.comparison.item_ids,
                measure=f"{measure.title}, {measure.unit} {layer}",
                score=score,
                groups=both.comparison.groups,
                n_seeds=both.comparison.n_seeds,
                demonstrations=limits,
            )
        )
        every = "Every run of these items with other demonstrations."
        if bound(st.toggle, "Over conditions (exploratory)", "over_conditions", help=every):
            over_conditions(both, measure, layer, measuring, score)


def present(both: Compared, measuring: Measuring) -> dict[str, Measure]:
    """The measures of which the comparison may have a value, by name."""
    pair = both.comparison.pairs[0]
    return {name: one for name, one in all_measures().items() if not any(one.absent(side, measuring) for side in pair)}


def over_conditions(both: Compared, measure: Measure, layer: int, measuring: Measuring, score: str) -> None:
    """Every condition of the cache that differs in its demonstrations alone, as points."""
    like = conditions_like(both.comparison.pairs[0][1])
    name = task(both.b.task).primary.score
    asked = analysis.across_conditions.of([one.key for one in like.values()], measure.name, name, measuring)
    found = answer(asked)[layer - measure.first_layer]
    if len(found.points) < FEWEST_CONDITIONS:
        st.info(f"Fewer than {FEWEST_CONDITIONS} conditions of these items have been run: there is nothing to compare.")
        return
    points = {label: found.points[one.key] for label, one in like.items() if one.key in found.points}
    title = f"{capital(measure.title)}, {measure.unit} {layer}"
    show(conditions_scatter(points, measure=title, score=score, coefficient=found.rho))


def exploratory(both: Compared, the_task: Task, measuring: Measuring, limits: str) -> None:
    """What changed inside the model, layer by layer, one measure at a time: further families of tests."""
    first, found = both.comparison.first, present(both, measuring)
    st.subheader("Exploratory: what changed inside the model")
    n_tests = sum(first.n_layers + 1 - one.first_layer for one in found.values())
    st.caption(f"{n_tests} tests in all, corrected over layers within each figure and not over figures.")
    tests = answers_there_are({name: analysis.measured_change.of(both.key, name, measuring) for name in found})
    titles = {name: capital(found[name].change_subject(first, measuring, the_task.titles)) for name in tests}
    name = options.pick("changed", "Change of", titles, most_changed(tests))
    if name:
        show_recipe(change_by_layer(found[name], both.labels, first, measuring, the_task, limits), both.runs)


def scores_table(both: Compared, the_task: Task) -> None:
    """Every score of A and B with its size and a mixed model, and whether a change is as good as none."""
    names = [
        name for name in the_task.titles if all(name in one.scores for pair in both.comparison.pairs for one in pair)
    ]
    with st.expander("All scores: effect sizes, mixed models, equivalence"), slot():
        rows = answer(analysis.score_rows.of(both.key, tuple(names)))
        st.table([table_row(row, the_task.titles[row.score]) for row in rows])
        st.caption(
            "d: the mean difference over its standard deviation between groups, corrected for few groups. Mixed model: "
            "differences with sets, words and demonstration seeds as random effects; it stands beside the paired test, "
            "and where it does not converge none is given. Nothing here is corrected over scores."
        )
        chosen_score = options.select(
            "equivalent", "Is this score the same in A and B?", names, the_task.titles, names[0]
        )
        change = next(row.change for row in rows if row.score == chosen_score)
        st.markdown(as_text(equivalence_sentence(change, the_task.titles[chosen_score], bound_of(chosen_score))))


def bound_of(score: str) -> float:
    """The difference that counts as none, kept in the link."""
    smallest_help = "Differences smaller than this count as none. Choose it before you look."
    typed: float = bound(st.number_input, "Bound", "equivalence_bound", 0.001, 1000.0, help=smallest_help, step=0.05)
    return float(typed)


def effects(both: Compared, found: Headline, measuring: Measuring, limits: str) -> None:
    """The task's effect within a condition, such as injected minus harmless, on each measure by layer."""
    if found.contrast is None:
        return
    st.subheader(f"Exploratory: {found.contrast.title}, inside the model")
    names = {name: capital(one.title) for name, one in present(both, measuring).items()}
    name = options.pick("effect_of", "Effect on", names)
    if name:
        measure = measure_named(name)
        effect = answer(analysis.measure_effect.of(both.key, found.contrast, name, measuring))
        shown = {"In A": effect.a, "In B": effect.b, "B − A": effect.change}
        title, first, versus = measure.title, measure.first_layer, found.contrast.title
        show(change_figure(shown, measure=title, first=first, versus=versus, demonstrations=limits))


def comparable(pairs: dict[str, Recording]) -> Compared | None:
    """The conditions over all demonstration seeds that both have; None, with a sentence, where they do not compare."""
    if len(pairs) < 2:
        return None
    a, b = pairs.values()
    if a.spec.task != b.spec.task or a.n_layers != b.n_layers:
        st.info("A and B are of different tasks or models: item by item, only runs of one task and model compare.")
        return None
    return compared(pairs)


def page(both: Compared) -> None:
    """The headline of two conditions of one task."""
    the_task = task(both.a.task)
    measuring = primary_measuring(the_task, both.comparison.first)
    found = answer(summary_question(both))
    limits = scope(found.n_seeds, both.a.demonstrations, both.b.demonstrations)
    statement(both, found, the_task, measuring)
    deeper()
    seeds_button(both)
    exploratory(both, the_task, measuring, limits)
    link_figures(both, found, the_task, measuring, limits)
    effects(both, found, measuring, limits)
    scores_table(both, the_task)


pairs = recorded()
both = comparable(pairs)
if both:
    with slot():
        page(both)
shown = [one for pair in both.comparison.pairs for one in pair] if both else list(pairs.values())
paper_section(list({one.key: one for one in shown}.values()))
