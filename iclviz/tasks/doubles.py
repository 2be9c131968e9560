"""Texts that are nearly the same: equal but for case, punctuation and the order of words, or long and hardly different.

Two items of one text count twice in every statistic. Short texts of one template ("What is a dog?", "What is a hen?")
differ in the word that matters, so only equal words make them copies; of long ones nine in ten words must be shared.
"""

from collections.abc import Sequence

import numpy as np

from iclviz.tasks.matching import normalise

SHARED = 0.9
"""Share of all different words that two long texts have in common when they are nearly the same (Jaccard)."""

LONG = 20
"""Different words from which a text is long."""

MOST_TEXTS = 5_000
"""Longer lists are compared as far as this: pairs grow with the square."""

_BLOCK = 500


def near_copies(texts: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Pairs of names of texts (name, text) that are nearly the same, each later text with the first such."""
    names = [name for name, _ in texts[:MOST_TEXTS]]
    words = [normalise(text).split() for _, text in texts[:MOST_TEXTS]]
    first: dict[tuple[str, ...], int] = {}
    first_of = {place: first.setdefault(tuple(sorted(one)), place) for place, one in enumerate(words) if one}
    pairs = {place: other for place, other in first_of.items() if other != place}
    pairs |= {place: other for place, other in _alike(words).items() if place not in pairs}
    return tuple((names[other], names[place]) for place, other in sorted(pairs.items()))


def _alike(words: Sequence[Sequence[str]]) -> dict[int, int]:
    """Place of a long text -> place of the first one before it that shares nearly all words."""
    sets = [set(one) for one in words]
    long = [place for place, one in enumerate(sets) if len(one) >= LONG]
    if len(long) < 2:
        return {}
    from scipy.sparse import csr_array  # here: the first page waits for the list of tasks

    known: dict[str, int] = {}
    columns = [[known.setdefault(word, len(known)) for word in sets[place]] for place in long]
    starts = np.cumsum([0, *map(len, columns)])
    table = csr_array((np.ones(starts[-1]), np.concatenate(columns), starts), shape=(len(long), len(known)))
    sizes = np.diff(starts)
    found: dict[int, int] = {}
    for start in range(0, len(long), _BLOCK):
        shared = (table[start : start + _BLOCK] @ table.T).toarray()
        alike = shared >= SHARED * (sizes[start : start + _BLOCK, None] + sizes - shared)
        for row, column in zip(*np.nonzero(alike), strict=True):
            place, other = long[start + row], long[column]
            if other < place:
                found.setdefault(place, other)
    return found
