"""P of a change whose two sides were made anew with A and B of whole groups swapped.

Where what an item has rests on the other items (a probe, neighbours, means of classes), flipping the signs of items'
differences takes too little of what they share. If the two conditions are alike, a group's embeddings could as well
have come the other way round: so they are swapped, and everything is made again from either side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t

from iclviz.analysis.change import Change, seeds_p
from iclviz.analysis.paired import PairedTest, flips, standardised_p
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import no_p_reason, quotient, unit_totals
from iclviz.recording import Array

N_PERMUTATIONS = 200
_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Swapped:
    """B minus A of a statistic in each layer, and what it is where groups change sides.

    Attributes
    ----------
    difference: (K,) NaN where a layer has no value.
    observed: (K,) that over its standard error; null: (B, K) the same with groups swapped.
    reason: why there is no p, or None.
    """

    difference: Array
    observed: Array
    null: Array
    reason: str | None


def swap_tested(change: Change, swaps: Sequence[Swapped]) -> Change:
    """A tested change with the p of swaps, one for each demonstration seed, in place of its own.

    Over seeds, groups' part of the error is that of the swaps and seeds' that of the seeds, and p is Student's.
    """
    if swaps[0].reason:
        absent = np.full(len(change.estimate), np.nan)
        return replace(change, p=absent, p_corrected=absent, p_fdr=absent, reason=swaps[0].reason)
    null = np.mean([swap.null for swap in swaps], axis=0)
    observed = np.stack([swap.observed for swap in swaps])
    p, corrected, fdr = (
        standardised_p(observed[0], null) if len(swaps) == 1 else seeds_p(observed, null, change.n_units)
    )
    found: Change = replace(change, p=p, p_corrected=corrected, p_fdr=fdr, reason=None)
    return replace(found, n_permutations=len(swaps[0].null)) if isinstance(found, PairedTest) else found


def swapped(
    studentised: Callable[[Array], tuple[Array, Array]],
    units: Array,
    *,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> Swapped:
    """The change of a statistic, and its null where groups change sides.

    A and B of a group stay or change sides, all together, and both sides are made anew. The difference is divided by
    its standard error, in the data as in every rearrangement: mixed sides may vary less than the two conditions do.

    Parameters
    ----------
    studentised: (K,) B minus A, and that over its standard error, with some units (U,) on the other side.
    units: (n,) the number of what changes sides as a whole, from 0.
    seed: draws swaps.
    """
    reason, n_units = no_p_reason(units), int(units.max()) + 1
    signs = np.empty((0, n_units))
    if not reason:
        signs = flips(n_units, n_permutations, np.random.default_rng(seed))
    crossings = np.vstack([np.ones((1, n_units)), signs]) < 0
    found = [studentised(crossed) for crossed in steps(list(crossings), "swapping A and B")]
    differences, ratios = (np.stack(part) for part in zip(*found, strict=True))
    return Swapped(differences[0], ratios[0], ratios[1:], reason)


def swapped_mean(of_side: Callable[[Array], Array], units: Array, *, logarithm: bool = False) -> Swapped:
    """The change of a statistic that is the mean of what each item adds, and its null where groups change sides.

    The standard error is that which the groups' own parts give the difference.

    Parameters
    ----------
    of_side: (K, n) what each item adds to one side, NaN for nothing, of the places (n,) of the side's items among the
        2n items of both, A's first.
    units: (n,) the number of what changes sides as a whole, from 0.
    logarithm: whether the statistic is minus the logarithm of that mean, as of a dimension by its inverse.
    """
    n = len(units)
    here = np.arange(n)

    def studentised(crossed: Array) -> tuple[Array, Array]:
        other = crossed[units]
        return _compared(of_side(here + n * other), of_side(here + n * ~other), units, logarithm)

    return swapped(studentised, units)


def _compared(a: Array, b: Array, units: Array, logarithm: bool) -> tuple[Array, Array]:
    """(K,) B minus A of the statistic of what items add, (K, n) each, and that over its standard error."""
    means, parts = [], []
    for values in (a, b):
        sums, counts = unit_totals(values.T, units, int(units.max()) + 1)
        total = counts.sum(axis=0)
        mean = quotient(sums.sum(axis=0), total)
        means.append(mean)
        parts.append(quotient(sums - mean * counts, np.broadcast_to(total, sums.shape).astype(float)))
    if logarithm:
        difference = np.log(quotient(means[0], means[1]))
        part = quotient(parts[0], np.broadcast_to(means[0], parts[0].shape)) - quotient(
            parts[1], np.broadcast_to(means[1], parts[1].shape)
        )
    else:
        difference, part = means[1] - means[0], parts[1] - parts[0]
    error = np.sqrt((part**2).sum(axis=0) * len(part) / max(len(part) - 1, 1))
    return difference, np.divide(difference, error, out=np.zeros_like(error), where=error > _LEAST)


def jackknife_interval(estimate: Array, without: Array) -> tuple[Array, Array]:
    """The 95 % interval of an estimate (K,) from what it is without each of G groups (G, K), by Student's distribution
    (Efron and Stein 1981).
    """
    n = len(without)
    error = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    half = t.ppf(0.975, n - 1) * error
    return estimate - half, estimate + half
