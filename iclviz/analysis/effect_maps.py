"""What acting at each site of a map does to the answers: mean effects over items, tested over groups of items.

An effect is an item's outcome while something is done less its outcome with nothing done. Sites are tested by sign
flips of whole groups, as all paired differences are, and p is corrected over the sites of a map by the maximum over
them. A site that was chosen because it is strongest looks stronger than it is on the items that chose it: groups are
halved, one half chooses, and the other alone says how strong it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups, nats_held
from iclviz.analysis.paired import PairedTest, paired_test
from iclviz.analysis.resolution import settled
from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import first_half, mean_of_known, too_few, unit_codes
from iclviz.errors import AnalysisError, unknown
from iclviz.maps import EffectMap
from iclviz.questions.question import of_map
from iclviz.recording import Array, Recording

SCORE = "score"
OUTCOMES = ("margin", "answer", SCORE)
"""What effects are of: the right answer's log-probability over the best other candidate's, or by itself, or the task's
main score of what the model wrote.
"""

Part = Literal["base", "logprobs", "controls"]
OTHERS = "the other heads of its block"
RANDOM_TOKENS = "as many random tokens of the same prompts"
CONTROLS = {
    "erase": "permutations of the same label",
    "steer": "random directions as long",
    "function_vector": "random directions as long",
}
"""Kind of map -> what its sites are compared with, where that is not `RANDOM_TOKENS`."""

MOST_CHOSEN = 5
"""Sites that one half of the groups chooses."""


@dataclass(frozen=True, eq=False)
class SiteEffects(Tested):
    """The mean effect at each site; arrays (F, S), NaN where it acts on no item.

    Attributes
    ----------
    estimate, low, high, p, p_corrected: the mean effect over items, in nats or in units of the score, and its test.
    kind: that of the grid; outcome: one of `OUTCOMES`.
    beyond: what effects are less of, in words; "" where they are as they are.
    axes: what both sides are called; first, second: their values.
    n: (F, S) items that have an effect.
    unchanged: (F, S) items of which no value changed, though something was done.
    between_draws: (F, S) standard deviation of the mean effect between draws of donors, NaN where there is but one.
    base: the mean outcome with nothing done.
    right, right_base: (F, S) and alone, share of items whose right answer is the most probable candidate.
    n_units: groups of items; n_items: items; reason: why there is no p, or None.
    chosen: sites that one half of the groups found strongest, in the other half; chosen_reason: why there are none.
    """

    kind: str
    outcome: str
    beyond: str
    axes: tuple[str, str]
    first: tuple[int | str, ...]
    second: tuple[int | str, ...]
    n: Array
    unchanged: Array
    between_draws: Array
    base: float
    right: Array
    right_base: float
    n_units: int
    n_items: int
    reason: str | None
    chosen: "tuple[ChosenSite, ...]"
    chosen_reason: str | None

    def strongest(self, most: int = MOST_CHOSEN) -> list[tuple[int, int]]:
        """Places of the sites with the largest effects among those with the least corrected p."""
        size = np.where(np.isfinite(self.estimate), np.abs(self.estimate), -1.0)
        p = np.where(np.isfinite(self.p_corrected), self.p_corrected, 1.0)
        order = np.lexsort((-size.ravel(), p.ravel()))[:most]
        return [(int(one) // size.shape[1], int(one) % size.shape[1]) for one in order if size.ravel()[one] >= 0]

    def place(self, first: int | str, second: int | str, names: Mapping[str, str]) -> str:
        """A site in words; names: value of the first axis -> what it is called, where that is not the value itself."""
        usual = first if isinstance(first, str) else f"{self.axes[0]} {first}"
        return f"{names.get(str(first), usual)}, {self.axes[1]} {second}"

    def lines(self) -> list[str]:
        """The strongest sites, a line each."""
        base = f"{self.outcome} {self.base:+.3f}{unit_of(self.outcome)}"
        found = [f"{base} with nothing done, {self.n_items} items, {self.n_units} groups"]
        for row, column in self.strongest():
            where = site_in_words(self.axes, self.first[row], self.second[column])
            at = (row, column)
            interval = f"[{self.low[at]:+.3f}, {self.high[at]:+.3f}]"
            found.append(f"{where:<40} {self.estimate[at]:+.3f} {interval}  p corrected {self.p_corrected[at]:.3f}")
        return found + ([self.reason] if self.reason else [])


@dataclass(frozen=True)
class ChosenSite:
    """A site that one half of the groups chose.

    Attributes
    ----------
    first, second: its values on both axes.
    chosen_at: its mean effect in the half that chose it, which is too strong.
    estimate, low, high: its mean effect in the other half.
    p, p_corrected: its test there, alone and over the sites that were chosen.
    """

    first: int | str
    second: int | str
    chosen_at: float
    estimate: float
    low: float
    high: float
    p: float
    p_corrected: float


def site_in_words(axes: tuple[str, str], first: int | str, second: int | str) -> str:
    """A site by what both sides of its map are called, and its values there."""
    return f"{axes[0]} {first}, {axes[1]} {second}"


def outcome_of(logprobs: Array, outcome: str) -> Array:
    """(..., n) an outcome of items from their candidates' log-probabilities (..., n, C), the right one first.

    Raises
    ------
    AnalysisError: no such outcome.
    """
    if outcome not in OUTCOMES:
        raise unknown(AnalysisError, "outcome", outcome, list(OUTCOMES))
    logprobs = np.asarray(logprobs, dtype=np.float64)
    if outcome == "answer":
        return np.asarray(logprobs[..., 0])
    others = np.where(np.isnan(logprobs[..., 1:]), -np.inf, logprobs[..., 1:]).max(-1, initial=-np.inf)
    return np.where(np.isfinite(others), logprobs[..., 0] - others, np.nan)


def outcomes(made: EffectMap, part: Part, outcome: str) -> Array:
    """(..., n) an outcome of items with nothing done, at each site, or at each control.

    Raises
    ------
    AnalysisError: no such outcome, or nothing was written.
    """
    if outcome != SCORE:
        return outcome_of(getattr(made, part), outcome)
    scores = {"base": made.base_scores, "logprobs": made.scores, "controls": made.control_scores}[part]
    if scores is None:
        raise AnalysisError(
            "At the sites of this map nothing was written, so there is no score.", "Make it with responses=8."
        )
    return np.asarray(scores, dtype=np.float64)


def unit_of(outcome: str) -> str:
    """What follows a number of an outcome."""
    return "" if outcome == SCORE else " nats"


def held(recording: Recording, outcome: str) -> float:
    """The difference below which numbers of an outcome are rounding."""
    return 0.0 if outcome == SCORE else nats_held(recording)


def usual_outcome(made: EffectMap) -> str:
    """The margin where items have candidates to be apart from, else the score of what was written, where anything was,
    else the answer's log-probability.
    """
    if np.isfinite(outcome_of(made.base, "margin")).any():
        return "margin"
    return "answer" if made.scores is None else SCORE


def known_outcomes(maps: Iterable[EffectMap]) -> list[str]:
    """The outcomes that all of some maps have."""
    every = list(maps)
    has = {
        "margin": all(np.isfinite(outcome_of(made.base, "margin")).any() for made in every),
        "answer": True,
        SCORE: all(made.scores is not None for made in every),
    }
    return [name for name in OUTCOMES if has[name]]


def item_effects(made: EffectMap, outcome: str = "") -> Array:
    """(F, S, n) the effect at each site on each item, the mean over draws; NaN where nothing was done to it.

    Raises
    ------
    AnalysisError: no such outcome.
    """
    outcome = outcome or usual_outcome(made)
    return mean_of_known(np.moveaxis(draw_effects(made, outcome), 2, 0))


def draw_effects(made: EffectMap, outcome: str) -> Array:
    """(F, S, V, n) the effect at each site under each draw of donors."""
    change = outcomes(made, "logprobs", outcome) - outcomes(made, "base", outcome)
    return np.where(made.acted > 0, change, np.nan)


def control_effects(made: EffectMap, outcome: str = "") -> Array:
    """(F, S, n) the mean effect of a site's controls on each item; of heads that of the others of its block.

    Raises
    ------
    AnalysisError: no such outcome, or this kind of map has no controls.
    """
    outcome = outcome or usual_outcome(made)
    if made.controls.shape[2]:
        change = outcomes(made, "controls", outcome) - outcomes(made, "base", outcome)
        return mean_of_known(np.moveaxis(np.where(made.acted_controls > 0, change, np.nan), 2, 0))
    if not has_controls(made):
        raise AnalysisError("This map has no controls.", "Take the effects as they are.")
    effects = item_effects(made, outcome)
    n_heads = len(effects)
    return np.asarray((effects.sum(axis=0, keepdims=True) - effects) / (n_heads - 1))


def has_controls(made: EffectMap) -> bool:
    """Whether sites have anything to be compared with."""
    return bool(made.controls.shape[2]) or (made.axes[0].name == "head" and len(made.axes[0].values) > 1)


def controls_in_words(made: EffectMap) -> str:
    """What sites are compared with."""
    return CONTROLS.get(made.grid.kind, RANDOM_TOKENS) if made.controls.shape[2] else OTHERS


def check_pair(made: EffectMap, recording: Recording) -> None:
    """Refuse a recording that is not of a map's run.

    Raises
    ------
    AnalysisError: so.
    """
    if list(made.item_ids) != list(recording.item_ids):
        raise AnalysisError("The map and the recording have different items.", "Take the map of this recording's run.")


@of_map
def effect_of_sites(
    pair: tuple[EffectMap, Recording], outcome: str = "", beyond: bool = False, *, seed: int = 0
) -> SiteEffects:
    """The mean effect at each site of a map.

    Parameters
    ----------
    pair: the map and the recording of its run.
    outcome: one of `OUTCOMES`; "" is the usual one.
    beyond: whether what the same does at controls is taken off.
    seed: draws flips, and halves the groups.

    Raises
    ------
    AnalysisError: they do not belong together, no such outcome, or there are no controls.
    """
    made, recording = pair
    check_pair(made, recording)
    outcome = outcome or usual_outcome(made)
    effects = item_effects(made, outcome)
    if beyond:
        effects = effects - control_effects(made, outcome)
    by_item = settled(np.moveaxis(effects, -1, 0), held(recording, outcome))
    groups = coarsest_groups(recording)
    test = paired_test(by_item, groups, seed=seed)
    chosen, reason = _chosen(made, by_item, unit_codes(groups, made.n_items), seed)
    tested = {field.name: getattr(test, field.name) for field in fields(Tested)}
    right, right_base = (prefers_right(one) for one in (made.logprobs, made.base))
    return SiteEffects(
        **tested,
        kind=made.grid.kind,
        outcome=outcome,
        beyond=controls_in_words(made) if beyond else "",
        axes=(made.axes[0].name, made.axes[1].name),
        first=made.axes[0].values,
        second=made.axes[1].values,
        n=test.n,
        unchanged=((made.acted > 0) & (made.changed == 0)).all(axis=2).sum(axis=-1),
        between_draws=_between_draws(made, outcome),
        base=float(mean_of_known(outcomes(made, "base", outcome))),
        right=right,
        right_base=float(right_base),
        n_units=test.n_units,
        n_items=made.n_items,
        reason=test.reason,
        chosen=chosen,
        chosen_reason=reason,
    )


def prefers_right(logprobs: Array) -> Array:
    """(...) share of items whose right answer is the most probable candidate; NaN where there is but one."""
    margin = outcome_of(logprobs, "margin")
    right = mean_of_known(np.moveaxis(np.where(np.isnan(margin), np.nan, margin > 0), -1, 0))
    return mean_of_known(np.moveaxis(right, 2, 0)) if right.ndim == 3 else right


def _between_draws(made: EffectMap, outcome: str) -> Array:
    """(F, S) the standard deviation of mean effects between draws; NaN where there is but one."""
    means = mean_of_known(np.moveaxis(draw_effects(made, outcome), -1, 0))
    return means.std(axis=2, ddof=1) if means.shape[2] > 1 else np.full(means.shape[:2], np.nan)


def _chosen(made: EffectMap, by_item: Array, codes: Array, seed: int) -> tuple[tuple[ChosenSite, ...], str | None]:
    """The strongest sites of one half of the groups, in the other half; or why there are none."""
    n_groups = int(codes.max()) + 1
    if few := too_few(n_groups // 2):
        return (), f"{few} in either half of them"
    choosing = first_half(codes, seed)
    flat = by_item.reshape(len(by_item), -1)
    means = np.abs(np.nan_to_num(mean_of_known(flat[choosing])))
    places = np.argsort(-means, kind="stable")[: min(MOST_CHOSEN, int((means > 0).sum()))]
    if not len(places):
        return (), "nothing that was done changed any answer"
    test: PairedTest = paired_test(flat[~choosing][:, places], codes[~choosing], seed=seed)
    n_second = len(made.axes[1].values)
    found = [
        ChosenSite(
            made.axes[0].values[place // n_second],
            made.axes[1].values[place % n_second],
            float(mean_of_known(flat[choosing, place])),
            *(float(getattr(test, name)[number]) for name in ("estimate", "low", "high", "p", "p_corrected")),
        )
        for number, place in enumerate(places.tolist())
    ]
    return tuple(found), test.reason


def site_of(made: EffectMap, first: int | str, second: int | str) -> tuple[int, int]:
    """The place of a site by its values on both axes.

    Raises
    ------
    AnalysisError: there is none.
    """
    at = []
    for axis, value in zip(made.axes, (first, second), strict=True):
        if value not in axis.values:
            raise unknown(AnalysisError, axis.name, value, list(map(str, axis.values)))
        at.append(axis.values.index(value))
    return at[0], at[1]


@dataclass(frozen=True, eq=False)
class EffectOnItems:
    """One site's effect on each item.

    Attributes
    ----------
    effect: (n,) in nats, NaN where nothing was done to it; base: (n,) the outcome with nothing done.
    control: (n,) the mean effect of its controls; None where there are none.
    item_ids: n ids; acted, changed: (n,) places.
    where: the site in words.
    """

    effect: Array
    base: Array
    control: Array | None
    item_ids: Sequence[str]
    acted: Array
    changed: Array
    where: str


@of_map
def effect_on_items(
    pair: tuple[EffectMap, Recording], first: int | str, second: int | str, outcome: str = ""
) -> EffectOnItems:
    """What acting at one site does to each item.

    Raises
    ------
    AnalysisError: as `effect_of_sites`, or no such site.
    """
    made, recording = pair
    check_pair(made, recording)
    outcome = outcome or usual_outcome(made)
    at = site_of(made, first, second)
    control = control_effects(made, outcome)[at] if has_controls(made) else None
    where = site_in_words((made.axes[0].name, made.axes[1].name), first, second)
    effect, base = item_effects(made, outcome)[at], outcomes(made, "base", outcome)
    acted, changed = (counts[at].max(axis=0) for counts in (made.acted, made.changed))
    return EffectOnItems(effect, base, control, tuple(made.item_ids), acted, changed, where)
