"""How much of the difference that other demonstrations make comes back at each site of a map: the mean effect over the
mean difference, never item by item.

1. The effect of an item is its outcome with something done less that with nothing done; its gain is its outcome in the
   other run less that with nothing done.
2. The share is the mean effect over the mean gain of the items that have both. Its interval is Fieller's (1954) over
   groups: the shares s for which effect less s times gain has a mean that Student's t does not tell from zero. The
   variance is that of leaving out each group, and there are as many degrees of freedom as groups of one size would
   leave, less one: a large group tells less than its items.
3. Where the gain itself is not told from zero, any share would do, and none is given.

A site that was chosen because it is largest is reported from the other half of the groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from iclviz.analysis.behaviour import LOGPROB, MARGIN, coarsest_groups
from iclviz.analysis.effect_maps import (
    check_pair,
    control_effects,
    item_effects,
    outcome_of,
    site_in_words,
    usual_outcome,
)
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import first_half, mean_of_known, too_few, unit_codes, unit_totals
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap
from iclviz.questions.question import of_patch
from iclviz.recording import Array, Recording

SCORES = {"margin": MARGIN, "answer": LOGPROB}
"""Outcome -> the score of a recording that is the same."""

NO_GAIN = "the two runs cannot be told apart, so there is no difference of which a share could come back"


@dataclass(frozen=True, eq=False)
class Recovered(Estimates):
    """The share of a difference that comes back at each site; arrays (F, S), NaN where there is none.

    Attributes
    ----------
    estimate, low, high: the share and its 95 % interval: 1 is all of it, 0 nothing, below 0 the other way.
    outcome: what is compared.
    axes: what both sides of the map are called; first, second: their values.
    control: (F, S) the share that comes back at a site's controls, NaN where there are none.
    base, gain, gain_low, gain_high: the mean outcome with nothing done, and what the other run has beyond it, in nats.
    n_items, n_units: items and groups.
    reason: why there is no share or no interval, or None.
    chosen: of each value of the first axis, the site that one half of the groups found largest, in the other half.
    """

    outcome: str
    axes: tuple[str, str]
    first: tuple[int | str, ...]
    second: tuple[int | str, ...]
    control: Array
    base: float
    gain: float
    gain_low: float
    gain_high: float
    n_items: int
    n_units: int
    reason: str | None
    chosen: "tuple[ChosenShare, ...]"

    def line_of(self, first: int | str, names: Mapping[str, str]) -> str:
        """A value of the first axis in words; names: value -> what it is called, where that is not the value itself."""
        return names.get(str(first), f"{first} {self.axes[0]}")

    def lines(self) -> list[str]:
        """The largest share of each value of the first axis, a line each."""
        found = [f"{self.outcome} {self.base:+.3f} nats, in the other run {self.gain:+.3f} beyond it"]
        for one in self.chosen:
            where = site_in_words(self.axes, one.first, one.second)
            found.append(f"{where:<40} {one.estimate:+.0%} [{one.low:+.0%}, {one.high:+.0%}]")
        return found + ([self.reason] if self.reason else [])


@dataclass(frozen=True)
class ChosenShare:
    """The site with the largest effect in one half of the groups.

    Attributes
    ----------
    first, second: its values on both axes.
    chosen_at: its share in the half that chose it, which is too large.
    estimate, low, high: its share in the other half.
    """

    first: int | str
    second: int | str
    chosen_at: float
    estimate: float
    low: float
    high: float


@of_patch
def recovered_share(subject: tuple[EffectMap, Recording, Recording], outcome: str = "", *, seed: int = 0) -> Recovered:
    """The share of the difference between two runs that comes back at each site of a map.

    Parameters
    ----------
    subject: a map, the recording of its run, and that of the run from which something was put in place: the same items
        under other demonstrations.
    outcome: "margin" or "answer"; "" is the usual one.
    seed: halves the groups.

    Raises
    ------
    AnalysisError: they have different items, or no such outcome.
    """
    made, own, other = subject
    check_pair(made, own)
    check_pair(made, other)
    outcome = outcome or usual_outcome(made)
    if outcome not in SCORES:
        raise AnalysisError("A share that comes back is of log-probabilities.", "Take margin or answer.")
    base = outcome_of(made.base, outcome)
    if SCORES[outcome] not in other.scores:
        raise AnalysisError("The other run has no such outcome.", "Take another outcome.")
    gain = np.asarray(other.scores[SCORES[outcome]], dtype=float) - base
    effects = np.moveaxis(item_effects(made, outcome), -1, 0)
    codes = unit_codes(coarsest_groups(own), made.n_items)
    shape, flat = effects.shape[1:], effects.reshape(made.n_items, -1)
    share, low, high = shares(flat, gain, codes)
    mean, gain_low, gain_high = _mean_interval(gain, codes)
    reason = too_few(int(codes.max()) + 1) or (None if gain_low > 0 or gain_high < 0 else NO_GAIN)
    control = np.full(shape, np.nan)
    if made.controls.shape[2]:
        beside = np.moveaxis(control_effects(made, outcome), -1, 0).reshape(made.n_items, -1)
        control = shares(beside, gain, codes)[0].reshape(shape)
    return Recovered(
        share.reshape(shape),
        low.reshape(shape),
        high.reshape(shape),
        outcome=outcome,
        axes=(made.axes[0].name, made.axes[1].name),
        first=made.axes[0].values,
        second=made.axes[1].values,
        control=control,
        base=float(mean_of_known(base)),
        gain=mean,
        gain_low=gain_low,
        gain_high=gain_high,
        n_items=made.n_items,
        n_units=int(codes.max()) + 1,
        reason=reason,
        chosen=() if reason else _chosen(made, effects, gain, codes, seed),
    )


def shares(effects: Array, gain: Array, codes: Array) -> tuple[Array, Array, Array]:
    """The mean of effects (n, K) over that of gains (n,), of items that have both, and Fieller's interval over groups;
    (K,) each, NaN where the gain is not told from zero or fewer than two groups count.
    """
    known = np.isfinite(effects) & np.isfinite(gain)[:, None]
    n_units = int(codes.max(initial=-1)) + 1
    above, counts = unit_totals(np.where(known, effects, np.nan), codes, n_units)
    below, _ = unit_totals(np.where(known, gain[:, None], np.nan), codes, n_units)
    total, units = counts.sum(axis=0).astype(float), (counts > 0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        e, g = above.sum(axis=0) / total, below.sum(axis=0) / total
        left = np.where(total > counts, total - counts, np.nan)
        rest_e, rest_g = ((part.sum(axis=0) - part) / left - mean for part, mean in ((above, e), (below, g)))
        scale = (units - 1) / units
        v_ee, v_gg, v_eg = (
            (x * y).sum(axis=0) * scale for x, y in ((rest_e, rest_e), (rest_g, rest_g), (rest_e, rest_g))
        )
        freedom = total**2 / (counts**2).sum(axis=0) - 1
        reach = np.where(units > 1, t.ppf(0.975, np.maximum(freedom, 1)), np.nan) ** 2
        a, b, c = g**2 - reach * v_gg, e * g - reach * v_eg, e**2 - reach * v_ee
        half = np.sqrt(np.maximum(b**2 - a * c, 0.0))
        is_apart = a > 0
        found = ((b - half) / a, (b + half) / a)
        return tuple(np.where(is_apart, one, np.nan) for one in (e / g, *found))  # type: ignore[return-value]


def _mean_interval(values: Array, codes: Array) -> tuple[float, float, float]:
    """The mean of values (n,) and Student's interval over groups: that of the share of a gain of one."""
    sides = shares(values[:, None], np.ones(len(values)), codes)
    mean, low, high = (float(one[0]) for one in sides)
    return mean, low, high


def _chosen(made: EffectMap, effects: Array, gain: Array, codes: Array, seed: int) -> tuple[ChosenShare, ...]:
    """Of each value of the first axis the site that one half of the groups found largest, in the other half."""
    n_units = int(codes.max()) + 1
    if too_few(n_units // 2):
        return ()
    choosing = first_half(codes, seed)
    direction = np.sign(mean_of_known(gain))
    found = []
    for row, first in enumerate(made.axes[0].values):
        means = direction * mean_of_known(effects[choosing, row])
        if not np.isfinite(means).any():
            continue
        place = int(np.nanargmax(means))
        too_large, judged = (
            shares(effects[half, row, place][:, None], gain[half], _dense(codes[half]))
            for half in (choosing, ~choosing)
        )
        estimate, low, high = (float(one[0]) for one in judged)
        found.append(ChosenShare(first, made.axes[1].values[place], float(too_large[0][0]), estimate, low, high))
    return tuple(found)


def _dense(codes: Array) -> Array:
    return np.unique(codes, return_inverse=True)[1]
