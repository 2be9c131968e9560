from dataclasses import replace

import numpy as np
import pytest

from iclviz.analysis import compare, headline
from tests.analysis.test_comparisons import GAIN, made  # noqa: F401

QUICK = {"n_permutations": 99}


def test_it_holds_behaviour_and_links_at_both_levels(made):  # noqa: F811
    a, b = made(0), made(1, GAIN, alignment=True, ratio=True)
    found = headline(compare(a, b), "main", **QUICK)
    assert found.change.p[0] < 0.05
    assert found.mean_b - found.mean_a == pytest.approx(found.change.estimate[0])
    assert set(found.links) == {"within", "between"}
    assert set(found.links["within"]) == {"alignment", "probe", "attention_ratio"}
    assert (found.n_items, found.n_units, found.n_seeds) == (32, 16, 1)
    assert found.n_tests == 2 * found.links["within"]["alignment"].n_tests


def test_the_strongest_link_is_corrected_over_the_two_levels(made):  # noqa: F811
    found = headline(compare(made(0), made(1, GAIN, ratio=True)), "main", **QUICK)
    for level, strongest in found.strongest.items():
        smallest = min(np.nanmin(link.p_corrected) for link in found.links[level].values())
        assert strongest.p == pytest.approx(min(1, 2 * smallest))
    assert found.strongest["within"].measure == "attention_ratio"
    assert 1 <= found.strongest["within"].layer <= 3


def test_items_parsed_on_both_sides_are_looked_at_again(made):  # noqa: F811
    found = headline(compare(made(0), made(1, GAIN, parsed=["yes"] * 28 + [None] * 4)), "main", **QUICK)
    assert found.n_parsed == 28
    assert found.parsed_change.n[0] == 28
    assert found.parse_rates == (1.0, 28 / 32)


def test_where_all_responses_are_read_there_is_nothing_to_repeat(made):  # noqa: F811
    assert headline(compare(made(0), made(1)), "main", **QUICK).parsed_change is None


def test_a_measure_that_the_recordings_lack_is_left_out(made):  # noqa: F811
    a, b = (made(seed, labels={}) for seed in (0, 1))
    found = headline(compare(a, b), "main", **QUICK)
    assert set(found.links["within"]) == {"alignment", "attention_ratio"}


def test_seeds_are_counted(made):  # noqa: F811
    sides = [[made(seed) for seed in range(3)], [made(10 + seed, GAIN) for seed in range(3)]]
    found = headline(compare(*sides), "main", **QUICK)
    assert found.n_seeds == 3
    assert found.links["within"]["alignment"].n_seeds == 3


def test_the_lengths_of_prompts_are_told_of_a_and_of_b(made):  # noqa: F811
    a, b = (replace(made(seed), prompt_ids=[[1] * size] * 32) for seed, size in ((0, 5), (1, 9)))
    assert headline(compare(a, b), "main", **QUICK).tokens == (5, 9)
