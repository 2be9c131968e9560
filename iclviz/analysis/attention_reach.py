"""Whether a block's attention reaches a span of text at all: where it does, no mass means less than float32 holds.

A recording says how far each block reaches (`environment["reach"]`, as `iclviz.models.reach` makes it), and what has
mass is reached whatever it says. Of one that does not, a span in which no head of the block has any mass counts as not
reached.
"""

from collections.abc import Mapping

import numpy as np

from iclviz.recording import Array, Recording

NEVER = -1
"""Where a role has no token that a row could look at."""


def reached(recording: Recording, role: str, rows: str, mass: Array) -> Array:
    """(n, L) whether the rows of each block can look at a token of the role.

    Parameters
    ----------
    rows: "response", of which the first reaches furthest back, or "last", the last prompt token's.
    mass: (n, L, H) what was recorded.
    """
    looked_at = np.asarray(((mass > 0) | np.isnan(mass)).any(axis=2))
    reach = recording.environment.get("reach") or ()
    if len(reach) != mass.shape[1]:
        return looked_at
    looking = np.array([len(ids) for ids in recording.prompt_ids]) - (rows == "last")
    nearest = np.array([_nearest(recording, item, role, row) for item, row in enumerate(looking)])
    return np.asarray(looked_at | np.column_stack([_reaches(one, looking, nearest) for one in reach]))


def _nearest(recording: Recording, item: int, role: str, row: int) -> int:
    """The last token of the role that is not after a row."""
    ends = [
        min(span.end - 1, row)
        for span in recording.spans[item]
        if span.role == role and len(span) and span.start <= row
    ]
    return max(ends, default=NEVER)


def _reaches(reach: Mapping[str, int], looking: Array, nearest: Array) -> Array:
    """(n,) whether a token looks as far back as another, in a block of that reach."""
    there = nearest != NEVER
    if "window" in reach:
        return np.asarray(there & (looking - nearest < reach["window"]))
    if "chunk" in reach:
        return np.asarray(there & (looking // reach["chunk"] == nearest // reach["chunk"]))
    return np.asarray(there)
