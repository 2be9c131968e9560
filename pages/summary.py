"""The headline: did behaviour change, and does what changed inside the model go with it?"""

from typing import Any, cast

import streamlit as st

from iclviz.analysis.headlines import Headline, most_changed
from iclviz.analysis.link import LEVELS, Level
from iclviz.analysis.measures import MEASURES, Measuring, first_layer
from iclviz.analysis.of_pairs import score_change
from iclviz.figures.changes import change_by_layer
from iclviz.figures.links import conditions_scatter, link_by_layer, link_scatter
from iclviz.figures.wording import capital
from iclviz.primary import primary_measuring, setting
from iclviz.questions import analyses as questions
from iclviz.questions.question import Question
from iclviz.recording import Recording
from iclviz.reporting.recipes import NO_MEASURE, TITLES, as_arguments
from iclviz.reporting.statements import (
    LEVEL_TITLES,
    MEASURE_TITLES,
    equivalence_sentence,
    pooling_title,
    probe_change_title,
    scope,
    sentences,
    table_row,
)
from iclviz.tasks import Task, task
from iclviz.ui import options
from iclviz.ui.asking import answer, answers, slot
from iclviz.ui.choice import bound, keep_known
from iclviz.ui.comparing import Compared, compared, conditions_like, seeds_button, summary_question
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import copy_comparison
from iclviz.ui.figure import show
from iclviz.ui.paper import paper_section
from iclviz.ui.plain import as_text

FEWEST_CONDITIONS = 3
# Page -> what it shows of the headline, and its icon.
DEEPER = {
    "Behaviour": ("The scores", "monitoring"),
    "Prompts": ("The responses", "article"),
    "RSA": ("What is alike", "grid_on"),
    "Probing": ("What can be read", "network_node"),
    "Attention": ("Where attention goes", "visibility"),
    "Compare": ("More conditions", "stacked_line_chart"),
}


def statement(chosen: Compared, found: Headline, of: Task, measuring: Measuring) -> None:
    """The headline in sentences, behaviour first and large."""
    hypothesis, label = (of.titles.get(name, "none") for name in measuring.of(chosen.comparison.first))
    said = setting(of, chosen.a, chosen.b)
    first, *others = sentences(found, of.titles[found.score], chosen.a, chosen.b, said, hypothesis)
    with st.container(border=True):
        verdict, _, numbers = first.partition(": ")
        st.markdown(f"#### {as_text(verdict)}")
        st.markdown(as_text(capital(numbers)))
        st.markdown("\n".join(f"- {as_text(sentence)}" for sentence in others))
        primary = (
            f"The task's primary analysis, fixed before any result: score “{of.titles[found.score]}”, hypothesis "
            f"“{hypothesis}”, label “{label}”, embedding: {pooling_title(measuring.pooling)}, "
            f"{measuring.metric} similarity. What is called exploratory below was not fixed so."
        )
        st.caption(as_text(primary))


def deeper() -> None:
    """Buttons to the pages behind the headline's parts."""
    with st.container(horizontal=True, gap="small"):
        for name, (label, icon) in DEEPER.items():
            if st.button(label, type="tertiary", icon=f":material/{icon}:", help=f"Opens the page {name}."):
                st.switch_page(f"pages/{name.lower()}.py")


def link_figures(chosen: Compared, found: Headline, of: Task, measuring: Measuring, limits: str) -> None:
    """Links by layer at one level, and the items behind one of them."""
    level = cast(Level, options.select("level", "Items compared", LEVELS, LEVEL_TITLES, found.strongest_level))
    links = {TITLES[name]: link for name, link in found.links[level].items()}
    if not links:
        st.info(f"{NO_MEASURE}.")
        return
    firsts = {TITLES[name]: first_layer(name) for name in found.links[level]}
    score = of.titles[found.score]
    show(link_by_layer(links, score=score, first=firsts, demonstrations=limits))
    copy_comparison(
        chosen,
        f"found = analysis.headline(comparison, {found.score!r}, {as_arguments(measuring, found.contrast)})\n"
        f"titles = {TITLES!r}\n"
        f"links = {{titles[name]: link for name, link in found.links[{level!r}].items()}}\n"
        f"figures.link_by_layer(links, score={score!r}, first={firsts!r}).show()",
    )
    scatter(chosen, found, measuring, score, limits)


@st.fragment
def scatter(chosen: Compared, found: Headline, measuring: Measuring, score: str, limits: str) -> None:
    """The items behind the link of one measure in one layer, the strongest first."""
    strongest = min(found.strongest.values(), key=lambda one: one.p, default=None)
    names = [name for name in MEASURES if name in found.links[LEVELS[0]]]
    default = strongest.measure if strongest else names[0]
    columns = st.columns(2)
    with columns[0]:
        measure = options.select("measure", "Measure", names, TITLES, default)
    first = first_layer(measure)
    last = first + len(found.links[LEVELS[0]][measure].estimate) - 1
    at = strongest.layer if strongest and strongest.measure == measure else (first + last) // 2
    keep_known("at", range(first, last + 1), at)
    layer = first
    if last > first:
        with columns[1]:
            layer = bound(st.slider, "Layer", "at", first, last, help="The strongest link's layer, until you move it.")
    with slot():
        x = answer(questions.points.of(chosen.key, measure, measuring))[:, layer - first]
        y = score_change(chosen.comparison, found.score).mean(axis=0)
        unit = "block" if first else "layer"
        show(
            link_scatter(
                x,
                y,
                item_ids=chosen.comparison.item_ids,
                measure=f"{MEASURE_TITLES[measure]}, {unit} {layer}",
                score=score,
                groups=chosen.comparison.groups,
                n_seeds=chosen.comparison.n_seeds,
                demonstrations=limits,
            )
        )
        said = "Every run of these items with other demonstrations."
        if bound(st.toggle, "Over conditions (exploratory)", "over_conditions", help=said):
            over_conditions(chosen, measure, layer, measuring, score)


def over_conditions(chosen: Compared, measure: str, layer: int, measuring: Measuring, score: str) -> None:
    """Every condition of the cache that differs in its demonstrations alone, as points."""
    like = conditions_like(chosen.comparison.pairs[0][1])
    name = task(chosen.b.task).primary.score
    asked = questions.conditions.of([one.key for one in like.values()], tuple(like), measure, name, measuring)
    found = answer(asked)[layer - first_layer(measure)]
    if len(found.points) < FEWEST_CONDITIONS:
        st.info(f"Fewer than {FEWEST_CONDITIONS} conditions of these items have been run: there is nothing to compare.")
        return
    title = f"{TITLES[measure]}, {'block' if first_layer(measure) else 'layer'} {layer}"
    show(conditions_scatter(found.points, measure=title, score=score, coefficient=found.rho))


def exploratory(chosen: Compared, found: Headline, of: Task, measuring: Measuring, limits: str) -> None:
    """What changed inside the model, layer by layer, one measure at a time: further families of tests."""
    key, comparison = chosen.key, chosen.comparison
    hypothesis, label = measuring.of(comparison.first)
    changes: dict[str, tuple[str, Question[Any]]] = {}
    if hypothesis:
        title = f"alignment with “{of.titles[hypothesis]}”"
        how = (hypothesis, measuring.pooling, measuring.metric)
        changes["alignment"] = title, questions.alignment_change.of(key, *how, "spearman")
    if label:
        title = probe_change_title(comparison.first, label, of.titles[label])
        changes["probe"] = title, questions.probe_change.of(key, label, measuring.pooling)
    if "attention_ratio" in found.links[LEVELS[0]]:
        title = "log attention ratio of the last prompt token"
        changes["attention_ratio"] = title, questions.log_ratio_change.of(key, measuring, False)
    st.subheader("Exploratory: what changed inside the model")
    n_tests = sum(comparison.first.n_layers + 1 - first_layer(measure) for measure in changes)
    st.caption(f"{n_tests} tests in all, corrected over layers within each figure and not over figures.")
    tests = answers({measure: asked for measure, (_, asked) in changes.items()})
    titles = {measure: capital(title) for measure, (title, _) in changes.items()}
    of_measure = options.pick("changed", "Change of", titles, most_changed(tests))
    if of_measure:
        layer, title = first_layer(of_measure), changes[of_measure][0]
        show(change_by_layer({"B − A": tests[of_measure]}, measure=title, first=layer, demonstrations=limits))


def scores_table(chosen: Compared, of: Task) -> None:
    """Every score of A and B with its size and a mixed model, and whether a change is as good as none."""
    names = [name for name in of.titles if all(name in one.scores for pair in chosen.comparison.pairs for one in pair)]
    with st.expander("All scores: effect sizes, mixed models, equivalence"), slot():
        rows = answer(questions.score_rows.of(chosen.key, tuple(names)))
        st.table([table_row(row, of.titles[row.score]) for row in rows])
        st.caption(
            "d: the mean difference over its standard deviation between groups, corrected for few groups. Mixed model: "
            "differences with sets, words and demonstration seeds as random effects; it stands beside the paired test, "
            "and where it does not converge none is given. Nothing here is corrected over scores."
        )
        chosen_score = options.select("equivalent", "Is this score the same in A and B?", names, of.titles, names[0])
        change = next(row.change for row in rows if row.score == chosen_score)
        st.markdown(as_text(equivalence_sentence(change, of.titles[chosen_score], bound_of(chosen_score))))


def bound_of(score: str) -> float:
    """The difference that counts as none, kept in the link."""
    said = "Differences smaller than this count as none. Choose it before you look."
    typed: float = bound(st.number_input, "Bound", "equivalence_bound", 0.001, 1000.0, help=said, step=0.05)
    return float(typed)


def effects(chosen: Compared, found: Headline, of: Task, measuring: Measuring, limits: str) -> None:
    """The task's effect within a condition, such as injected minus harmless, on each measure by layer."""
    if found.contrast is None:
        return
    st.subheader(f"Exploratory: {found.contrast.title}, inside the model")
    names = [name for name in MEASURES if name in found.links[LEVELS[0]]]
    measure = options.pick("effect_of", "Effect on", {name: TITLES[name] for name in names})
    if measure:
        effect = answer(questions.effect.of(chosen.key, found.contrast, measure, measuring))
        shown = {"In A": effect.a, "In B": effect.b, "B − A": effect.change}
        title, first = MEASURE_TITLES[measure], first_layer(measure)
        show(change_by_layer(shown, measure=title, first=first, versus=found.contrast.title, demonstrations=limits))


def comparable(pairs: dict[str, Recording]) -> Compared | None:
    """The conditions over all demonstration seeds that both have; None, with a sentence, where they do not compare."""
    if len(pairs) < 2:
        return None
    a, b = pairs.values()
    if a.spec.task != b.spec.task or a.n_layers != b.n_layers:
        st.info("A and B are of different tasks or models: item by item, only runs of one task and model compare.")
        return None
    return compared(pairs)


def page(chosen: Compared) -> None:
    """The headline of two conditions of one task."""
    of = task(chosen.a.task)
    measuring = primary_measuring(of, chosen.comparison.first)
    found = answer(summary_question(chosen))
    limits = scope(found.n_seeds, chosen.a.demonstrations, chosen.b.demonstrations)
    statement(chosen, found, of, measuring)
    deeper()
    seeds_button(chosen)
    exploratory(chosen, found, of, measuring, limits)
    link_figures(chosen, found, of, measuring, limits)
    effects(chosen, found, of, measuring, limits)
    scores_table(chosen, of)


pairs = recorded()
chosen = comparable(pairs)
if chosen:
    with slot():
        page(chosen)
shown = [one for pair in chosen.comparison.pairs for one in pair] if chosen else list(pairs.values())
paper_section(list({one.key: one for one in shown}.values()))
