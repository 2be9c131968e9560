"""Power: how many groups of items, and demonstration seeds, an effect of a wished size needs, from a pilot.

1. A pilot's B minus A of a score is a table of seeds by groups, each entry a group's mean. What seeds, groups and the
   rest of it vary by is kept, and its mean is taken off; what is left, moved by the wished effect, is what studies are
   drawn from.
2. A study of S seeds and U groups is drawn by resampling the pilot's. Deviations are stretched on each side by the root
   of n (n + 1) over n - 1: n / (n - 1) of it since resampling makes variances too small, and (n + 1) / (n - 1) since a
   pilot of n tells them badly, and one that found too little promises more than one that found too much loses.
3. Each drawn study is tested as one would: the mean over its standard error by Student's distribution, over several
   seeds with the error and the degrees of freedom that seeds, groups and the rest leave (Satterthwaite 1946). Power is
   the share of p below 0.05.

A pilot of one seed does not say what seeds vary by: it plans for that seed alone. What a pilot promises is an average
over pilots: one that happened to vary little promises too much.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from iclviz.analysis.comparison import Comparison, of_comparison
from iclviz.analysis.score_changes import score_change
from iclviz.analysis.statistics import SIGNIFICANT, quotient, unit_codes, unit_totals
from iclviz.errors import AnalysisError
from iclviz.recording import Array

MOST_GROUPS = 1024
LEAST_GROUPS = 4
SEEDS = (2, 3, 5, 10)
N_DRAWS = 400


@dataclass(frozen=True, eq=False)
class PowerPlan:
    """What a study needs.

    Attributes
    ----------
    score: its name; effect: the wished difference, in the score's own unit; power: the wished share.
    seeds: numbers of demonstration seeds; groups: for each the groups of items that are needed, 0 where more than
        `MOST_GROUPS` are; reached: the power that these have.
    items_per_group: of the pilot.
    pilot_seeds, pilot_groups: of the pilot; pilot_power: what a study as large as it would have.
    """

    score: str
    effect: float
    power: float
    seeds: tuple[int, ...]
    groups: tuple[int, ...]
    reached: tuple[float, ...]
    items_per_group: float
    pilot_seeds: int
    pilot_groups: int
    pilot_power: float

    def lines(self) -> list[str]:
        """What each number of seeds needs, a line each."""
        found = [
            f"a study as the pilot ({self.pilot_groups} groups, {self.pilot_seeds} seeds) finds {self.effect:+.3g} of "
            f"{self.score} in {self.pilot_power:.0%}"
        ]
        for n_seeds, n_groups, reached in zip(self.seeds, self.groups, self.reached, strict=True):
            seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
            if not n_groups:
                found.append(f"{seeds:<9} more than {MOST_GROUPS} groups")
            else:
                n_items = round(n_groups * self.items_per_group)
                found.append(f"{seeds:<9} {n_groups} groups, about {n_items} items ({reached:.0%})")
        return found


@of_comparison
def power_plan(comparison: Comparison, score: str, effect: float, power: float = 0.8, *, seed: int = 0) -> PowerPlan:
    """What a study needs to find an effect.

    Parameters
    ----------
    comparison: A against B of the pilot, over its demonstration seeds.
    score: whose difference is to be found; effect: how large it is wished to be; power: in which share of studies.
    seed: draws the resamples.

    Raises
    ------
    AnalysisError: the pilot has too few groups, no such score, or a difference that does not vary.
    """
    if not 0.0 < power < 1.0 or not np.isfinite(effect) or not effect:
        raise AnalysisError("An effect above or below 0 and a power between 0 and 1 are needed.", "Take 0.8 for 80 %.")
    change = score_change(comparison, score)
    table, per_group = _by_group(change, comparison.groups)
    n_seeds, n_groups = table.shape
    if n_groups < LEAST_GROUPS or not np.ptp(table):
        raise AnalysisError(
            "The pilot has too few groups, or no difference that varies, to plan from.", "Run a pilot of more items."
        )
    wanted = SEEDS if n_seeds > 1 else (1,)
    groups, reached = zip(*(needed_groups(table, effect, power, one, seed) for one in wanted), strict=True)
    return PowerPlan(
        score,
        effect,
        power,
        wanted,
        groups,
        reached,
        per_group,
        n_seeds,
        n_groups,
        power_of(table, effect, n_seeds, n_groups, seed),
    )


def _by_group(change: Array, groups: Array | None) -> tuple[Array, float]:
    """(S, U) mean changes of each group in each seed, and items of a group in the mean."""
    codes = unit_codes(groups, change.shape[1])
    n_groups = int(codes.max()) + 1
    sums, counts = unit_totals(change.T, codes, n_groups)
    means = quotient(sums, counts.astype(float)).T
    known = np.isfinite(means).all(axis=0)
    return means[:, known], change.shape[1] / n_groups


def needed_groups(table: Array, effect: float, power: float, n_seeds: int, seed: int) -> tuple[int, float]:
    """The fewest groups that reach a power, and what they reach; 0 where `MOST_GROUPS` do not."""
    low, high = LEAST_GROUPS - 1, LEAST_GROUPS
    while (reached := power_of(table, effect, n_seeds, high, seed)) < power:
        low, high = high, 2 * high
        if high > MOST_GROUPS:
            return 0, reached
    while high - low > 1:
        middle = (low + high) // 2
        if (found := power_of(table, effect, n_seeds, middle, seed)) < power:
            low = middle
        else:
            high, reached = middle, found
    return high, reached


def power_of(table: Array, effect: float, n_seeds: int, n_groups: int, seed: int = 0) -> float:
    """The power of studies of so many seeds and groups that are drawn from a pilot's table (S, U) with an effect."""
    rng = np.random.default_rng(seed)
    stretched = _stretched(table)
    sizes = zip(table.shape, (n_seeds, n_groups), strict=True)
    of_seeds, of_groups = (rng.integers(n, size=(N_DRAWS, size)) for n, size in sizes)
    drawn = effect + stretched[of_seeds[:, :, None], of_groups[:, None, :]]
    return float((p_of_means(drawn) < SIGNIFICANT).mean())


def _stretched(table: Array) -> Array:
    """Deviations of a table (S, U) from its mean, each part as much larger as a study is to be drawn from it."""
    n_seeds, n_groups = table.shape
    centred = table - table.mean()
    seeds, groups = centred.mean(axis=1, keepdims=True), centred.mean(axis=0, keepdims=True)
    rest = centred - seeds - groups
    of_seeds, of_groups = (np.sqrt(n * (n + 1)) / (n - 1) if n > 1 else 1.0 for n in (n_seeds, n_groups))
    return np.asarray(of_seeds * seeds + of_groups * groups + of_seeds * of_groups * rest)


def p_of_means(drawn: Array) -> Array:
    """(B,) two-sided p of means of tables (B, S, U)."""
    _, n_seeds, n_groups = drawn.shape
    mean = drawn.mean(axis=(1, 2))
    seeds, groups = drawn.mean(axis=2) - mean[:, None], drawn.mean(axis=1) - mean[:, None]
    rest = drawn - mean[:, None, None] - seeds[:, :, None] - groups[:, None, :]
    of_groups = n_seeds * (groups**2).sum(axis=1) / (n_groups - 1)
    if n_seeds == 1:
        error, df = np.sqrt(of_groups / n_groups), np.full(len(drawn), n_groups - 1.0)
    else:
        of_seeds = n_groups * (seeds**2).sum(axis=1) / (n_seeds - 1)
        of_rest = (rest**2).sum(axis=(1, 2)) / ((n_seeds - 1) * (n_groups - 1))
        both = np.maximum(of_seeds + of_groups - of_rest, np.maximum(of_seeds, of_groups))
        error = np.sqrt(both / (n_seeds * n_groups))
        parts = of_seeds**2 / (n_seeds - 1) + of_groups**2 / (n_groups - 1)
        parts = parts + of_rest**2 / ((n_seeds - 1) * (n_groups - 1))
        df = np.divide(both**2, parts, out=np.ones_like(both), where=parts > 0)
    size = np.divide(np.abs(mean), error, out=np.full(len(drawn), np.inf), where=error > 0)
    return np.asarray(2 * student.sf(size, df))
