import numpy as np
import pytest
import torch

from iclviz.capture.pooling import HiddenPooling, blocks_of, pool_masks, reading_states
from iclviz.errors import SpecError
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import Span
from iclviz.spec import POOLINGS

SPANS = [Span("special", 0, 1), Span("demonstration", 1, 3), Span("question", 3, 5), Span("special", 5, 6)]
PROMPT = TokenizedPrompt([9] * 6, [""] * 6, SPANS, 3, [])


def test_markup_is_in_no_pool_but_the_last_token():
    masks = pool_masks(POOLINGS, PROMPT)
    assert masks["mean"].tolist() == masks["max"].tolist() == [False, True, True, True, True, False]
    assert masks["query_mean"].tolist() == masks["query_max"].tolist() == [False, False, False, True, True, False]
    assert masks["last"].tolist() == [False] * 5 + [True]
    assert masks["demonstration_mean"].tolist() == [False, True, True, False, False, False]
    assert not masks["relevant_mean"].any()


def test_sums_and_maxima_are_taken_over_each_mask_and_equal_masks_once():
    torch.manual_seed(0)
    block, two = torch.nn.Linear(4, 4), np.array([True, True, False])
    masks = [
        {(0, "mean"): two, (1, "mean"): two, (1, "max"): np.ones(3, bool)},
        {(2, "mean"): np.array([False, True]), (2, "query_max"): np.array([False, True])},
    ]
    hidden = torch.randn(2, 3, 4)
    pools = HiddenPooling(masks, 3, torch.device("cpu"))
    with reading_states([block], pools.states):
        block(hidden)
    pooled = pools.pooled()
    assert pooled.sums.shape[2] == 2
    torch.testing.assert_close(pooled.of([0, 1], "mean")[0], hidden[0, :2].sum(0).expand(2, 4))
    torch.testing.assert_close(pooled.of([2], "mean")[1, 0], block(hidden)[1, 1])
    torch.testing.assert_close(pooled.of([1], "max")[0, 0], hidden[0].amax(0))
    torch.testing.assert_close(pooled.of([2], "query_max")[1, 0], block(hidden)[1, 1])


def test_prompts_that_a_pass_does_not_read_add_nothing():
    block = torch.nn.Linear(4, 4)
    pools = HiddenPooling([{(0, "mean"): np.array([True])}], 1, torch.device("cpu"))
    with reading_states([block], pools.states):
        block(torch.randn(1, 1, 4))
    pooled = pools.pooled()
    assert (pooled.of([7], "mean") == 0).all()
    assert torch.isneginf(pooled.of([7], "max")).all()


def test_a_model_without_blocks_is_refused():
    with pytest.raises(SpecError, match="no list of 3 blocks"):
        blocks_of(torch.nn.Linear(2, 2), 3)
