"""Whether a hypothesis is met by the prompts' text alone, so that no layer and no demonstrations could add to it.

Layer 0 knows words and no more. A hypothesis that is aligned there nearly as far as any RSM could be ("same question"
over tokens of which the question is a part) leaves no room: alignment is at its ceiling in every layer, in A as in B.
"""

import numpy as np

from iclviz.analysis.correlations import Method, align, pairs_of
from iclviz.analysis.resolution import held
from iclviz.analysis.wording import share
from iclviz.recording import Array

NEARLY_ALL = 0.95
"""The share of the largest alignment from which layer 0 leaves no room."""


def largest_alignment(hypothesis: Array, method: Method = "spearman") -> float:
    """The alignment of an RSM without ties that orders all pairs as the hypothesis (n, n) does; less than 1 where that
    has ties. NaN where it predicts the same of all pairs.
    """
    predicted = pairs_of(np.asarray(hypothesis, dtype=float))
    ordered = np.full(len(predicted), np.nan)
    known = np.flatnonzero(np.isfinite(predicted))
    ordered[known[np.argsort(predicted[known], kind="stable")]] = np.arange(len(known), dtype=float)
    return 1.0 if method == "pearson" else float(align(ordered[None], predicted[None], method)[0, 0])


def share_of_largest(rsm: Array, hypothesis: Array, method: Method = "spearman") -> float:
    """The alignment of an RSM (n, n) with a hypothesis (n, n) as a share of the largest; NaN where there is none."""
    predicted = pairs_of(np.asarray(hypothesis, dtype=float))
    aligned = float(align(pairs_of(held(rsm))[None], predicted[None], method)[0, 0])
    return float(np.minimum(aligned / largest_alignment(hypothesis, method), 1.0))  # ties of the RSM may help it beyond


def no_room(share_reached: float, title: str) -> str:
    """What a hypothesis is worth that holds by the prompts' text alone; "" where there is room.

    share_reached: of the largest alignment that layer 0 reaches.
    """
    if not share_reached >= NEARLY_ALL:
        return ""
    return (
        f"The prompts' words alone nearly give “{title}”: layer 0, which knows words and no more, reaches "
        f"{share(share_reached)} of the largest alignment there could be. No layer and no demonstrations can add to "
        "that, so its alignment tests nothing here. Take another hypothesis, or the embedding of the last prompt token."
    )
