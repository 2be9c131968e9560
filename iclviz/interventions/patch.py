"""Patch a run with another one: what the same item has under other demonstrations is put in place of its own (Zhang &
Nanda 2023, arXiv:2309.16042).

States of a run that works put into one that does not (denoising) show what suffices; the other way round (noising)
shows what is needed. At the last prompt token it acts on that token alone: what is read after it has no like in the
other run.

Another item's state under demonstrations, put into a prompt without any, is a task vector (Hendel et al. 2023,
arXiv:2310.15916); the mean of a head over items that were shown right demonstrations, put into a prompt with wrong
ones, shows what the head carries (Todd et al. 2023, arXiv:2310.15213).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from iclviz.intervening import MOST_DRAWS, At, Need, Part, UnderDemonstrations, place_words, shown_words
from iclviz.typed import check_choice, check_whole

if TYPE_CHECKING:
    import torch

Of = Literal["state", "attention", "mlp", "head"]
Whose = Literal["same", "another", "mean", "random"]
_NEEDS: dict[Whose, Need] = {"same": "same", "another": "another", "mean": "all", "random": "another"}
_HAS = {
    "same": "what the same item has",
    "another": "what another item has",
    "mean": "the mean of what items of other groups have",
    "random": "a random direction of the length that another item has",
}
_SHORT = {"another": "another item's", "mean": "mean", "random": "random"}
_PARTS: dict[Of, Part] = {"state": "state", "attention": "attention", "mlp": "mlp", "head": "heads"}
_WORDS = {"state": "the state after the block", "attention": "the attention's output", "mlp": "the MLP's output",
          "head": "the heads' outputs"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Patch(UnderDemonstrations):
    """of: what is patched; shown, k, seed, order: the demonstrations whose values are taken.

    item: whose: the same item's, another one's of another group, the mean over items of other groups, or a random
        direction as long as another item's; draw: which other one, and which direction.
    """

    kind = "patch"
    title = "Patched"
    example = "patch layers=20 shown=shuffled k=8"
    of: Of = "state"
    item: Whose = "same"
    draw: int = 0

    def __post_init__(self) -> None:
        check_choice("of", self.of, get_args(Of))
        check_choice("item", self.item, get_args(Whose))
        check_whole("draw", self.draw, 0, MOST_DRAWS)
        super().__post_init__()

    @property
    def part(self) -> Part:
        """As `of` says."""
        return _PARTS[self.of]

    @property
    def needs(self) -> Need:
        """As `item` says."""
        return _NEEDS[self.item]

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The donor's values, or as long ones of a random direction."""
        assert at.donor is not None
        return at.donor if self.item != "random" else random_like(at.donor, self.draw, at.layer)

    @property
    def short(self) -> str:
        """What comes from where."""
        whose = "" if self.item == "same" else f"{_SHORT[self.item]} "
        shown = shown_words(self.shown, self.k, order=self.order)
        return f"{whose}{self.of} of {shown} at {place_words(self.rows)}, {self.where()}"

    def sentence(self) -> str:
        """What is put in place of what."""
        return (
            f"{_WORDS[self.of]} at {place_words(self.rows)} in {self.where()} set to {_HAS[self.item]} with "
            f"{self.donor}"
        )


def random_like(values: "torch.Tensor", *draw: int) -> "torch.Tensor":
    """Values (n, ..., d) of a random direction, one for all n, each as long as it is."""
    drawn = np.random.default_rng(draw).standard_normal(values.shape[1:])
    direction = values.new_tensor(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))
    return direction * values.norm(dim=-1, keepdim=True)


INTERVENTION = Patch
