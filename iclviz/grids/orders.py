"""The same items read under other draws of demonstrations and under other orders of each: how much order alone does (Lu
et al. 2022, arXiv:2104.08786).

Nothing is done to the model. The run itself is no site of its own: where a site shows what the run shows, no token
differs and there is no effect.
"""

from dataclasses import dataclass, replace
from math import factorial
from types import MappingProxyType

from iclviz.errors import SpecError
from iclviz.mapping import Axis, Grid, Shape, Site
from iclviz.spec import Demonstrations
from iclviz.typed import check_whole

LU = r"""@inproceedings{lu2022fantastically,
  title     = {Fantastically Ordered Prompts and Where to Find Them: Overcoming Few-Shot Prompt Order Sensitivity},
  author    = {Lu, Yao and Bartolo, Max and Moore, Alastair and Riedel, Sebastian and Stenetorp, Pontus},
  booktitle = {ACL},
  year      = {2022},
  note      = {arXiv:2104.08786}
}"""

MOST_SETS = 100
MOST_ORDERS = 1000


@dataclass(frozen=True, kw_only=True)
class Orders(Grid):
    """sets: draws of demonstrations, from the run's seed on; orders: of each, the first as drawn."""

    kind = "orders"
    title = "Order of demonstrations"
    example = "orders sets=4 orders=4"
    question = "How much does the order of the demonstrations alone move the answer?"
    blind = (
        "A few sets and orders are few draws of either, and others may do more; what an order does to one set it need "
        "not do to another."
    )
    ready = (("Order of demonstrations", "orders"),)
    references = MappingProxyType({"lu2022fantastically": LU})
    sets: int = 4
    orders: int = 4

    def __post_init__(self) -> None:
        check_whole("sets", self.sets, 1, MOST_SETS)
        check_whole("orders", self.orders, 2, MOST_ORDERS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Sets and orders by number; one set where no seed draws them, and no more orders than there are.

        Raises
        ------
        SpecError: there is nothing to reorder.
        """
        if shape.k < 2:
            raise SpecError(
                "This run has fewer than two demonstrations, which have no other order.", "Take one with k >= 2."
            )
        n_sets = self.sets if shape.is_drawn else 1
        n_orders = min(self.orders, factorial(min(shape.k, MOST_ORDERS)))
        return Axis("set", tuple(range(1, n_sets + 1))), Axis("order", tuple(range(1, n_orders + 1)))

    def site(self, first: int, second: int, shape: Shape, draw: int = 0) -> Site:
        """Nothing is done to the model."""
        return ()

    def demonstrations_at(self, first: int, second: int, of: Demonstrations) -> Demonstrations:
        """The set of the seed as far behind the run's, in an order."""
        return replace(of, seed=of.seed + first - 1, order=second - 1)

    def sentence(self) -> str:
        """Under what the items were read."""
        return "the same items were read under several sets of demonstrations, each in several orders"


GRID = Orders
