"""One item with nothing done to the model and with something done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from iclviz.live import LiveAnswer


@dataclass(frozen=True, eq=False)
class ChangedItem:
    """What acting does to one item.

    Attributes
    ----------
    candidates: C texts, the right answer's first; equal ones are told apart by their places.
    before, after: C probabilities among the candidates.
    margin_before, margin_after: the right answer's log-probability over the best other candidate's, in nats.
    attention_change: role -> (L,) change of the last prompt token's attention mass on it, the mean over heads.
    """

    candidates: Sequence[str]
    before: Sequence[float]
    after: Sequence[float]
    margin_before: float
    margin_after: float
    attention_change: Mapping[str, Sequence[float]]


def changed_item(before: LiveAnswer, after: LiveAnswer) -> ChangedItem:
    """What something that is done changes of an item."""
    names = [
        text if before.candidates.count(text) == 1 else f"{text} ({place + 1})"
        for place, text in enumerate(before.candidates)
    ]
    without, given = ([float(one) for one in softmax(np.array(answer.logprobs))] for answer in (before, after))
    return ChangedItem(
        names,
        without,
        given,
        before.margin,
        after.margin,
        {role: _change(role, before, after) for role in before.attention},
    )


def _change(role: str, before: LiveAnswer, after: LiveAnswer) -> list[float]:
    """(L,) what the last prompt token gives to a role more; one that gets nothing any more is not told after."""
    without = before.attention[role]
    given = after.attention.get(role, [0.0] * len(without))
    return [b - a for a, b in zip(without, given, strict=True)]
