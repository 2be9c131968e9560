"""Erase a label from states: no linear reader can tell it there any more (Belrose et al. 2023, LEACE,
arXiv:2306.03819).

The eraser is fitted on items of other folds of groups than it is used on, on states of the very place where it acts,
with the library's own shrinkage; in several blocks in turn, each on states that are erased below already.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from iclviz.errors import SpecError
from iclviz.intervening import MOST_DRAWS, At, LabelAsked, OnLabel, Part, place_words
from iclviz.typed import check_choice, check_whole

if TYPE_CHECKING:
    import torch

Of = Literal["state", "attention", "mlp"]
_WORDS = {"state": "the state after the block", "attention": "the attention's output", "mlp": "the MLP's output"}


@dataclass(frozen=True, kw_only=True)
class Erase(OnLabel):
    """label: what is erased; of: from what; permuted: the number of a permutation of the label that is erased instead,
    between groups where the label is one in each, else within them; None = the label as it is.
    """

    kind = "erase"
    title = "Label erased"
    example = "erase label=answer layers=20"
    of: Of = "state"
    permuted: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("of", self.of, get_args(Of))
        if self.permuted is not None:
            check_whole("permuted", self.permuted, 0, MOST_DRAWS)
        if self.layers is None:
            raise SpecError("A label is erased in blocks that are named.", "Give layers, such as layers=20.")

    @property
    def part(self) -> Part:
        """As `of` says."""
        return self.of

    @property
    def labels(self) -> LabelAsked:
        """The label, or a permutation of it."""
        return LabelAsked(self.label, self.permuted)

    def fitted(self, states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """(4c + 1, d): the eraser of c columns of labels."""
        return eraser_of(states, labels)

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The states without the label."""
        assert at.donor is not None
        return without_label(values, at.donor)

    @property
    def short(self) -> str:
        """What is gone."""
        what = self.label if self.permuted is None else f"a permutation of {self.label}"
        return f"no {what} in the {self.of} at {place_words(self.rows)}, {self.where()}"

    def sentence(self) -> str:
        """What is erased from where."""
        what = f"the label {self.label}" if self.permuted is None else f"a permutation of the label {self.label}"
        return f"{what} erased from {_WORDS[self.of]} at {place_words(self.rows)} in {self.where()}"


def eraser_of(states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """(4c + 1, d): the eraser's left and right projections to what tells c columns of labels (m, c) in states (m, d),
    2c dimensions each at most, and the mean.
    """
    import torch
    from concept_erasure import LeaceFitter

    with torch.inference_mode(False), torch.no_grad():
        eraser = LeaceFitter.fit(states.clone(), labels.clone()).eraser
        left, right = eraser.proj_left.T, eraser.proj_right
        size = left.norm(dim=1)
        told = torch.argsort(size, descending=True)[: 2 * labels.shape[1]]
        missing = left.new_zeros(2 * labels.shape[1] - len(told), left.shape[1])
        return torch.cat([left[told], missing, right[told], missing, eraser.bias[None]])


def without_label(values: "torch.Tensor", erasers: "torch.Tensor") -> "torch.Tensor":
    """States (n, d), each by its eraser (n, 4c + 1, d)."""
    k = erasers.shape[1] // 2
    left, right, mean = erasers[:, :k], erasers[:, k : 2 * k], erasers[:, -1]
    told = ((values - mean)[:, None] * right).sum(-1)
    return values - (told[:, None] @ left)[:, 0]


INTERVENTION = Erase
