from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from iclviz.capture.prefixes import MOST_LEVELS, Node, trie, without_short

TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=8), min_size=1, max_size=12)


def leaves(forest, before=()):
    """Each prompt with the prefixes on its way."""
    for node in forest:
        way = (*before, node)
        if node.children:
            yield from leaves(node.children, way)
        else:
            yield node.prompts[0], way


def inner(forest):
    for node in forest:
        if node.children:
            yield node
            yield from inner(node.children)


def distinct_positions(texts):
    return len({tuple(text[: i + 1]) for text in texts for i in range(len(text))})


@given(texts=TEXTS)
def test_every_prompt_is_the_joined_stretches_on_its_way(texts):
    found = dict(leaves(trie(texts)))
    assert sorted(found) == list(range(len(texts)))
    for prompt, way in found.items():
        borders = [(node.start, node.end) for node in way]
        assert borders[0][0] == 0
        assert borders[-1][1] == len(texts[prompt])
        assert all(a[1] == b[0] for a, b in pairwise(borders))


@given(texts=TEXTS)
def test_no_shared_position_is_in_two_stretches(texts):
    forest = trie(texts)
    prefixes = list(inner(forest)) + [way[-1] for _, way in leaves(forest)]
    assert sum(len(node) for node in prefixes) == distinct_positions(texts)


@given(texts=TEXTS)
def test_prompts_below_a_stretch_have_its_tokens(texts):
    for node in inner(trie(texts)):
        assert len({tuple(texts[prompt][: node.end]) for prompt in node.prompts}) == 1
        assert len(node.children) > 1


def test_nested_prompts_are_a_chain_with_an_end_at_each_level():
    assert trie([[1], [1, 2], [1, 2, 3, 9]]) == (
        Node(0, 1, (0, 1, 2), (Node(1, 1, (0,)), Node(1, 2, (1, 2), (Node(2, 2, (1,)), Node(2, 4, (2,)))))),
    )


def test_stretches_shorter_than_the_least_are_read_with_what_follows():
    texts = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 9]]
    forest = tuple(without_short(trie(texts), least=2))
    assert forest == (Node(0, 4, (0, 1), (Node(4, 5, (0,)), Node(4, 5, (1,)))), Node(0, 2, (2,)))


def test_a_very_deep_trie_ends_in_prompts_of_their_own():
    texts = [[0] * n for n in range(1, 3 * MOST_LEVELS)]
    ways = [way for _, way in leaves(trie(texts))]
    assert max(len(way) for way in ways) == MOST_LEVELS + 1
    assert sorted(way[-1].end for way in ways) == [len(text) for text in texts]
