"""The pictures of docs/reading-figures.md: every registered figure, drawn from recordings of the demo model.

`make figures` draws all of them, `make figures ARGS="NAME ..."` those named; runs that are in the cache are taken from
there. A new figure needs an entry in `PICTURES`, and a section in docs/reading-figures.md.
"""

import argparse
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

import iclviz
from iclviz import analysis
from iclviz.analysis.acting_on_item import changed_item
from iclviz.analysis.attention import largest_mass
from iclviz.analysis.behaviour import PREFERRED, ScoreSummary
from iclviz.analysis.comparison import Comparison
from iclviz.analysis.headlines import Headline, link_points
from iclviz.analysis.item_maps import item_map
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import all_measures, measure_named
from iclviz.analysis.probing import STRENGTHS, Probe
from iclviz.analysis.recordings import embeddings
from iclviz.analysis.seeds import OverSeeds, over_seeds
from iclviz.analysis.wording import capital
from iclviz.figures import FIGURES
from iclviz.intervening import intervention, shortly
from iclviz.jobs.live_model import LiveModel
from iclviz.live import LiveSpec
from iclviz.mapping import as_mapped
from iclviz.maps import EffectMap
from iclviz.models.presets import DEMO_MODEL
from iclviz.primary import primary_measuring
from iclviz.recording import Array, Recording
from iclviz.reporting import figure_files
from iclviz.reporting.export import named
from iclviz.reporting.map_recipes import map_scope
from iclviz.reporting.scope import demonstration_scope
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from iclviz.study import study
from iclviz.tasks import task

FOLDER = Path("docs/images/figures")
N_ITEMS = 32
LAYER, HEAD, ITEM = 15, 3, 0
SEEDS = range(3)
FEW, MANY = 2, 16
A, B = f"A: k = {FEW}", f"B: k = {MANY}"

OF = task("linear_regression")
PRIMARY = OF.primary
HYPOTHESIS, LABEL, SCORE = (OF.titles[name] for name in (PRIMARY.hypothesis, PRIMARY.label, PRIMARY.score))

UNIT = OF.natural_unit(PRIMARY.score)
SAID: dict[str, Any] = {"score": UNIT.name, "unit": UNIT.sign, "better": UNIT.better(OF.better(PRIMARY.score))}

Draw = Callable[..., go.Figure]


def lines(kind: str, k: int, seed: int = 0) -> RunSpec:
    """Linear regression among points of a distractor line."""
    shown = Demonstrations(kind, k, seed)
    return RunSpec(DEMO_MODEL, OF.name, shown, n_items=N_ITEMS, task_options={"distractor": True})


def statements(prompts: str) -> RunSpec:
    """Reading comprehension with composite or simple prompts."""
    shown = Demonstrations("correct", FEW)
    return RunSpec(DEMO_MODEL, "reading_comprehension", shown, n_items=N_ITEMS, task_options={"prompts": prompts})


def activities(k: int) -> RunSpec:
    """Reading comprehension with the answer trajectory recorded."""
    shown = Demonstrations("correct" if k else "none", k)
    return RunSpec(DEMO_MODEL, "reading_comprehension", shown, n_items=2 * N_ITEMS, record=("trajectory",))


@cache
def pair() -> dict[str, Recording]:
    """The two conditions of most pictures."""
    return dict(zip((A, B), iclviz.sweep([lines("correct", FEW), lines("correct", MANY)]), strict=True))


@cache
def answered() -> dict[str, Recording]:
    """The two conditions of pictures of right and wrong answers, and of the answer trajectory."""
    return dict(zip(("A: k = 0", f"B: k = {FEW}"), iclviz.sweep([activities(0), activities(FEW)]), strict=True))


@cache
def comparison() -> Comparison:
    """A against B."""
    return analysis.compare(*pair().values())


@cache
def further() -> list[Recording]:
    """Other numbers and kinds of demonstrations of the same items."""
    specs = [lines("correct", k) for k in (FEW, 4, 8, MANY)] + [lines("shuffled", k) for k in (FEW, MANY)]
    return iclviz.sweep(specs)


@cache
def measuring() -> Measuring:
    """How the primary analysis measures items."""
    return primary_measuring(OF, pair()[A])


@cache
def found() -> Headline:
    """The headline of A against B."""
    return analysis.headline(comparison(), PRIMARY.score, measuring())


def each(of: Callable[[Recording], Any]) -> dict[str, Any]:
    """A result of each condition."""
    return {label: of(one) for label, one in pair().items()}


def rsms(recording: Recording) -> Array:
    """(L + 1, n, n) RSMs."""
    return analysis.recording_rsms(recording)


def sorted_items() -> dict[str, Any]:
    """How items stand on the axes of a matrix."""
    name = OF.hypothesis_labels[PRIMARY.hypothesis]
    return {"item_ids": pair()[A].item_ids, "groups": pair()[A].labels[name], "group_title": OF.titles[name].lower()}


@cache
def probes() -> dict[str, Probe]:
    """The probe of the primary label in each condition."""
    return each(lambda one: analysis.recording_probe(one, PRIMARY.label))


def score_over_k(draw: Draw) -> go.Figure:
    """A line for each kind of demonstrations."""
    series: dict[str, dict[int, Any]] = {}
    for one in further():
        shown = one.spec.demonstrations
        series.setdefault(shown.kind, {})[shown.k] = in_unit(one)
    return draw(series, **SAID)


def parameters(draw: Draw) -> go.Figure:
    """One layer's probe over strengths."""
    values = STRENGTHS.tolist()

    def of(one: Recording) -> dict[str, Probe]:
        how = {"n_permutations": 0, "n_controls": 0}
        return {f"{value:g}": analysis.recording_probe(one, PRIMARY.label, strength=value, **how) for value in values}

    return draw(each(of), label=LABEL, parameter="Strength", layer=LAYER)


def transfer(draw: Draw) -> go.Figure:
    """Probes of A tested on B."""
    a, b = (embeddings(one, PRIMARY.pooling) for one in pair().values())
    first = pair()[A]
    of_b = analysis.probe_transfer(a, first.labels[PRIMARY.label], b, first.groups[PRIMARY.label])
    return draw({"Trained on A, tested on B": of_b}, label=LABEL)


def transfer_between_layers(draw: Draw) -> go.Figure:
    """Probes of one layer tested on another."""
    one = pair()[B]
    matrix = analysis.layer_transfer(
        embeddings(one, PRIMARY.pooling), one.labels[PRIMARY.label], one.groups[PRIMARY.label]
    )
    chance = float(np.nanmean(probes()[B].chance))
    return draw(matrix, label=LABEL, measure="Held-out balanced accuracy", chance=chance)


def confusions(draw: Draw) -> go.Figure:
    """The classes that one layer's probe names."""
    probe = probes()[B]
    return draw(np.asarray(probe.confusion)[LAYER], probe.classes, label=LABEL, layer=LAYER)


def curve(of: Callable[[Recording], Any]) -> dict[str, Any]:
    """A result of right demonstrations over their number."""
    shown = {one.spec.demonstrations.k: one for one in further() if one.spec.demonstrations.kind == "correct"}
    return {f"k = {k}": of(one) for k, one in shown.items()}


def in_unit(recording: Recording) -> ScoreSummary:
    """The main score as people say it."""
    return analysis.score_summary(recording, PRIMARY.score, unit=UNIT)


def score_of_one(recording: Recording) -> OverSeeds:
    """The main score of one seed."""
    found = in_unit(recording)
    return over_seeds([[found.mean]], [[found.low]], [[found.high]], recording.spec.demonstrations.k > 0)


def alignment_of_one(recording: Recording) -> OverSeeds:
    """The alignment of one seed."""
    found = analysis.recording_alignment(recording, PRIMARY.hypothesis)
    return over_seeds([found.estimate], [found.low], [found.high], recording.spec.demonstrations.k > 0)


def simple_prompts(draw: Draw) -> go.Figure:
    """Composite prompts against both sets of simple ones."""
    composite, same, other = iclviz.sweep([statements(name) for name in ("composite", "simple_same", "simple_other")])
    sets = {"same name": same, "another name": other}
    return draw({name: analysis.recording_composite_to_simple((composite, simple)) for name, simple in sets.items()})


def seeds_alike(draw: Draw) -> go.Figure:
    """The RSMs of three demonstration seeds of each condition."""
    runs = iter(iclviz.sweep([lines("correct", k, seed) for k in (FEW, MANY) for seed in SEEDS]))
    stacks = {label: np.stack([rsms(next(runs)) for _ in SEEDS]) for label in (A, B)}
    return draw({label: analysis.noise_ceiling(stack) for label, stack in stacks.items()})


def on_text(draw: Draw) -> go.Figure:
    """What one head of the last prompt token gives to each token of an item, kept token by token."""
    runs = iclviz.sweep([lines("correct", k).with_(attention_items=(0,)) for k in (FEW, MANY)])
    how: dict[str, Any] = {"block": LAYER, "head": HEAD, "rows": "last", "by": "token"}
    texts = {label: analysis.attention_on_text(one, 0, **how) for label, one in zip((A, B), runs, strict=True)}
    most = {label: largest_mass(one) for label, one in texts.items()}
    return draw(texts, item=runs[0].item_ids[0], most=most, **how)


def links(draw: Draw) -> go.Figure:
    """The links within lines."""
    within = found().links["within"]
    measures = {name: measure_named(name) for name in within}
    titles = {name: capital(one.title) for name, one in measures.items()}
    return draw(within, score=SCORE, titles=titles, first={name: one.first_layer for name, one in measures.items()})


def items_behind(draw: Draw) -> go.Figure:
    """The items behind the strongest link within lines."""
    chosen = found().strongest["within"]
    x, y = link_points(comparison(), chosen.measure, PRIMARY.score, chosen.layer, measuring())
    kind = measure_named(chosen.measure)
    measure = f"{kind.title}, {kind.unit} {chosen.layer}"
    ids, groups = comparison().item_ids, comparison().groups
    return draw(x, y, item_ids=ids, measure=measure, score=SCORE, groups=groups)


def over_conditions(draw: Draw) -> go.Figure:
    """Every condition as a point."""
    runs = {named(one).rpartition(",")[0]: one for one in further()}
    points = analysis.across_conditions(runs, "alignment", PRIMARY.score, measuring())[LAYER]
    return draw(points.points, measure=f"Alignment, layer {LAYER}", score=SCORE, coefficient=points.rho)


def distances(draw: Draw) -> go.Figure:
    """A measure that has no figure of its own: the distance between the classes of a label."""
    kind, first = measure_named("class_distance"), next(iter(answered().values()))
    of = task(first.spec.task)
    how = primary_measuring(of, first)
    found = {label: analysis.measured(one, kind.name, how) for label, one in answered().items()}
    return draw(found, **kind.words(first, how, of.titles))


def told_apart(draw: Draw) -> go.Figure:
    """How well the intrinsic dimension around an item tells right from wrong answers."""
    kind = measure_named("intrinsic_dimension")
    return draw(
        {label: analysis.right_against_wrong(one, kind.name) for label, one in answered().items()}, measure=kind.title
    )


def at_a_glance(draw: Draw) -> go.Figure:
    """A score in A beside B."""
    return draw(analysis.score_pairs(comparison(), PRIMARY.score, UNIT), better=SAID["better"])


def what_was_answered(draw: Draw) -> go.Figure:
    """What became of the items of reading comprehension, by the place of the asked statement."""
    of, by = task("reading_comprehension"), "position"
    found = {label: analysis.outcome_counts(one, of.outcomes, by, of.no_outcome) for label, one in answered().items()}
    return draw(found, by=of.titles[by])


def points_of_one(draw: Draw) -> go.Figure:
    """The points of one item, its right answer and B's."""
    one = pair()[B]
    data = OF.data(one.n_items, one.spec.seed, one.spec.task_options)
    shown = OF.points(data, ITEM, one.spec.demonstrations, one.spec.task_options)
    said = one.parsed[ITEM]
    return draw(shown, condition=B, item=one.item_ids[ITEM], answer=None if said is None else float(said))


def inside_at_a_glance(draw: Draw) -> go.Figure:
    """What changed inside from A to B, by every measure."""
    first = comparison().first
    how = primary_measuring(OF, first)
    kinds = {name: one for name, one in all_measures().items() if not one.absent(first, how)}
    changes = {name: analysis.measured_change(comparison(), name, how) for name in kinds}
    titles = {name: capital(one.short) for name, one in kinds.items()}
    return draw(changes, titles=titles, first={name: one.first_layer for name, one in kinds.items()})


def through_layers(draw: Draw, of: Callable[..., Any], alone: bool = False, **words: str) -> go.Figure:
    """A result of the answer trajectory, of both conditions or of B alone."""
    limits = demonstration_scope(answered().values())
    found = {label: of(one) for label, one in answered().items()}
    label, last = list(found.items())[-1]
    if alone:
        return draw(last, condition=label, demonstrations=limits)
    return draw(found, demonstrations=limits, **words)


@cache
def acted() -> dict[str, tuple[EffectMap, Recording]]:
    """Every head ablated, of both conditions."""
    return {label: (iclviz.effect_map(one, "heads"), one) for label, one in answered().items()}


def of_maps(draw: Draw, of: Callable[..., Any], *words: str, **named: Any) -> go.Figure:
    """A result of both maps; words: which facts of the grid the figure is told."""
    grid = next(iter(acted().values()))[0].spec.grid
    facts = {"title": grid.title, "done": grid.sentence(), "blind": grid.blind}
    found = {label: of(pair) for label, pair in acted().items()}
    told = {name: facts[name] for name in words}
    return draw(found, **told, **named, demonstrations=demonstration_scope(answered().values()))


def vectors(draw: Draw) -> go.Figure:
    """Task vectors of two examples, put into the same prompts without any."""
    without, shown = answered().values()
    of = without.spec.demonstrations, shown.spec.demonstrations
    made = iclviz.effect_map(without, f"task_vector shown={of[1].kind} k={of[1].k}")
    label = list(answered())[-1]
    found = {label: analysis.recovered_share((made, without, shown), "answer")}
    grid = made.grid
    return draw(
        found, title=f"{grid.title}: how much comes back", done=grid.sentence(), blind=grid.blind, names=grid.names(),
        demonstrations=demonstration_scope([shown]),
    )  # fmt: skip


def reordered(draw: Draw) -> go.Figure:
    """Four examples drawn and ordered otherwise."""
    run = iclviz.run_spec(activities(4))
    made = iclviz.effect_map(run, "orders")
    return draw(
        {"B: k = 4": analysis.order_share((made, run))},
        blind=made.grid.blind,
        demonstrations=map_scope({"B": made}, {}),
    )


def flow(draw: Draw) -> go.Figure:
    """Information flow of two examples."""
    label, shown = list(answered().items())[-1]
    made = iclviz.trace(shown, "information_flow")
    limits = demonstration_scope([shown])
    return draw({label: analysis.flow_by_block((made, shown))}, blind=made.tracer.blind, demonstrations=limits)


def every_head(draw: Draw) -> go.Figure:
    """The head catalogue beside every head ablated, with two examples."""
    label, shown = list(answered().items())[-1]
    found = analysis.head_scores([iclviz.trace(shown, "head_catalogue"), shown, acted()[label][0]])
    return draw(found, model=shown.spec.model, run=label, demonstrations=demonstration_scope([shown]))


def competence(draw: Draw) -> go.Figure:
    """The answer's label moved with two examples, beside the position of the relevant statement."""
    label, shown = list(answered().items())[-1]
    made = iclviz.effect_map(shown, "competence label=answer control=position")
    found = analysis.competence_by_block((made, shown))
    return draw({label: found}, blind=made.grid.blind, demonstrations=demonstration_scope([shown]))


def foretold(draw: Draw) -> go.Figure:
    """What gradients foretell of states without examples put into prompts with two, beside true patches."""
    label, shown = list(answered().items())[-1]
    made = iclviz.trace(shown, "attribution_patching shown=none k=0")
    patches = iclviz.effect_map(shown, "patch shown=none k=0")
    found = analysis.foretold_patches([made, shown, patches])
    limits = demonstration_scope([shown])
    return draw({label: found}, donor="no demonstrations", blind=made.tracer.blind, demonstrations=limits)


def learned(draw: Draw) -> go.Figure:
    """Factors of attention to two examples' answers."""
    label, shown = list(answered().items())[-1]
    made = iclviz.trace(shown, "reweighting epochs=3")
    found = analysis.gain_by_reweighting((made, shown))
    return draw({label: found}, blind=made.tracer.blind, demonstrations=demonstration_scope([shown]))


def own_answer(draw: Draw) -> go.Figure:
    """Attention to eight examples' answers in a task whose items have the same answers."""
    shown = Demonstrations("correct", 8)
    of = RunSpec(DEMO_MODEL, "docs/examples/own_task.json", shown, n_items=24, record=("demonstration_attention",))
    recording = iclviz.run_spec(of)
    found = analysis.own_answer_by_block(recording)
    return draw({"k = 8": found}, demonstrations=demonstration_scope([recording]))


def of_study(draw: Draw) -> go.Figure:
    """Reading comprehension over k, with correct and shuffled demonstrations of three seeds."""
    asked = study(
        {
            "study": "kinds-and-numbers",
            "models": [DEMO_MODEL],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 16}},
            "conditions": {
                "correct": {"kind": "correct", "k": [1, 2, 4, 8]},
                "shuffled": {"kind": "shuffled", "k": [2, 8]},
            },
            "seeds": list(SEEDS),
        }
    )
    state = iclviz.run_study(asked)
    return draw(state.curves(), study=asked.name, there=state.n_there, asked=len(state.cells))


def live(draw: Draw) -> go.Figure:
    """The first item that is answered right with two examples, blind to relevant text in two blocks."""
    recording = list(answered().values())[-1]
    item = int(np.argmax(recording.scores[PREFERRED]))
    done = (intervention("knock_out to=relevant layers=23-24"),)
    model = LiveModel(Store())
    assert recording.origin is not None
    specs = [LiveSpec(as_mapped(recording.spec), item, acts, recording.origin.model) for acts in ((), done)]
    return draw(changed_item(*map(model.answer, specs)), done=shortly(done))


PICTURES: dict[str, Callable[[Draw], go.Figure]] = {
    "effect-map": lambda draw: of_maps(draw, analysis.effect_of_sites, "title", "done", "blind"),
    "effect-chosen": lambda draw: of_maps(draw, analysis.effect_of_sites, "title"),
    "attention-and-effect": lambda draw: of_maps(draw, analysis.attention_and_effect),
    "recovered-share": vectors,
    "order-share": reordered,
    "information-flow": flow,
    "head-scores": every_head,
    "study-curves": of_study,
    "competence": competence,
    "patches-foretold": foretold,
    "re-weighting": learned,
    "own-answer": own_answer,
    "live-candidates": live,
    "live-attention": live,
    "effect-on-items": lambda draw: of_maps(
        draw, lambda pair: analysis.effect_on_items(pair, 1, 21), outcome="margin"
    ),
    "score-pairs": at_a_glance,
    "outcome-counts": what_was_answered,
    "item-points": points_of_one,
    "changes-inside": inside_at_a_glance,
    "score-by-condition": lambda draw: draw(each(in_unit), **SAID),
    "score-over-k": score_over_k,
    "score-of-set": lambda draw: draw(curve(score_of_one), **SAID),
    "measure-of-set": lambda draw: draw(
        curve(alignment_of_one), measure=f"Alignment with “{HYPOTHESIS}”", value="Alignment (Spearman's rho)"
    ),
    "score-distribution": lambda draw: draw(each(in_unit), **SAID),
    "similarity-matrices": lambda draw: draw(
        each(lambda one: rsms(one)[LAYER]), pair()[A].hypotheses[PRIMARY.hypothesis], hypothesis_title=HYPOTHESIS,
        layer=LAYER, **sorted_items(),
    ),
    "similarity-play": lambda draw: draw(
        {name: rsms(one) for name, one in pair().items()}, layer=LAYER, **sorted_items()
    ),
    "similarity-difference": lambda draw: draw(
        rsms(pair()[B])[LAYER] - rsms(pair()[A])[LAYER], layer=LAYER, **sorted_items()
    ),
    "similarity-by-layer": lambda draw: draw(
        {layer: rsms(pair()[B])[layer] for layer in (0, 4, 9, 13, 17, 21, 26, 30)}, condition=B, **sorted_items()
    ),
    "similarity-by-condition": lambda draw: draw(curve(lambda one: rsms(one)[LAYER]), layer=LAYER, **sorted_items()),
    "item-map": lambda draw: draw(
        each(lambda one: item_map(rsms(one)[LAYER], "cosine")), pair()[A].labels[PRIMARY.label],
        item_ids=pair()[A].item_ids, label=LABEL, layer=LAYER,
    ),
    "alignment-by-layer": lambda draw: draw(
        each(lambda one: analysis.recording_alignment(one, PRIMARY.hypothesis)), hypothesis=HYPOTHESIS
    ),
    "change-by-layer": lambda draw: draw(
        {"B − A": analysis.alignment_change(comparison(), PRIMARY.hypothesis)},
        measure=f"alignment with “{HYPOTHESIS}”",
    ),
    "surface-control": lambda draw: draw(
        analysis.surface_control(
            rsms(pair()[B]), pair()[B].hypotheses[PRIMARY.hypothesis], analysis.surface_rsms(pair()[B])
        ),
        hypothesis=HYPOTHESIS, condition=B,
    ),
    "noise-ceiling": seeds_alike,
    "second-order": lambda draw: draw(
        analysis.second_order(*map(rsms, pair().values())), measure="Spearman's rho of RSMs", down=f"Layer, {A}",
        across=f"Layer, {B}",
    ),
    "composite-to-simple": simple_prompts,
    "probe-by-layer": lambda draw: draw(probes(), label=LABEL),
    "selectivity-by-layer": lambda draw: draw(probes(), label=LABEL),
    "confusion": confusions,
    "probe-by-parameter": parameters,
    "transfer-by-layer": transfer,
    "layer-transfer": transfer_between_layers,
    "attention-ratio-by-layer": lambda draw: draw(
        each(lambda one: analysis.recording_log_ratio(one, rows="last")), rows="last"
    ),
    "attention-ratio-by-head": lambda draw: draw(
        each(lambda one: analysis.recording_log_ratio_by_head(one, rows="last")), rows="last"
    ),
    "attention-ratio-over-items": lambda draw: draw(
        each(lambda one: np.log(analysis.attention_ratio(one, rows="last")[:, LAYER - 1])), block=LAYER,
        item_ids=each(lambda one: one.item_ids), rows="last",
    ),
    "attention-of-head": lambda draw: draw(
        each(lambda one: analysis.role_shares(one, LAYER, HEAD, "last")), block=LAYER, head=HEAD, rows="last"
    ),
    "attention-on-text": on_text,
    "attention-split": lambda draw: draw(each(lambda one: analysis.role_split(one, "last")), rows="last"),
    "change-by-head": lambda draw: draw(
        analysis.log_ratio_change(comparison(), measuring(), by_head=True), measure="log attention ratio"
    ),
    "measure-by-layer": distances,
    "right-against-wrong": told_apart,
    "trajectory-by-layer": lambda draw: through_layers(draw, analysis.trajectory_by_layer),
    "trajectory-right-wrong": lambda draw: through_layers(
        draw, analysis.trajectory_by_outcome, score=task("reading_comprehension").titles[PREFERRED]
    ),
    "trajectory-over-candidates": lambda draw: through_layers(draw, analysis.trajectory_over_candidates, alone=True),
    "trajectory-of-item": lambda draw: through_layers(
        draw, lambda one: analysis.trajectory_of_item(one, ITEM), alone=True
    ),
    "link-by-layer": links,
    "link-scatter": items_behind,
    "conditions-scatter": over_conditions,
}  # fmt: skip


def svg(figure: go.Figure) -> str:
    """The figure as SVG, without its random ids, so that a picture changes only with what it shows."""
    text = figure_files.image(figure, "svg").decode()
    drawn = text.partition('id="defs-')[2].partition('"')[0]
    return re.sub(rf"\b(trace|[a-z]*cb)[0-9a-f]{{6}}(?=t|\b)|\b(defs-|topdefs-|clip|legend|g){drawn}", r"\1\2", text)


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="figures; none stands for all")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in parser.parse_args().names or FIGURES:
        (FOLDER / f"{name}.svg").write_text(svg(PICTURES[name](FIGURES[name])))


if __name__ == "__main__":
    main()
