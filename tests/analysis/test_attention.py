import numpy as np
import pytest

from iclviz.analysis import (
    attention_on_text,
    attention_ratio,
    attention_ratio_by_head,
    bounded_ratios,
    bounded_ratios_by_head,
    log_ratio_summary,
    missing_reasons,
    role_shares,
    role_split,
)
from iclviz.analysis.attention import first_token_roles, largest_mass
from iclviz.errors import AnalysisError
from iclviz.spans import ROLES, Span


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
        "the block's attention does not reach one of the texts": 2,
    }
    assert missing_reasons(recording(4, attention=masses())) == {}


def test_attention_below_what_float32_holds_is_a_bound_and_no_missing_value(recording):
    """The most selective head of all looks at one text alone; its mass on the other is rounded to 0."""
    mass, length = masses(), lengths(relevant=3, irrelevant=2)
    mass["irrelevant"][0, 0, 1] = 0
    mass["relevant"][1, 1, 2] = 0
    record = recording(4, attention=mass, span_lengths=length)
    ratio = attention_ratio_by_head(record)
    least = float(np.nextafter(np.float32(0), np.float32(1)))
    assert ratio[0, 0, 1] == pytest.approx(float(mass["relevant"][0, 0, 1]) / 3 / (least / 2))
    assert ratio[1, 1, 2] == pytest.approx(least / 3 / (float(mass["irrelevant"][1, 1, 2]) / 2))
    assert np.log(ratio[0, 0, 1]) > 90
    assert np.log(ratio[1, 1, 2]) < -90
    assert np.argwhere(bounded_ratios_by_head(record)).tolist() == [[0, 0, 1], [1, 1, 2]]
    assert not bounded_ratios(record).any()
    assert missing_reasons(record) == {}


def test_a_mass_below_float32_in_both_texts_has_no_ratio_and_says_why(recording):
    mass = masses()
    mass["relevant"][0, 0], mass["irrelevant"][0, 0] = [0.6, 0.1, 0.1], [0.0, 0.1, 0.1]
    mass["relevant"][1, 1, 0] = mass["irrelevant"][1, 1, 0] = 0
    mass["relevant"][2, 0] = mass["irrelevant"][2, 0] = 0
    spans = [[Span("relevant", 0, 1), Span("irrelevant", 1, 2), Span("response", 2, 3)]] * 4
    known = recording(4, attention=mass, spans=spans, prompt_ids=[[1, 2]] * 4, environment={"reach": [{}, {}]})
    by_head = attention_ratio_by_head(known)
    assert np.isnan([by_head[1, 1, 0], *by_head[2, 0]]).all()
    assert np.isfinite(attention_ratio(known)[1, 1])
    assert missing_reasons(known) == {"attention to both texts is below what float32 holds": 1}
    assert np.log(attention_ratio(known, heads="max")[0, 0]) > 90
    assert np.argwhere(bounded_ratios(known, heads="max")).tolist() == [[0, 0]]


def test_one_text_below_float32_in_every_head_is_a_bound_where_the_block_is_known_to_reach_it(recording):
    """Of an old recording nothing says that it is reached."""
    mass = masses()
    mass["irrelevant"][0, 1] = 0
    old = recording(4, attention=mass)
    assert np.isnan(attention_ratio(old)[0, 1])
    assert missing_reasons(old) == {"the block's attention does not reach one of the texts": 1}
    spans = [[Span("irrelevant", 0, 2), Span("relevant", 2, 4), Span("response", 4, 5)]] * 4
    new = {"spans": spans, "prompt_ids": [[1, 2, 3, 4]] * 4}
    reaching = recording(4, attention=mass, environment={"reach": [{}, {"window": 4}]}, **new)
    assert np.log(attention_ratio(reaching)[0, 1]) > 90
    assert bounded_ratios(reaching).sum() == 1
    mass["irrelevant"][:, 1] = 0
    windowed = recording(4, attention=mass, environment={"reach": [{}, {"window": 3}]}, **new)
    assert np.isnan(attention_ratio(windowed)[:, 1]).all()
    assert missing_reasons(windowed) == {"the block's attention does not reach one of the texts": 4}


def test_attention_that_is_no_number_is_missing_and_says_so(recording):
    mass = masses()
    for of_role in mass.values():
        of_role[3, 1] = np.nan
    record = recording(4, attention=mass, attention_last=masses(seed=1))
    for heads in ("mean", "max"):
        assert np.argwhere(np.isnan(attention_ratio(record, heads=heads))).tolist() == [[3, 1]]
    assert missing_reasons(record) == {"the recorded attention is no number": 1}


def test_a_head_without_mass_on_a_text_adds_nothing_to_the_mean(recording):
    mass = masses()
    mass["irrelevant"][..., 0] = 0
    record = recording(4, attention=mass)
    assert np.allclose(attention_ratio(record), mass["relevant"].mean(axis=2) / mass["irrelevant"].mean(axis=2))
    assert bounded_ratios_by_head(record)[..., 0].all()


def test_log_ratios_are_averaged_and_resampled_by_group(recording):
    ratio = np.exp(np.array([[1.0, np.nan], [3.0, np.nan], [2.0, 0.5]]))
    summary = log_ratio_summary(ratio, ["a", "a", "b"], bounded=np.isnan(ratio))
    assert summary.n_bounded.tolist() == [0, 2]
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


def test_shares_of_a_head_sum_to_one_and_their_mean_over_heads_is_the_split(recording):
    mass = masses()
    record = recording(4, attention=mass, attention_last=masses(seed=1), span_lengths=lengths(relevant=3))
    shares = role_shares(record, block=2)
    assert shares.roles == ROLES
    assert shares.estimate.sum() == pytest.approx(1, abs=1e-6)
    assert dict(zip(shares.roles, shares.estimate, strict=True)) == pytest.approx(
        {role: of[1] for role, of in role_split(record).items()}
    )
    of_head = role_shares(record, block=1, head=2, rows="last")
    assert of_head.estimate[0] == pytest.approx(masses(seed=1)["special"][:, 0, 2].mean())
    assert (of_head.low <= of_head.estimate).all()
    assert (of_head.estimate <= of_head.high).all()
    assert shares.tokens[ROLES.index("relevant")] == 3


def test_shares_leave_out_roles_that_get_nothing(recording):
    mass = masses()
    mass["irrelevant"][:] = 0
    assert "irrelevant" not in role_shares(recording(4, attention=mass), block=1).roles


ROLES_OF_TEXT = ("special", "relevant", "relevant", "question", "response", "response")


def text(recording, **changed):
    """One item of six tokens in two blocks of three heads, with what is kept of it by role and by token."""
    spans = [Span("special", 0, 1), Span("relevant", 1, 3), Span("question", 3, 4), Span("response", 4, 6)]
    by_token = np.random.default_rng(0).dirichlet(np.ones(6), size=(2, 3))
    of_role = {role: np.array([of == role for of in ROLES_OF_TEXT]) for role in ROLES}
    given = {
        "tokens": [["<s>", " a", " b", "?", " c", " d"]],
        "spans": [spans],
        "prompt_ids": [[0, 1, 2, 3]],
        "attention": {role: (by_token * at).sum(axis=-1)[None] for role, at in of_role.items()},
        "attention_last": {role: (by_token * at).sum(axis=-1)[None] for role, at in of_role.items()},
        "span_lengths": {role: np.array([at.sum()]) for role, at in of_role.items()},
        "token_attention": {0: by_token.astype(np.float16)},
        "token_attention_last": {0: by_token[:, ::-1].astype(np.float16)},
    }
    return recording(1, **{**given, **changed}), by_token


def test_by_role_each_token_has_the_mean_over_its_role(recording):
    record, by_token = text(recording)
    found = attention_on_text(record, 0, block=2, head=1)
    of_relevant = by_token[1, 1, 1:3].mean()
    assert found.mass[1:3] == pytest.approx([of_relevant] * 2)
    assert found.of_roles["relevant"] == pytest.approx(of_relevant)
    assert "irrelevant" not in found.of_roles
    assert found.rank[1] == found.rank[2]
    assert found.roles == ROLES_OF_TEXT
    assert found.sinks.tolist() == [True, False, False, False, False, False]


def test_by_token_each_has_its_own_and_heads_are_averaged(recording):
    record, by_token = text(recording)
    found = attention_on_text(record, 0, block=1, by="token")
    assert found.mass == pytest.approx(by_token[0].mean(axis=0), abs=1e-3)
    assert found.rank[np.argmax(found.mass)] == 1
    assert sorted(found.rank) == [1, 2, 3, 4, 5, 6]
    last = attention_on_text(record, 0, block=1, head=0, rows="last", by="token")
    assert last.mass == pytest.approx(by_token[0, 2], abs=1e-3)


def test_the_tokens_that_look_are_the_response_or_the_last_prompt_token(recording):
    record, _ = text(recording)
    assert np.flatnonzero(attention_on_text(record, 0, block=1).looking).tolist() == [4, 5]
    assert np.flatnonzero(attention_on_text(record, 0, block=1, rows="last").looking).tolist() == [3]


def test_the_first_token_is_a_sink_where_tokens_are_told_apart(recording):
    record, _ = text(recording, spans=[[Span("relevant", 0, 4), Span("response", 4, 6)]])
    assert not attention_on_text(record, 0, block=1).sinks.any()
    by_token = attention_on_text(record, 0, block=1, by="token")
    assert np.flatnonzero(by_token.sinks).tolist() == [0]


def test_a_scale_ends_at_the_largest_mass_with_or_without_sinks(recording):
    masses_of_tokens = np.full((2, 3, 6), 0.01, dtype=np.float16)
    masses_of_tokens[..., 0], masses_of_tokens[..., 2] = 0.75, 0.25
    record, _ = text(recording, token_attention={0: masses_of_tokens})
    found = attention_on_text(record, 0, block=1, by="token")
    assert largest_mass(found) == 0.25
    assert largest_mass(found, with_sinks=True) == 0.75
    nothing, _ = text(recording, token_attention={0: 0 * masses_of_tokens})
    assert largest_mass(attention_on_text(nothing, 0, block=1, by="token")) == 1


def test_an_item_that_was_not_kept_by_token_says_how_to_keep_it(recording):
    record, _ = text(recording, token_attention={})
    with pytest.raises(AnalysisError, match=r"not kept of item 0.*attention_items=\(0,\)"):
        attention_on_text(record, 0, block=1, by="token")
    with pytest.raises(AnalysisError, match="known"):
        attention_on_text(record, 0, block=1, by="word")


def test_the_role_of_first_tokens_is_counted_over_items(recording):
    spans = [[Span(role, 0, 2), Span("question", 2, 4)] for role in ("relevant", "irrelevant", "relevant", "relevant")]
    assert first_token_roles(recording(4, spans=spans)) == {"relevant": 0.75, "irrelevant": 0.25}
