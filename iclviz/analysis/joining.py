"""Which items two recordings share: A and B are paired by item id, never by position."""

from dataclasses import dataclass

import numpy as np

from iclviz.errors import AnalysisError
from iclviz.recording import Array, Recording


@dataclass(frozen=True, eq=False)
class Join:
    """The m items that two recordings share, in the first one's order.

    Attributes
    ----------
    item_ids: m ids.
    a, b: (m,) where each stands in the first and in the second recording.
    """

    item_ids: tuple[str, ...]
    a: Array
    b: Array


def join(recording_a: Recording, recording_b: Recording, parsed_in_both: bool = False) -> Join:
    """The items of both recordings; with `parsed_in_both` only those whose response could be read in both.

    Raises
    ------
    AnalysisError: no item is left.
    """
    place = {item: index for index, item in enumerate(recording_b.item_ids)}
    pairs = [(index, place[item]) for index, item in enumerate(recording_a.item_ids) if item in place]
    if not pairs:
        raise AnalysisError(
            f"A ({recording_a.n_items} items) and B ({recording_b.n_items} items) have no item in common.",
            "Compare two runs of one task with the same item seed and task options.",
        )
    if parsed_in_both:
        pairs = [(i, j) for i, j in pairs if recording_a.parsed[i] is not None and recording_b.parsed[j] is not None]
        if not pairs:
            raise AnalysisError(
                "No response could be read in both A and B.", "Compare all items, or runs with more demonstrations."
            )
    a, b = np.array(pairs).T
    return Join(tuple(recording_a.item_ids[index] for index in a), a, b)
