import numpy as np
import pytest

from iclviz.analysis import (
    attention_ratio,
    attention_ratio_by_head,
    log_ratio_summary,
    missing_reasons,
    role_split,
)
from iclviz.errors import AnalysisError
from iclviz.spans import ROLES


def masses(n=4, n_layers=2, n_heads=3, seed=0):
    """Role -> (n, L, H) masses that sum to 1 over roles."""
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(ROLES)), size=(n, n_layers, n_heads))
    return {role: drawn[..., place].astype(np.float32) for place, role in enumerate(ROLES)}


def lengths(n=4, **given):
    return {role: np.full(n, given.get(role, 1)) for role in ROLES}


def test_the_ratio_is_that_of_mean_attention_per_token(recording):
    """Two response tokens over three relevant and two irrelevant ones, averaged as the definition says."""
    attention = np.array([[0.10, 0.20, 0.30, 0.15, 0.25], [0.05, 0.10, 0.15, 0.30, 0.40]])
    mass = {role: np.zeros((1, 1, 1), dtype=np.float32) for role in ROLES}
    mass["relevant"][:] = attention[:, :3].sum(axis=1).mean()
    mass["irrelevant"][:] = attention[:, 3:].sum(axis=1).mean()
    record = recording(1, attention=mass, span_lengths=lengths(1, relevant=3, irrelevant=2))
    by_definition = attention[:, :3].mean() / attention[:, 3:].mean()
    assert attention_ratio(record).shape == (1, 1)
    assert attention_ratio(record)[0, 0] == pytest.approx(by_definition, rel=1e-6)
    assert attention_ratio(record, per="mass")[0, 0] == pytest.approx(by_definition * 3 / 2, rel=1e-6)


def test_heads_are_joined_before_dividing(recording):
    mass = masses()
    record = recording(4, attention=mass)
    expected = mass["relevant"].mean(axis=2) / mass["irrelevant"].mean(axis=2)
    assert np.allclose(attention_ratio(record), expected)
    assert not np.allclose(attention_ratio(record), attention_ratio_by_head(record).mean(axis=2))


def test_max_takes_the_head_that_looks_most_at_both_spans(recording):
    mass = masses()
    record = recording(4, attention=mass, span_lengths=lengths(relevant=2))
    for item in range(4):
        for layer in range(2):
            head = np.argmax(mass["relevant"][item, layer] + mass["irrelevant"][item, layer])
            expected = attention_ratio_by_head(record)[item, layer, head]
            assert attention_ratio(record, heads="max")[item, layer] == pytest.approx(expected)


def test_rows_choose_the_response_or_the_last_prompt_token(recording):
    record = recording(4, attention=masses(seed=0), attention_last=masses(seed=1))
    last = recording(4, attention=masses(seed=1))
    assert np.array_equal(attention_ratio(record, rows="last"), attention_ratio(last))
    assert not np.array_equal(attention_ratio(record), attention_ratio(record, rows="last"))


def test_what_has_no_ratio_is_nan_with_a_reason_and_never_zero_or_infinite(recording):
    mass, length = masses(), lengths()
    length["irrelevant"][0] = 0
    mass["irrelevant"][0] = 0
    mass["irrelevant"][1, 0] = 0
    mass["relevant"][2, 1] = 0
    record = recording(4, attention=mass, span_lengths=length)
    for heads in ("mean", "max"):
        ratio = attention_ratio(record, heads=heads)
        assert np.isnan(ratio[0]).all()
        assert np.isnan([ratio[1, 0], ratio[2, 1]]).all()
        assert np.isfinite(ratio).sum() == 4
        assert (ratio[np.isfinite(ratio)] > 0).all()
    assert missing_reasons(record) == {
        "the prompt has no irrelevant tokens": 2,
        "no attention reaches one of the spans": 2,
    }
    assert missing_reasons(recording(4, attention=masses())) == {}


def test_a_strongest_head_that_misses_a_span_is_named_as_the_reason(recording):
    """Another head reaches both spans, so attention does reach them."""
    mass = masses()
    mass["relevant"][0, 0], mass["irrelevant"][0, 0] = [0.6, 0.1, 0.1], [0.0, 0.1, 0.1]
    mass["irrelevant"][1, 1] = 0
    record = recording(4, attention=mass)
    assert np.isfinite(attention_ratio(record)[0, 0])
    assert np.isnan(attention_ratio(record, heads="max")[0, 0])
    assert missing_reasons(record, heads="max") == {
        "the strongest head reaches only one of the spans": 1,
        "no attention reaches one of the spans": 1,
    }
    assert missing_reasons(record) == {"no attention reaches one of the spans": 1}


def test_a_head_whose_window_misses_a_span_adds_nothing_to_the_mean(recording):
    mass = masses()
    mass["irrelevant"][..., 0] = 0
    record = recording(4, attention=mass)
    assert np.allclose(attention_ratio(record), mass["relevant"].mean(axis=2) / mass["irrelevant"].mean(axis=2))
    assert np.isnan(attention_ratio_by_head(record)[..., 0]).all()


def test_log_ratios_are_averaged_and_resampled_by_group(recording):
    ratio = np.exp(np.array([[1.0, np.nan], [3.0, np.nan], [2.0, 0.5]]))
    summary = log_ratio_summary(ratio, ["a", "a", "b"])
    assert np.allclose(summary.mean, [2.0, 0.5])
    assert summary.n.tolist() == [3, 1]
    assert summary.n_units == 2
    assert summary.low[0] <= 2 <= summary.high[0]


def test_the_split_over_roles_is_all_of_the_attention(recording):
    split = role_split(recording(4, attention=masses()))
    assert list(split) == list(ROLES)
    assert np.allclose(sum(split.values()), 1)
    assert split["special"].shape == (2,)


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"over": "relevent"}, "irrelevant"),
        ({"rows": "first"}, "response, last"),
        ({"heads": "median"}, "mean, max"),
        ({"per": "word"}, "token, mass"),
    ],
)
def test_unknown_options_are_answered_with_those_that_are_known(recording, options, known):
    with pytest.raises(AnalysisError, match=known):
        attention_ratio(recording(), **options)
