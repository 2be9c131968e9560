"""Intrinsic dimension: in how many directions items differ around each item, from the distances of its neighbours.

With T_j the distance of an item's j-th nearest neighbour,

    MLE (Levina and Bickel 2004)   1 / m_i = mean_{j < k} log(T_k / T_j), joined as 1 / mean_i(1 / m_i)
    TwoNN (Facco et al. 2017)      mu_i = T_2 / T_1; the slope of -log(1 - F(mu)) over log mu through the origin,
                                   the tenth of the items with the largest mu left out

Both are tested to equal those of scikit-dimension. Distances that rounding alone makes are none: an item with a
neighbour of the same state has no dimension.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, layers_alike
from iclviz.analysis.measure import POOLING, ByLayer, Measure, MeasureOption, Measuring, Resampling, Titles, offered
from iclviz.analysis.recordings import embeddings
from iclviz.analysis.resolution import SAME_ITEMS, missing_layers
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import mean_of_known, unit_codes
from iclviz.analysis.swaps import N_PERMUTATIONS, jackknife_interval, swap_tested, swapped_mean
from iclviz.analysis.wording import pooling_title
from iclviz.recording import Array, Recording

LEFT_OUT = 0.1
"""Share of the items, those with the largest ratio of distances, that TwoNN leaves out."""

GAUSSIAN = (2, 5, 10, 20, 50)
"""Dimensions of the samples that show how far an estimator is off with so many items."""

GAUSSIAN_SAMPLES = 20

ESTIMATOR = MeasureOption(
    "estimator",
    "Estimator",
    "MLE: by an item's nearest neighbours; TwoNN: by the nearest two alone, which depends least on density.",
    offered("mle", "two_nn"),
    {"mle": "MLE", "two_nn": "TwoNN"},
)
NEIGHBOURS = MeasureOption(
    "neighbours",
    "Neighbours",
    "How many nearest items MLE looks at. Do not trust a result that one number alone shows.",
    offered(20, 5, 10, 40),
)

Inverse = Callable[[Array], Array]
"""(K, n) what 1 / dimension is around each item of distances (K, n, n), NaN where an item has an equal."""


def inverse_mle(neighbours: int) -> Inverse:
    """The inverse of the MLE's local dimension with so many neighbours, or as many as there are."""

    def inverse(distances: Array) -> Array:
        k = min(neighbours, distances.shape[1] - 1)
        nearest = np.sort(distances, axis=2)[:, :, 1 : k + 1]
        return np.asarray(_logarithms(nearest[:, :, -1:], nearest[:, :, :-1]).mean(axis=2))

    return inverse


def inverse_two_nn(distances: Array) -> Array:
    """The logarithm of the ratio of the second neighbour's distance to the first one's."""
    nearest = np.sort(distances, axis=2)[:, :, 1:3]
    return np.asarray(_logarithms(nearest[:, :, 1], nearest[:, :, 0]))


def _logarithms(far: Array, near: Array) -> Array:
    """log(far / near), NaN where there is no distance."""
    ratio = np.divide(far, near, out=np.full(np.broadcast(far, near).shape, np.nan), where=near > 0)
    return np.asarray(np.log(ratio))


def mle(inverse: Array) -> Array:
    """(K,) the dimension of inverses (K, n): the inverse of their mean, items without one left out."""
    return np.asarray(1 / mean_of_known(inverse.T))


def two_nn(inverse: Array) -> Array:
    """(K,) the TwoNN dimension of logarithms (K, n) of ratios; NaN with fewer than three items."""
    return np.array([_slope(row[np.isfinite(row)]) for row in inverse])


def _slope(logarithms: Array) -> float:
    kept = np.sort(logarithms)[: int(len(logarithms) * (1 - LEFT_OUT))]
    if len(kept) < 2 or not kept.any():
        return float("nan")
    up = -np.log(1 - np.arange(1, len(kept) + 1) / len(logarithms))
    return float(kept @ up / (kept @ kept))


ESTIMATORS: Mapping[str, tuple[Callable[[int], Inverse], Callable[[Array], Array]]] = {
    "mle": (inverse_mle, mle),
    "two_nn": (lambda neighbours: inverse_two_nn, two_nn),
}
"""Name -> the inverses of local dimensions with so many neighbours, and how they are joined."""


def distances(x: Array) -> Array:
    """(K, n, n) of embeddings (n, K, d); 0 where rounding alone makes them."""
    return np.stack([_distances(x[:, layer].astype(np.float64)) for layer in range(x.shape[1])])


def _distances(x: Array) -> Array:
    found = cdist(x, x)
    least = SAME_ITEMS * np.sqrt((x**2).sum(axis=1).mean())
    return np.where(found > least, found, 0.0)


@dataclass(frozen=True, eq=False)
class DimensionByLayer(ByLayer):
    """The intrinsic dimension of one condition in each layer.

    Attributes
    ----------
    gaussian: dimension of a Gaussian sample of as many items -> what the estimator says of it, the mean over samples.
    by_neighbours: number of neighbours -> (K,) the dimension; of TwoNN there is one.
    n_equal: (K,) items that have a neighbour of the same state, and so no dimension.
    """

    gaussian: Mapping[int, float]
    by_neighbours: Mapping[int, Array]
    n_equal: Array


class IntrinsicDimension(Measure):
    """The intrinsic dimension of items' embeddings."""

    name, title, axis = "intrinsic_dimension", "intrinsic dimension", "Intrinsic dimension (directions)"
    about = (
        "In how many directions items differ around each item, by the distances of its nearest neighbours. With few "
        "items large dimensions come out too small, so conditions of the same items are compared. There is only weak "
        "evidence that it tells right from wrong answers (one replication found an AUROC of .54)."
    )
    page, order = "rsa", 11
    options = (POOLING, ESTIMATOR, NEIGHBOURS)
    references: ClassVar[Mapping[str, str]] = {
        "levina2004maximum": r"""@inproceedings{levina2004maximum,
  title     = {Maximum Likelihood Estimation of Intrinsic Dimension},
  author    = {Levina, Elizaveta and Bickel, Peter J.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {17},
  year      = {2004}
}""",
        "facco2017estimating": r"""@article{facco2017estimating,
  title   = {Estimating the intrinsic dimension of datasets by a minimal neighborhood information},
  author  = {Facco, Elena and d'Errico, Maria and Rodriguez, Alex and Laio, Alessandro},
  journal = {Scientific Reports},
  volume  = {7},
  pages   = {12140},
  year    = {2017}
}""",
        "yin2024characterizing": r"""@article{yin2024characterizing,
  title   = {Characterizing Truthfulness in Large Language Model Generations with Local Intrinsic Dimension},
  author  = {Yin, Fan and Srinivasa, Jayanth and Chang, Kai-Wei},
  journal = {arXiv preprint arXiv:2402.18048},
  year    = {2024}
}""",
    }

    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, L + 1) the logarithm of the dimension around each item, among all items of the recording."""
        inverse, _ = _estimator(recording, measuring)
        return np.asarray(-np.log(inverse(distances(embeddings(recording, measuring.pooling)))).T[items])

    def of_condition(self, recording: Recording, measuring: Measuring) -> DimensionByLayer:
        """The dimension of each layer, its interval from leaving out each group; nothing is tested."""
        inverse, joined = _estimator(recording, measuring)
        x = embeddings(recording, measuring.pooling)
        between, codes = distances(x), unit_codes(coarsest_groups(recording), recording.n_items)
        local = inverse(between)
        estimate, absent = joined(local), np.full(x.shape[1], np.nan)
        low, high = absent, absent
        if codes.max() > 0:
            kept = [np.flatnonzero(codes != group) for group in range(codes.max() + 1)]
            without = np.stack([joined(inverse(between[:, some[:, None], some])) for some in kept])
            low, high = (np.exp(bound) for bound in jackknife_interval(np.log(estimate), np.log(without)))
        missing = missing_layers(x) | {
            int(layer): "items have the same state" for layer in np.flatnonzero(~np.isfinite(estimate))
        }
        others = NEIGHBOURS.values(recording) if measuring.value(ESTIMATOR, recording) == "mle" else ()
        return DimensionByLayer(
            estimate, low, high, absent, absent, absent, int(codes.max()) + 1, None, missing,
            gaussian=_gaussian(recording.n_items, inverse, joined),
            by_neighbours={k: mle(inverse_mle(k)(between)) for k in sorted(others)},
            n_equal=np.isnan(local).sum(axis=1),
        )  # fmt: skip

    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of the logarithm of the dimension among the common items; p from swapping A and B of groups."""
        inverse, _ = _estimator(comparison.first, measuring)
        same = layers_alike(comparison, measuring.pooling)
        changes, swaps = [], []
        for pair in comparison.pairs:
            a, b = (embeddings(one, measuring.pooling)[comparison.items(one)].astype(np.float64) for one in pair)
            b[:, same] = a[:, same]
            both, n = distances(np.concatenate([a, b])), len(a)

            def of_side(places: Array, both: Array = both) -> Array:
                return inverse(both[:, places[:, None], places])

            sides = [of_side(np.arange(n)), of_side(np.arange(n, 2 * n))]
            changes.append(_log_changes(*sides))
            swaps.append(swapped_mean(of_side, unit_codes(comparison.groups, n), logarithm=True))
        return swap_tested(mean_change(np.stack(changes), comparison.groups), swaps)

    def change_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """Its logarithm."""
        return "logarithm of the intrinsic dimension (natural log)"

    def notes(
        self, results: Sequence[Estimates], recording: Recording, measuring: Measuring, titles: Titles
    ) -> list[str]:
        """How far the estimator is off with so many items, and how much it depends on the number of neighbours."""
        first = next(one for one in results if isinstance(one, DimensionByLayer))
        known = ", ".join(f"{value:.1f} ({true})" for true, value in first.gaussian.items())
        sentences = [
            f"In random data of {recording.n_items} items it gives: {known}, with the true dimension in brackets."
        ]
        if first.by_neighbours:
            means = ", ".join(f"{np.nanmean(one):.1f} ({k})" for k, one in first.by_neighbours.items())
            sentences.append(f"The mean over layers by number of neighbours, in the first condition: {means}.")
        equal = [int(one.n_equal.max()) for one in results if isinstance(one, DimensionByLayer)]
        if max(equal):
            sentences.append(
                f"Up to {max(equal)} items of a layer have the same embedding as another: they have no dimension and "
                "are left out."
            )
        return [" ".join(sentences)]

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """Which estimator, of what, and how it was tested."""
        first = recordings[0]
        n_near = min(measuring.value(NEIGHBOURS, first), first.n_items - 1)
        by = {
            "mle": f"maximum likelihood from {n_near} nearest neighbours [@levina2004maximum], "
            "joined as the inverse of the mean inverse",
            "two_nn": f"TwoNN with {LEFT_OUT:.0%} of the items left out [@facco2017estimating]".replace("%", " %"),
        }
        return (
            f"As an exploratory measure, the intrinsic dimension of embeddings "
            f"({pooling_title(measuring.pooling)}) was "
            f"estimated in each layer by {by[measuring.value(ESTIMATOR, first)]}, with intervals from leaving out "
            f"each group "
            "[@efron1981jackknife]; differences of its logarithm between conditions were tested by swapping the "
            f"conditions of whole groups ({N_PERMUTATIONS} swaps)."
        )

    def words(self, recording: Recording, measuring: Measuring, titles: Titles) -> dict[str, Any]:
        """As of all measures, with the embedding and the estimator."""
        estimator = ESTIMATOR.title_of(measuring.value(ESTIMATOR, recording), {})
        words = super().words(recording, measuring, titles)
        return {**words, "measure": f"{self.title} ({estimator}, {pooling_title(measuring.pooling)})"}


def _estimator(recording: Recording, measuring: Measuring) -> tuple[Inverse, Callable[[Array], Array]]:
    local, joined = ESTIMATORS[measuring.value(ESTIMATOR, recording)]
    return local(measuring.value(NEIGHBOURS, recording)), joined


def _gaussian(n: int, inverse: Inverse, joined: Callable[[Array], Array]) -> dict[int, float]:
    """Dimension -> what an estimator says of Gaussian samples of n items, the mean over samples."""
    rng = np.random.default_rng(0)
    samples = {true: rng.normal(size=(n, GAUSSIAN_SAMPLES, true)) for true in GAUSSIAN}
    return {true: float(joined(inverse(distances(x))).mean()) for true, x in samples.items()}


def _log_changes(a: Array, b: Array) -> Array:
    """(n, K) what each item adds to B minus A of the logarithm of the dimension, of inverses (K, n): their mean is that
    difference, and their spread that of the two means.
    """
    means = [mean_of_known(side.T) for side in (a, b)]
    return np.asarray(np.log(means[0] / means[1]) + a.T / means[0] - b.T / means[1])


MEASURE = IntrinsicDimension()
