"""States patched at places, block by block: what the same item has under other demonstrations in place of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from iclviz.interventions.patch import Of, Patch
from iclviz.mapping import Axis, FromDemonstrations, Shape, Site
from iclviz.spans import ANSWER

ZHANG = r"""@inproceedings{zhang2023towards,
  title     = {Towards Best Practices of Activation Patching in Language Models: Metrics and Methods},
  author    = {Zhang, Fred and Nanda, Neel},
  booktitle = {ICLR},
  year      = {2024},
  note      = {arXiv:2309.16042}
}"""

PLACES = ("last", "query", f"{ANSWER}:*")


@dataclass(frozen=True, kw_only=True)
class Patched(FromDemonstrations):
    """of: what is patched; shown, k, seed, order: the demonstrations whose values are taken."""

    kind = "patch"
    title = "States patched"
    example = "patch shown=none k=0"
    question = "Where does what the other demonstrations did sit, and from which block on?"
    blind = (
        "What several places hold together may not move with one of them; a patched state meets a model that computed "
        "all else without it."
    )
    ready = (("States of the other condition", "patch shown={shown} k={k} seed={seed}"),)
    references = MappingProxyType({"zhang2023towards": ZHANG})
    of: Of = "state"

    def __post_init__(self) -> None:
        self.site("last", 1, Shape(1, 1, 0, ()))

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Where states are patched, and blocks."""
        places = [place for place in PLACES if place in ("last", "query") or place in shape.places]
        return Axis("place", tuple(places if self.shown != "none" and self.k else places[:2])), shape.blocks

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One state is the other run's."""
        return (Patch(of=self.of, shown=self.shown, rows=first, layers=(second,), **self.drawn),)

    def names(self) -> Mapping[str, str]:
        """Places in words."""
        return {"last": "last prompt token", f"{ANSWER}:*": "demonstrations’ answers"}

    def sentence(self) -> str:
        """What was put in place of what."""
        what = {"state": "the state after each block", "head": "the heads' outputs"}.get(
            self.of, f"the {self.of}'s output"
        )
        return f"{what} was set to what the same item has with {self.donor}"


GRID = Patched
