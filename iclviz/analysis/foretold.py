"""Patches foretold by gradients, beside true ones: where a quick look may be trusted.

Agreement is the rank correlation over blocks of mean effects, foretold against true, for each place, and the share of
blocks at which both go the same way. Both are of the items at hand: they say how far this look could be trusted here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.effect_maps import item_effects, usual_outcome
from iclviz.analysis.paired import paired_test
from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import mean_of_known
from iclviz.errors import AnalysisError
from iclviz.grids.patch import PLACES
from iclviz.mapping import FromDemonstrations
from iclviz.maps import EffectMap, Trace
from iclviz.questions.question import Subjects, of_subjects
from iclviz.recording import Array, Recording


@dataclass(frozen=True, eq=False)
class Foretold(Tested):
    """The mean effect that a gradient foretells of a patch; arrays (A, L), NaN where no item has such a place.

    Attributes
    ----------
    places: A names.
    true: (A, L) the mean effect of the patches that were made; NaN where none were.
    agreement: (A,) rank correlation over blocks of both.
    signs: (A,) share of blocks at which both go the same way.
    n_items, n_units: items and groups; reason: why there is no p, or None.
    """

    places: tuple[str, ...]
    true: Array
    agreement: Array
    signs: Array
    n_items: int
    n_units: int
    reason: str | None

    @property
    def has_true(self) -> bool:
        """Whether true patches stand beside it."""
        return bool(np.isfinite(self.true).any())

    def lines(self) -> list[str]:
        """Each place's largest effect and agreement, a line each."""
        found = []
        for place, name in enumerate(self.places):
            if np.isfinite(self.estimate[place]).any():
                block = int(np.nanargmax(np.abs(self.estimate[place])))
                agreement = f"  agreement {self.agreement[place]:+.2f}" if self.has_true else ""
                found.append(f"{name:<10} block {block + 1}: {self.estimate[place, block]:+.3f} nats{agreement}")
        return found


@of_subjects
def foretold_patches(subjects: Subjects, *, seed: int = 0) -> Foretold:
    """What gradients foretell of patches.

    Parameters
    ----------
    subjects: a trace of attribution patching, the recording of its run, and, if it is there, the map of true patches
        from the same demonstrations.
    seed: draws flips.

    Raises
    ------
    AnalysisError: they do not belong together.
    """
    made, recording, patches = _taken_apart(subjects)
    foretold = np.asarray(made.arrays["effect"], dtype=float)
    true = np.full(foretold.shape, np.nan) if patches is None else _true(patches, foretold.shape)
    test = paired_test(foretold, coarsest_groups(recording), seed=seed)
    estimate, whole = (mean_of_known(one) for one in (foretold, true))
    both = np.where(np.isfinite(estimate) & np.isfinite(whole), np.sign(estimate) == np.sign(whole), np.nan)
    return Foretold(
        test.estimate,
        test.low,
        test.high,
        test.p,
        test.p_corrected,
        PLACES,
        whole,
        _rank_correlation(estimate, whole),
        mean_of_known(np.moveaxis(both, -1, 0)),
        len(foretold),
        test.n_units,
        test.reason,
    )


def _taken_apart(subjects: Subjects) -> tuple[Trace, Recording, EffectMap | None]:
    made = next((one for one in subjects if isinstance(one, Trace)), None)
    recording = next((one for one in subjects if isinstance(one, Recording)), None)
    patches = next((one for one in subjects if isinstance(one, EffectMap)), None)
    if made is None or recording is None or made.tracer.kind != "attribution_patching":
        raise AnalysisError(
            "This is no trace of attribution patching with its recording.",
            'Make one with iclviz.trace(run, "attribution_patching shown=none k=0").',
        )
    if any(list(one.item_ids) != list(made.item_ids) for one in (recording, patches) if one is not None):
        raise AnalysisError("The trace and what stands beside it have different items.", "Take those of one run.")
    if patches is not None and not _same_donor(made, patches):
        raise AnalysisError("The map's patches come from other demonstrations.", "Take the map of the same ones.")
    return made, recording, patches


def _same_donor(made: Trace, patches: EffectMap) -> bool:
    of, other = patches.grid, made.tracer.other
    is_of_states = of.kind == "patch" and of.to_dict().get("of", "state") == "state"
    return (
        is_of_states
        and isinstance(of, FromDemonstrations)
        and other is not None
        and of.demonstrations == other.canonical()
    )


def _true(patches: EffectMap, shape: Sequence[int]) -> Array:
    """(n, A, L) the true effect on each item; NaN where there is none."""
    found = np.full(shape, np.nan)
    effects = np.moveaxis(item_effects(patches, usual_outcome(patches)), -1, 0)
    for row, place in enumerate(patches.axes[0].values):
        if place in PLACES:
            found[:, PLACES.index(str(place))] = effects[:, row]
    return found


def _rank_correlation(first: Array, second: Array) -> Array:
    """(...,) the rank correlation over the last axis; NaN where a value is missing or nothing varies."""
    missing = np.asarray(~(np.isfinite(first) & np.isfinite(second)).all(axis=-1))
    ranks = [rankdata(np.where(missing[..., None], 0.0, one), axis=-1) for one in (first, second)]
    one, other = (each - each.mean(axis=-1, keepdims=True) for each in ranks)
    size = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    together = (one * other).sum(axis=-1)
    return np.asarray(np.divide(together, size, out=np.full(size.shape, np.nan), where=(size > 0) & ~missing))
