import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iclviz.capture.cache import PathCache, Prefix, SharedPrefix

PARENTS = st.lists(st.integers(0, 4), min_size=1, max_size=9).map(sorted)


def prefix(rows=5, columns=3, heads=2, size=4):
    keys = torch.randn(rows, heads, columns, size, generator=torch.Generator().manual_seed(0))
    return Prefix([keys], [keys + 1], [columns] * rows)


@given(parents=PARENTS)
def test_scores_of_rows_sitting_together_are_those_of_copied_keys(parents):
    shared = SharedPrefix(prefix(), parents)
    queries = torch.randn(len(parents), 2, 6, 4, generator=torch.Generator().manual_seed(1))
    keys = shared.prefix.keys[0]
    together = shared.apart(shared.together(queries) @ shared.parents(keys).transpose(-1, -2))
    torch.testing.assert_close(together, queries @ shared.gathered(keys).transpose(-1, -2))


def test_keys_of_one_parent_are_not_copied():
    shared = SharedPrefix(prefix(), [2] * 8)
    assert shared.parents(shared.prefix.keys[0]).data_ptr() == shared.prefix.keys[0][2:].data_ptr()
    assert shared.together(torch.zeros(8, 2, 3, 4)).shape == (1, 2, 24, 4)


@pytest.mark.parametrize("whole", [True, False])
def test_own_columns_grow_are_cut_and_become_a_stretch(whole):
    shared = SharedPrefix(prefix(), [0, 3])
    cache = PathCache([shared], n_layers=1, capacity=2, whole=whole)
    states = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    for column in range(4):
        keys, _ = cache.update(states[:, :, column : column + 1], states[:, :, column : column + 1], 0)
    assert cache.get_seq_length() == 3 + 4
    assert keys.shape[2] == (7 if whole else 4)
    torch.testing.assert_close(keys[:, :, -4:], states)
    if whole:
        torch.testing.assert_close(keys[:, :, :3], shared.prefix.keys[0][[0, 3]])
    torch.testing.assert_close(cache.prefix([4, 4]).keys[0], states)
    cache.cut(1)
    keys, _ = cache.update(states[:, :, 3:], states[:, :, 3:], 0)
    torch.testing.assert_close(keys[:, :, -2:], states[:, :, [0, 3]])
