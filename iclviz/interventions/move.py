"""Move states to another class of a label: what tells the label linearly is erased, and what the other class has of it
on average is put in its place (LEACE's eraser, Belrose et al. 2023, arXiv:2306.03819; the question is that of Davies et
al. 2023, arXiv:2303.00333).

A state x becomes e(x) + B (z - m), with e the eraser of the label, z what the other class is in numbers, m the mean of
these over items, and B the least squares of states on them: to a linear reader the state is that of the mean of the
other class, and all else stays. Eraser and B are fitted on items of other folds of groups than are moved.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from iclviz.intervening import MOST_DRAWS, At, InOneBlock, LabelAsked, Target, place_words
from iclviz.interventions.erase import eraser_of, without_label
from iclviz.interventions.patch import random_like
from iclviz.typed import check_choice, check_whole

if TYPE_CHECKING:
    import torch

Other = Literal["candidate", "class"]


@dataclass(frozen=True, kw_only=True)
class Move(InOneBlock):
    """label: what is moved; to: the class, or the number, to which all items are; "" = another one for each item.

    other: which one, where `to` is "": that whose right answer is another candidate of the item, or any other class;
        draw: which of these.
    random: the number of a random direction in which states are moved as far instead; None = as the label says.
    """

    kind = "move"
    title = "Moved to another class"
    example = "move label=answer layers=20"
    to: str = ""
    other: Other = "candidate"
    draw: int = 0
    random: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "to", str(self.to))
        check_choice("other", self.other, get_args(Other))
        check_whole("draw", self.draw, 0, MOST_DRAWS)
        if self.random is not None:
            check_whole("random", self.random, 0, MOST_DRAWS)

    @property
    def labels(self) -> LabelAsked:
        """The label."""
        return LabelAsked(self.label)

    @property
    def target(self) -> Target:
        """Where each item is moved to."""
        return Target(self.label, self.to, self.other == "candidate", self.draw)

    @property
    def as_fitted(self) -> "Move":
        """One eraser serves all classes."""
        return replace(self, to="", other="class", draw=0, random=None)

    def fitted(self, states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """(5c + 2, d): the eraser of c columns of labels, B's rows, and -B m."""
        import torch

        mean = labels.mean(dim=0)
        slopes = torch.linalg.pinv(labels - mean) @ (states - states.mean(dim=0))
        return torch.cat([eraser_of(states, labels), slopes, -(mean @ slopes)[None]])

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The states, moved."""
        assert at.donor is not None
        assert at.target is not None
        c = at.target.shape[1]
        slopes, start = at.donor[:, -1 - c : -1], at.donor[:, -1]
        moved = without_label(values, at.donor[:, : -1 - c]) + (at.target[:, None] @ slopes)[:, 0] + start
        return moved if self.random is None else values + random_like(moved - values, self.random, at.layer)

    @property
    def _where_to(self) -> str:
        return f"to {self.to}" if self.to else f"to another {self.other}'s"

    @property
    def short(self) -> str:
        """What is moved."""
        what = (
            f"{self.label} moved {self._where_to}" if self.random is None else f"moved at random as far as {self.label}"
        )
        return f"{what} at {place_words(self.rows)}, {self.where()}"

    def sentence(self) -> str:
        """What is moved, and to what."""
        where = f"the state after the block at {place_words(self.rows)} in {self.where()}"
        if self.random is not None:
            return f"{where} moved in a random direction, as far as moving the label {self.label} does"
        whose = {"candidate": "the class of another candidate", "class": "another class"}[self.other]
        return f"the label {self.label} of {where} moved to {self.to or whose}"


INTERVENTION = Move
