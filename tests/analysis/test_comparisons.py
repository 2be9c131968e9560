import numpy as np
import pytest
from scipy.stats import spearmanr

from iclviz.analysis import (
    across_conditions,
    alignment_change,
    attention_ratio,
    behaviour_link,
    compare,
    item_alignment,
    linked,
    log_ratio_change,
    measure_change,
    probe_change,
    recording_alignment,
    recording_composite_to_simple,
    recording_probe,
    recording_rsms,
    relevance_test,
    score_difference,
)
from iclviz.analysis.any_measure import tied_change
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures.attention_ratio import log_ratio_changes
from iclviz.errors import AnalysisError
from iclviz.spans import ROLES

GROUPS = np.repeat(np.arange(16), 2)
CLASSES = np.array(["low", "high"])[GROUPS % 2]


@pytest.fixture
def made(recording):
    """A recording of 32 items in 16 groups; `gain` (n,) moves its score and, in layer 2, what a test names.

    ratio: True moves attention of response and last prompt token, "response" that of the response alone.
    """

    def make(seed=0, gain=None, alignment=False, ratio=False, keep=slice(None), **fields):
        rng = np.random.default_rng(seed)
        gain = np.zeros(32) if gain is None else gain
        items = np.arange(32)[keep]
        x = rng.normal(size=(32, 4, 24))
        if alignment:
            x[:, 2] += 2 * gain[:, None] * np.where(GROUPS % 2, 1, -1)[:, None]
        mass = {role: rng.dirichlet([20], size=(32, 3, 2))[..., 0] / len(ROLES) for role in ROLES}
        mass["relevant"] = rng.uniform(0.9, 1.1, size=(32, 3, 2)) * (1 + gain[:, None, None] * bool(ratio))
        mass["irrelevant"] = rng.uniform(0.9, 1.1, size=(32, 3, 2))
        own = np.random.default_rng([seed, 1])
        last = {**mass, "irrelevant": own.uniform(0.9, 1.1, size=(32, 3, 2))}
        last["relevant"] = own.uniform(0.9, 1.1, size=(32, 3, 2)) * (1 + gain[:, None, None] * (ratio is True))
        given = {
            "labels": {"class": CLASSES},
            "groups": {"class": GROUPS, "same_class": GROUPS},
            "hypotheses": {"same_class": np.equal.outer(CLASSES, CLASSES).astype(float)},
            "scores": {"main": rng.normal(size=32) * 0.1 + gain},
            "covariates": {"prompt_tokens": rng.integers(5, 9, 32).astype(float)},
            "parsed": ["yes"] * 32,
            **fields,
        }
        tables = {
            name: {key: np.asarray(values)[items] for key, values in given[name].items()}
            for name in ("labels", "groups", "scores", "covariates")
        }
        return recording(
            len(items),
            item_ids=[f"item-{item}" for item in items],
            embeddings={"query_mean": x[items]},
            attention={role: values[items].astype(np.float32) for role, values in mass.items()},
            attention_last={role: values[items].astype(np.float32) for role, values in last.items()},
            span_lengths={role: np.ones(len(items), dtype=int) for role in ROLES},
            hypotheses={name: matrix[np.ix_(items, items)] for name, matrix in given["hypotheses"].items()},
            parsed=[given["parsed"][item] for item in items],
            **tables,
        )

    return make


GAIN = np.random.default_rng(9).uniform(0, 2, size=32)


def test_recordings_are_paired_by_item_ids_and_not_by_position(made):
    a, b = made(0), made(1, GAIN, keep=np.arange(31, 3, -1))
    comparison = compare(a, b)
    assert comparison.item_ids == tuple(f"item-{item}" for item in range(4, 32))
    expected = [b.scores["main"][31 - item] - a.scores["main"][item] for item in range(4, 32)]
    np.testing.assert_allclose(comparison.change(lambda one, items: one.scores["main"][items])[0], expected)


def test_a_single_run_goes_with_every_seed_of_the_other_side(made):
    comparison = compare(made(0), [made(seed, GAIN) for seed in (1, 2, 3)])
    assert comparison.n_seeds == 3
    assert all(a is comparison.first for a, _ in comparison.pairs)


def test_seeds_that_do_not_match_and_runs_without_common_items_are_refused(made):
    with pytest.raises(AnalysisError, match="A has 2 runs and B 3"):
        compare([made(0)] * 2, [made(1)] * 3)
    with pytest.raises(AnalysisError, match="no item in common"):
        compare(made(0, keep=slice(0, 8)), made(1, keep=slice(8, 32)))


def test_items_parsed_in_both_can_be_kept(made):
    unread = made(1, parsed=["yes"] * 30 + [None] * 2)
    assert len(compare(made(0), unread, parsed_in_both=True).item_ids) == 30


def test_a_score_that_rose_is_found(made):
    found = score_difference(compare(made(0), made(1, GAIN)), "main")
    assert found.p[0] < 0.01
    assert found.estimate[0] == pytest.approx(GAIN.mean(), abs=0.1)


def test_the_change_of_alignment_is_found_in_its_layer(made):
    found = alignment_change(compare(made(0), made(1, GAIN, alignment=True)), "same_class")
    assert np.nanargmin(found.p_corrected) == 2
    assert found.p_corrected[2] < 0.05


def test_the_change_of_a_probe_is_found_in_its_layer(made):
    comparison = compare(made(0), made(1, GAIN, alignment=True))
    found = probe_change(comparison, "class")
    assert np.nanargmax(found.estimate) == 2
    scores = [recording_probe(one, "class", n_permutations=0).least_squares[2] for one in comparison.pairs[0]]
    assert found.estimate[2] == pytest.approx(scores[1] - scores[0])


def test_the_change_of_attention_is_found_by_block_and_by_head(made):
    comparison = compare(made(0), made(1, GAIN, ratio=True))
    assert (log_ratio_change(comparison).p_corrected < 0.01).all()
    assert log_ratio_change(comparison, by_head=True).p_corrected.shape == (3, 2)


@pytest.mark.parametrize("level", ["within", "between"])
def test_a_planted_link_with_behaviour_is_found(made, level):
    a, b = made(0), made(1, GAIN, ratio=True)
    link = behaviour_link(a, b, "attention_ratio", "main", level, n_permutations=199, n_bootstrap=99)
    assert (link.p_corrected < 0.05).all()
    assert (link.estimate > 0.3).all()


@pytest.mark.parametrize("measure", ["alignment", "probe", "attention_ratio"])
def test_a_link_is_that_of_the_measures_change_in_the_coarsest_groups(made, measure):
    a, b = made(0), made(1, GAIN, alignment=True)
    comparison = compare(a, b)
    link = behaviour_link(a, b, measure, "main", n_permutations=99, n_bootstrap=9)
    change, score = tied_change(comparison, measure), comparison.change(lambda one, items: one.scores["main"][items])
    expected = linked({measure: change}, score, GROUPS, n_permutations=99, n_bootstrap=9)[measure]
    np.testing.assert_array_equal(link.p_corrected, expected.p_corrected)
    np.testing.assert_array_equal(link.low, expected.low)


def test_between_single_items_the_link_is_spearmans_rho_of_their_changes(made):
    a, b = (made(seed, gain, groups={}) for seed, gain in ((0, None), (1, GAIN)))
    link = behaviour_link(a, b, "attention_ratio", "main", "between", n_permutations=19, n_bootstrap=9)
    change = np.log(attention_ratio(b)) - np.log(attention_ratio(a))
    expected = spearmanr(change[:, 1], b.scores["main"] - a.scores["main"]).statistic
    assert link.estimate[1] == pytest.approx(expected)


def test_rows_of_the_rsm_stay_as_computed_on_all_items(made):
    a, b = made(0), made(1, GAIN, keep=slice(0, 20))
    comparison = compare(a, b)
    change = measure_change(comparison, "alignment", Measuring(hypothesis="same_class"))[0]
    whole = item_alignment(recording_rsms(a), a.hypotheses["same_class"])
    part = item_alignment(recording_rsms(b), b.hypotheses["same_class"])
    there = change != 0
    assert there.mean() > 0.8
    np.testing.assert_allclose(change[there], (part - whole[:20])[there])


def test_the_same_text_relevant_against_not_cancels_position(recording):
    rng = np.random.default_rng(0)
    first = np.tile([True, False], 16)
    mass = {role: np.full((32, 2, 2), 0.1, dtype=np.float32) for role in ROLES}
    place = np.where(first, 3.0, 1.0)[:, None, None] * rng.uniform(0.9, 1.1, size=(32, 2, 2))
    other = np.where(first, 1.0, 3.0)[:, None, None] * rng.uniform(0.9, 1.1, size=(32, 2, 2))
    gain = np.array([1.0, 1.5])[None, :, None]
    record = recording(
        32,
        attention={**mass, "relevant": place * gain, "irrelevant": other},
        labels={"position": np.where(first, 1, 2)},
        groups={"position": GROUPS},
    )
    found = relevance_test(record)
    assert found.p_corrected[0] > 0.05
    assert found.p_corrected[1] < 0.01
    assert found.estimate[0] == pytest.approx(0, abs=0.01)
    assert found.estimate[1] > 0.05
    assert relevance_test(record, by_head=True).estimate.shape == (2, 2)


def test_a_task_without_positions_has_no_such_test(made):
    with pytest.raises(AnalysisError, match="relevant once and irrelevant once"):
        relevance_test(made(0))


def test_composite_and_simple_prompts_are_joined_on_items(made):
    simple = made(1, keep=np.arange(31, -1, -1))
    found = recording_composite_to_simple([made(0), simple])
    assert found.n_units == 16
    assert found.contrasts.shape == (32, 4)


def test_unknown_names_are_answered_with_those_that_are_known(made):
    comparison = compare(made(0), made(1))
    with pytest.raises(AnalysisError, match="Known: alignment, probe, attention_ratio"):
        measure_change(comparison, "entropy")
    with pytest.raises(AnalysisError, match="same_class"):
        alignment_change(comparison, "same_line")
    with pytest.raises(AnalysisError, match="main"):
        score_difference(comparison, "right")


def test_conditions_are_points_with_a_coefficient_and_no_p(made):
    runs = {f"k = {k}": made(k, GAIN * k / 8, ratio=True) for k in (1, 4, 8, 16)}
    found = across_conditions(runs, "attention_ratio", "main")[1]
    assert list(found.points) == list(runs)
    assert found.rho == pytest.approx(1)
    ratio, score = found.points["k = 4"]
    assert ratio == pytest.approx(np.log(attention_ratio(runs["k = 4"]))[:, 1].mean())
    assert score == pytest.approx(runs["k = 4"].scores["main"].mean())
    assert np.isnan(across_conditions({"one": runs["k = 1"]}, "attention_ratio", "main")[1].rho)


def test_a_group_whose_first_item_has_no_label_still_counts(made):
    classes = CLASSES.copy()
    classes[::2] = ""
    a, b = (
        made(seed, gain, alignment=gain is not None, labels={"class": classes}) for seed, gain in ((0, None), (1, GAIN))
    )
    found = probe_change(compare(a, b), "class")
    assert np.isfinite(found.estimate).all()
    assert found.n_units == 16


def test_without_any_label_a_change_of_a_probe_has_a_reason(made):
    none = {"labels": {"class": np.full(32, "")}}
    found = probe_change(compare(made(0, **none), made(1, **none)), "class")
    assert np.isnan(found.p).all()
    assert found.reason == "no item has a label"


def test_the_rows_that_a_measure_asks_for_are_read(made):
    a, b = made(0), made(1, GAIN, ratio="response")
    comparison = compare(a, b)
    response, last = (log_ratio_change(comparison, Measuring(rows=rows)) for rows in ("response", "last"))
    assert (response.p_corrected < 0.01).all()
    assert (last.p_corrected > 0.05).all()


def test_a_change_resamples_the_coarsest_groups_whatever_its_hypothesis_permutes(made):
    items = np.arange(32)
    a, b = (made(seed, gain, groups={"class": GROUPS, "same_class": items}) for seed, gain in ((0, None), (1, GAIN)))
    comparison = compare(a, b)
    assert alignment_change(comparison, "same_class").n_units == 16
    assert score_difference(comparison, "main").n_units == 16
    assert log_ratio_change(comparison).n_units == 16
    assert probe_change(comparison, "class").n_units == 16
    assert recording_alignment(a, "same_class").n_units == 16


def test_two_probes_are_made_of_the_items_that_both_have(made):
    a, b = made(0), made(1, keep=slice(0, 24))
    comparison = compare(a, b)
    change = measure_change(comparison, "probe", Measuring(label="class"))[0]
    of_a = recording_probe(a, "class", n_permutations=0, n_controls=0, items=np.arange(24)).item_evidence
    of_b = recording_probe(b, "class", n_permutations=0, n_controls=0).item_evidence
    np.testing.assert_allclose(change, of_b - of_a)


def test_the_difference_of_two_bounds_on_one_side_is_none(made):
    """Both are at least something: their difference may be anything. One bound beside a value leaves a bound."""
    a, b = made(seed=1), made(seed=2)
    for one, items in ((a, (0, 1)), (b, (0, 2))):
        one.attention["irrelevant"][list(items), 1, 0] = 0
        one.attention["relevant"][3, 1, 0] = 0
    a.attention["irrelevant"][4, 1, 0] = b.attention["relevant"][4, 1, 0] = 0
    change = log_ratio_changes(compare(a, b), Measuring(), by_head=True)[0, :, 1, 0]
    assert np.isnan(change[[0, 3]]).all()
    assert change[1] < -90
    assert change[2] > 90
    assert change[4] < -180
    assert np.isfinite(change[5:]).all()
    assert np.isfinite(log_ratio_changes(compare(a, b), Measuring())).all()
