from dataclasses import replace

import numpy as np
import pytest

from iclviz.analysis import outcome_counts
from iclviz.errors import AnalysisError

OUTCOMES = (("obeyed", "obeyed"), ("right", "right"))


@pytest.fixture
def recording(few_and_many):
    few, _ = few_and_many
    n = few.n_items
    version = np.array([("clean", "injected")[place % 2] for place in range(n)])
    obeyed = (np.arange(n) % 4 == 1).astype(float)
    right = (np.arange(n) % 3 == 0).astype(float)
    return replace(few, factors={"version": version}, scores={**few.scores, "obeyed": obeyed, "right": right})


def test_every_item_has_one_outcome_and_the_first_that_holds_counts(recording):
    found = outcome_counts(recording, OUTCOMES, by="version")
    assert found.values == ("clean", "injected")
    assert found.outcomes == ("obeyed", "right", "neither")
    assert found.counts.sum() == recording.n_items
    both = (recording.scores["obeyed"] == 1) & (recording.scores["right"] == 1)
    assert both.any()
    injected = np.asarray(recording.factors["version"]) == "injected"
    assert found.counts[1].tolist() == [
        int((recording.scores["obeyed"][injected] == 1).sum()),
        int(((recording.scores["right"] == 1) & (recording.scores["obeyed"] == 0))[injected].sum()),
        int(((recording.scores["right"] == 0) & (recording.scores["obeyed"] == 0))[injected].sum()),
    ]


def test_without_a_label_all_items_stand_together(recording):
    found = outcome_counts(recording, OUTCOMES[1:], rest="wrong")
    assert found.values == ("all items",)
    assert found.outcomes == ("right", "wrong")
    assert found.counts[0, 0] == recording.scores["right"].sum()


def test_a_factor_that_items_do_not_have_is_named(recording):
    with pytest.raises(AnalysisError, match=r"no nothing\. Known: .*version"):
        outcome_counts(recording, OUTCOMES, by="nothing")
