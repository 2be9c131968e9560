"""Figures of maps as recipes, and what a map says in a sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from iclviz import analysis
from iclviz.analysis.effect_maps import SiteEffects
from iclviz.analysis.statistics import SIGNIFICANT, stands_out
from iclviz.mapping import Grid
from iclviz.maps import EffectMap
from iclviz.natural_units import signed
from iclviz.recording import Recording
from iclviz.reporting.recipes import Recipe, Runs

Maps = Mapping[str, EffectMap]
Recordings = Mapping[str, Recording]


def map_label(label: str, of: Grid) -> str:
    """What the map of a condition is called among the runs of a recipe."""
    return f"{label} [{of}]"


def with_maps(maps: Maps, pairs: Recordings) -> Runs:
    """Conditions and their maps by label, for recipes to ask."""
    return {**pairs, **{map_label(label, one.spec.grid): one for label, one in maps.items()}}


def _asked(maps: Maps) -> dict[str, tuple[str, str]]:
    return {label: (map_label(label, one.spec.grid), label) for label, one in maps.items()}


def effects_by_site(
    maps: Maps, pairs: Recordings, outcome: str, beyond: bool, demonstrations: str
) -> tuple[Recipe, Runs]:
    """The mean effect at each site of conditions' maps over one grid."""
    of = next(iter(maps.values())).spec.grid
    drawn: dict[str, Any] = {
        "title": of.title,
        "done": _done(maps),
        "blind": of.blind,
        "names": dict(of.names()),
        "demonstrations": demonstrations,
    }
    arguments = {"outcome": outcome, "beyond": beyond}
    return Recipe(analysis.effect_of_sites, _asked(maps), "effect_map", arguments, drawn), with_maps(maps, pairs)


def _done(maps: Maps) -> str:
    """What was done at each site, as a clause; apart for each condition where it is not the same."""
    said = {label.partition(":")[0]: one.spec.grid.sentence() for label, one in maps.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return "; ".join(f"in {label}, {sentence}" for label, sentence in said.items())


def chosen_sites(maps: Maps, pairs: Recordings, outcome: str, beyond: bool, demonstrations: str) -> tuple[Recipe, Runs]:
    """The strongest sites of one half of the groups, in the other half."""
    of = next(iter(maps.values())).spec.grid
    drawn = {"title": of.title, "names": dict(of.names()), "demonstrations": demonstrations}
    arguments = {"outcome": outcome, "beyond": beyond}
    return Recipe(analysis.effect_of_sites, _asked(maps), "effect_chosen", arguments, drawn), with_maps(maps, pairs)


def effects_on_items(
    maps: Maps, pairs: Recordings, outcome: str, at: tuple[int | str, int | str], demonstrations: str
) -> tuple[Recipe, Runs]:
    """One site's effect on each item."""
    arguments = {"first": at[0], "second": at[1], "outcome": outcome}
    drawn = {"outcome": outcome, "demonstrations": demonstrations}
    return Recipe(analysis.effect_on_items, _asked(maps), "effect_on_items", arguments, drawn), with_maps(maps, pairs)


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
            f"no interval reaches beyond {widest:.3g} nats."
        )
    size = np.where(out, np.abs(found.estimate), -1.0)
    at = np.unravel_index(int(np.argmax(size)), size.shape)
    row = names.get(str(found.first[at[0]]), f"{found.axes[0]} {found.first[at[0]]}")
    return (
        f"{label}: the answer changes at {int(out.sum())} of {tested} sites (p < {SIGNIFICANT}, corrected), "
        f"most at {row}, {found.axes[1]} {found.second[at[1]]}: {signed(float(found.estimate[at]))} nats "
        f"({signed(float(found.low[at]))} to {signed(float(found.high[at]))})."
    )
