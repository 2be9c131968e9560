"""What kind of head each is: scores of every head of a model, from all that was made of it, beside each other.

Of the model: how much a head attends to what followed the same token before (induction), to the token before, and to
the same token before, in random tokens that are written twice. Of a run: how much its last prompt token attends to the
demonstrations' answers; what setting the head to zero does to the outcome; and by how much its mean under right
demonstrations, put into a run with wrong ones, raises the right answer's probability (function-vector score).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.effect_maps import item_effects, usual_outcome
from iclviz.analysis.statistics import mean_of_known
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap, Trace
from iclviz.questions.question import Subjects, of_subjects
from iclviz.recording import Array, Recording

OF_MODEL = ("induction", "previous", "duplicate")
TITLES: Mapping[str, str] = {
    "induction": "Induction",
    "previous": "Previous token",
    "duplicate": "Same token before",
    "answers": "Attention to answers",
    "effect": "Effect (nats)",
    "function_vector": "Function-vector score",
}
"""Score -> what it is called."""


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Scores of every head.

    Attributes
    ----------
    scores: name -> (L, H), those of `TITLES` that there are, NaN where a head has none.
    controls: name -> (L, H) the same in sequences in which no token is repeated.
    n_sequences: of the catalogue; n_items: of the run, 0 where nothing is of one.
    """

    scores: Mapping[str, Array]
    controls: Mapping[str, Array]
    n_sequences: int
    n_items: int

    @property
    def shape(self) -> tuple[int, int]:
        """Blocks and heads."""
        n_blocks, n_heads = next(iter(self.scores.values())).shape
        return n_blocks, n_heads

    def rows(self) -> list[dict[str, float]]:
        """A row for each head: its block from 1, its number from 0, its scores by their titles."""
        n_blocks, n_heads = self.shape
        return [
            {"Block": block + 1, "Head": head}
            | {TITLES[name]: float(values[block, head]) for name, values in self.scores.items()}
            for block in range(n_blocks)
            for head in range(n_heads)
        ]

    def of_head(self, block: int, head: int) -> list[tuple[str, float, int]]:
        """Title, value and rank among all heads, the largest first (of effects the largest size), of each score of a
        head; block from 1.
        """
        found = []
        for name, values in self.scores.items():
            size = np.abs(values) if name == "effect" else values
            ranks = rankdata(-np.nan_to_num(size, nan=-np.inf), method="min").reshape(values.shape)
            found.append((TITLES[name], float(values[block - 1, head]), int(ranks[block - 1, head])))
        return found

    def strongest(self) -> list[tuple[str, int, int, float]]:
        """Title, block from 1, head and value of the head with the largest size of each score."""
        found = []
        for name, values in self.scores.items():
            block, head = np.unravel_index(int(np.argmax(np.nan_to_num(np.abs(values), nan=-1.0))), values.shape)
            found.append((TITLES[name], int(block) + 1, int(head), float(values[block, head])))
        return found

    def lines(self) -> list[str]:
        """The strongest head of each score, a line each."""
        return [
            f"{title:<24} block {block}, head {head}: {value:+.3f}" for title, block, head, value in self.strongest()
        ]


@of_subjects
def head_scores(subjects: Subjects) -> HeadScores:
    """The scores of every head of a model.

    Parameters
    ----------
    subjects: the trace of the head catalogue first, and as many as there are of: a recording, which may keep attention
        by demonstration, the map of a run over ablated heads, and that over heads' means.

    Raises
    ------
    AnalysisError: the first is no head catalogue, or another one has other heads.
    """
    catalogue, *others = subjects
    if not isinstance(catalogue, Trace) or catalogue.tracer.kind != "head_catalogue":
        raise AnalysisError("The first of these is no head catalogue.", "Make one with iclviz.trace(run, ...).")
    scores = {name: mean_of_known(np.asarray(catalogue.arrays[name], dtype=float)) for name in OF_MODEL}
    controls = {name: mean_of_known(np.asarray(catalogue.arrays[f"{name}_control"], dtype=float)) for name in OF_MODEL}
    for one in others:
        scores |= _of_run(one)
    shapes = {values.shape for values in scores.values()}
    if len(shapes) > 1:
        raise AnalysisError(f"These have other numbers of heads: {sorted(shapes)}.", "Take runs of one model.")
    n_items = max((one.n_items for one in others), default=0)
    ordered = {name: scores[name] for name in TITLES if name in scores}
    return HeadScores(ordered, controls, catalogue.n_items, n_items)


def _of_run(one: Recording | EffectMap | Trace) -> dict[str, Array]:
    """The score that a recording or a map gives."""
    if isinstance(one, Recording):
        if "demonstration_answer_attention" not in one.recorded:
            return {}
        mass = np.asarray(one.array("demonstration_answer_attention"), dtype=float)
        known = np.isfinite(mass)
        return {"answers": mean_of_known(np.where(known.any(-1), np.where(known, mass, 0.0).sum(-1), np.nan))}
    if isinstance(one, EffectMap) and one.grid.kind == "heads":
        return {"effect": mean_of_known(np.moveaxis(item_effects(one, usual_outcome(one)), (2, 1, 0), (0, 1, 2)))}
    if isinstance(one, EffectMap) and one.grid.kind == "head_means":
        rise = np.exp(one.logprobs[..., 0]) - np.exp(one.base[:, 0])
        rise = np.where(one.acted > 0, rise, np.nan).mean(axis=2)
        return {"function_vector": mean_of_known(np.moveaxis(rise, (2, 1, 0), (0, 1, 2)))}
    raise AnalysisError("One of these gives no score of heads.", "Take a recording, or a map of heads.")
