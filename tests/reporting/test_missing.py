from dataclasses import replace

import numpy as np

from iclviz.reporting.missing import layer_causes, merged, ratio_causes, without_text
from iclviz.tasks import task

INJECTION = task("prompt_injection")


def with_lengths(recording, lengths, **factors):
    return replace(recording, span_lengths={**recording.span_lengths, "irrelevant": np.array(lengths)}, factors=factors)


def test_items_without_text_are_named_by_what_they_have_in_common(few_and_many):
    few, _ = few_and_many
    n = few.n_items
    clean = np.arange(n) % 3 == 0
    one = with_lengths(few, np.where(clean, 0, 5), version=np.where(clean, "clean", "injected"))
    assert without_text(one, INJECTION, "irrelevant") == f"the {clean.sum()} clean items have no inserted text"
    some = with_lengths(few, np.arange(n), version=np.full(n, "clean"))
    assert without_text(some, INJECTION, "irrelevant") == f"1 of {n} items have no inserted text"
    none = with_lengths(few, np.zeros(n), version=np.full(n, "clean"))
    assert without_text(none, INJECTION, "irrelevant") == "no item has inserted text"
    assert without_text(with_lengths(few, np.ones(n)), INJECTION, "irrelevant") is None


def test_a_cause_is_one_line_for_all_conditions_that_have_it():
    causes = {"A: k = 2": ["too short", "too long"], "B: k = 4": ["too short"]}
    assert merged(causes) == ["A and B: too short.", "A: too long."]


def test_text_that_is_not_there_is_told_once_and_other_reasons_with_their_share(few_and_many):
    few, _ = few_and_many
    one = with_lengths(few, np.zeros(few.n_items))
    reasons = {"the prompt has no irrelevant tokens": 5, "the block's attention does not reach one of the texts": 2}
    told = ratio_causes(one, INJECTION, ("relevant", "irrelevant"), reasons, 0)
    assert [line for line in told if "no item has inserted text" in line]
    assert [line for line in told if line.startswith("2 of ")]
    assert not [line for line in told if "no irrelevant tokens" in line]


def test_layers_without_a_value_are_told_by_their_reason_and_the_embeddings_alone_are_not():
    same = "all items have the same embedding"
    assert layer_causes({0: same}, "layer") == []
    found = layer_causes({0: same, 3: "few", 4: "few", 5: "few"}, "layer")
    assert found == [f"no value at layer 0: {same}", "no value at layers 3 to 5: few"]
    assert merged({"A: x": found, "B: y": found})[1] == "A and B: no value at layers 3 to 5: few."
