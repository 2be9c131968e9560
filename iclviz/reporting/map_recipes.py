"""Figures of maps as recipes, and what a map says in a sentence."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from iclviz import analysis
from iclviz.analysis.competence import Competence
from iclviz.analysis.effect_maps import SiteEffects, unit_of, usual_outcome
from iclviz.analysis.label_association import association
from iclviz.analysis.order_shares import KIND as ORDERS
from iclviz.analysis.order_shares import OrderShare
from iclviz.analysis.recovered import Recovered
from iclviz.analysis.statistics import SIGNIFICANT, stands_out
from iclviz.errors import SpecError
from iclviz.mapping import FromDemonstrations, Grid, Tracer, grid, ready_maps
from iclviz.maps import EffectMap, Made
from iclviz.natural_units import plain, signed
from iclviz.recording import Recording
from iclviz.reporting.recipes import Recipe, Runs
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import task

Maps = Mapping[str, EffectMap]
Recordings = Mapping[str, Recording]


def acting_maps(made: Mapping[str, Made]) -> dict[str, EffectMap]:
    """The maps among what was made."""
    return {label: one for label, one in made.items() if isinstance(one, EffectMap)}


def map_grids(typed: str, more: str, pairs: Recordings) -> dict[str, Grid]:
    """The map of each condition as it is typed, with further options; in it stand the demonstrations of the condition
    beside.

    Raises
    ------
    SpecError: there is no such map, or no condition beside it.
    """
    found = {}
    for label in pairs:
        beside = next((one.spec.demonstrations for name, one in pairs.items() if name != label), None)
        if beside is None and "{shown}" in typed:
            raise SpecError("This map puts something of the other condition in place.", "Choose and run both A and B.")
        known = {"shown": beside.kind, "k": beside.k, "seed": beside.seed} if beside else {}
        if "{label}" in typed:
            known |= label_and_control(pairs[label])
        order = f"order={beside.order}" if beside and beside.order and "{shown}" in typed else ""
        found[label] = grid(" ".join(f"{typed.format(**known)} {order} {more}".split()))
    return found


def possible_maps(pairs: Recordings) -> dict[str, dict[str, Grid]]:
    """Title -> the map of each condition, of the maps that are offered by name and that these conditions can have."""
    found = {}
    for title, typed in ready_maps().items():
        with suppress(SpecError):
            found[title] = map_grids(typed, "", pairs)
    return found


def label_and_control(recording: Recording) -> dict[str, str]:
    """The label of a run's primary analysis, and the one that goes together with it least; "" where there is none."""
    label = task(recording.spec.task).primary.label
    others = {name: association(recording.labels[label], recording.labels[name]) for name in recording.labels}
    known = {name: value for name, value in others.items() if name != label and np.isfinite(value)}
    return {"label": label, "control": min(known, key=lambda name: known[name]) if known else ""}


def map_label(label: str, of: Grid | Tracer) -> str:
    """What the map of a condition is called among the runs of a recipe."""
    return f"{label} [{of}]"


def with_made(made: Mapping[str, Made], pairs: Recordings) -> Runs:
    """Conditions and their maps or traces by label, for recipes to ask."""
    return {**pairs, **{map_label(label, one.spec.grid): one for label, one in made.items()}}


def asked_of(made: Mapping[str, Made]) -> dict[str, tuple[str, str]]:
    """Label of a condition -> the labels of its map or trace, and of its run."""
    return {label: (map_label(label, one.spec.grid), label) for label, one in made.items()}


def effects_by_site(
    maps: Maps, pairs: Recordings, outcome: str, beyond: bool, demonstrations: str
) -> tuple[Recipe, Runs]:
    """The mean effect at each site of conditions' maps over one grid."""
    of = next(iter(maps.values())).grid
    drawn: dict[str, Any] = {
        "title": of.title,
        "done": _done(maps),
        "blind": of.blind,
        "names": dict(of.names()),
        "name": _file("effect-map", of),
        "demonstrations": demonstrations,
    }
    arguments = {"outcome": outcome, "beyond": beyond}
    return Recipe(analysis.effect_of_sites, asked_of(maps), "effect_map", arguments, drawn), with_made(maps, pairs)


def _done(maps: Maps) -> str:
    """What was done at each site, as a clause; apart for each condition where it is not the same."""
    said = {label.partition(":")[0]: one.grid.sentence() for label, one in maps.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"in {label}, {sentence}" for label, sentence in said.items())


def _file(name: str, of: Grid) -> str:
    """What the files of a map's figure are called."""
    return f"{name}-{re.sub('[^a-z0-9]+', '-', str(of).lower())}"


def recipes_of_maps(maps: Maps, pairs: Recordings) -> Iterator[Recipe]:
    """Every figure of maps, by the labels of `with_made`; conditions with a map over one grid stand together.

    maps: label of `map_label` -> map; pairs: label -> recording.
    """
    by_grid: dict[str, dict[str, EffectMap]] = {}
    for label in pairs:
        for made in maps.values():
            if maps.get(map_label(label, made.grid)) is made:
                by_grid.setdefault(str(made.grid), {})[label] = made
    for of_grid in by_grid.values():
        own = {label: pairs[label] for label in of_grid}
        outcome, limits = usual_outcome(next(iter(of_grid.values()))), map_scope(of_grid, own)
        yield effects_by_site(of_grid, own, outcome, False, limits)[0]
        yield chosen_sites(of_grid, own, outcome, False, limits)[0]
        kind = next(iter(of_grid.values())).grid.kind
        if kind == "heads":
            yield heads_that_attend(of_grid, own, limits)[0]
        if kind == "competence":
            yield competence_by_block(of_grid, own)[0]
        if is_of_orders(of_grid):
            yield order_alone(of_grid, own, outcome, limits)[0]
        if shared := with_other_runs(of_grid, pairs):
            yield shares_that_come_back(shared, pairs, outcome, limits)[0]


def competence_by_block(maps: Maps, pairs: Recordings) -> tuple[Recipe, Runs]:
    """Whether each condition's answer follows its label; maps: label of a condition -> its map."""
    of = next(iter(maps.values())).grid
    drawn = {"blind": of.blind, "demonstrations": demonstration_scope(pairs[label] for label in maps)}
    recipe = Recipe(analysis.competence_by_block, asked_of(maps), "competence_by_block", {}, drawn)
    return recipe, with_made(maps, pairs)


def competence_sentence(found: Mapping[str, Competence]) -> str:
    """Each condition's competence, in the block that other items chose."""
    return " ".join(_competence_of(label.partition(":")[0], one) for label, one in found.items())


def _competence_of(label: str, found: Competence) -> str:
    at = found.blocks.index(found.chosen)
    follows, stays, before = (_percent(float(one)) for one in (*found.estimate[:2, at], found.before))
    told = (
        f"{label}: with {found.label} moved in block {found.chosen}, the model gives the answer of the other class "
        f"{follows} of its probability ({before} with nothing done); with {found.control} moved, {stays} of the output "
        "stays as it was."
    )
    estimate, low, high = found.of_chosen
    if np.isnan(estimate):
        return f"{told} There are too few groups to choose a block on some and judge it on others."
    judged = f"{_percent(estimate)} ({_percent(low)} to {_percent(high)})"
    return f"{told} Competence, judged on other items than chose the block: {judged}."


def chosen_sites(maps: Maps, pairs: Recordings, outcome: str, beyond: bool, demonstrations: str) -> tuple[Recipe, Runs]:
    """The strongest sites of one half of the groups, in the other half."""
    of = next(iter(maps.values())).grid
    named = {"names": dict(of.names()), "name": _file("effect-chosen", of)}
    drawn = {"title": of.title, **named, "demonstrations": demonstrations}
    arguments = {"outcome": outcome, "beyond": beyond}
    return Recipe(analysis.effect_of_sites, asked_of(maps), "effect_chosen", arguments, drawn), with_made(maps, pairs)


def effects_on_items(
    maps: Maps, pairs: Recordings, outcome: str, at: tuple[int | str, int | str], demonstrations: str
) -> tuple[Recipe, Runs]:
    """One site's effect on each item."""
    arguments = {"first": at[0], "second": at[1], "outcome": outcome}
    drawn = {"outcome": outcome, "demonstrations": demonstrations}
    return Recipe(analysis.effect_on_items, asked_of(maps), "effect_on_items", arguments, drawn), with_made(maps, pairs)


def heads_that_attend(maps: Maps, pairs: Recordings, demonstrations: str) -> tuple[Recipe, Runs]:
    """Attention ratio and effect of each head."""
    drawn = {"demonstrations": demonstrations}
    return Recipe(analysis.attention_and_effect, asked_of(maps), "attention_and_effect", {}, drawn), with_made(
        maps, pairs
    )


def is_of_orders(maps: Maps) -> bool:
    """Whether maps are over sets and orders of demonstrations."""
    return next(iter(maps.values())).grid.kind == ORDERS


def map_scope(maps: Maps, pairs: Recordings) -> str:
    """What statements about maps are limited to: the demonstrations of their runs, or the sets and orders they show."""
    if not is_of_orders(maps):
        return demonstration_scope(pairs.values())
    n_sets, n_orders = (len(axis.values) for axis in next(iter(maps.values())).axes)
    return f"for {n_sets} {'set' if n_sets == 1 else 'sets'} of demonstrations in {n_orders} orders only"


def order_alone(maps: Maps, pairs: Recordings, outcome: str, demonstrations: str) -> tuple[Recipe, Runs]:
    """What the order of demonstrations does alone, beside other sets of them."""
    of = next(iter(maps.values())).grid
    drawn = {"blind": of.blind, "name": _file("order-share", of), "demonstrations": demonstrations}
    return Recipe(analysis.order_share, asked_of(maps), "order_share", {"outcome": outcome}, drawn), with_made(
        maps, pairs
    )


def order_sentence(found: Mapping[str, OrderShare]) -> str:
    """How much order alone does in each condition, beside which demonstrations are shown."""
    return " ".join(_order_of(label.partition(":")[0], one) for label, one in found.items())


def _order_of(label: str, found: OrderShare) -> str:
    row = int(np.argmax(found.ranges))
    right = [found.right[row, int(choose(found.means[row]))] for choose in (np.argmin, np.argmax)]
    answers = f", right answers from {_percent(right[0])} to {_percent(right[1])}" if np.isfinite(right).all() else ""
    moved = (
        f"between two orders of set {found.sets[row]} the mean goes by "
        f"{plain(float(found.ranges[row]))}{unit_of(found.outcome)}{answers}"
    )
    whole = found.of_items
    if np.isnan(whole.share):
        return f"{label}: {found.reason}; {moved}."
    over = "" if np.isnan(found.low) else f"{_percent(found.low)} to {_percent(found.high)} over items, "
    return (
        f"{label}: two orders of the same demonstrations change an item’s answer {_percent(whole.share)} as much as "
        f"other demonstrations do ({over}{_percent(whole.low)} to {_percent(whole.high)} for other sets and orders; "
        f"mean squares). At most, {moved}."
    )


Shared = Mapping[str, tuple[EffectMap, str, str]]
"""Label -> a map, the label of its run, and that of the run from which something was put in place."""


def with_other_runs(maps: Maps, runs: Recordings) -> dict[str, tuple[EffectMap, str, str]]:
    """Of each map that puts something of another of these runs in place: it, its label and that run's."""
    found = {}
    for label, made in maps.items():
        of = made.grid
        if isinstance(of, FromDemonstrations):
            alike = (name for name, one in runs.items() if one.spec.demonstrations.canonical() == of.demonstrations)
            if (other := next(alike, None)) is not None:
                found[label] = (made, label, other)
    return found


def shares_that_come_back(shared: Shared, runs: Recordings, outcome: str, demonstrations: str) -> tuple[Recipe, Runs]:
    """How much of the difference between each map's run and another one comes back; runs: label -> recording."""
    maps = {label: made for label, (made, _, _) in shared.items()}
    of = next(iter(maps.values())).grid
    drawn: dict[str, Any] = {
        "title": f"{of.title}: how much comes back",
        "done": _done(maps),
        "blind": of.blind,
        "names": dict(of.names()),
        "name": _file("recovered-share", of),
        "demonstrations": demonstrations,
    }
    asked = {label: (map_label(own, made.grid), own, other) for label, (made, own, other) in shared.items()}
    every: Runs = {**runs, **{asked[label][0]: made for label, made in maps.items()}}
    return Recipe(analysis.recovered_share, asked, "recovered_share", {"outcome": outcome}, drawn), every


def _percent(share: float) -> str:
    return f"{plain(float(np.round(100 * share)))} %"


def first_with_shares(told: Mapping[str, Mapping[str, Recovered]]) -> str:
    """The first outcome by which some condition has shares, else the first; told: outcome -> label -> its shares."""
    with_shares = (name for name, found in told.items() if any(not one.reason for one in found.values()))
    return next(with_shares, next(iter(told)))


def share_sentence(found: Mapping[str, Recovered], names: Mapping[str, str]) -> str:
    """How much of each condition's difference comes back, at the site that other items chose.

    names: value of the first axis -> what it is called.
    """
    return " ".join(_share_of(label.partition(":")[0], one, names) for label, one in found.items())


def _share_of(label: str, found: Recovered, names: Mapping[str, str]) -> str:
    if found.reason:
        return f"{label}: {found.reason}."
    parts = [
        f"{found.line_of(one.first, names)}: {_percent(one.estimate)} "
        f"({_percent(one.low)} to {_percent(one.high)}, {found.axes[1]} {one.second})"
        for one in found.chosen
    ]
    gain = f"{label}: demonstrations move the answer by {signed(found.gain)} nats"
    if not parts:
        return f"{gain}; there are too few groups to choose a {found.axes[1]} on some and judge it on others."
    return f"{gain}. What comes back of it, at the {found.axes[1]} that other items chose, of {'; of '.join(parts)}."


def map_sentence(found: Mapping[str, SiteEffects], names: Mapping[str, str]) -> str:
    """What a map found, for each condition: how many sites stand out, and the strongest one.

    names: value of the first axis -> what it is called.
    """
    return " ".join(_of_condition(label.partition(":")[0], one, names) for label, one in found.items())


def _of_condition(label: str, found: SiteEffects, names: Mapping[str, str]) -> str:
    if found.reason:
        return f"{label}: {found.reason}."
    out = stands_out(found.p_corrected)
    tested = int(np.isfinite(found.p_corrected).sum())
    if not out.any():
        widest = float(np.nanmax(np.maximum(np.abs(found.low), np.abs(found.high)), initial=0.0))
        return (
            f"{label}: at none of {tested} sites does the answer change (p < {SIGNIFICANT}, corrected); "
            f"no interval reaches beyond {widest:.3g}{unit_of(found.outcome)}."
        )
    size = np.where(out, np.abs(found.estimate), -1.0)
    at = np.unravel_index(int(np.argmax(size)), size.shape)
    where = found.place(found.first[at[0]], found.second[at[1]], names)
    return (
        f"{label}: the answer changes at {int(out.sum())} of {tested} sites (p < {SIGNIFICANT}, corrected), "
        f"most at {where}: {signed(float(found.estimate[at]))}{unit_of(found.outcome)} "
        f"({signed(float(found.low[at]))} to {signed(float(found.high[at]))})."
    )
