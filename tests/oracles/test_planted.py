"""The planted models, loaded and recorded as any other, against what is known of them by hand."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import spearmanr

import iclviz
from iclviz.analysis import (
    attention_ratio_by_head,
    behaviour_link,
    recording_alignment,
    recording_probe,
)
from iclviz.analysis.measure import Measuring
from iclviz.spans import ROLES
from iclviz.spec import Demonstrations
from tests.oracles.planted import (
    LOGIT,
    MATCH,
    READ_LAYER,
    WORDS,
    before_weights,
    cue_rows,
    even_weights,
    induction_weights,
    name_rows,
    task_file,
)

NONE = Demonstrations("none")
HEADS = {
    "induction_gpt2": [[before_weights, even_weights], [induction_weights, even_weights]],
    "induction_llama": [
        [before_weights, even_weights, even_weights, even_weights],
        [even_weights, even_weights, induction_weights, even_weights],
    ],
    "constant_gpt2": [[even_weights, even_weights]] * 2,
}
"""Model -> what each head of each block does."""


@pytest.fixture(params=HEADS)
def named(request):
    return request.param


@pytest.fixture
def heads(named):
    return HEADS[named]


@pytest.fixture
def recorded(planted, named, tmp_path):
    """All rows of names and colours, read by one of the models; one word is said."""
    return iclviz.run(str(planted[named]), task_file(name_rows(), tmp_path, "names"), NONE, 24, max_new_tokens=1)


def masses(recording, item, weights, row):
    """Role -> mass of one head's weights at a row."""
    roles = [span.role for span in recording.spans[item] for _ in range(len(span))]
    of = weights([*recording.prompt_ids[item], *recording.response_ids[item]], row)
    return {role: float(sum(w for w, at in zip(of, roles, strict=False) if at == role)) for role in ROLES}


def test_attention_by_role_block_and_head_is_what_each_head_was_made_for(recorded, heads):
    for item in range(24):
        end = len(recorded.prompt_ids[item])
        for block, of_block in enumerate(heads):
            for head, weights in enumerate(of_block):
                last = masses(recorded, item, weights, end - 1)
                first = masses(recorded, item, weights, end)
                for role in ROLES:
                    assert recorded.attention_last[role][item, block, head] == pytest.approx(last[role], abs=2e-5)
                    assert recorded.attention[role][item, block, head] == pytest.approx(first[role], abs=2e-5)


@pytest.mark.parametrize(("named", "head"), [("induction_gpt2", 0), ("induction_llama", 2)])
def test_the_answer_is_the_word_that_followed_where_there_is_one(recorded, head):
    rows = {row["id"]: row for row in name_rows()}
    for place, item in enumerate(recorded.item_ids):
        query = rows[item]["query"].split()
        is_known = query[-1] in query[:-1]
        assert is_known == (int(item) % 3 != 2)
        assert recorded.responses[place].strip() == (rows[item]["answer"] if is_known else ",")
        assert recorded.scores["right"][place] == is_known
        tokens = ["<s>", *query]
        weights = induction_weights(tokens, len(tokens) - 1).tolist()
        seen = Counter()
        for token, weight in zip(tokens, weights, strict=True):
            seen[token] += LOGIT * weight
        total = math.log(sum(math.exp(seen[word]) for word in WORDS))
        assert recorded.scores["answer_logprob"][place] == pytest.approx(seen[rows[item]["answer"]] - total, abs=1e-3)
    ratio = attention_ratio_by_head(recorded, rows="last")[:, 1, head]
    known = np.array([int(item) % 3 != 2 for item in recorded.item_ids])
    assert ratio == pytest.approx(np.where(known, (MATCH + 1) / 2, 1), rel=1e-4)


def test_the_head_before_the_most_selective_one_of_all_is_a_bound(planted, tmp_path):
    """It gives the text before the last word everything, and the rest exactly 0 in float32."""
    rows = [{**row, "query": row["query"].rsplit(" , ", 1)[0]} for row in name_rows()]
    for row in rows:
        row["irrelevant"] = row["irrelevant"].split()[0]
    rows = [row for number, row in enumerate(rows) if row["query"] not in [one["query"] for one in rows[:number]]]
    path = task_file(rows, tmp_path, "ends in a colour")
    recorded = iclviz.run(str(planted["induction_gpt2"]), path, NONE, len(rows), max_new_tokens=1)
    ratio = attention_ratio_by_head(recorded, "irrelevant", "relevant", rows="last")[:, 0, 0]
    assert (np.log(ratio) > 100).all()
    assert iclviz.analysis.bounded_ratios_by_head(recorded, "irrelevant", "relevant", rows="last")[:, 0, 0].all()


def logprob(recording, item):
    """The answer's log-probability by the induction head's weights."""
    ids = recording.prompt_ids[item]
    seen = Counter()
    for token, weight in zip(ids, induction_weights(ids, len(ids) - 1).tolist(), strict=True):
        seen[token] += LOGIT * weight
    total = math.log(sum(math.exp(seen[number]) for number in range(len(WORDS))))
    return seen[WORDS.index(recording.answers[item])] - total


def log_ratio(recording, item, heads):
    """The log attention ratio of the last prompt token over a block's heads, by their weights."""
    end = len(recording.prompt_ids[item]) - 1
    of_heads = [masses(recording, item, weights, end) for weights in heads]
    return math.log(sum(one["relevant"] for one in of_heads) / sum(one["irrelevant"] for one in of_heads))


@pytest.mark.parametrize("named", ["induction_gpt2", "induction_llama"])
def test_a_demonstration_of_one_name_moves_attention_and_answers_as_the_head_does(recorded, heads):
    """Who is shown dan finds him there: the head's weights, and so both changes of each item, are known."""
    shown = Demonstrations("custom", 1, 0, ("dan green",))
    b = iclviz.run(recorded.spec.model, recorded.spec.task, shown, 24, max_new_tokens=1)
    how = Measuring(rows="last", per="mass")
    link = behaviour_link(recorded, b, "attention_ratio", "answer_logprob", "between", measuring=how)
    y = [logprob(b, item) - logprob(recorded, item) for item in range(24)]
    for block, of_block in enumerate(heads):
        x = [log_ratio(b, item, of_block) - log_ratio(recorded, item, of_block) for item in range(24)]
        expected = spearmanr(np.round(x, 3), np.round(y, 3)).statistic if np.ptp(np.round(x, 3)) else np.nan
        assert link.estimate[block] == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert np.isfinite(link.estimate[1])
    assert link.p_corrected[1] < 0.05


@pytest.fixture
def classes(planted, tmp_path):
    path = task_file(cue_rows(), tmp_path, "cues")
    return iclviz.run(str(planted["direction_gpt2"]), path, NONE, 24, max_new_tokens=1)


def test_the_class_is_read_from_the_layer_on_to_which_a_head_moves_it(classes):
    found = recording_probe(classes, "kind", "last", n_permutations=0, n_controls=0)
    assert (found.score[:READ_LAYER] <= 0.6).all()
    assert found.score[READ_LAYER:] == pytest.approx(np.ones(len(found.score) - READ_LAYER))
    names = recording_probe(classes, "name", "last", n_permutations=0, n_controls=0)
    assert names.score[0] == pytest.approx(1)


def test_alignment_with_the_class_begins_at_that_layer(classes):
    found = recording_alignment(classes, "same_kind", "last", n_permutations=50)
    assert (np.abs(found.estimate[:READ_LAYER]) < 0.2).all()
    assert (found.estimate[READ_LAYER:] > 0.8).all()


def test_the_class_that_was_read_is_said(classes):
    rows = {row["id"]: row for row in cue_rows()}
    assert [response.strip() for response in classes.responses] == [rows[item]["answer"] for item in classes.item_ids]
    assert (classes.scores["right"] == 1).all()
    assert classes.scores["logprob_margin"] == pytest.approx(np.full(24, LOGIT), abs=0.1)
    assert classes.attention_last["relevant"][:, READ_LAYER - 1, 0] == pytest.approx(np.ones(24))


def test_a_demonstration_before_the_cue_takes_its_place(planted, tmp_path):
    """The head looks at one position: the class of the first demonstration is said of every item, and no layer tells
    the item's own.
    """
    path = task_file(cue_rows(), tmp_path, "cues")
    shown = iclviz.run(str(planted["direction_gpt2"]), path, Demonstrations("correct", 1), 16, max_new_tokens=1)
    first = shown.prompts[0].removeprefix("<s>").split()[0]
    said = next(row["answer"] for row in cue_rows() if row["id"].startswith(first))
    assert {response.strip() for response in shown.responses} == {said}
    answers = {row["id"]: row["answer"] for row in cue_rows()}
    assert shown.scores["right"].tolist() == [float(answers[item] == said) for item in shown.item_ids]
    assert shown.attention_last["demonstration"][:, READ_LAYER - 1, 0] == pytest.approx(np.ones(16))
    found = recording_probe(shown, "kind", "last", n_permutations=0, n_controls=0)
    assert (found.score <= 0.65).all()


def test_of_a_constant_model_nothing_can_be_read_and_everything_says_so(planted, tmp_path):
    path = task_file(cue_rows(), tmp_path, "cues")
    recorded = iclviz.run(str(planted["constant_gpt2"]), path, NONE, 24, max_new_tokens=1)
    assert len(set(recorded.responses)) == 1
    assert recorded.scores["answer_logprob"] == pytest.approx(np.full(24, -math.log(len(WORDS))), rel=1e-5)
    aligned = recording_alignment(recorded, "same_kind", "last", n_permutations=20)
    assert np.isnan(aligned.estimate).all()
    assert set(aligned.missing.values()) == {"all items have the same embedding, but for rounding"}
    probed = recording_probe(recorded, "kind", "last", n_permutations=0, n_controls=0)
    assert np.isnan(probed.score).all()
    assert probed.reason == "no layer has embeddings that differ between items and are finite"
