"""The headline: did behaviour change, and does what changed inside the model go with it?"""

from collections.abc import Mapping
from typing import cast

import streamlit as st

from iclviz import analysis
from iclviz.analysis.effect_maps import usual_outcome
from iclviz.analysis.headlines import Headline, most_changed
from iclviz.analysis.link import LEVELS, Level
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import measure_named, present
from iclviz.analysis.score_changes import score_change
from iclviz.analysis.wording import capital, pooling_title
from iclviz.figures.changes import change_by_layer as change_figure
from iclviz.figures.links import conditions_scatter, link_scatter
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.first_glance import (
    changes_sentence,
    difference,
    headline_line,
    link_line,
    n_tests,
    reservations,
    score_went,
    short_subjects,
    with_a_value,
)
from iclviz.reporting.map_recipes import effects_by_site, map_sentence, possible_maps
from iclviz.reporting.recipes import (
    NO_MEASURE,
    change_by_layer,
    changes_at_a_glance,
    links_by_layer,
    outcomes_recipe,
    place_of,
    scores_at_a_glance,
)
from iclviz.reporting.scope import demonstration_scope, scope
from iclviz.reporting.setting import setting
from iclviz.reporting.statements import LEVEL_TITLES, equivalence_sentence, sentences, table_row
from iclviz.tasks import Task, task
from iclviz.ui import cached, loading, options, screen
from iclviz.ui.answering import answer, answers, answers_there_are, slot
from iclviz.ui.clickable import show_item_points, show_rows
from iclviz.ui.compared import Compared, compared, conditions_like, seeds_button, summary_question
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.items import show_items
from iclviz.ui.page_files import open_page, pages
from iclviz.ui.page_state import bound, keep_known, page_state, set_state
from iclviz.ui.paper import paper_section
from iclviz.ui.plain_text import as_text
from iclviz.ui.terms import with_terms

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


def first_screen(both: Compared, found: Headline, the_task: Task, measuring: Measuring, limits: str) -> None:
    """Behaviour and what changed inside, as pictures with a sentence each, and whether one goes with the other."""
    expected = setting(the_task, both.a, both.b)
    unit, counts = the_task.natural_unit(found.score), None
    recipe, runs = scores_at_a_glance(both.labels, the_task, found.score, both.b.task_options, limits), both.runs
    if the_task.contrast and the_task.outcomes:
        runs = dict(zip("AB", both.comparison.pairs[0], strict=True))
        recipe = outcomes_recipe(runs, the_task, the_task.contrast.factor, demonstration_scope(runs.values()))
        counts = answers(recipe.questions(runs))
    st.markdown(f"#### {as_text(headline_line(found, expected, unit, the_task, counts))}")
    st.caption(with_terms(difference(found, unit)))
    if screen.room():  # one under another: the answer's text first
        with slot():
            changed_inside(both, found, measuring, limits)
        with slot():
            show_recipe(recipe, runs)
        return
    left, right = st.columns([2, 3])
    with left, slot():
        show_recipe(recipe, runs)
    with right, slot():
        changed_inside(both, found, measuring, limits)


def changed_inside(both: Compared, found: Headline, measuring: Measuring, limits: str) -> None:
    """B minus A of every measure by layer, whether that goes with behaviour, and what to know before one believes it; a
    click on a layer goes there on the measure's page.
    """
    measures = present(both.comparison.pairs[0], measuring)
    recipe = changes_at_a_glance(measures, both.labels, measuring, limits)
    tests = with_a_value(answers_there_are(recipe.questions(both.runs)))
    titles = short_subjects(measures, both.comparison.first, measuring, task(both.b.task))
    first = {name: one.first_layer for name, one in measures.items()}
    st.markdown(with_terms(f"{changes_sentence(tests, titles, first)} {link_line(found)}"))
    hypothesis = task(both.b.task).titles.get(measuring.of(both.comparison.first)[0], "none")
    if known_first := reservations(found, both.a, both.b, hypothesis):
        st.caption(with_terms(known_first))
    clicked = show_rows(recipe.draw(tests, both.runs), Copied(recipe, both.runs))
    seeds_button(both)
    if clicked:
        name = list(tests)[clicked.row]
        set_state({"shown": name, "layer": clicked.layer})
        open_page(measures[name].page)


def statement(both: Compared, found: Headline, the_task: Task, measuring: Measuring) -> None:
    """The headline in sentences, with everything that its claims rest on."""
    hypothesis, label = (the_task.titles.get(name, "none") for name in measuring.of(both.comparison.first))
    expected = setting(the_task, both.a, both.b)
    told = sentences(found, the_task.titles[found.score], both.a, both.b, expected, hypothesis)
    with st.expander("In full: what was tested, with which result"):
        st.markdown("\n".join(f"- {with_terms(sentence)}" for sentence in told))
        primary = (
            f"The task's primary analysis, fixed before any result: score “{the_task.titles[found.score]}”, hypothesis "
            f"“{hypothesis}”, label “{label}”, embedding: {pooling_title(measuring.pooling)}, "
            f"{measuring.metric} similarity. What is called exploratory was not set beforehand."
        )
        st.caption(as_text(primary))


def acted(both: Compared) -> None:
    """What acting on the model showed for this comparison, or that it was not tried, with the way there."""
    pairs = dict(zip("AB", both.comparison.pairs[0], strict=True))
    told = []
    for title, grids in possible_maps(pairs).items():
        maps = {label: made for label, one in pairs.items() if (made := loading.effect_map(one, grids[label]))}
        if maps:
            outcome = usual_outcome(next(iter(maps.values())))
            recipe, runs = effects_by_site(maps, pairs, outcome, False, "")
            told.append(f"{title} — {map_sentence(answers(recipe.questions(runs)), grids['B'].names())}")
    if told:
        st.markdown(f"**Acting on the model.** {with_terms('  '.join(told))}")
    else:
        st.markdown("**Acting on the model** was not tried for this comparison.")
    with st.container(horizontal=True, gap="small"):
        if st.button("Act on the model", icon=":material/bolt:", type="secondary" if told else "primary"):
            open_page("causes")
        if st.button("Act on one item, live", icon=":material/touch_app:"):
            open_page("live")


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
    scatter(both, found, measuring, the_task.titles[found.score], limits)


@st.fragment
def scatter(both: Compared, found: Headline, measuring: Measuring, score: str, limits: str) -> None:
    """The items behind the link of one measure in one layer, the strongest first."""
    strongest = min(found.strongest.values(), key=lambda one: one.p, default=None)
    names = present(both.comparison.pairs[0], measuring)
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
            meaning = "The layer of least p, until you move it."
            with columns[1]:
                layer = bound(st.slider, "Layer", "at", first, last, help=meaning)
        show_item_points(
            link_scatter(
                changes[:, layer - first],
                score_change(both.comparison, found.score).mean(axis=0),
                item_ids=both.comparison.item_ids,
                measure=f"{measure.title}, {measure.unit} {layer}",
                score=score,
                groups=both.comparison.groups,
                place=place_of(measure.name),
                n_seeds=both.comparison.n_seeds,
                demonstrations=limits,
            ),
            both.comparison.first.item_ids,
        )
        every = "Every run of these items with other demonstrations."
        if bound(st.toggle, "Over conditions (exploratory)", "over_conditions", help=every):
            over_conditions(both, measure, layer, measuring, score)


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
    place = place_of(measure.name)
    show(conditions_scatter(points, measure=title, score=score, coefficient=found.rho, place=place))


def exploratory(both: Compared, the_task: Task, measuring: Measuring, limits: str) -> None:
    """What changed inside the model, layer by layer, one measure at a time: further families of tests."""
    first, found = both.comparison.first, present(both.comparison.pairs[0], measuring)
    tests = with_a_value(
        answers_there_are({name: analysis.measured_change.of(both.key, name, measuring) for name in found})
    )
    n = n_tests(tests)
    st.caption(f"{n} tests in all, corrected over layers within each figure and not over figures.")
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
        st.markdown(with_terms(equivalence_sentence(change, the_task.titles[chosen_score], bound_of(chosen_score))))


def bound_of(score: str) -> float:
    """The difference that counts as none, kept in the link."""
    smallest_help = "Differences smaller than this count as none. Choose it before you look."
    typed: float = bound(st.number_input, "Bound", "equivalence_bound", 0.001, 1000.0, help=smallest_help, step=0.05)
    return float(typed)


def effects(both: Compared, found: Headline, measuring: Measuring, limits: str) -> None:
    """The task's effect within a condition, such as injected minus harmless, on each measure by layer."""
    assert found.contrast is not None
    names = {name: capital(one.title) for name, one in present(both.comparison.pairs[0], measuring).items()}
    name = options.pick("effect_of", "Effect on", names)
    if name:
        measure = measure_named(name)
        effect = answer(analysis.measure_effect.of(both.key, found.contrast, name, measuring))
        shown = {"In A": effect.a, "In B": effect.b, "B − A": effect.change}
        title, first, versus = measure.title, measure.first_layer, found.contrast.title
        show(change_figure(shown, measure=title, first=first, versus=versus, demonstrations=limits))


def behaviour_alone(both: Compared, limits: str) -> None:
    """Behaviour of two models whose layers do not correspond, and what cannot be compared."""
    the_task = task(both.a.task)
    score, (a, b) = the_task.primary.score, both.comparison.pairs[0]
    change, n_items = cached.score_change(both.key, score, both.comparison)
    left, right = st.columns([2, 3])
    with left, slot():
        show_recipe(scores_at_a_glance(both.labels, the_task, score, both.b.task_options, limits), both.runs)
    with right:
        unit = the_task.natural_unit(score)
        st.markdown(with_terms(score_went(change, unit, n_items, unit.better(the_task.better(score)), limits)))
        st.info(
            f"A has {a.n_layers} blocks and B {b.n_layers}, so layers do not correspond: what changed inside, and its "
            "link with behaviour, cannot be compared. Each model's own layers are on the pages under Inside."
        )
    items(both, the_task, score)


def apart(pairs: Mapping[str, Recording]) -> None:
    """What is said of two tasks, and the way to something that compares."""
    a, b = (task(one.spec.task).title for one in pairs.values())
    st.info(
        f"A is {as_text(a)} and B is {as_text(b)}: no item is in both, so nothing compares item by item. The page "
        "Behaviour shows the scores of each."
    )
    st.button(f"Take {as_text(a)} for both", on_click=set_state, args=({"b_task": page_state()["a_task"]},))


def page(both: Compared, limits: str) -> None:
    """The headline of two conditions of one task."""
    the_task = task(both.a.task)
    measuring = primary_measuring(the_task, both.comparison.first)
    found = answer(summary_question(both))
    first_screen(both, found, the_task, measuring, limits)
    with slot():
        acted(both)
    statement(both, found, the_task, measuring)
    deeper()
    with st.expander("Exploratory: what changed inside, one measure at a time"), slot():
        exploratory(both, the_task, measuring, limits)
    with st.expander("The link with behaviour, layer by layer and item by item"), slot():
        link_figures(both, found, the_task, measuring, limits)
    if found.contrast is not None:
        with st.expander(f"Exploratory: {found.contrast.title}, inside the model"), slot():
            effects(both, found, measuring, limits)
    scores_table(both, the_task)
    items(both, the_task, found.score)


def items(both: Compared, the_task: Task, score: str) -> None:
    """All items, A beside B."""
    place = st.expander("All items: what was answered, A beside B", key="all-items", on_change="rerun")
    if place.open:
        with place:
            show_items(dict(zip("AB", both.comparison.pairs[0], strict=True)), the_task, score)


pairs = recorded()
both = None
if len({one.spec.task for one in pairs.values()}) > 1:
    apart(pairs)
elif len(pairs) > 1:
    both = compared(pairs)
if both:
    limits = scope(both.comparison.n_seeds, both.a.demonstrations, both.b.demonstrations)
    with slot():
        if len({one.n_layers for one in pairs.values()}) > 1:
            behaviour_alone(both, limits)
        else:
            page(both, limits)
shown = [one for pair in both.comparison.pairs for one in pair] if both else list(pairs.values())
paper_section(list({one.key: one for one in shown}.values()))
