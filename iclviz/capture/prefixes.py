"""The token trie of a run's prompts, or of a whole sweep's: what prompts share, so that it is read once.

Needs token ids alone, neither a model nor torch, so the work of a run can be foretold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MOST_LEVELS = 64
"""A deeper trie goes on without sharing: its levels are read one after another."""


@dataclass(frozen=True)
class Node:
    """A range of tokens that all prompts below it share; a leaf is one prompt's own end, which may be empty.

    Attributes
    ----------
    start, end: token positions of the token range, half-open.
    prompts: indices of the prompts below; any of them gives the token range's tokens.
    children: what follows; a leaf has none.
    """

    start: int
    end: int
    prompts: tuple[int, ...]
    children: tuple["Node", ...] = ()

    def __len__(self) -> int:
        return self.end - self.start


def trie(texts: Sequence[Sequence[int]]) -> tuple[Node, ...]:
    """The token ranges that token sequences share, as a forest whose leaves are the sequences."""
    order = sorted(range(len(texts)), key=lambda index: (list(texts[index]), index))
    shared = [common_prefix(texts[a], texts[b]) for a, b in pairwise(order)]
    return _split(order, shared, 0, [len(text) for text in texts], 0)


def without_short(forest: Sequence[Node], least: int, start: int = 0) -> Iterator[Node]:
    """The forest without token ranges of fewer tokens than that: they are read again with what follows them."""
    for node in forest:
        if not node.children:
            yield replace(node, start=start)
        elif node.end - start < least:
            yield from without_short(node.children, least, start)
        else:
            yield replace(node, start=start, children=tuple(without_short(node.children, least, node.end)))


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences have in common from their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _split(
    order: Sequence[int], shared: Sequence[int], start: int, lengths: Sequence[int], level: int
) -> tuple[Node, ...]:
    """Prompts in sorted order that have their first `start` tokens in common; `shared` counts neighbours' tokens."""
    cuts = [0, *(i + 1 for i, n in enumerate(shared) if n <= start or level >= MOST_LEVELS), len(order)]
    return tuple(_node(order[a:b], shared[a : b - 1], start, lengths, level) for a, b in pairwise(cuts))


def _node(order: Sequence[int], shared: Sequence[int], start: int, lengths: Sequence[int], level: int) -> Node:
    if len(order) == 1:
        return Node(start, lengths[order[0]], (order[0],))
    end = min(shared)
    return Node(start, end, tuple(order), _split(order, shared, end, lengths, level + 1))
