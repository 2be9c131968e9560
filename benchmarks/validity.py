"""How often the tests find what is not there, how often intervals hold the truth, and whether what is there is found.

Every study draws synthetic data many times and asks one analysis. Its simulation number s of study t is drawn from the
seed sequence (0, checksum of t's name, s), fixed before any result; a cell outside its bounds is run once more with
2,000 simulations that extend the same sequence, never with another seed. A study returns one truth value for each of
its outcomes, see `RULES`, and each of them is a cell of the table.

`python -m benchmarks.validity --write docs/validity.md` runs everything and writes the table. `--only PATTERN` runs
the studies whose names match, and `--resume FILE` keeps each study's counts and does not run again what is in it.
"""

import argparse
import hashlib
import json
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from iclviz import analysis
from iclviz.analysis.competence import with_interval
from iclviz.analysis.measure import Measuring
from iclviz.analysis.order_shares import components, share_over_items, variances
from iclviz.analysis.own_answer import FEWEST, area_with_interval
from iclviz.analysis.paired import standardised_p
from iclviz.analysis.power import needed_groups, p_of_means
from iclviz.analysis.probing.chance import permuted_labels
from iclviz.analysis.probing.swapping import swapped
from iclviz.analysis.recovered import shares
from iclviz.analysis.resolution import NATS
from iclviz.analysis.statistics import p_values, unit_codes, unit_weights
from iclviz.analysis.text_ceiling import NEARLY_ALL
from iclviz.recording import Recording
from iclviz.reporting.statements import sentences
from iclviz.spec import Demonstrations, RunSpec
from tests.analysis import generators as made
from tests.analysis.generators import DESIGNS, Design

Array = NDArray[Any]
Generator = np.random.Generator
Outcomes = Mapping[str, float]

SIMULATIONS = 400
MORE_SIMULATIONS = 2000
PART = 50
"""Simulations that one process is given at a time."""
B = 199
"""Permutations and resamples of each test: 5 % of 200 arrangements are a whole number."""


@dataclass(frozen=True)
class Rule:
    """What an outcome means and in which share of simulations it must and may be there; neither = told, not judged.

    Of a mean, the bounds are zero or None: three standard errors on that side of it are allowed.
    """

    title: str
    least: float | None = None
    most: float | None = None
    is_mean: bool = False


RULES = {
    "p": Rule("one layer's p at most 0.05", most=0.08),
    "family": Rule("any corrected p at most 0.05", most=0.08),
    "limit": Rule("any corrected p at most 0.05, outside what the test claims"),
    "surface": Rule("a p at most 0.05, had what surface leaves been permuted"),
    "covered": Rule("the 95 % interval holds the truth", least=0.90),
    "large": Rule("the 95 % interval holds the value of 12 times as many groups"),
    "chosen": Rule("any of the five chosen sites' corrected p at most 0.05, in the other half", most=0.08),
    "covered over draws": Rule("the 95 % interval for other sets and orders holds the truth", least=0.90),
    "covered of the mean": Rule("the same of the mean over items", least=0.90),
    "covered where chosen": Rule("the chosen site's 95 % interval, in the other half, holds the truth", least=0.90),
    "found": Rule("the planted layer's corrected p at most 0.05", least=0.80),
    "layer": Rule("the planted layer is the largest", least=0.80),
    "refused": Rule("no p, and a reason in words", least=1.0),
    "true": Rule("as planted", least=0.95),
    "partial": Rule("the partial correlation's p at most 0.05", most=0.08),
    "small": Rule("one layer's p at most 0.01", most=0.02),
    "tiny": Rule("one layer's p at most 0.002", most=0.006),
    "claims": Rule("anything is claimed", most=0.06),
    "warned": Rule("a warning of the order of items"),
    "power": Rule("found where the smallest effect is planted", least=0.70, most=0.90),
    "promised": Rule("found, planned for a power of 80 %", least=0.73, most=0.87),
    "power of probes": Rule("p at most 0.05"),
    "accuracy": Rule("mean balanced accuracy less chance", least=0.0, most=0.0, is_mean=True),
    "R2": Rule("mean R2", most=0.0, is_mean=True),
    "few": Rule("mean balanced accuracy less chance, 4 groups a class", most=0.0, is_mean=True),
}
LEAST_UNTIED = 0.02
"""The fewest false positives of a permutation test whose statistic has no ties."""


@dataclass(frozen=True)
class Study:
    """One analysis on one kind of synthetic data.

    Attributes
    ----------
    name: also its seed.
    draw: a simulation's generator and number -> its outcomes.
    untied: whether false positives must not be too few either.
    share: of the simulations that are asked for, where one takes long.
    """

    name: str
    draw: Callable[[Generator, int], Outcomes]
    untied: bool
    share: float

    def simulate(self, number: int) -> Outcomes:
        """The outcomes of one simulation."""
        source = np.random.SeedSequence([0, zlib.crc32(self.name.encode()), number])
        with np.errstate(all="ignore"):
            return self.draw(np.random.default_rng(source), number)

    def bounds(self, outcome: str) -> tuple[float | None, float | None]:
        """The least and the largest share of simulations that an outcome may have."""
        rule = RULES[outcome]
        least = LEAST_UNTIED if self.untied and outcome in ("p", "family") else rule.least
        return least, rule.most


STUDIES: dict[str, Study] = {}


def study(
    title: str, cases: Mapping[str, Mapping[str, Any]], untied: bool = False, share: float = 1.0
) -> Callable[[Any], Any]:
    """Add a study for each case, which gives the function its further arguments."""

    def add(draw: Callable[..., Outcomes]) -> Callable[..., Outcomes]:
        for case, arguments in cases.items():
            name = f"{title}: {case}"
            STUDIES[name] = Study(name, partial(draw, **arguments), untied, share)
        return draw

    return add


def on(*names: str, **arguments: Any) -> dict[str, dict[str, Any]]:
    """Cases of designs by name."""
    return {name: {"design": DESIGNS[name], **arguments} for name in names}


def significant(test: Any, layer: int = 0) -> dict[str, bool]:
    """Whether a test calls one layer, or any layer after correction, significant."""
    return {"p": bool(test.p[layer] <= 0.05), "family": bool(np.nanmin(test.p_corrected) <= 0.05)}


def covers(result: Any, truth: float, layer: int = 0) -> bool:
    low, high = np.atleast_1d(result.low)[layer], np.atleast_1d(result.high)[layer]
    return bool(low <= truth <= high)


def refused(result: Any) -> dict[str, bool]:
    return {"refused": bool(np.isnan(result.p).all() and np.isnan(result.p_corrected).all() and result.reason)}


LARGE = 12
"""How many times its groups a design has where a large sample stands for the truth."""


def draws_of(design: Design, large: bool) -> tuple[Design, int]:
    """What a truth is the mean over: many draws of a design, or few of one that has many groups."""
    return (design.many(LARGE), 20) if large else (design, 1000)


def mean_estimate(estimate: Callable[[Generator], float], draws: int = 1000) -> float:
    """The truth that an interval must hold: the estimator's mean over many other draws of the same generator."""
    generators = (np.random.default_rng(np.random.SeedSequence([1, draw])) for draw in range(draws))
    return float(np.mean([estimate(rng) for rng in generators]))


EVERY = ("items without groups", "groups", "unequal groups", "one large group", "uneven noise", "heavy tails",
         "skewed noise", "eight groups")  # fmt: skip

# --- Alignment


@study("alignment with a number", on(*EVERY, "shared surface", "copied items"), untied=True)
def alignment_with_a_number(rng: Generator, number: int, design: Design) -> Outcomes:
    rsms = analysis.rsms(made.embeddings(design, rng))
    hypothesis = made.nearness(made.NOISES[design.noise](rng, (len(design.sizes),))[design.codes])
    test = analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number)
    return significant(test, 3)


@study(
    "alignment with a class",
    on("items without groups", "groups", "unequal groups", "one large group", "shared surface"),
)
def alignment_with_a_class(rng: Generator, number: int, design: Design) -> Outcomes:
    rsms = analysis.rsms(made.embeddings(design, rng))
    hypothesis = made.sameness(made.classes_of_groups(design, rng))
    test = analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number)
    return significant(test, 3)


@study("alignment within groups", on("groups", "uneven noise", "heavy tails"))
def alignment_within_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    rsms = analysis.rsms(made.embeddings(design, rng))
    hypothesis = made.sameness(made.classes_within(design, rng))
    test = analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number)
    return significant(test, 3)


@study("alignment with a number of each item, whole groups", on("groups", "unequal groups"))
def alignment_blocks(rng: Generator, number: int, design: Design) -> Outcomes:
    rsms = analysis.rsms(made.embeddings(design, rng))
    hypothesis = made.nearness(design.draw(rng))
    test = analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number)
    return significant(test, 3) if test.reason is None else refused(test)


@study("alignment by method", {name: {"method": name} for name in ("pearson", "rho-a", "tau-a")}, untied=True)
def alignment_by_method(rng: Generator, number: int, method: str) -> Outcomes:
    design = Design((1,) * 12) if method == "tau-a" else DESIGNS["groups"]
    rsms = analysis.rsms(made.embeddings(design, rng, 1 if method == "tau-a" else 3))
    hypothesis = made.nearness(rng.normal(size=len(design.sizes))[design.codes])
    test = analysis.alignment_test(
        rsms, hypothesis, design.groups, method=method, n_permutations=B, n_bootstrap=0, seed=number
    )
    return significant(test)


@study("alignment with a slope, an intercept being there", {"grid of 5 x 5": {}})
def alignment_on_a_grid(rng: Generator, number: int) -> Outcomes:
    design = Design((2,) * 25, identity=1.0)
    slopes, intercepts = (values.ravel()[design.codes] for values in np.meshgrid(np.arange(5), np.arange(5)))
    x = made.planted(made.embeddings(design, rng), intercepts - 2.0, 1.5)
    test = analysis.alignment_test(
        analysis.rsms(x), made.nearness(slopes), design.groups, n_permutations=B, n_bootstrap=0, seed=number
    )
    return significant(test, 3)


@study("alignment, layers without a value and layers that are the same", {"groups": {}}, untied=True)
def alignment_of_odd_layers(rng: Generator, number: int) -> Outcomes:
    design = DESIGNS["groups"]
    x = made.embeddings(design, rng, 6)
    x[:, 0], x[0, 1, 0], x[:, 4] = 1.0, np.nan, x[:, 3]
    hypothesis = made.nearness(rng.normal(size=16)[design.codes])
    test = analysis.alignment_test(
        analysis.rsms(x), hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number
    )
    return significant(test, 3)


@study("alignment", on("seven groups"))
def alignment_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    hypothesis = made.nearness(rng.normal(size=len(design.sizes))[design.codes])
    rsms = analysis.rsms(made.embeddings(design, rng))
    return refused(analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0))


@study("best layer", on("groups", "unequal groups", "items without groups"), untied=True)
def best_layer_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    hypothesis = made.nearness(rng.normal(size=len(design.sizes))[design.codes])
    rsms = analysis.rsms(made.embeddings(design, rng))
    test = analysis.best_layer(rsms, hypothesis, design.groups, n_permutations=B, n_bootstrap=0, seed=number).test
    return {"p": bool(test.p[0] <= 0.05)}


def structured(design: Design, rng: Generator, strength: float, n_layers: int = 3) -> tuple[Array, Array]:
    """RSMs (L, n, n) and the hypothesis of a number of each group that is planted."""
    values = rng.normal(size=len(design.sizes))[design.codes]
    return analysis.rsms(made.planted(made.embeddings(design, rng, n_layers), values, strength)), made.nearness(values)


@cache
def alignment_truth(design: Design, strength: float, large: bool = False) -> float:
    design, draws = draws_of(design, large)

    def estimate(rng: Generator) -> float:
        rsms, hypothesis = structured(design, rng, strength, 1)
        return analysis.alignment(rsms[0], hypothesis)

    return mean_estimate(estimate, draws)


STRENGTHS = {"groups": 1.5, "unequal groups": 1.5, "eight groups": 1.5, "items without groups": 1.5,
             "one large group": 1.5, "heavy tails": 1.5}  # fmt: skip


@study("alignment's interval", on(*STRENGTHS, strength=1.5) | {"groups, weak": on("groups", strength=0.7)["groups"]})
def alignment_interval(rng: Generator, number: int, design: Design, strength: float) -> Outcomes:
    rsms, hypothesis = structured(design, rng, strength, 1)
    test = analysis.alignment_test(rsms, hypothesis, design.groups, n_permutations=0, n_bootstrap=B, seed=number)
    truth, of_many = (alignment_truth(design, strength, large) for large in (False, True))
    return {"covered": covers(test, truth), "large": covers(test, of_many)}


PLANTED_LAYER = 4


@study("alignment, planted in layer 4", on("groups", "unequal groups", "items without groups"))
def alignment_planted(rng: Generator, number: int, design: Design) -> Outcomes:
    values = rng.normal(size=len(design.sizes))[design.codes]
    x = made.planted(made.embeddings(design, rng, 6, memory=0.5), values, 3.0 * (np.arange(6) == PLANTED_LAYER))
    test = analysis.alignment_test(
        analysis.rsms(x), made.nearness(values), design.groups, n_permutations=B, n_bootstrap=0, seed=number
    )
    chosen = analysis.best_layer(
        analysis.rsms(x), made.nearness(values), design.groups, n_permutations=0, n_bootstrap=0
    )
    return {
        "found": bool(test.p_corrected[PLANTED_LAYER] <= 0.05),
        "layer": bool(chosen.layer == PLANTED_LAYER),
    }


# --- A against B


def compared(a: Array, b: Array, hypothesis: Array, design: Design, number: int, truth: float = 0.0) -> Outcomes:
    test = analysis.alignment_difference(a, b, hypothesis, design.groups, n_bootstrap=B, seed=number)
    return {**significant(test, 1), "covered": covers(test, truth, 1)}


@study("A against B, structure in neither", on("groups", "unequal groups", "items without groups", "shared surface"))
def difference_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    values = rng.normal(size=len(design.sizes))[design.codes]
    a, b = made.paired_rsms(design, rng, values, 0.0)
    return compared(a, b, made.nearness(values), design, number)


@study("A against B, the same structure in both", on(*EVERY, "shared surface"))
def difference_of_equals(rng: Generator, number: int, design: Design) -> Outcomes:
    values = rng.normal(size=len(design.sizes))[design.codes]
    a, b = made.paired_rsms(design, rng, values, 2.0)
    return compared(a, b, made.nearness(values), design, number)


@study("A against B, a class in both", on("groups", "unequal groups"))
def difference_of_classes(rng: Generator, number: int, design: Design) -> Outcomes:
    labels = made.classes_of_groups(design, rng)
    a, b = made.paired_rsms(design, rng, made.one_hot(labels), 3.0)
    return compared(a, b, made.sameness(labels), design, number)


def _of_two_noises(design: Design, rng: Generator, strength: float, n_layers: int) -> tuple[Array, Array, Array]:
    """RSMs of A, in few dimensions, and B, in many and twice as noisy, and the hypothesis planted in both."""
    values = rng.normal(size=len(design.sizes))[design.codes]
    narrow = made.embeddings(design, rng, n_layers, d=8)
    wide = 2 * made.embeddings(design, rng, n_layers, d=96)
    a, b = (made.planted(x, values, s) for x, s in ((narrow, 1.5), (wide, strength)))
    return analysis.rsms(a), analysis.rsms(b), made.nearness(values)


def _rise(a: Array, b: Array, hypothesis: Array) -> float:
    return analysis.alignment(b[0], hypothesis) - analysis.alignment(a[0], hypothesis)


@cache
def _equal_strength(design: Design) -> float:
    """How strong B must be for the alignment of A in large samples."""

    def excess(strength: float) -> float:
        return mean_estimate(lambda rng: _rise(*_of_two_noises(design, rng, strength, 1)), 300)

    low, high = 0.0, 12.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


@study("A against B, the same alignment in unlike noise", on("groups"))
def difference_of_unlike_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    a, b, hypothesis = _of_two_noises(design, rng, _equal_strength(design), 3)
    return compared(a, b, hypothesis, design, number)


SEEDS = {
    "5 seeds, all alike": {"n_seeds": 5, "spread": 0.0},
    "5 seeds, unlike": {"n_seeds": 5, "spread": 1.0},
    "10 seeds, unlike": {"n_seeds": 10, "spread": 1.0},
}


@study("A against B over seeds, the same structure", SEEDS)
def difference_over_seeds(rng: Generator, number: int, n_seeds: int, spread: float) -> Outcomes:
    design = Design((2,) * 16, identity=1.0)
    values = rng.normal(size=16)[design.codes]
    common = made.embeddings(design, rng, 3)
    stacks = [
        [
            analysis.rsms(made.planted(common + 0.7 * made.embeddings(design, rng, 3), values, strength))
            for strength in np.exp(spread * rng.normal(size=n_seeds)) * 1.5
        ]
        for _ in range(2)
    ]
    return compared(np.stack(stacks[0]), np.stack(stacks[1]), made.nearness(values), design, number)


def _stronger(design: Design, rng: Generator, n_layers: int) -> tuple[Array, Array, Array]:
    values = rng.normal(size=len(design.sizes))[design.codes]
    common, a, b = (made.embeddings(design, rng, n_layers, memory=0.5) for _ in range(3))
    strengths = np.where(np.arange(n_layers) == n_layers - 1, 6.0, 0.3)
    before, after = made.planted(common + 0.5 * a, values, 0.3), made.planted(common + 0.5 * b, values, strengths)
    return analysis.rsms(before), analysis.rsms(after), made.nearness(values)


@cache
def _stronger_truth(design: Design, large: bool = False) -> float:
    design, draws = draws_of(design, large)
    return mean_estimate(lambda rng: _rise(*_stronger(design, rng, 1)), draws)


MANY = {
    "24 groups": {"design": Design((3,) * 24, identity=1.0)},
    "24 unequal groups": {"design": Design((1, 2, 3, 4) * 6, identity=1.0)},
}


@study("A against B, planted in layer 4", MANY | on("items without groups"))
def difference_planted(rng: Generator, number: int, design: Design) -> Outcomes:
    a, b, hypothesis = _stronger(design, rng, PLANTED_LAYER + 1)
    test = analysis.alignment_difference(a, b, hypothesis, design.groups, n_bootstrap=B, seed=number)
    return {
        "found": bool(test.p_corrected[PLANTED_LAYER] <= 0.05),
        "layer": bool(np.argmax(test.estimate) == PLANTED_LAYER),
        "covered": covers(test, _stronger_truth(design), PLANTED_LAYER),
        "large": covers(test, _stronger_truth(design, True), PLANTED_LAYER),
    }


@study("A against B", on("seven groups"))
def difference_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    values = rng.normal(size=len(design.sizes))[design.codes]
    a, b = made.paired_rsms(design, rng, values, 1.0, 2)
    return refused(analysis.alignment_difference(a, b, made.nearness(values), design.groups, n_bootstrap=20))


# --- Surface


SURFACES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda text: text,
    "bent": lambda text: np.sign(text) * np.abs(text) ** 2,
    "in a circle": lambda text: np.column_stack([np.sin(3 * text), np.cos(3 * text)]),
    "skewed": lambda text: np.exp(text),
}


@study(
    "surface alone, in another form than the control knows", {name: {"form": name} for name in SURFACES}, share=1 / 4
)
def surface_alone(rng: Generator, number: int, form: str) -> Outcomes:
    """Embeddings hold a number of the text, and the hypothesis goes with it: why a surface control has no p."""
    design = Design((1,) * 32)
    text = rng.normal(size=32)
    x = made.planted(made.embeddings(design, rng, 3), SURFACES[form](text[:, None]), 2.0)
    values, similarities, surface = text + 0.5 * rng.normal(size=32), analysis.rsms(x), {"text": made.nearness(text)}

    def left(of: Array) -> Array:
        return analysis.surface_control(similarities, made.nearness(of), surface).matched

    null = np.stack([left(rng.permutation(values)) for _ in range(99)])
    return {"surface": bool(p_values(left(values), null).p_corrected.min() <= 0.05)}


# --- Composite to simple


def _composite(design: Design, rng: Generator, n_layers: int, own: float) -> tuple[Array, Array]:
    """Embeddings of both kinds of prompts: what a set has of its own is in both, and of an item so much."""
    of_set, of_item = 1.5 * design.by_group(rng, n_layers, 48), own * design.by_item(rng, n_layers, 48)
    composite, simple = (of_set + of_item + made.embeddings(design, rng, n_layers) for _ in range(2))
    return 0.5 * composite + 5, simple


SETS = ("groups", "unequal groups", "one large group", "uneven noise", "heavy tails", "eight groups")


@study("composite to simple", on(*SETS), untied=True)
def composite_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    composite, simple = _composite(design, rng, 4, 0.0)
    test = analysis.composite_to_simple(composite, simple, design.codes, n_permutations=B, n_bootstrap=B, seed=number)
    return {**significant(test, 2), "covered": covers(test, 0.0, 2)}


@cache
def _composite_truth(design: Design, large: bool = False) -> float:
    design, draws = draws_of(design, large)

    def estimate(rng: Generator) -> float:
        both = _composite(design, rng, 1, 0.5)
        found = analysis.composite_to_simple(*both, design.codes, n_permutations=0, n_bootstrap=1)
        return float(found.estimate[0])

    return mean_estimate(estimate, draws)


@study("composite to simple, planted", on("groups", "unequal groups"))
def composite_planted(rng: Generator, number: int, design: Design) -> Outcomes:
    composite, simple = _composite(design, rng, 4, 0.5)
    test = analysis.composite_to_simple(composite, simple, design.codes, n_permutations=B, n_bootstrap=B, seed=number)
    truth, of_many = (_composite_truth(design, large) for large in (False, True))
    return {
        "found": bool(test.p_corrected[2] <= 0.05),
        "covered": covers(test, truth, 2),
        "large": covers(test, of_many, 2),
    }


# --- Probes


def _probed(x: Array, y: Array, design: Design, number: int, **options: Any) -> Any:
    options = {"strength": 0.1, "n_permutations": B, "n_controls": 0, **options}
    return analysis.probe(x, y, design.groups, seed=number, **options)


LABELS: dict[str, Callable[[Design, Generator], Array]] = {
    "classes of groups": lambda design, rng: made.classes_of_groups(design, rng).astype(str),
    "classes within groups": lambda design, rng: made.classes_within(design, rng).astype(str),
    "numbers of groups": lambda design, rng: rng.normal(size=len(design.sizes))[design.codes],
    "numbers within groups": lambda design, rng: rng.normal(size=len(design.codes)),
}


@study(
    "probe",
    {f"{label}, {name}": {"label": label, "design": DESIGNS[name]} for label in LABELS
     for name in ("groups", "unequal groups", "uneven noise", "shared surface")}
    | {f"{label}, items without groups": {"label": label, "design": DESIGNS["items without groups"]}
       for label in ("classes of groups", "numbers of groups")},
)  # fmt: skip
def probe_of_noise(rng: Generator, number: int, label: str, design: Design) -> Outcomes:
    return significant(_probed(made.embeddings(design, rng, 3), LABELS[label](design, rng), design, number), 2)


@study("probe", on("seven groups"))
def probe_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    y = LABELS["numbers of groups"](design, rng)
    return refused(_probed(made.embeddings(design, rng, 2), y, design, number))


PROBED = {
    "numbers": (lambda rng, n: rng.normal(size=n), 2.0),
    "classes": (lambda rng, n: rng.permutation(np.arange(n) % 4), 3.0),
    "two classes, weak": (lambda rng, n: rng.permutation(np.arange(n) % 2), 1.0),
}


PROBED_GROUPS = {"16 groups": (3,) * 16, "8 groups": (6,) * 8}


def _planted_probe(kind: str, sizes: tuple[int, ...], rng: Generator, number: int) -> Any:
    design, (draw, strength) = Design(sizes, identity=1.0), PROBED[kind]
    values = draw(rng, len(sizes))[design.codes]
    along = values if kind == "numbers" else made.one_hot(values)
    x = made.planted(made.embeddings(design, rng, 1), along, strength)
    y = values if kind == "numbers" else values.astype(str)
    return _probed(x, y, design, number, n_permutations=0)


@cache
def _probe_truth(kind: str, sizes: tuple[int, ...]) -> float:
    return mean_estimate(lambda rng: float(_planted_probe(kind, sizes, rng, int(rng.integers(1000))).score[0]))


@study(
    "probe's interval",
    {f"{kind}, {groups}": {"kind": kind, "sizes": sizes} for kind in PROBED for groups, sizes in PROBED_GROUPS.items()},
)
def probe_interval(rng: Generator, number: int, kind: str, sizes: tuple[int, ...]) -> Outcomes:
    return {"covered": covers(_planted_probe(kind, sizes, rng, number), _probe_truth(kind, sizes))}


@study("probe, planted in layer 4", {"classes": {}})
def probe_planted(rng: Generator, number: int) -> Outcomes:
    design = DESIGNS["groups"]
    labels = made.classes_of_groups(design, rng)
    strengths = 5.0 * (np.arange(6) == PLANTED_LAYER)
    x = made.planted(made.embeddings(design, rng, 6, memory=0.5), made.one_hot(labels), strengths)
    found = _probed(x, labels.astype(str), design, number)
    return {
        "found": bool(found.p_corrected[PLANTED_LAYER] <= 0.05),
        "layer": bool(np.argmax(found.score) == PLANTED_LAYER),
    }


def _probe_change(sides: Sequence[Array], y: Array, design: Design, number: int) -> Any:
    """P of B minus A of probes by swapping whole groups, as `analysis.probe_change` makes it of recordings."""
    swaps = swapped(*sides, y, design.groups, n_permutations=B, seed=number)
    p, corrected, _ = standardised_p(swaps.observed, swaps.null)
    return SimpleNamespace(p=p, p_corrected=corrected, estimate=swaps.difference)


def _two_sides(
    rng: Generator,
    label: str,
    design: Design,
    strengths: tuple[Any, Any],
    n_layers: int = 2,
    shift: float = 0.0,
    turned: bool = False,
) -> tuple[list[Array], Array]:
    """A and B, which share most of their noise, with a label planted so strongly in each; B moved and stretched.

    turned: the label lies along other directions in B, as far apart, of noise that is alike in all directions.
    """  # fmt: skip
    y = LABELS[label](design, rng)
    values = y if label.startswith("numbers") else made.one_hot(y.astype(int))

    def noise() -> Array:
        return design.draw(rng, n_layers, 48) / 3 if turned else made.embeddings(design, rng, n_layers)

    common = noise()
    a, b = (common + 0.7 * noise() for _ in strengths)
    a = made.planted(a, values, strengths[0])
    b = made.planted(b[..., ::-1], values, strengths[1])[..., ::-1] if turned else made.planted(b, values, strengths[1])
    return [a, (1 + shift) * b + shift], y


@study(
    "probe, A against B",
    {f"{label}, {case}": {"label": label, **arguments}
     for label in LABELS
     for case, arguments in {
         "groups": {"design": DESIGNS["groups"]},
         "unequal groups": {"design": DESIGNS["unequal groups"]},
         "nothing in either": {"design": DESIGNS["groups"], "strength": 0.0},
         "B moved and stretched": {"design": DESIGNS["groups"], "shift": 2.0},
         "another direction in B": {"design": DESIGNS["groups"], "turned": True},
     }.items()},
    share=1 / 2,
)  # fmt: skip
def probe_difference(
    rng: Generator, number: int, label: str, design: Design, strength: float = 3.0, shift: float = 0.0,
    turned: bool = False,
) -> Outcomes:  # fmt: skip
    sides, y = _two_sides(rng, label, design, (strength, strength), shift=shift, turned=turned)
    return significant(_probe_change(sides, y, design, number))


RISES = (0.2, 0.35, 0.5)
START = {"classes of groups": 0.45, "numbers of groups": 0.3}
"""Label -> what A reads: balanced accuracy of four classes, or R2."""


@cache
def _strength_of(label: str, n_groups: int, wanted: float) -> float:
    """How strongly a label must be planted for a least-squares probe to reach a score on average."""
    design = Design((3,) * n_groups, identity=1.0)

    def reached(strength: float) -> float:
        scores = []
        for draw in range(12):
            (side, _), y = _two_sides(np.random.default_rng([2, draw]), label, design, (strength, strength), 1)
            scores.append(float(_probed(side, y, design, 0, n_permutations=0).least_squares[0]))
        return float(np.mean(scores))

    low, high = 0.0, 12.0
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < wanted else (low, middle)
    return (low + high) / 2


@study(
    "power of a probe, A against B",
    {f"{label}, {n_groups} groups, +{rise:g}": {"label": label, "n_groups": n_groups, "rise": rise}
     for label in START for n_groups in (16, 32, 48) for rise in RISES},
    share=1 / 8,
)  # fmt: skip
def probe_power(rng: Generator, number: int, label: str, n_groups: int, rise: float) -> Outcomes:
    strengths = tuple(_strength_of(label, n_groups, START[label] + more) for more in (0.0, rise))
    design = Design((3,) * n_groups, identity=1.0)
    sides, y = _two_sides(rng, label, design, strengths, 1)
    return {"power of probes": bool(_probe_change(sides, y, design, number).p[0] <= 0.05)}


@study("probe, A against B, planted in layer 2", {label: {"label": label} for label in LABELS})
def probe_difference_planted(rng: Generator, number: int, label: str) -> Outcomes:
    design = Design((3,) * 24, identity=1.0)
    y = LABELS[label](design, rng)
    values = y if label.startswith("numbers") else made.one_hot(y.astype(int))
    common = made.embeddings(design, rng, 3, memory=0.5)
    steps = (np.zeros(3), 6.0 * (np.arange(3) == 2))
    sides = [made.planted(common + made.embeddings(design, rng, 3), values, strengths) for strengths in steps]
    test = _probe_change(sides, y, design, number)
    return {"found": bool(test.p_corrected[2] <= 0.05), "layer": bool(np.argmax(test.estimate) == 2)}


# --- Measures that items have together: distances of classes, intrinsic dimension


def _recorded(x: Array, y: Array, design: Design, key: str) -> Recording:
    """A recording of nothing but these embeddings and one label."""
    label = {"class": y}
    return made.recording(x, labels=label, groups={"class": design.codes}, key=key)


def _measured_change(measure: str, sides: Sequence[Array], y: Array, design: Design) -> Any:
    a, b = (_recorded(side, y, design, key * 32) for side, key in zip(sides, "ab", strict=True))
    return analysis.measured_change(analysis.compare(a, b), measure)


CLASSES = ("classes of groups", "classes within groups")
ALIKE = {
    "groups": {"design": DESIGNS["groups"]},
    "unequal groups": {"design": DESIGNS["unequal groups"]},
    "uneven noise": {"design": DESIGNS["uneven noise"]},
    "heavy tails": {"design": DESIGNS["heavy tails"]},
    "nothing in either": {"design": DESIGNS["groups"], "strength": 0.0},
    "B moved and stretched": {"design": DESIGNS["groups"], "shift": 2.0},
    "another direction in B": {"design": DESIGNS["groups"], "turned": True},
}


@study(
    "class distance, A against B",
    {f"{label}, {case}": {"label": label, **arguments} for label in CLASSES for case, arguments in ALIKE.items()},
    share=1 / 2,
)
def class_distance_difference(
    rng: Generator, number: int, label: str, design: Design, strength: float = 3.0, shift: float = 0.0,
    turned: bool = False,
) -> Outcomes:  # fmt: skip
    sides, y = _two_sides(rng, label, design, (strength, strength), shift=shift, turned=turned)
    found = significant(_measured_change("class_distance", sides, y, design))
    return {"limit": found["family"]} if turned else found


@study(
    "class distance",
    {f"{label}, {name}": {"label": label, "design": DESIGNS[name]} for label in CLASSES
     for name in ("groups", "unequal groups", "uneven noise", "heavy tails", "shared surface")},
    share=1 / 2,
)  # fmt: skip
def class_distance_of_noise(rng: Generator, number: int, label: str, design: Design) -> Outcomes:
    y = LABELS[label](design, rng)
    found = analysis.measured(_recorded(made.embeddings(design, rng), y, design, "a" * 32), "class_distance")
    return significant(found)


def _classes_apart(label: str, design: Design, rng: Generator) -> Any:
    y = LABELS[label](design, rng)
    x = made.planted(made.embeddings(design, rng, 2), made.one_hot(y.astype(int)), 3.0)
    return analysis.measured(_recorded(x, y, design, "a" * 32), "class_distance")


@cache
def _class_distance(label: str, design: Design) -> float:
    return mean_estimate(lambda rng: float(_classes_apart(label, design, rng).estimate[0]), 300)


@study(
    "class distance's interval",
    {f"{label}, {name}": {"label": label, "design": DESIGNS[name]} for label in CLASSES
     for name in ("groups", "unequal groups", "eight groups")
     if (label, name) != ("classes of groups", "eight groups")},
    share=1 / 2,
)  # fmt: skip
def class_distance_interval(rng: Generator, number: int, label: str, design: Design) -> Outcomes:
    return {"covered": covers(_classes_apart(label, design, rng), _class_distance(label, design))}


@study("class distance, A against B, planted in layer 2", {label: {"label": label} for label in CLASSES}, share=1 / 2)
def class_distance_planted(rng: Generator, number: int, label: str) -> Outcomes:
    design = Design((3,) * 24, identity=1.0)
    y = LABELS[label](design, rng)
    common = made.embeddings(design, rng, 3, memory=0.5)
    strengths = (np.zeros(3), 6.0 * (np.arange(3) == 2))
    values = made.one_hot(y.astype(int))
    sides = [made.planted(common + made.embeddings(design, rng, 3), values, strength) for strength in strengths]
    test = _measured_change("class_distance", sides, y, design)
    return {"found": bool(test.p_corrected[2] <= 0.05), "layer": bool(np.argmax(test.estimate) == 2)}


def _flat(x: Array, kept: int) -> Array:
    """Embeddings whose later directions hold a tenth of their spread."""
    return np.asarray(x * np.where(np.arange(x.shape[2]) < kept, 1.0, 0.1))


@study(
    "intrinsic dimension, A against B",
    {name: {"design": DESIGNS[name]}
     for name in ("groups", "unequal groups", "uneven noise", "heavy tails", "items without groups", "shared surface")}
    | {"groups, B moved and stretched": {"design": DESIGNS["groups"], "shift": 2.0}},
    share=1 / 2,
)  # fmt: skip
def dimension_difference(rng: Generator, number: int, design: Design, shift: float = 0.0) -> Outcomes:
    common = made.embeddings(design, rng, 3)
    a, b = (common + made.embeddings(design, rng, 3) for _ in range(2))
    y = np.arange(len(design.codes)).astype(str)
    return significant(_measured_change("intrinsic_dimension", (a, (1 + shift) * b + shift), y, design))


@study("intrinsic dimension, A against B, planted in layer 2", on("groups", "unequal groups"), share=1 / 2)
def dimension_planted(rng: Generator, number: int, design: Design) -> Outcomes:
    a, b = (made.embeddings(design, rng, 3, memory=0.5) for _ in range(2))
    a[:, 2] = _flat(a[:, 2:], 6)[:, 0]
    y = np.arange(len(design.codes)).astype(str)
    test = _measured_change("intrinsic_dimension", (a, b), y, design)
    return {"found": bool(test.p_corrected[2] <= 0.05), "layer": bool(np.argmax(test.estimate) == 2)}


def _dimension(design: Design, rng: Generator) -> Any:
    y = np.arange(len(design.codes)).astype(str)
    return analysis.measured(_recorded(made.embeddings(design, rng, 2), y, design, "a" * 32), "intrinsic_dimension")


@cache
def _true_dimension(design: Design) -> float:
    return mean_estimate(lambda rng: float(_dimension(design, rng).estimate[0]), 300)


@study("intrinsic dimension's interval", on("groups", "unequal groups", "eight groups", "heavy tails"), share=1 / 2)
def dimension_interval(rng: Generator, number: int, design: Design) -> Outcomes:
    return {"covered": covers(_dimension(design, rng), _true_dimension(design))}


def _told_apart(design: Design, rng: Generator, strength: float, place: float = 0.0) -> Any:
    """How well a probe's evidence tells right from wrong answers that go with how clear an item is; or that go, as how
    clear it is does, with the place of its text.
    """
    y, places = LABELS["classes of groups"](design, rng), rng.permutation(np.arange(len(design.codes)) % 2)
    clear = rng.normal(size=len(y))
    x = made.embeddings(design, rng, 2)
    x = made.planted(x, made.one_hot(y.astype(int)) * (2 + strength * clear + place * places)[:, None], 1.0)
    right = (clear + 2 * place * (places - 0.5) + rng.normal(size=len(y)) > 0).astype(float)
    one = made.recording(
        x, labels={"class": y}, groups={"class": design.codes}, factors={"position": places.astype(str)},
        scores={"right": right}, key="a" * 32,
    )  # fmt: skip
    return analysis.right_against_wrong(one, "probe")


@cache
def _true_area(design: Design, strength: float, place: float) -> float:
    if not strength:
        return 0.5
    return mean_estimate(lambda rng: float(_told_apart(design, rng, strength, place).estimate[0]), 300)


@study(
    "right against wrong, its interval",
    {f"{name}, {case}": {"design": DESIGNS[name], "strength": strength, "place": place}
     for name in ("groups", "unequal groups", "eight groups")
     for case, (strength, place) in {"nothing": (0.0, 0.0), "told": (1.0, 0.0), "place alone": (0.0, 1.0)}.items()},
    share=1 / 2,
)  # fmt: skip
def right_against_wrong_interval(
    rng: Generator, number: int, design: Design, strength: float, place: float
) -> Outcomes:
    return {"covered": covers(_told_apart(design, rng, strength, place), _true_area(design, strength, place))}


# --- Paired differences and log attention ratios


def _odd(values: Array) -> Array:
    """Differences (n, K) some of which are missing, one column a copy and one constant."""
    values = values.copy()
    values[::7, 0], values[:, 2], values[:, 3] = np.nan, values[:, 1], 0.0
    return values


DIFFERENCES: dict[str, tuple[Design, Callable[[Array], Array]]] = {
    **{name: (DESIGNS[name], lambda values: values) for name in EVERY if name != "skewed noise"},
    "ties": (DESIGNS["groups"], lambda values: np.sign(values) * (np.abs(values) > 2)),
    "odd columns": (DESIGNS["groups"], _odd),
}


@study("paired differences", {name: {"case": name} for name in DIFFERENCES})
def paired_of_noise(rng: Generator, number: int, case: str) -> Outcomes:
    design, change = DIFFERENCES[case]
    values = change(made.along_layers(design.draw(rng, 6)))
    test = analysis.paired_test(values, design.groups, n_permutations=B, n_bootstrap=B, seed=number)
    return {**significant(test, 1), "covered": covers(test, 0.0, 1)}


@study("paired differences of mean 0 that lean to one side", on("skewed noise"))
def paired_skewed(rng: Generator, number: int, design: Design) -> Outcomes:
    values = made.along_layers(design.draw(rng, 6))
    test = analysis.paired_test(values, design.groups, n_permutations=B, n_bootstrap=B, seed=number)
    return {"limit": significant(test)["family"], "covered": covers(test, 0.0, 1)}


@study("paired differences", on("seven groups"))
def paired_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    return refused(analysis.paired_test(design.draw(rng, 2), design.groups, n_permutations=B, n_bootstrap=0))


# --- Maps of effects: every site is one of many, the strongest is chosen


N_SITES = (9, 30)


def _map(design: Design, rng: Generator, effect: float = 0.0, by_item: float = 1.0, few: float = 0.0) -> Any:
    """A map whose effects share most of their noise between sites, as those of one item's heads do, and the recording
    of its run; one site, head 4 of block 20, has an effect.

    few: share of items in which nothing was acted on.
    """
    n = len(design.codes)
    shared = by_item * made.along_layers(design.draw(rng, N_SITES[1]), 0.9)
    own = design.by_item(rng, N_SITES[0] * N_SITES[1]).reshape(n, *N_SITES)
    values = 0.7 * shared[:, None] + 0.5 * own
    values[:, 4, 19] += effect
    base = rng.normal(size=(n, 2))
    logprobs = np.broadcast_to(base, (*N_SITES, 1, n, 2)).copy()
    logprobs[..., 0] += np.moveaxis(values, 0, -1)[:, :, None]
    acted = np.broadcast_to((rng.random(n) >= few).astype(int), (*N_SITES, 1, n))
    return made.effect_map(base, logprobs, acted), made.recording(
        np.zeros((n, 2, 2)), labels={"class": design.codes}, groups={"class": design.codes}, key="a" * 32
    )


MAPS = {
    **{name: {"design": DESIGNS[name]} for name in EVERY if name != "skewed noise"},
    "half of the items without the place": {"design": DESIGNS["groups"], "few": 0.5},
    "effects that are mostly one item's own": {"design": DESIGNS["groups"], "by_item": 3.0},
}


@study("map of 270 sites", MAPS, share=1 / 2)
def map_of_noise(rng: Generator, number: int, **case: Any) -> Outcomes:
    found = analysis.effect_of_sites(_map(rng=rng, **case), seed=number)
    told = {
        "p": bool(found.p[0, 0] <= 0.05),
        "family": bool(np.nanmin(found.p_corrected) <= 0.05),
        "covered": bool(found.low[4, 19] <= 0 <= found.high[4, 19]),
    }
    if not found.chosen:  # too few groups to be halved
        return told
    first = found.chosen[0]
    any_chosen = any(site.p_corrected <= 0.05 for site in found.chosen)
    return {**told, "chosen": any_chosen, "covered where chosen": bool(first.low <= 0 <= first.high)}


@study("map of 270 sites beyond controls", on("groups", "unequal groups", "heavy tails"), share=1 / 2)
def map_beyond_controls(rng: Generator, number: int, design: Design) -> Outcomes:
    """All heads of a block do the same: beyond the others of its block none does anything."""
    found = analysis.effect_of_sites(_map(design, rng, by_item=3.0), beyond=True, seed=number)
    return {"p": bool(found.p[0, 0] <= 0.05), "family": bool(np.nanmin(found.p_corrected) <= 0.05)}


@study("map of 270 sites, one of which has an effect", on("groups", "unequal groups", "heavy tails"), share=1 / 2)
def map_planted(rng: Generator, number: int, design: Design) -> Outcomes:
    found = analysis.effect_of_sites(_map(design, rng, effect=-3.0), seed=number)
    at = np.unravel_index(int(np.nanargmax(np.abs(found.estimate))), found.estimate.shape)
    chosen = [site for site in found.chosen if (site.first, site.second) == (4, 20)]
    return {
        "found": bool(found.p_corrected[4, 19] <= 0.05),
        "layer": at == (4, 19),
        "covered": bool(found.low[4, 19] <= -3 <= found.high[4, 19]),
        "covered where chosen": all(site.low <= -3 <= site.high for site in chosen),
    }


@study("map of 270 sites", on("seven groups"))
def map_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    found = analysis.effect_of_sites(_map(design, rng), seed=number)
    return {"refused": bool(np.isnan(found.p).all() and found.reason and not found.chosen and found.chosen_reason)}


N_LABELLED = 3
"""Classes of the label that is moved, of which the first has half of the groups."""


def _follows(design: Design, rng: Generator, strength: float) -> tuple[Array, Array, Array]:
    """(2, 2, n) how far items follow a label that is moved, and stay with another, in two blocks; class and group."""
    codes = np.unique(design.codes, return_inverse=True)[1]
    classes = np.minimum(rng.permutation(codes.max() + 1)[codes] % (2 * (N_LABELLED - 1)), N_LABELLED - 1)
    push = design.draw(rng, 4).T.reshape(2, 2, -1) + np.array([[0.0, strength], [3.0, 1.0]])[..., None]
    return 1 / (1 + np.exp(-2 * push)), classes, codes


def _competence(scores: Array, classes: Array) -> float:
    """Of the second block."""
    return float(np.mean([np.mean([scores[kind, 1, classes == own].mean() for own in np.unique(classes)])
                          for kind in range(2)]))  # fmt: skip


@cache
def _true_competence(name: str, strength: float) -> float:
    """That of very many groups."""
    rng = np.random.default_rng(0)
    return float(np.mean([_competence(*_follows(DESIGNS[name], rng, strength)[:2]) for _ in range(2000)]))


@study(
    "competence",
    {name: {"name": name, "strength": 2.0} for name in EVERY}
    | {f"{name}, nearly always": {"name": name, "strength": 6.0} for name in ("groups", "eight groups", "heavy tails")},
    share=1 / 2,
)
def competence_of_a_block(rng: Generator, number: int, name: str, strength: float) -> Outcomes:
    scores, classes, codes = _follows(DESIGNS[name], rng, strength)
    n_units = int(codes.max()) + 1
    weights = unit_weights(n_units, B, np.random.default_rng(number))[:, codes]
    _, low, high = with_interval(scores, classes, weights, n_units)
    return {"covered": bool(low[2, 1] <= _true_competence(name, strength) <= high[2, 1])}


def _attended(design: Design, rng: Generator, strength: float) -> tuple[Array, Array, Array]:
    """(n, 1) attention to an answer, whether it is given, and groups: both go with a group's own noise."""
    both = design.draw(rng, 2)
    given = both[:, 0] > 0
    return (strength * given + both[:, 1])[:, None], given, np.unique(design.codes, return_inverse=True)[1]


@cache
def _true_area(name: str, strength: float) -> float:
    """That of very many groups."""
    rng = np.random.default_rng(0)
    draws = [_attended(DESIGNS[name], rng, strength)[:2] for _ in range(150)]
    score, given = np.concatenate([one for one, _ in draws]), np.concatenate([one for _, one in draws])
    return float(roc_auc_score(given, score[:, 0]))


@study(
    "attention foretells the own answer",
    {name: {"name": name, "strength": 0.8} for name in EVERY}
    | {f"{name}, nearly always": {"name": name, "strength": 4.0} for name in ("groups", "eight groups", "heavy tails")},
    share=1 / 2,
)
def area_of_attention(rng: Generator, number: int, name: str, strength: float) -> Outcomes:
    score, given, codes = _attended(DESIGNS[name], rng, strength)
    n_units = int(codes.max()) + 1
    if not FEWEST <= given.sum() <= len(given) - FEWEST:
        return {}
    weights = unit_weights(n_units, B, np.random.default_rng(number))[:, codes]
    low, high = area_with_interval(score[None], given[None], weights, n_units)[1:3]
    return {"covered": bool(low[0] <= _true_area(name, strength) <= high[0])}


PROMISED, WISHED = 0.8, 0.6
"""The power that is planned for, and the effect, in standard deviations of a group's mean."""


def _pilot(design: Design, rng: Generator, n_seeds: int, n_groups: int) -> Array:
    """(S, U) mean differences of groups without any effect: groups, seeds and the rest vary."""
    seeds = 0.3 * rng.normal(size=(n_seeds, 1)) if n_seeds > 1 else np.zeros((1, 1))
    codes = np.unique(design.codes, return_inverse=True)[1]
    found: list[float] = []
    while len(found) < n_groups:
        drawn = design.draw(rng, 1)[:, 0]
        found += [float(drawn[codes == own].mean()) for own in range(int(codes.max()) + 1)]
    return np.array(found[:n_groups]) + seeds + 0.5 * rng.normal(size=(n_seeds, n_groups))


@study(
    "power as promised",
    {f"{name}, {n_seeds} seeds": {"name": name, "n_seeds": n_seeds}
     for name in ("groups", "eight groups", "heavy tails", "skewed noise") for n_seeds in (1, 5)},
)  # fmt: skip
def power_as_promised(rng: Generator, number: int, name: str, n_seeds: int) -> Outcomes:
    design, size = DESIGNS[name], WISHED * _spread(name)
    n_groups = len(set(design.codes.tolist()))
    groups, _ = needed_groups(_pilot(design, rng, n_seeds, n_groups), size, PROMISED, n_seeds, number)
    if not groups:  # it says so, and promises nothing
        return {}
    return {"promised": bool(p_of_means(size + _pilot(design, rng, n_seeds, groups)[None])[0] < 0.05)}


@cache
def _spread(name: str) -> float:
    """The standard deviation of a group's mean."""
    rng = np.random.default_rng(0)
    return float(_pilot(DESIGNS[name], rng, 1, 8000).std())


SHARE = 0.6
"""How much of the gain comes back."""


def _shares(design: Design, rng: Generator, gain: float) -> tuple[float, float, float]:
    """Share and interval where `SHARE` of each item's gain comes back, and other things happen to it."""
    gains = gain + design.draw(rng, 2)[:, 0]
    effects = SHARE * gains + 0.5 * design.draw(rng, 2)[:, 1]
    codes = np.unique(design.codes, return_inverse=True)[1]
    share, low, high = (float(one[0]) for one in shares(effects[:, None], gains, codes))
    return share, low, high


@study("share that comes back", {name: {"design": DESIGNS[name]} for name in EVERY}, share=1 / 2)
def share_of_gain(rng: Generator, number: int, design: Design) -> Outcomes:
    _, low, high = _shares(design, rng, 3.0)
    return {"covered": bool(low <= SHARE <= high)} if np.isfinite(low) else {}


@study("share of a difference that is none", {name: {"design": DESIGNS[name]} for name in EVERY}, share=1 / 2)
def share_of_nothing(rng: Generator, number: int, design: Design) -> Outcomes:
    return {"p": bool(np.isfinite(_shares(design, rng, 0.0)[1]))}


DRAWS = (4, 4)
"""Sets of demonstrations, and orders of each."""


def _drawn(design: Design, rng: Generator, alike: float, *shape: int) -> tuple[Array, Array]:
    """What draws of demonstrations do to each item (..., n), and the part of it (...) that is the same for all; of
    variance 1, `alike` of it the same.
    """
    of_all = made.NOISES[design.noise](rng, shape)
    own = design.draw(rng, *shape) / np.sqrt(1 + design.identity**2)
    return np.sqrt(alike) * of_all[..., None] + np.sqrt(1 - alike) * np.moveaxis(own, 0, -1), np.sqrt(alike) * of_all


def _part(between_orders: float, between_sets: float) -> float:
    return min(between_orders / (between_orders + between_sets), 1.0)


VARIANCES = {"as much as sets": (1.0, 1.0), "a fifth of sets": (0.2, 1.0), "nothing": (0.0, 1.0), "alone": (1.0, 0.0)}
"""What order and sets are planted to do, as variances."""


@study(
    "share of order",
    {
        f"{name}, order {words}, felt {felt}": {"design": DESIGNS[name], "planted": planted, "alike": alike}
        for name in ("groups", "unequal groups", "eight groups", "heavy tails")
        for words, planted in VARIANCES.items()
        for felt, alike in {"by each item in its own way": 0.0, "half alike": 0.5, "alike by all": 1.0}.items()
    },
)
def share_of_order(rng: Generator, number: int, design: Design, planted: tuple[float, float], alike: float) -> Outcomes:
    """The share of these sets and orders is what items without end would show of the same draws; where all items feel
    them alike, one item shows it, and what is in doubt are other draws.
    """
    (orders, of_all), (sets, sets_of_all) = (_drawn(design, rng, alike, *shape) for shape in (DRAWS, (DRAWS[0], 1)))
    scale = np.sqrt(planted)
    values = scale[0] * orders + scale[1] * sets
    found, mean = components(values), components(values.mean(axis=-1, keepdims=True))
    over_draws = {"covered over draws": _holds(found.low, _part(*planted), found.high)}
    if alike == 1.0:
        return over_draws
    seen = [float(one) for one in variances(scale[0] * of_all + scale[1] * sets_of_all)]
    here = _part(*(one + (1 - alike) * own for one, own in zip(seen, planted, strict=True)))
    low, high = share_over_items(values, np.unique(design.codes, return_inverse=True)[1])
    over_items = {"covered": _holds(low, here, high)} if np.isfinite(low) else {}
    return {**over_items, **over_draws, "covered of the mean": _holds(mean.low, _part(*planted), mean.high)}


def _holds(low: float, truth: float, high: float) -> bool:
    return bool(low - 1e-9 <= truth <= high + 1e-9)


MIXES = {
    "seeds dominate": (2.0, 0.3, 0.3),
    "groups dominate": (0.0, 1.5, 1.0),
    "both": (1.0, 2.0, 1.0),
    "seeds times groups": (0.3, 0.3, 0.3),
}


@study(
    "paired differences over seeds",
    {f"{n_seeds} seeds, {mix}, {name}": {"mix": mix, "n_seeds": n_seeds, "design": DESIGNS[name]}
     for n_seeds in (5, 10) for mix in MIXES for name in ("groups", "eight groups", "unequal groups")
     if n_seeds == 5 or name == "groups"},
)  # fmt: skip
def paired_seeds_of_noise(rng: Generator, number: int, mix: str, n_seeds: int, design: Design) -> Outcomes:
    by_seed, by_group, by_item = MIXES[mix]
    seeds = made.along_layers(rng.normal(size=(n_seeds, 4)))[:, None]
    groups = made.along_layers(design.by_group(rng, 4))
    crossed = np.stack([made.along_layers(design.by_group(rng, 4)) for _ in range(n_seeds)])
    items = np.stack([made.along_layers(design.by_item(rng, 4)) for _ in range(n_seeds)])
    values = by_seed * seeds + by_group * groups + by_item * items + (mix == "seeds times groups") * crossed
    test = analysis.paired_over_seeds(values, design.groups, n_bootstrap=B, seed=number)
    return {**significant(test, 1), "covered": covers(test, 0.0, 1)}


@study(
    "paired differences over 5 seeds, many layers that share little",
    {f"{case}, {n_columns} columns": {"by_seed": by_seed, "n_columns": n_columns}
     for case, by_seed in (("seeds dominate", 2.0), ("seeds and groups alike", 0.13), ("groups dominate", 0.02))
     for n_columns in (31, 270)},
)  # fmt: skip
def paired_seeds_of_unlike_layers(rng: Generator, number: int, by_seed: float, n_columns: int) -> Outcomes:
    design = DESIGNS["groups"]
    seeds = made.along_layers(rng.normal(size=(5, n_columns)), 0.5)[:, None]
    items = made.along_layers(design.by_item(rng, n_columns), 0.5)
    values = by_seed * seeds + np.stack([items + 0.4 * design.by_item(rng, n_columns) for _ in range(5)])
    test = analysis.paired_over_seeds(values, design.groups, n_bootstrap=1000, seed=number)
    return significant(test, 1)


@study("log attention ratio, planted", {"known ratio in layer 2": {}})
def ratio_planted(rng: Generator, number: int) -> Outcomes:
    design = DESIGNS["groups"]
    steps = np.where(np.arange(4) == 2, 1.0, 0.0)
    a, b = (steps * side + 0.3 * design.draw(rng, 4) for side in (0.0, 1.0))
    sides = [
        made.synthetic_recording(design, key, np.zeros((48, 5, 2)), values, np.zeros(48), label=design.codes)
        for key, values in (("a", a), ("b", b))
    ]
    comparison = analysis.compare(*sides)
    test = analysis.log_ratio_change(comparison)
    known = np.allclose(np.log(analysis.attention_ratio(sides[1])), np.clip(b, -3, 3), atol=1e-4)
    return {
        "true": known,
        "found": bool(test.p_corrected[2] <= 0.05),
        "layer": bool(np.argmax(test.estimate) == 2),
        "covered": covers(test, 1.0, 2),
    }


def _relevance(design: Design, rng: Generator, effect: float) -> Any:
    """Positions are asked about in turn; where a text stands and what it says draw attention, and relevance if so."""
    n_layers, size = 4, design.sizes[0]
    nearness = np.linspace(-0.5, 0.5, size)
    position = made.classes_within(design, rng, size)
    salient = rng.normal(size=(len(design.sizes), size, n_layers))[design.codes]
    pull = np.exp(nearness[None, :, None] + 0.5 * salient + 0.3 * rng.normal(size=salient.shape))
    own = np.take_along_axis(pull, position[:, None, None], axis=1)[:, 0]
    log_ratio = np.log(own) - np.log(pull.sum(axis=1) - own)
    log_ratio += effect * (np.arange(n_layers) == 2)
    n = len(position)
    return made.synthetic_recording(
        design, "a", np.zeros((n, n_layers + 1, 2)), log_ratio, np.zeros(n), position=position.astype(str)
    )


@study("relevance", {f"sets of {size}": {"design": Design((size,) * 16)} for size in (2, 3, 4)})
def relevance_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    return significant(analysis.relevance_test(_relevance(design, rng, 0.0)), 2)


@study("relevance, planted in layer 2", {"sets of 3": {}})
def relevance_planted(rng: Generator, number: int) -> Outcomes:
    test = analysis.relevance_test(_relevance(Design((3,) * 16), rng, 1.0))
    return {"found": bool(test.p_corrected[2] <= 0.05), "layer": bool(np.argmax(test.estimate) == 2)}


# --- Links


SCORES: dict[str, Callable[[Array], Array]] = {
    "untied": lambda values: values,
    "ties": lambda values: np.sign(values) * (np.abs(values) > 1.5),
    "rare": lambda values: (values > np.sort(values)[-5]).astype(float),
}


def _measures(design: Design, rng: Generator, n_layers: int = 4) -> dict[str, Array]:
    """Three measures whose layers, and which among themselves, go together."""
    common = made.along_layers(design.draw(rng, n_layers))
    return {name: common + made.along_layers(design.draw(rng, n_layers)) for name in ("one", "two", "three")}


def _any_link(found: Mapping[str, Any]) -> dict[str, bool]:
    """One measure's layer alone, and any of all measures after correction."""
    corrected = np.concatenate([link.p_corrected for link in found.values()])
    return {"p": bool(found["two"].p[1] <= 0.05), "family": bool(np.nanmin(corrected) <= 0.05)}


LINKED = ("groups", "unequal groups", "one large group", "uneven noise", "heavy tails", "eight groups")


@study(
    "link",
    {f"{level} {name}": {"level": level, "design": DESIGNS[name], "score": "untied"}
     for level in ("within", "between") for name in LINKED}
    | {"between items": {"level": "between", "design": DESIGNS["items without groups"], "score": "untied"}},
    untied=True,
)  # fmt: skip
@study(
    "link",
    {f"{level} {name}, {score} scores": {"level": level, "design": DESIGNS[name], "score": score}
     for level in ("within", "between") for name in ("groups", "unequal groups")
     for score in ("ties", "rare")[: 1 + (level == "between")]}
    | {"within groups, 5 scores that differ": {"level": "within", "design": DESIGNS["groups"], "score": "rare"}},
)  # fmt: skip
def link_of_noise(rng: Generator, number: int, level: str, design: Design, score: str) -> Outcomes:
    changed = SCORES[score](design.draw(rng))
    found = analysis.linked(
        _measures(design, rng), changed, design.groups, level=level, n_permutations=B, n_bootstrap=0, seed=number
    )
    refusal = found["two"].reason
    return {"refused": True} if refusal else _any_link(found)


@study("link within groups, a link between them", on("groups", "unequal groups"), untied=True)
def link_within_beside_between(rng: Generator, number: int, design: Design) -> Outcomes:
    of_group = 2 * design.by_group(rng, 1)
    changes = {name: values + of_group for name, values in _measures(design, rng).items()}
    found = analysis.linked(
        changes, of_group[:, 0] + design.by_item(rng), design.groups, n_permutations=B, n_bootstrap=0, seed=number
    )
    return _any_link(found)


@study(
    "link over 5 seeds",
    {f"{level} {name}": {"level": level, "design": DESIGNS[name]}
     for level in ("within", "between") for name in ("groups", "unequal groups")},
    untied=True,
)  # fmt: skip
def link_over_seeds_of_noise(rng: Generator, number: int, level: str, design: Design) -> Outcomes:
    common, shared = _measures(design, rng), design.draw(rng)
    changes = {
        name: np.stack([values + rng.normal() + design.by_item(rng, 4) for _ in range(5)])
        for name, values in common.items()
    }
    scores = np.stack([shared + rng.normal() + design.by_item(rng) for _ in range(5)])
    found = analysis.linked(changes, scores, design.groups, level=level, n_permutations=B, n_bootstrap=0, seed=number)
    return _any_link(found)


def _true_link(design: Design, rng: Generator, n_layers: int, n_seeds: int = 1) -> tuple[Array, Array]:
    """A change (S, n, L) whose last layer goes with the score's (S, n), between groups and within."""
    changed = np.stack([design.draw(rng)] * n_seeds) + 0.5 * rng.normal(size=(n_seeds, len(design.codes)))
    noise = np.stack([made.along_layers(design.draw(rng, n_layers), 0.5) for _ in range(n_seeds)])
    strength = np.exp(0.5 * rng.normal(size=n_seeds)) if n_seeds > 1 else np.ones(1)
    there = (np.arange(n_layers) == n_layers - 1) * strength[:, None, None]
    return noise + 1.5 * there * changed[..., None], changed


@cache
def _link_truth(design: Design, level: str, n_seeds: int, large: bool = False) -> float:
    design, draws = draws_of(design, large)

    def estimate(rng: Generator) -> float:
        change, score = _true_link(design, rng, 1, n_seeds)
        found = analysis.linked(
            {"one": change}, score, design.groups, level=level, n_permutations=0, n_bootstrap=0
        )  # fmt: skip
        return float(found["one"].estimate[0])

    return mean_estimate(estimate, draws)


@study(
    "link, planted in layer 4",
    {f"{level} {name}": {"level": level, "design": DESIGNS[name]}
     for level in ("within", "between") for name in ("groups", "unequal groups")}
    | {f"{level} groups, 5 seeds": {"level": level, "design": DESIGNS["groups"], "n_seeds": 5}
       for level in ("within", "between")},
)  # fmt: skip
def link_planted(rng: Generator, number: int, level: str, design: Design, n_seeds: int = 1) -> Outcomes:
    change, score = _true_link(design, rng, PLANTED_LAYER + 1, n_seeds)
    link = analysis.linked(
        {"one": change}, score, design.groups, level=level, n_permutations=B, n_bootstrap=B, seed=number
    )["one"]  # fmt: skip
    return {
        "found": bool(link.p_corrected[PLANTED_LAYER] <= 0.05),
        "layer": bool(np.argmax(link.estimate) == PLANTED_LAYER),
        "covered": covers(link, _link_truth(design, level, n_seeds), PLANTED_LAYER),
        "large": covers(link, _link_truth(design, level, n_seeds, True), PLANTED_LAYER),
    }


@study("link", on("seven groups"))
def link_of_few_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    score, changes = design.draw(rng), {"one": design.draw(rng, 2)}
    levels = ("within", "between")
    found = [
        analysis.linked(changes, score, design.groups, level=level, n_permutations=B, n_bootstrap=0)["one"]
        for level in levels
    ]
    return {"refused": all(refused(link)["refused"] for link in found)}


@study(
    "link, a factor moves measure and score",
    {f"{level} groups, {name}": {"level": level, "factored": factored}
     for level in ("within", "between") for name, factored in made.FACTORED.items()}
    | {f"within groups, two positions, {case}": {"level": "within", "factored": made.FACTORED["two positions"], **more}
       for case, more in {"six items missing": {"missing": 6}, "ties": {"score": "ties"}}.items()},
)  # fmt: skip
def link_beside_factors(
    rng: Generator, number: int, level: str, factored: Any, missing: int = 0, score: str = "untied"
) -> Outcomes:
    drawn = factored(rng)
    kept, groups, factors = drawn.without(rng.permutation(len(drawn.added))[:missing])
    changed = SCORES[score](drawn.draw(rng))[kept]
    changes = {name: drawn.draw(rng, 4)[kept] for name in ("one", "two", "three")}
    covariates = {"difficulty": changed + rng.normal(size=len(changed)), "length": rng.normal(size=len(changed))}
    found = analysis.linked(
        changes, changed, groups, level=level, factors=factors, covariates=covariates,
        n_permutations=B, n_bootstrap=0, seed=number,
    )  # fmt: skip
    if found["two"].reason:
        return {"refused": True}
    return {**_any_link(found), "partial": bool(found["two"].partial_p[1] <= 0.05)}


@study("change in same line", {f"{size} items a line": {"size": size} for size in (4, 8, 16)}, share=1 / 2)
def change_in_same_line(rng: Generator, number: int, size: int) -> Outcomes:
    """The hypothesis permutes items; its change resamples lines."""
    design = Design((size,) * 12, identity=1.0)
    a, b = (analysis.rsms(made.embeddings(design, rng, 3)) for _ in range(2))
    test = analysis.alignment_difference(a, b, made.sameness(design.codes), design.codes, n_bootstrap=B, seed=number)
    return significant(test, 1)


@study(
    "paired differences over seeds, small p",
    {f"{n_seeds} seeds, {mix}": {"mix": mix, "n_seeds": n_seeds} for n_seeds in (5, 10) for mix in MIXES},
    share=5,
)
def paired_seeds_small_p(rng: Generator, number: int, mix: str, n_seeds: int) -> Outcomes:
    by_seed, by_group, by_item = MIXES[mix]
    design = DESIGNS["groups"]
    crossed = np.stack([design.by_group(rng, 2) for _ in range(n_seeds)])
    items = np.stack([design.by_item(rng, 2) for _ in range(n_seeds)])
    values = by_seed * rng.normal(size=(n_seeds, 1, 2)) + by_group * design.by_group(rng, 2) + by_item * items
    test = analysis.paired_over_seeds(
        values + (mix == "seeds times groups") * crossed, design.groups, n_bootstrap=B, seed=number
    )
    return {name: bool(test.p[0] <= level) for name, level in (("p", 0.05), ("small", 0.01), ("tiny", 0.002))}


@study("whole groups", on("groups of 1 and 40"))
def unequal_groups_are_refused(rng: Generator, number: int, design: Design) -> Outcomes:
    change, score = design.draw(rng, 2), design.draw(rng)
    paired = analysis.paired_test(change, design.groups, n_permutations=B, n_bootstrap=0)
    seeds = analysis.paired_over_seeds(np.stack([change] * 5) + rng.normal(size=(5, *change.shape)), design.groups)
    between = analysis.linked(
        {"one": change}, score, design.groups, level="between", n_permutations=B, n_bootstrap=0
    )["one"]  # fmt: skip
    return {"refused": all(refused(test)["refused"] for test in (paired, seeds, between))}


@study("link within groups", on("groups of 1 and 40"), untied=True)
def link_within_very_unequal_groups(rng: Generator, number: int, design: Design) -> Outcomes:
    design = Design((40, *[4] * 15), identity=1.5)
    found = analysis.linked(
        _measures(design, rng), design.draw(rng), design.groups, n_permutations=B, n_bootstrap=0, seed=number
    )
    return _any_link(found)


def _in_order(rng: Generator, memory: float) -> tuple[Array, Array]:
    """Scores of 16 groups of 6 items, each of which remembers the one before it, and their places."""
    values = rng.normal(size=(16, 6))
    for place in range(1, 6):
        values[:, place] = memory * values[:, place - 1] + np.sqrt(1 - memory**2) * values[:, place]
    return (values + rng.normal(size=(16, 1))).ravel(), np.arange(96.0)


@study("order of items", {"none": {"memory": 0.0}, "neighbours alike by 0.6": {"memory": 0.6}})
def order_of_items(rng: Generator, number: int, memory: float) -> Outcomes:
    values, order = _in_order(rng, memory)
    found = analysis.order_effect(values, order, np.repeat(np.arange(16), 6), seed=number)
    return {"p" if not memory else "warned": bool(found.p <= (0.05 if not memory else 0.01))}


@study("equivalence, a difference as large as the bound", on("groups", "unequal groups", "eight groups"))
def equivalence_at_the_bound(rng: Generator, number: int, design: Design) -> Outcomes:
    values = design.draw(rng, 1) + 0.8
    change = analysis.paired_test(values, design.groups, n_permutations=B, n_bootstrap=400, seed=number)
    return {"p": bool(analysis.equivalence(change, 0.8).p[0] <= 0.05)}


@cache
def _smallest(design: Design) -> float:
    """The smallest effect that changes of this design name, on average."""

    def of_one(rng: Generator) -> float:
        change = analysis.paired_test(design.draw(rng, 1), design.groups, n_permutations=0, n_bootstrap=400)
        return float(analysis.smallest_effect(change)[0])

    return mean_estimate(of_one, 200)


@study("smallest effect", on("groups", "unequal groups", "eight groups", "heavy tails"))
def smallest_effect_is_found(rng: Generator, number: int, design: Design) -> Outcomes:
    values = design.draw(rng, 1) + _smallest(design)
    test = analysis.paired_test(values, design.groups, n_permutations=B, n_bootstrap=0, seed=number)
    return {"power": bool(test.p[0] <= 0.05)}


@study(
    "mixed model",
    {"sets and items": {"n_seeds": 1, "words": 0.0}, "words and 5 seeds": {"n_seeds": 5, "words": 0.7}},
    share=1 / 4,
)
def mixed_model_of_noise(rng: Generator, number: int, n_seeds: int, words: float) -> Outcomes:
    sets, word = np.repeat(np.arange(24), 2), rng.permutation(np.arange(48) % 8)
    shared = rng.normal(size=24)[sets] + words * rng.normal(size=8)[word] + 0.5 * rng.normal(size=48)
    values = np.stack([shared + 0.5 * (n_seeds > 1) * rng.normal() + rng.normal(size=48) for _ in range(n_seeds)])
    parts = {"set": sets, "word": word}
    found = analysis.mixed_model(values.mean(axis=0), parts, values.mean(axis=1))
    return {"p": bool(found.p <= 0.05), "covered": bool(found.low <= 0 <= found.high)} if not found.reason else {}


# --- Whole comparisons of recordings


def _recordings(design: Design, rng: Generator, link: float) -> tuple[list[Any], Any]:
    """A and B: a planted number, text ratios and scores that go with ratio's layer 3 so much, and how to measure."""
    values = rng.normal(size=len(design.sizes))[design.codes]
    common, shared = made.embeddings(design, rng, 5, 24), design.draw(rng)
    sides = []
    for key, strength in (("a", 0.5), ("b", 1.5)):
        x = made.planted(common + made.embeddings(design, rng, 5, 24), values, strength)
        x[:, 0] = 1.0
        ratio = 0.5 * made.along_layers(design.draw(rng, 4))
        score = shared + design.draw(rng) + strength
        score = score + link * ratio[:, 2]
        sides.append(
            made.synthetic_recording(design, key, x, ratio, score, hypothesis=made.nearness(values), label=values)
        )
    return sides, Measuring(hypothesis="hypothesis", label="label")


@study("headline of two recordings", on("groups", "unequal groups"))
def headline_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    sides, how = _recordings(design, rng, 0.0)
    comparison = analysis.compare(*sides)
    found = [
        analysis.links(comparison, "main", level, how, n_permutations=B, n_bootstrap=0, seed=number)
        for level in ("within", "between")
    ]
    least = min(np.nanmin(link.p_corrected) for links in found for link in links.values())
    return {"family": bool(2 * least <= 0.05)}


@study("verdict where nothing differs", on("groups", "unequal groups"))
def verdict_of_noise(rng: Generator, number: int, design: Design) -> Outcomes:
    """Everything that a headline may claim: score, log-probability over other answers', links at both levels."""
    values = rng.normal(size=len(design.sizes))[design.codes]
    common, shared = made.embeddings(design, rng, 4, 24), design.draw(rng)
    sides = []
    for key in ("a", "b"):
        x = common + made.embeddings(design, rng, 4, 24)
        ratio, score = 0.5 * made.along_layers(design.draw(rng, 3)), shared + design.draw(rng)
        one = made.synthetic_recording(design, key, x, ratio, score, hypothesis=made.nearness(values), label=values)
        margin = 0.7 * score + design.draw(rng)
        sides.append(replace(one, scores={**one.scores, "logprob_margin": margin}))
    how = Measuring(hypothesis="hypothesis", label="label")
    found = analysis.headline(analysis.compare(*sides), "main", how, n_permutations=B, n_bootstrap=0, seed=number)
    return {"claims": bool(min(found.family.values()) <= 0.05)}


@study("headline of two recordings, a link planted", {"ratio's layer 3": {}}, share=1 / 8)
def headline_planted(rng: Generator, number: int) -> Outcomes:
    sides, how = _recordings(DESIGNS["groups"], rng, 6.0)
    found = analysis.headline(analysis.compare(*sides), "main", how, n_permutations=B, seed=number).strongest["within"]
    return {"found": bool(found.p <= 0.05), "layer": bool((found.measure, found.layer) == ("attention_ratio", 3))}


# --- Means, ceilings and second-order similarity


MEANS: dict[str, tuple[Design, Callable[[Generator, Array], Array], float]] = {
    **{name: (DESIGNS[name], lambda rng, values: values, 0.0) for name in EVERY},
    **{
        f"shares of {share}, {name}": (
            DESIGNS[name],
            lambda rng, values, share=share: (values < np.quantile(np.random.default_rng(0).normal(size=10**6), share)
                                              * np.sqrt(1 + 1.5**2)).astype(float),
            share,
        )
        for share in (0.5, 0.9, 0.97)
        for name in ("groups", "unequal groups")
    },
}  # fmt: skip


@study("mean's interval", {name: {"case": name} for name in MEANS})
def interval_of_mean(rng: Generator, number: int, case: str) -> Outcomes:
    design, change, truth = MEANS[case]
    values = change(rng, design.draw(rng, 1))
    return {"covered": covers(analysis.mean_interval(values, design.groups, n_bootstrap=B, seed=number), truth)}


@study("noise ceiling", {"5 seeds": {}})
def ceiling(rng: Generator, number: int) -> Outcomes:
    """The RSM that all seeds share reaches the lower bound and not more than the upper one."""
    design = DESIGNS["groups"]
    common = 2 * made.embeddings(design, rng, 1)
    stack = np.stack([analysis.rsms(common + made.embeddings(design, rng, 1))[0] for _ in range(5)])
    bound = analysis.noise_ceiling(stack)
    reached = np.mean([analysis.alignment(one, analysis.rsms(common)[0]) for one in stack])
    return {"true": bool(bound.lower <= reached <= bound.upper)}


@study("CKA", {"of a turned and stretched copy": {}})
def cka_of_a_copy(rng: Generator, number: int) -> Outcomes:
    x = made.embeddings(DESIGNS["items without groups"], rng, 1)[:, 0]
    turn = np.linalg.qr(rng.normal(size=(48, 48)))[0]
    noise = [analysis.cka(rng.normal(size=(64, 576)), rng.normal(size=(64, 576))) for _ in range(2)]
    return {"true": bool(np.isclose(analysis.cka(x, 3 * x @ turn + 1), 1) and np.abs(noise).max() < 0.1)}


# --- Chance


@study(
    "probe of permuted labels",
    {f"{label}, {n_groups} groups": {"label": label, "design": Design((3,) * n_groups, identity=1.5)}
     for label in LABELS for n_groups in ((16, 32) if label == "classes of groups" else (16,))},
    share=1 / 2,
)  # fmt: skip
def probe_of_permuted_labels(rng: Generator, number: int, label: str, design: Design) -> Outcomes:
    """Labels that are really there, permuted by their own scheme: a leak would lift the mean score above chance."""
    y = LABELS[label](design, rng)
    is_number = label.startswith("numbers")
    if label == "numbers within groups":  # permuted within groups a number keeps its group's mean, which can be read
        y -= (np.bincount(design.codes, y) / np.bincount(design.codes))[design.codes]
    x = made.planted(made.embeddings(design, rng, 1), y if is_number else made.one_hot(y.astype(int)), 3.0)
    permuted = permuted_labels(y, unit_codes(design.groups, len(y)), 1, number)[0][0]
    score = _probed(x, permuted, design, number, strength=None, n_permutations=0).score[0]
    if is_number:
        return {"R2": score}
    few = label == "classes of groups" and len(design.sizes) < 32
    return {"few" if few else "accuracy": score - 1 / len(np.unique(y))}


# --- What numbers hold, copies, one demonstration set


@study("what rounding alone changes", {kept: {"kept": kept} for kept in ("float32", "float16", "bfloat16")})
def rounding_changes_nothing(rng: Generator, number: int, kept: str) -> Outcomes:
    """A and B are the same but for rounding: nothing may even be tested."""
    design, least = DESIGNS["groups"], NATS[kept]
    stored = "float16" if kept != "float32" else "float32"
    x = made.embeddings(design, rng, 4, 24).astype(stored)
    values, ratio, score = rng.normal(size=len(design.sizes))[design.codes], design.draw(rng, 3), design.draw(rng)
    sides = []
    for key in ("a", "b"):
        moved = (x * (1 + 0.5 * np.finfo(stored).eps * rng.uniform(-1, 1, size=x.shape))).astype(stored)
        noise = 0.3 * least * (rng.uniform(-1, 1, size=(2, len(score))) + (key == "b"))
        one = made.synthetic_recording(
            design, key, x, 0.5 * made.along_layers(ratio) + noise[0][:, None], score,
            hypothesis=made.nearness(values), label=values,
        )  # fmt: skip
        one = replace(one, embeddings={"query_mean": moved}, spec=one.spec.with_(dtype=kept))
        sides.append(replace(one, scores={"main": score + rng.normal(), "logprob_margin": score + noise[1]}))
    how = Measuring(hypothesis="hypothesis", label="label")
    comparison = analysis.compare(*sides)
    found = analysis.headline(comparison, "logprob_margin", how, n_permutations=B, n_bootstrap=0, seed=number)
    changed = analysis.alignment_change(comparison, "hypothesis")
    return {"claims": bool(np.isfinite(changed.p).any() or any(np.isfinite(p) for p in found.family.values()))}


COPIED = {"units told": True, "units taken for single items": False}


def _of_copies(rng: Generator, *shape: int) -> Array:
    """(48, ...) of 12 groups of 2 things, each asked about twice."""
    parts = ((12, 4, 1.0), (24, 2, 1.0), (48, 1, 0.15))
    return np.sum([size * np.repeat(rng.normal(size=(n, *shape)), times, axis=0) for n, times, size in parts], axis=0)


COPY_GROUPS, COPY_UNITS = np.repeat(np.arange(12), 4), np.repeat(np.arange(24), 2)


@study("link, each thing asked about twice", {name: {"told": told} for name, told in COPIED.items()})
def link_of_copies(rng: Generator, number: int, told: bool) -> Outcomes:
    changes, score = {name: _of_copies(rng, 4) for name in ("one", "two")}, _of_copies(rng)
    found = analysis.linked(
        changes, score, COPY_GROUPS, factors={"unit": COPY_UNITS} if told else None,
        n_permutations=B, n_bootstrap=0, seed=number,
    )  # fmt: skip
    return (
        _any_link(found) if told else {"limit": bool(min(np.nanmin(one.p_corrected) for one in found.values()) <= 0.05)}
    )


@study("alignment and probe, each thing asked about twice", {name: {"told": told} for name, told in COPIED.items()})
def alignment_of_copies(rng: Generator, number: int, told: bool) -> Outcomes:
    """A class of each of the two things of a group."""
    x = np.stack([_of_copies(rng, 24) for _ in range(4)], axis=1)
    classes, units = np.array(["first", "second"])[COPY_UNITS % 2], COPY_UNITS if told else None
    same = np.equal.outer(classes, classes).astype(float)
    aligned = analysis.alignment_test(
        analysis.rsms(x), same, COPY_GROUPS, units=units, n_permutations=B, n_bootstrap=0, seed=number
    )
    read = analysis.probe(x, classes, COPY_GROUPS, copies=units, n_permutations=B, n_controls=0, seed=number)
    both = min(np.nanmin(aligned.p_corrected), np.nanmin(read.p_corrected))
    if not told:
        return {"limit": bool(both <= 0.025)}
    return {"p": bool(aligned.p[1] <= 0.05), "family": bool(both <= 0.025)}


@study("a hypothesis that the text alone meets", {"no room": {"has_room": False}, "room": {"has_room": True}})
def hypothesis_of_the_text(rng: Generator, number: int, has_room: bool) -> Outcomes:
    design = DESIGNS["groups"]
    words = 6 * design.by_group(rng, 24) + design.by_item(rng, 24)
    shared = design.by_group(rng, 24) if has_room else words
    x = np.stack([shared if layer else (design.by_item(rng, 24) if has_room else words) for layer in range(3)], axis=1)
    same = np.equal.outer(design.codes, design.codes).astype(float)
    one = made.synthetic_recording(design, "a", x, design.draw(rng, 3), design.draw(rng), hypothesis=same)
    return {"true": (analysis.text_share(one, "hypothesis", "query_mean") >= NEARLY_ALL) != has_room}


@study("one demonstration set moves all items alike", {"1 set": {"n_sets": 1}, "5 sets": {"n_sets": 5}})
def sets_move_all_items(rng: Generator, number: int, n_sets: int) -> Outcomes:
    """The right answer's log-probability rises by what each set does to all items; sets do nothing on average."""
    design = DESIGNS["groups"]
    before = design.draw(rng)

    def side(key: str) -> Any:
        one = made.synthetic_recording(design, key, made.embeddings(design, rng, 2, 24), design.draw(rng, 1), before)
        moved = before + rng.normal() + 0.5 * design.by_item(rng)
        return replace(one, scores={"main": before, "answer_logprob": moved})

    found = analysis.headline(
        analysis.compare([side(f"a{s}") for s in range(n_sets)], [side(f"b{s}") for s in range(n_sets)]), "main",
        n_permutations=19, n_bootstrap=0, seed=number,
    )  # fmt: skip
    spec = RunSpec("model", "task")
    said = " ".join(sentences(found, "Main score", spec, spec.with_(demonstrations=Demonstrations("correct", 2))))
    return {"claims" if n_sets == 1 else "p": "too, changed" in said}


# --- Running and writing


@dataclass(frozen=True)
class Cell:
    """One row: what an outcome adds up to over n simulations of a study, and its squares."""

    study: Study
    outcome: str
    total: float
    squares: float
    n: int

    @property
    def rule(self) -> Rule:
        return RULES[self.outcome]

    @property
    def rate(self) -> float:
        return self.total / self.n

    @property
    def error(self) -> float:
        return float(np.sqrt(max(self.squares / self.n - self.rate**2, 0.0) / self.n))

    @property
    def interval(self) -> tuple[float, float]:
        if self.rule.is_mean:
            return self.rate - 1.96 * self.error, self.rate + 1.96 * self.error
        exact = binomtest(round(self.total), self.n).proportion_ci(method="exact")
        return exact.low, exact.high

    @property
    def inside(self) -> bool:
        if self.rule.is_mean:
            return (self.rule.least is None or self.rate >= -3 * self.error) and self.rate <= 3 * self.error
        least, most = self.study.bounds(self.outcome)
        return (least or 0.0) <= self.rate <= (1.0 if most is None else most)

    @property
    def asked(self) -> str:
        """What is asked for, in words; nothing where the cell is told alone."""
        if self.rule.is_mean:
            return "0" if self.rule.least is not None else "at most 0"
        least, most = self.study.bounds(self.outcome)
        bounds = {"at least": least, "at most": most}
        parts = [f"{side} {100 * bound:.0f}" for side, bound in bounds.items() if bound is not None]
        return ", ".join(parts)

    def row(self) -> str:
        size = 1 if self.rule.is_mean else 100
        digits = 3 if self.rule.is_mean else 1
        low, high = (f"{size * bound:.{digits}f}" for bound in self.interval)
        verdict = ("ok" if self.inside else "OUTSIDE") if self.asked else ""
        cells = (
            self.study.name, self.rule.title, f"{self.n:,}", f"{size * self.rate:.{digits}f}", f"{low} to {high}",
            self.asked, verdict,
        )  # fmt: skip
        return f"| {' | '.join(cells)} |"


Sums = dict[str, list[float]]
"""Outcome -> its sum, its sum of squares and in how many simulations it was there."""


def run_part(name: str, first: int, last: int) -> Sums:
    """What the outcomes of simulations first to last - 1 of a study add up to."""
    sums: Sums = {}
    for number in range(first, last):
        for outcome, value in STUDIES[name].simulate(number).items():
            so_far = sums.get(outcome, [0.0, 0.0, 0])
            sums[outcome] = [so_far[0] + float(value), so_far[1] + float(value) ** 2, so_far[2] + 1]
    return sums


def added(parts: Iterable[Sums]) -> Sums:
    total: Sums = {}
    for part in parts:
        for outcome, sums in part.items():
            total[outcome] = np.add(total.get(outcome, [0.0, 0.0, 0]), sums).tolist()
    return total


def cells_of(name: str, sums: Sums) -> list[Cell]:
    return [Cell(STUDIES[name], outcome, total, squares, int(n)) for outcome, (total, squares, n) in sums.items()]


@dataclass(frozen=True)
class Runner:
    """Runs studies on a pool of processes, in parts that do not depend on how many there are."""

    pool: Executor
    simulations: int

    def sums(self, name: str, first: int, last: int) -> Sums:
        edges = [*range(first, last, PART), last]
        return added(self.pool.map(run_part, [name] * (len(edges) - 1), edges[:-1], edges[1:]))

    def run(self, name: str) -> Sums:
        """A study's sums; where one is outside, all of them from more simulations of the same sequence."""
        first, last = (round(STUDIES[name].share * n) for n in (self.simulations, MORE_SIMULATIONS))
        sums = self.sums(name, 0, first)
        if self.simulations < SIMULATIONS or all(cell.inside for cell in cells_of(name, sums)):
            return sums
        return added([sums, self.sums(name, first, last)])


def sources() -> str:
    """A digest of the code that results depend on."""
    files = [Path(__file__), Path(made.__file__), *sorted(Path(analysis.__file__).parent.rglob("*.py"))]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()


def kept(file: Path | None, key: str) -> dict[str, Sums]:
    """What an earlier run with the same key left in a file."""
    lines = file.read_text().splitlines() if file and file.exists() else []
    found = [json.loads(line) for line in lines]
    return {one["study"]: one["sums"] for one in found if one["key"] == key}


SECTIONS = {
    "False positives": ("p", "family", "partial", "small", "tiny", "claims", "limit", "surface", "chosen"),
    "Intervals": ("covered", "covered over draws", "covered of the mean", "covered where chosen", "large"),
    "Planted truth": ("found", "layer", "true", "power", "warned"),
    "Power of a probe of A against B": ("power of probes",),
    "No p where there are too few units": ("refused",),
    "Chance": ("accuracy", "few", "R2"),
}
HEAD = "| simulated | counted | simulations | % | its 95 % interval | asked | |\n" + "| --- " * 7 + "|"

PROSE = {
    "False positives": """Nothing of what is tested is there, but groups have an identity of their own, shared by all
layers and by A and B. "Corrected" is the least p of all layers (and measures) after correction. Asked for are at most
8 %, and at least 2 % of permutation tests whose statistic has no ties. The bootstrap of A against B and what rests on
the jackknife (probes of A against B) have no lower bound: they are known to be conservative, so that "no change
found" says little there. *Surface alone* shows why surface controls have no p: embeddings hold a number of the text
and nothing else, the hypothesis goes with that number, and a permutation test of what matching on surface leaves
would have found something too often. No test of what a measured surface leaves holds its level whatever the form in
which surface acts (Shah and Peters 2020).""",
    "Intervals": """How often a 95 % interval holds the truth, the estimator's mean over 1,000 other draws of the same
generator; asked for are at least 90 %, and intervals of RSMs may cover more. Beside it stands how often it holds the
mean of samples with 12 times as many groups, which is another quantity where an estimate depends on their number:
pairs within groups are a smaller part of an RSM that has many. *Share of order* is planted as variances of 4 sets of
demonstrations in 4 orders each; its interval over items is for these sets and orders, that over draws for others.""",
    "Planted truth": """A known layer, ratio or link, and how often it is found. How strong it is planted, and
the least share that is asked for, are this project's choice.""",
    "Power of a probe of A against B": """How often a rise of what a probe reads is found, beside the level above: A
reads four classes with a balanced accuracy of 0.45, or a number with an R2 of 0.3, and B so much more. Classified, not
judged.""",
    "No p where there are too few units": """Seven groups, or no two of one size: a reason in words takes p's place.""",
    "Chance": """Labels that are planted, then permuted by their own scheme: the probe's mean score less chance,
within three standard errors. An R2 that says nothing is below 0, so it may not be above. Nor may accuracy be where a
class has few groups: it is below chance there, since what is held out of a class is missing where it is trained.""",
}


def document(results: Mapping[str, Sums], command: str) -> str:
    cells = [cell for name, sums in results.items() for cell in cells_of(name, sums)]
    outside, judged = sum(not cell.inside for cell in cells), sum(bool(cell.asked) for cell in cells)
    parts = [
        "# Validity: what the statistics do on data of which the truth is known",
        f"Written by `{command}`; the tables and these words come from it. "
        "Every draw has a seed that was fixed before any result. A study with a cell outside its bounds was run once "
        f"more, with {MORE_SIMULATIONS:,} simulations that extend the same sequence of seeds. Tests take {B} "
        "permutations or resamples. A p at most 0.05 counts as found.",
        "Designs: *items without groups* are 32 items; *groups* are 16 of 3 items, whose identity varies 1.5 times as "
        "much as items within; *unequal groups* are 16 of 1 to 6 items; *one large group* is one of 20 beside 15 of 2; "
        "of *uneven noise*, the noisiest group is 8 times as noisy as the quietest; *heavy tails* are Student's with 3 "
        "degrees of freedom, *skewed noise* exponential; *copied items* are there twice; of "
        "*shared surface*, embeddings hold a number of the text that groups share in part. Embeddings have 48 unequal "
        "dimensions, and neighbouring layers correlate with 0.9.",
        f"**{judged} cells with a bound, {outside} outside it; {len(cells) - judged} more are told without one.** A "
        "cell is judged by its share, beside which stands its interval.",
    ]
    for section, outcomes in SECTIONS.items():
        rows = [cell.row() for cell in cells if cell.outcome in outcomes]
        if rows:
            parts += [f"## {section}", PROSE[section], "\n".join([HEAD, *rows])]
    return "\n\n".join(parts) + "\n"


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="studies whose name holds this regular expression"
    )
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables to this file")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep counts here, and run only what is not in it")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    return parser.parse_args()


def main() -> None:
    asked = arguments_of()
    names = [name for name in STUDIES if re.search(asked.only, name)]
    key = f"{sources()} {asked.simulations}"
    results, before = dict.fromkeys(names), kept(asked.resume, key)
    start = time.perf_counter()
    with ProcessPoolExecutor(asked.jobs) as pool:
        runner = Runner(pool, asked.simulations)
        for name in names:
            results[name] = before.get(name) or runner.run(name)
            if asked.resume and name not in before:
                with asked.resume.open("a") as file:
                    file.write(json.dumps({"key": key, "study": name, "sums": results[name]}) + "\n")
            print("\n".join(cell.row() for cell in cells_of(name, results[name])), flush=True)
    outside = [cell for name in names for cell in cells_of(name, results[name]) if not cell.inside]
    print(f"{len(names)} studies in {(time.perf_counter() - start) / 60:.1f} minutes, {len(outside)} cells outside")
    print("\n".join(cell.row() for cell in outside))
    if asked.write:
        only = f"--only '{asked.only}' " if asked.only else ""
        command = f"python -m benchmarks.validity {only}--write {asked.write}"
        asked.write.write_text(document(results, command), encoding="utf-8")
    sys.exit(bool(outside))


if __name__ == "__main__":
    main()
