"""What was planted is found, where it was planted: quick versions of the validity simulations."""

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.validity import run_part
from iclviz import analysis
from tests.analysis import generators as made
from tests.analysis.generators import DESIGNS

SIMULATIONS = 40
LEAST_COVERED = binom.ppf(1e-3, SIMULATIONS, 0.93)
"""An interval that holds the truth 93 times in a hundred does so less often than this one time in a thousand."""

COVERED = [
    "composite to simple: groups",
    "paired differences: unequal groups",
    "paired differences: eight groups",
    "paired differences over seeds: 5 seeds, seeds dominate, groups",
    "paired differences over seeds: 5 seeds, groups dominate, eight groups",
    "paired differences over seeds: 10 seeds, both, groups",
    "log attention ratio, planted: known ratio in layer 2",
    "mean's interval: groups",
    "mean's interval: eight groups",
    "mean's interval: skewed noise",
    "mean's interval: shares of 0.9, groups",
    "A against B, the same structure in both: items without groups",
]

PLANTED = [
    "alignment, planted in layer 4: items without groups",
    "A against B, planted in layer 4: items without groups",
    "probe, planted in layer 4: classes",
    "log attention ratio, planted: known ratio in layer 2",
    "relevance, planted in layer 2: sets of 3",
]


@pytest.mark.parametrize("name", COVERED)
def test_an_interval_holds_the_truth_about_as_often_as_it_says(name):
    assert run_part(name, 0, SIMULATIONS)["covered"][0] >= LEAST_COVERED


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize(("n", "least"), [(1, 1), pytest.param(5, 4, marks=pytest.mark.long)])
def test_what_was_planted_is_found_in_its_layer(name, n, least):
    found = run_part(name, 0, n)
    assert found["found"][0] >= least
    assert found["layer"][0] >= least


@pytest.mark.parametrize("level", ["within", "between"])
def test_a_link_is_found_in_the_measure_and_layer_that_has_it(level):
    rng, design = np.random.default_rng(0), DESIGNS["groups"]
    score = design.draw(rng)
    changes = {name: design.draw(rng, 4) for name in ("one", "two", "three")}
    changes["two"][:, 2] += 3 * score
    found = analysis.linked(changes, score, design.groups, level=level, n_permutations=199, n_bootstrap=0)
    corrected = {(name, layer): p for name, link in found.items() for layer, p in enumerate(link.p_corrected)}
    assert min(corrected, key=corrected.get) == ("two", 2)
    assert corrected["two", 2] <= 0.05


def test_a_recordings_attention_ratio_is_the_one_that_was_planted():
    rng, design = np.random.default_rng(0), DESIGNS["groups"]
    log_ratio = rng.uniform(-2, 2, size=(48, 3))
    record = made.synthetic_recording(design, "a", np.zeros((48, 4, 2)), log_ratio, np.zeros(48))
    assert np.allclose(np.log(analysis.attention_ratio(record)), log_ratio, atol=1e-5)
    split = analysis.role_split(record)
    assert np.allclose(sum(split.values()), 1)


def test_noise_has_no_cka_and_a_turned_copy_has_all_of_it():
    assert run_part("CKA: of a turned and stretched copy", 0, 3)["true"][0] == 3


def test_what_seeds_have_in_common_reaches_the_noise_ceiling():
    assert run_part("noise ceiling: 5 seeds", 0, 5)["true"][0] == 5
