"""What is not there is not found: quick versions of the validity simulations (`python -m benchmarks.validity`)."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.validity import STUDIES, cells_of, run_part
from iclviz import analysis
from iclviz.analysis.probing.folds import group_folds
from tests.analysis import generators as made
from tests.analysis.generators import DESIGNS

SIMULATIONS = 40
MOST = binom.isf(1e-3, SIMULATIONS, 0.05)
"""More false positives than this come one time in a thousand from a test that is right."""

QUICK = [
    "alignment with a number: items without groups",
    "alignment with a number: unequal groups",
    "alignment with a class: groups",
    "alignment within groups: uneven noise",
    "best layer: groups",
    "A against B, the same structure in both: items without groups",
    "A against B, a class in both: groups",
    "composite to simple: groups",
    "composite to simple: unequal groups",
    "probe: numbers of groups, unequal groups",
    "probe: numbers within groups, groups",
    "probe: classes within groups, groups",
    "paired differences: unequal groups",
    "paired differences: one large group",
    "paired differences: ties",
    "paired differences: odd columns",
    "paired differences over seeds: 5 seeds, seeds dominate, groups",
    "paired differences over seeds: 5 seeds, groups dominate, eight groups",
    "paired differences over seeds: 10 seeds, both, groups",
    "relevance: sets of 2",
    "link: within groups",
    "link: within unequal groups, ties scores",
    "link: between unequal groups",
    "link: between items",
    "link within groups, a link between them: groups",
    "link over 5 seeds: within groups",
]


@pytest.mark.parametrize("name", QUICK)
def test_false_positives_are_about_as_many_as_said(name):
    sums = run_part(name, 0, SIMULATIONS)
    found = {outcome: total for outcome, (total, _, _) in sums.items() if outcome in ("p", "family")}
    assert found
    assert max(found.values()) <= MOST


@pytest.mark.parametrize("name", [name for name in STUDIES if name.endswith("seven groups")])
def test_fewer_than_eight_groups_get_a_reason_and_no_p(name):
    assert run_part(name, 0, 2) == {"refused": [2, 2, 2]}


CHANCE = {
    "numbers of groups, 16 groups": 200,
    "numbers within groups, 16 groups": 200,
    "classes of groups, 32 groups": 50,
    "classes within groups, 16 groups": 100,
}
"""Case -> draws; a fifth of them finds a large fault, all of them, at length, a small one."""

SOON = [case for case in CHANCE if case.endswith("within groups, 16 groups")][:1]


@pytest.mark.parametrize(
    ("case", "draws"),
    [
        *((case, CHANCE[case] // 5) for case in SOON),
        *(pytest.param(case, draws, marks=pytest.mark.long) for case, draws in CHANCE.items()),
    ],
)
def test_a_probe_of_permuted_labels_is_at_chance_on_average(case, draws):
    name = f"probe of permuted labels: {case}"
    (cell,) = cells_of(name, run_part(name, 0, draws))
    assert cell.inside


@pytest.mark.parametrize("name", ["groups", "unequal groups", "one large group", "eight groups"])
def test_folds_never_split_a_group_nor_do_those_inside_a_training_fold(name):
    codes = DESIGNS[name].codes
    for seed in range(20):
        for train, test in group_folds(codes, 5, seed):
            assert not set(codes[train]) & set(codes[test])
            for inner, held_out in group_folds(codes[train], 3, seed):
                assert not set(codes[train][inner]) & set(codes[train][held_out])


def test_a_groups_own_identity_cannot_be_used_to_read_a_label_that_is_the_same_in_it():
    """Items of a group are all but copies; split among folds they would give every label away."""
    rng, design = np.random.default_rng(0), made.Design((4,) * 24, identity=20.0)
    y = made.classes_of_groups(design, rng, 2).astype(str)
    x = made.embeddings(design, rng, 1)
    whole, split = (
        analysis.probe(x, y, groups, strength=0.01, n_permutations=0, n_controls=0).score[0]
        for groups in (design.codes, None)
    )
    assert split > 0.95
    assert whole < 0.8


def _results():
    rng, design = np.random.default_rng(0), made.Design((2,) * 9, identity=1.0)
    x, y = made.embeddings(design, rng), rng.normal(size=9)[design.codes]
    rsms, hypothesis, groups = analysis.rsms(x), made.nearness(y), design.codes
    few = {"n_permutations": 30, "n_bootstrap": 30}
    surfaces = {"text": made.nearness(design.draw(rng))}
    seeds = np.stack([design.draw(rng, 3) for _ in range(5)])
    return {
        "alignment": analysis.alignment_test(rsms, hypothesis, groups, seed=3, **few),
        "best layer": analysis.best_layer(rsms, hypothesis, groups, seed=3, **few),
        "difference": analysis.alignment_difference(rsms, rsms[::-1], hypothesis, groups, n_bootstrap=30, seed=3),
        "surface": analysis.surface_control(rsms, hypothesis, surfaces),
        "composite": analysis.composite_to_simple(x, x[:, ::-1], groups, seed=3, **few),
        "probe": analysis.probe(x, y, groups, n_permutations=30, seed=3),
        "paired": analysis.paired_test(x[:, :, 0], groups, seed=3, **few),
        "over seeds": analysis.paired_over_seeds(seeds, groups, n_bootstrap=30, seed=3),
        "link": analysis.linked({"one": seeds}, seeds[:, :, 0], groups, seed=3, **few)["one"],
        "mean": analysis.mean_interval(x[:, :, 0], groups, n_bootstrap=30, seed=3),
    }


def test_the_same_seed_gives_the_same_bytes():
    for name, first in _results().items():
        again = _results()[name]
        for field in fields(first):
            one, other = getattr(first, field.name), getattr(again, field.name)
            assert not isinstance(one, np.ndarray) or one.tobytes() == other.tobytes(), (name, field.name)


def test_a_simulation_depends_on_its_number_alone():
    name = "paired differences: groups"
    whole = run_part(name, 0, 12)
    parts = [run_part(name, 0, 5), run_part(name, 5, 12)]
    assert whole == {key: np.sum([part[key] for part in parts], axis=0).tolist() for key in whole}
