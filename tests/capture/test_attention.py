import pytest
import torch
from transformers.masking_utils import causal_mask_function, sliding_window_causal_mask_function

from iclviz.capture import attention
from iclviz.capture.attention import Kernel, RoleMass, TokenRows, _block, _fused, _in_blocks, mask_by_position
from iclviz.capture.cache import Prefix, SharedPrefix

SCATTERED = torch.tensor([[1, 1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 1, 1]]).bool()


def masked(function, valid=SCATTERED, queries=4, **options):
    return mask_by_position(len(valid), queries, valid.shape[1], function, valid, **options)


@pytest.mark.parametrize("window", [None, 2, 3])
def test_a_mask_of_scattered_columns_is_that_of_the_tokens_side_by_side(window):
    function = causal_mask_function if window is None else sliding_window_causal_mask_function(window)
    mask = masked(function, local_size=window)
    for row, valid in enumerate(SCATTERED):
        columns = valid.nonzero()[:, 0]
        position = {int(column): place for place, column in enumerate(columns)}
        for query in range(4):
            column = query + SCATTERED.shape[1] - 4
            if column not in position:
                continue
            for key in range(SCATTERED.shape[1]):
                near = window is None or position.get(key, 99) > position[column] - window
                allowed = key in position and position[key] <= position[column] and near
                assert bool(mask[row, 0, query, key]) == allowed


def test_every_query_of_padding_attends_to_something():
    assert masked(causal_mask_function).any(-1).all()


def test_a_plain_causal_mask_is_left_to_the_kernel():
    whole = torch.ones(2, 5, dtype=torch.bool)
    assert masked(causal_mask_function, whole, queries=5) is None
    assert masked(causal_mask_function, whole, queries=1) is None
    assert masked(causal_mask_function, whole, queries=3) is not None
    assert masked(sliding_window_causal_mask_function(3), whole, queries=5, local_size=3) is not None


@pytest.mark.parametrize(
    "kernel", [Kernel(0.3), Kernel(0.3, softcap=0.7), Kernel(0.3, sinks=torch.tensor([1.0, -1, 0, 2]))]
)
def test_blocks_of_shared_keys_give_what_plain_softmax_over_copied_keys_gives(kernel, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK_BYTES", {"cpu": 400})
    torch.manual_seed(0)
    rows, queries, own = 5, 3, 3
    prefix = Prefix([torch.randn(3, 2, 4, 8)], [torch.randn(3, 2, 4, 8)], [4, 4, 4])
    shared = SharedPrefix(prefix, [0, 0, 0, 1, 2])
    query, key, value = torch.randn(rows, 4, queries, 8), torch.randn(rows, 2, own, 8), torch.randn(rows, 2, own, 8)
    mask = torch.ones(rows, 1, queries, 7, dtype=torch.bool).tril(4)
    keys, values = [shared.parents(prefix.keys[0]), key], [shared.parents(prefix.values[0]), value]
    copied = torch.cat([prefix.keys[0][[0, 0, 0, 1, 2]], key], dim=2).repeat_interleave(2, dim=1)
    carried = torch.cat([prefix.values[0][[0, 0, 0, 1, 2]], value], dim=2).repeat_interleave(2, dim=1)
    scores = query @ copied.transpose(-1, -2) * kernel.scaling
    if kernel.softcap:
        scores = torch.tanh(scores / kernel.softcap) * kernel.softcap
    scores = scores.masked_fill(~mask, -torch.inf)
    if kernel.sinks is not None:
        scores = torch.cat([scores, kernel.sinks.reshape(1, 4, 1, 1).expand(rows, 4, queries, 1)], dim=-1)
    expected = torch.softmax(scores, -1)[..., :7]
    output, weights = _block(query, keys, values, mask, kernel, [shared])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(output, expected @ carried)
    torch.testing.assert_close(_in_blocks(query, keys, values, mask, kernel, [shared]), expected @ carried)
    if kernel.is_plain:
        torch.testing.assert_close(_fused(query, key, value, mask, kernel, [shared], 0), expected @ carried)


def test_mass_is_summed_by_role_and_padding_gets_none():
    mass = RoleMass(torch.tensor([[0, 1, -1, 1]]), n_layers=1, n_roles=3, response_role=2, sink_role=0)
    mass(0, torch.tensor([[[0.1, 0.2, 0.0, 0.3, 0.4]]]))
    mass.end_step()
    torch.testing.assert_close(mass.steps[0], torch.tensor([[[[0.1, 0.5, 0.4]]]]))


def test_what_a_sink_takes_belongs_to_its_role():
    mass = RoleMass(torch.tensor([[0, 1]]), n_layers=1, n_roles=2, response_role=1, sink_role=0)
    mass(0, torch.tensor([[[0.1, 0.2]]]), torch.tensor([[0.7]]))
    mass.end_step()
    torch.testing.assert_close(mass.steps[0], torch.tensor([[[[0.8, 0.2]]]]))


@pytest.mark.parametrize(
    "kept", [RoleMass(torch.tensor([[0]]), n_layers=2, n_roles=1, response_role=0, sink_role=0), TokenRows([0], 2)]
)
def test_a_layer_that_gives_no_row_is_noticed(kept):
    kept(0, torch.ones(1, 1, 1))
    with pytest.raises(RuntimeError, match="1 of 2 layers"):
        kept.end_step()


def test_rows_of_scattered_columns_are_put_in_the_order_of_tokens():
    rows = TokenRows([2], n_layers=1)
    for weights in ([0.3, 0.0, 0.7], [0.2, 0.0, 0.3, 0.5], [0.1, 0.0, 0.2, 0.3, 0.4]):
        rows(0, torch.stack([torch.ones(1, len(weights)), torch.ones(1, len(weights)), torch.tensor([weights])]))
        rows.end_step()
    found = rows.by_token(2, columns=torch.tensor([0, 2, 3]), n_steps=2)
    torch.testing.assert_close(found, torch.tensor([[[[0.3, 0.7, 0.0]]], [[[0.2, 0.3, 0.5]]]]))
