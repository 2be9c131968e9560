"""Move states along the direction in which a probe reads a label (activation addition; Turner et al. 2023,
arXiv:2308.10248), by standard deviations of the projection on it.

The direction is that of a logistic probe of one class against all others, or of a ridge regression on a number, fitted
on items of other folds of groups than are moved, on states of the very place where it acts.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iclviz.errors import SpecError
from iclviz.intervening import MOST_DRAWS, At, InOneBlock, LabelAsked, place_words
from iclviz.interventions.patch import random_like
from iclviz.natural_units import plain, signed
from iclviz.typed import check_whole

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Steer(InOneBlock):
    """Something is added to states.

    Attributes
    ----------
    label: whose direction it is; to: the class that it leads to, of labels that are classes.
    dose: how far, in standard deviations of the projection on the direction; below 0 it leads away.
    random: the number of a random direction instead, as far; None = the probe's.
    """

    kind = "steer"
    title = "Moved along a label"
    example = "steer label=answer to=reading layers=20 dose=2"
    to: str = ""
    dose: float = 1.0
    random: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "to", str(self.to))
        if isinstance(self.dose, bool) or not isinstance(self.dose, int | float) or not math.isfinite(self.dose):
            raise SpecError(f"dose = {self.dose!r} is no number.", "Give standard deviations, such as dose=2.")
        object.__setattr__(self, "dose", float(self.dose))
        if self.random is not None:
            check_whole("random", self.random, 0, MOST_DRAWS)

    @property
    def labels(self) -> LabelAsked:
        """The label, of classes that of one against the others."""
        return LabelAsked(self.label, to=self.to)

    def fitted(self, states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """(1, d): the direction, as long as the standard deviation of states' projections on it."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.preprocessing import StandardScaler

        x, y = states.cpu().numpy(), labels.cpu().numpy()[:, 0]
        if len(np.unique(y)) < 2:
            raise SpecError(
                f"The items of some folds do not tell {self._where_to} from the rest, so no probe can.",
                "Take more items, or another class.",
            )
        scaler = StandardScaler().fit(x)
        is_class = set(np.unique(y)) <= {0.0, 1.0}
        model = LogisticRegression(class_weight="balanced", max_iter=1000) if is_class else Ridge(1.0)
        weights = model.fit(scaler.transform(x), y).coef_.reshape(-1) / scaler.scale_
        direction = weights / (np.linalg.norm(weights) or 1.0)
        return states.new_tensor(direction * (x @ direction).std())[None]

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The state, moved."""
        assert at.donor is not None
        step = at.donor[:, 0]
        return values + self.dose * (step if self.random is None else random_like(step, self.random, at.layer))

    @property
    def _where_to(self) -> str:
        return f"{self.label} {self.to}".strip()

    @property
    def short(self) -> str:
        """What is added."""
        what = self._where_to if self.random is None else "random direction"
        return f"{signed(self.dose)} sd of {what} at {place_words(self.rows)}, {self.where()}"

    def sentence(self) -> str:
        """What is moved how far."""
        along = f"a probe's direction of {self._where_to}" if self.random is None else "a random direction"
        return (
            f"the state after the block at {place_words(self.rows)} in {self.where()} moved along {along} by "
            f"{plain(self.dose)} standard deviations"
        )


INTERVENTION = Steer
