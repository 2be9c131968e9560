"""Figures of traces as recipes: information flow, re-weighting, patches foretold, the scores of every head."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from iclviz import analysis
from iclviz.analysis.every_head import HeadScores
from iclviz.analysis.foretold import Foretold
from iclviz.analysis.information_flow import PAIRS, TITLES, Flow
from iclviz.analysis.own_answer import CHANCE, OwnAnswer
from iclviz.analysis.reweighted import Reweighted
from iclviz.analysis.statistics import SIGNIFICANT
from iclviz.intervening import place_words, shown_words
from iclviz.mapping import FromDemonstrations, Grid, Tracer, grid, tracer
from iclviz.maps import EffectMap, Made, Trace
from iclviz.natural_units import plain, signed
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import asked_of, map_label, with_made
from iclviz.reporting.recipes import Recipe, Runs
from iclviz.reporting.scope import demonstration_scope

Traces = Mapping[str, Trace]
Recordings = Mapping[str, Recording]
SCORING = ("heads", "head_means")
"""Kinds of maps that give each head a score."""


def flow_by_block(traces: Traces, pairs: Recordings) -> tuple[Recipe, Runs]:
    """The information flow of each block; traces: label of a condition -> its trace."""
    recipe = Recipe(analysis.flow_by_block, asked_of(traces), "information_flow", {}, _drawn(traces, pairs))
    return recipe, with_made(traces, pairs)


def gain_by_reweighting(traces: Traces, pairs: Recordings) -> tuple[Recipe, Runs]:
    """What learned factors of each head do; traces: label of a condition -> its trace."""
    recipe = Recipe(analysis.gain_by_reweighting, asked_of(traces), "reweighting", {}, _drawn(traces, pairs))
    return recipe, with_made(traces, pairs)


def patches_foretold(traces: Traces, maps: Mapping[str, EffectMap], pairs: Recordings) -> tuple[Recipe, Runs]:
    """What gradients foretell of patches; traces, maps: label of a condition -> its trace, and its map where there is
    one.
    """
    of_maps = asked_of(maps)
    asked = {label: (*names, *of_maps.get(label, ())[:1]) for label, names in asked_of(traces).items()}
    others = {one.tracer.other for one in traces.values()}
    donors = " or ".join(shown_words(one.kind, one.k, one.seed, one.order) for one in others if one)
    drawn = {**_drawn(traces, pairs), "donor": donors}
    recipe = Recipe(analysis.foretold_patches, asked, "patches_foretold", {}, drawn)
    return recipe, {**with_made(traces, pairs), **with_made(maps, {})}


def own_answers(pairs: Recordings) -> tuple[Recipe, Runs]:
    """Whether attention to the demonstrations' answers foretells the model's own; pairs: label -> recording."""
    drawn = {"demonstrations": demonstration_scope(pairs.values())}
    asked = {label: (label,) for label in pairs}
    return Recipe(analysis.own_answer_by_block, asked, "own_answer_by_block", {}, drawn), pairs


def _drawn(traces: Traces, pairs: Recordings) -> dict[str, Any]:
    limits = demonstration_scope(pairs[label] for label in traces)
    return {"blind": next(iter(traces.values())).tracer.blind, "demonstrations": limits}


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


def reweighting_sentence(found: Mapping[str, Reweighted]) -> str:
    """What each condition gains by learned factors, and whether that is more than at random."""
    return " ".join(_gain_of(label.partition(":")[0], one) for label, one in found.items())


def _gain_of(label: str, found: Reweighted) -> str:
    if found.reason:
        return f"{label}: {found.reason}."
    is_more = found.p[2] < SIGNIFICANT and found.estimate[2] > 0
    beyond = "more than" if is_more else "no more than can be told from"
    gain, low, high, random = (
        signed(float(one)) for one in (found.estimate[0], found.low[0], found.high[0], found.estimate[1])
    )
    return (
        f"{label}: attention to the answers times learned factors moves the margin by {gain} nats ({low} to {high}), "
        f"{beyond} factors for random tokens ({random})."
    )


def foretold_sentence(found: Mapping[str, Foretold]) -> str:
    """Where each condition's gradients see the largest effect, and how far true patches agree."""
    return " ".join(_foretold_of(label.partition(":")[0], one) for label, one in found.items())


def _foretold_of(label: str, found: Foretold) -> str:
    size = np.where(np.isfinite(found.estimate), np.abs(found.estimate), -1.0)
    place, block = (int(one) for one in np.unravel_index(int(size.argmax()), size.shape))
    where = "the last prompt token" if found.places[place] == "last" else place_words(found.places[place])
    told = (
        f"{label}: one gradient foretells most at {where} in block {block + 1}: "
        f"{signed(float(found.estimate[place, block]))} nats"
    )
    if not np.isfinite(found.agreement[place]):
        return f"{told}. No true patch stands beside it yet."
    return f"{told}; over blocks it agrees with true patches to {found.agreement[place]:.2f} (rank correlation)."


def own_answer_sentence(found: Mapping[str, OwnAnswer]) -> str:
    """In which blocks attention foretells each condition's answers, and where best."""
    return " ".join(_foretelling(label.partition(":")[0], one) for label, one in found.items())


def _foretelling(label: str, found: OwnAnswer) -> str:
    above = found.low > CHANCE
    if not above.any():
        return (
            f"{label}: in none of {len(above)} blocks does attention to an answer foretell the model's own; every "
            "interval of the AUROC reaches chance, 0.5."
        )
    block = int(np.nanargmax(np.where(above, found.estimate, -1.0)))
    low, high = found.low[block], found.high[block]
    return (
        f"{label}: attention to an answer foretells the model's own in {int(above.sum())} of {len(above)} blocks (each "
        f"interval by itself), best in block {block + 1}: AUROC {found.estimate[block]:.2f} ({low:.2f} to {high:.2f})."
    )


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
    by_kind: dict[str, dict[str, Trace]] = {}
    for label in pairs:
        for name, one in made.items():
            if isinstance(one, Trace) and name == map_label(label, one.tracer):
                by_kind.setdefault(one.tracer.kind, {})[label] = one
    for kind, recipe_of in {"information_flow": flow_by_block, "reweighting": gain_by_reweighting}.items():
        if kind in by_kind:
            yield recipe_of(by_kind[kind], pairs)[0]
    if foretold := by_kind.get("attribution_patching"):
        yield patches_foretold(foretold, _true_patches(foretold, made), pairs)[0]
    for label, catalogue in list(by_kind.get("head_catalogue", {}).items())[-1:]:
        maps = {
            name: one
            for name, one in made.items()
            if isinstance(one, EffectMap) and one.grid.kind in SCORING and name == map_label(label, one.grid)
        }
        yield every_head(label, pairs[label], catalogue, maps)[0]


def _true_patches(foretold: Traces, made: Mapping[str, Made]) -> dict[str, EffectMap]:
    """Label of a condition -> the map of the patches that a trace foretells, where it is there."""
    found = {}
    for label, one in foretold.items():
        patches = made.get(map_label(label, true_patches(one.tracer)))
        if isinstance(patches, EffectMap):
            found[label] = patches
    return found


def true_patches(of: Tracer) -> Grid:
    """The map of the patches that a trace foretells."""
    assert of.other is not None
    shown = of.other
    return grid({"kind": "patch", "shown": shown.kind, "k": shown.k, "seed": shown.seed, "order": shown.order})


def is_patch_of_states(of: Grid) -> bool:
    """Whether a map is one of patches that a trace could foretell."""
    return of.kind == "patch" and of.to_dict().get("of", "state") == "state"


def foretold_by(of: Grid) -> Tracer:
    """The trace that foretells a map of patches."""
    assert isinstance(of, FromDemonstrations)
    return tracer({"kind": "attribution_patching", "shown": of.shown, **of.drawn})
