"""Patch a run with another one: what the same item has under other demonstrations is put in place of its own (Zhang &
Nanda 2023, arXiv:2309.16042).

States of a run that works put into one that does not (denoising) show what suffices; the other way round (noising)
shows what is needed. At the last prompt token it acts on that token alone: what is read after it has no like in the
other run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from iclviz.errors import SpecError
from iclviz.intervening import At, Intervention, Need, Part, place_words
from iclviz.typed import check_choice, check_whole

if TYPE_CHECKING:
    import torch

Of = Literal["state", "attention", "mlp", "head"]
_PARTS: dict[Of, Part] = {"state": "state", "attention": "attention", "mlp": "mlp", "head": "heads"}
_WORDS = {"state": "the state after the block", "attention": "the attention's output", "mlp": "the MLP's output",
          "head": "the heads' outputs"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Patch(Intervention):
    """of: what is patched; shown, k, seed: kind, number and seed of the demonstrations whose values are taken."""

    kind = "patch"
    title = "Patched"
    example = "patch layers=20 shown=shuffled k=8"
    of: Of = "state"
    shown: str
    k: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("of", self.of, get_args(Of))
        if not isinstance(self.shown, str):
            raise SpecError(f"shown = {self.shown!r} is no kind of demonstrations.", "Give a name such as shuffled.")
        check_whole("k", self.k, 0, 10_000)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        super().__post_init__()
        if self.rows in ("response", "all"):
            raise SpecError(
                f"{place_words(self.rows).capitalize()} has no like under other demonstrations.",
                "Take rows=last or rows=query, or a mark.",
            )

    @property
    def part(self) -> Part:
        """As `of` says."""
        return _PARTS[self.of]

    @property
    def needs(self) -> Need:
        """The same item under other demonstrations."""
        return "against"

    @property
    def against(self) -> Mapping[str, Any]:
        """The demonstrations of the donor, as fields of them."""
        return {"kind": self.shown, "k": self.k, "seed": self.seed}

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The donor's values."""
        assert at.donor is not None
        return at.donor

    @property
    def short(self) -> str:
        """What comes from where."""
        return f"{self.of} of {self._donor} at {place_words(self.rows)}, {self.where()}"

    @property
    def _donor(self) -> str:
        return "no demonstrations" if self.shown == "none" or not self.k else f"{self.shown}, k = {self.k}"

    def sentence(self) -> str:
        """What is put in place of what."""
        return (
            f"{_WORDS[self.of]} at {place_words(self.rows)} in {self.where()} set to what the same item has with "
            f"{self._donor}{f', seed {self.seed}' if self.seed else ''}"
        )


INTERVENTION = Patch
