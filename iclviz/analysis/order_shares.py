"""How much the order of demonstrations alone moves the answer, beside which ones are shown.

A map of orders holds y (S, O, n): each item's outcome under S sets of demonstrations, each in O orders.

1. Of an item, the variance between orders is the mean over sets of the variance of its O outcomes (over O - 1): half
   the mean squared difference between two orders of one set. The variance between sets is that of the sets' means less
   the part that orders leave in it, their variance over O: the covariance of two orders of one set (the estimators of a
   nested analysis of variance; Searle, Casella & McCulloch 1992). Both are averaged over items, and only then the
   variance between sets is cut at 0: it is below where sets differ by less than their orders alone would make them.
2. Order's share is the variance between orders over the sum of both: the mean squared difference between two orders of
   one set over that between two sets. The same is taken of the mean outcome over items, in which what an order does to
   one item and undoes in another is gone.
3. Two intervals say two things. That over items holds the share of these sets and orders for other items: Fieller's
   over groups, as of any ratio of means. In it is no doubt about sets and orders, of which there are few. That over
   draws holds the share of other sets and orders: the F distribution of the ratio of both mean squares, with S - 1 and
   S (O - 1) degrees of freedom over `TAILS`, since draws need not be normal. All items stand under the same draws, so
   that more items do not narrow it.

Simulated with 4 sets of 4 orders (docs/validity-acting.md), the interval over items holds its share in 91 % or more,
also of 8 or unequal groups, of heavy tails, and where a variance is 0. That over draws holds its share in 96 % or
more of normal draws and 92 % or more of draws with heavy tails which all items feel alike (with F as it is, 95 % and
85 %); where each item feels draws in its own way it is far too wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import f

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.effect_maps import check_pair, held, outcomes, prefers_right, unit_of, usual_outcome
from iclviz.analysis.recovered import shares
from iclviz.analysis.resolution import tied
from iclviz.analysis.statistics import MIN_UNITS, mean_of_known, unit_codes
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap
from iclviz.questions.question import of_map
from iclviz.recording import Array, Recording

KIND = "orders"
"""The kind of maps that this is of."""

TAILS = 1.5
"""By what degrees of freedom are divided: draws with an excess kurtosis of 1 leave as few."""

ONE_SET = "one set of demonstrations alone: how much sets differ is not known"
NOTHING = "no outcome changes with the order or the set"


@dataclass(frozen=True)
class Components:
    """What orders and sets of demonstrations do to something.

    Attributes
    ----------
    between_orders, between_sets: variances in nats squared; the second is NaN of one set.
    share: of the first in both; NaN where there is none.
    low, high: the 95 % interval over draws: of the share for other sets and orders.
    """

    between_orders: float
    between_sets: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class OrderShare:
    """What order alone does under S sets of demonstrations in O orders.

    Attributes
    ----------
    outcome: what is moved, one of `effect_maps.OUTCOMES`.
    of_items: an item's outcome, both variances averaged over items; of_mean: the mean outcome over items.
    low, high: the 95 % interval over items of the share `of_items`, for these sets and orders.
    sets, orders: their numbers, in the order of the axes.
    means: (S, O) the mean outcome; right: (S, O) the share of items whose right answer is the most probable candidate.
    base, right_base: the same of the run.
    n_items, n_units: items with an outcome everywhere, and their groups.
    reason: why there is no share or no interval over items, or None.
    """

    outcome: str
    of_items: Components
    of_mean: Components
    low: float
    high: float
    sets: Sequence[int | str]
    orders: Sequence[int | str]
    means: Array
    right: Array
    base: float
    right_base: float
    n_items: int
    n_units: int
    reason: str | None

    @property
    def ranges(self) -> Array:
        """(S,) how far the mean outcome goes between the worst and the best order of each set."""
        return np.asarray(np.ptp(self.means, axis=1))

    @property
    def best(self) -> tuple[int, int]:
        """The places of the set and the order with the largest mean outcome."""
        return _place(self.means, int(np.argmax(self.means)))

    @property
    def worst(self) -> tuple[int, int]:
        """The places of the set and the order with the smallest mean outcome."""
        return _place(self.means, int(np.argmin(self.means)))

    def lines(self) -> list[str]:
        """The shares, how far means go, and the best and the worst site."""
        unit = unit_of(self.outcome)
        found = [f"{self.outcome} {self.base:+.3f}{unit} in the run, {self.n_items} items, {self.n_units} groups"]
        for what, one in (("an item's outcome", self.of_items), ("the mean outcome", self.of_mean)):
            found.append(
                f"order's share of {what:<18} {one.share:.0%} (other sets and orders {one.low:.0%} to {one.high:.0%})"
            )
        found.append(f"over items {self.low:.0%} to {self.high:.0%}, for these sets and orders")
        for what, (row, column) in (("best", self.best), ("worst", self.worst)):
            where = f"set {self.sets[row]}, order {self.orders[column]}"
            found.append(f"{what}: {where}, {self.means[row, column]:+.3f}{unit}, right {self.right[row, column]:.0%}")
        return found + ([self.reason] if self.reason else [])


def _place(values: Array, flat: int) -> tuple[int, int]:
    return flat // values.shape[1], flat % values.shape[1]


@of_map
def order_share(pair: tuple[EffectMap, Recording], outcome: str = "") -> OrderShare:
    """How much of what demonstrations do to the answer their order alone does.

    Parameters
    ----------
    pair: a map of orders and the recording of its run.
    outcome: one of `effect_maps.OUTCOMES`; "" is the usual one.

    Raises
    ------
    AnalysisError: they do not belong together, the map is of another kind, no such outcome, or no item has one.
    """
    made, recording = pair
    check_pair(made, recording)
    if made.grid.kind != KIND:
        raise AnalysisError("This map is not over orders of demonstrations.", f"Take one of the kind {KIND}.")
    outcome = outcome or usual_outcome(made)
    values = outcomes(made, "logprobs", outcome)[:, :, 0]
    known = np.isfinite(values).all(axis=(0, 1))
    if not known.any():
        raise AnalysisError("No item has this outcome.", "Take another outcome.")
    values = _told_apart(values[..., known], held(recording, outcome))
    codes = np.unique(unit_codes(coarsest_groups(recording), made.n_items)[known], return_inverse=True)[1]
    low, high = share_over_items(values, codes)
    of_items, means = components(values), values.mean(axis=-1)
    n_units = int(codes.max()) + 1
    return OrderShare(
        outcome=outcome,
        of_items=of_items,
        of_mean=components(means[..., None]),
        low=low,
        high=high,
        sets=made.axes[0].values,
        orders=made.axes[1].values,
        means=means,
        right=prefers_right(made.logprobs),
        base=float(mean_of_known(outcomes(made, "base", outcome)[known])),
        right_base=float(prefers_right(made.base)),
        n_items=int(known.sum()),
        n_units=n_units,
        reason=_reason(of_items, low, n_units),
    )


def _told_apart(values: Array, least: float) -> Array:
    """Values (S, O, n) of which those of an item are the same that differ by no more than the arithmetic holds."""
    by_item = tied(values.reshape(-1, values.shape[-1]).T, least)
    return np.asarray(by_item.T.reshape(values.shape))


def _reason(found: Components, low: float, n_units: int) -> str | None:
    """Why there is no share, or no interval over items."""
    if np.isnan(found.between_sets):
        return ONE_SET
    if np.isnan(found.share):
        return NOTHING
    if n_units < MIN_UNITS:
        return f"too few groups of items ({n_units} < {MIN_UNITS}) for an interval over items"
    return "one group holds so many of the items that there is no interval over them" if np.isnan(low) else None


def variances(values: Array) -> tuple[Array, Array]:
    """Of values (S, O, ...) the variance between orders of a set, and that between sets, which may be below 0; NaN of
    one set.
    """
    n_sets, n_orders = values.shape[:2]
    between_orders = values.var(axis=1, ddof=1).mean(axis=0)
    if n_sets < 2:
        return between_orders, np.full(between_orders.shape, np.nan)
    return between_orders, values.mean(axis=1).var(axis=0, ddof=1) - between_orders / n_orders


def components(values: Array) -> Components:
    """Both variances of values (S, O, n), averaged over items, order's share, and its interval over draws."""
    between_orders, between_sets = (float(each.mean()) for each in variances(values))
    total = between_orders + max(between_sets, 0.0)
    if np.isnan(between_sets) or not total > 0:
        return Components(between_orders, between_sets, np.nan, np.nan, np.nan)
    low, high = _over_draws(between_orders, between_sets, *values.shape[:2])
    return Components(between_orders, max(between_sets, 0.0), between_orders / total, low, high)


def _over_draws(between_orders: float, between_sets: float, n_sets: int, n_orders: int) -> tuple[float, float]:
    """The 95 % interval of order's share for other sets and orders: where sets differ r times as much as orders, the
    ratio of mean squares is 1 + O r times one of F's distribution.
    """
    if between_orders <= 0:
        return 0.0, 0.0
    observed = 1 + n_orders * between_sets / between_orders
    freedom = (n_sets - 1) / TAILS, n_sets * (n_orders - 1) / TAILS
    ratios = [max(observed / float(f.ppf(side, *freedom)) - 1, 0.0) / n_orders for side in (0.025, 0.975)]
    return 1 / (1 + ratios[0]), 1 / (1 + ratios[1])


def share_over_items(values: Array, codes: Array) -> tuple[float, float]:
    """The 95 % interval of order's share of values (S, O, n) over groups of items, for these sets and orders; NaN where
    there is none, or fewer than `MIN_UNITS` groups.
    """
    between_orders, between_sets = variances(values)
    if int(codes.max()) + 1 < MIN_UNITS:
        return np.nan, np.nan
    _, low, high = shares(between_orders[:, None], between_orders + between_sets, codes)
    return float(np.clip(low[0], 0.0, 1.0)), float(np.clip(high[0], 0.0, 1.0))
