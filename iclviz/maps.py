"""A map: what the model answers while something is done to it, at each site of a grid, as arrays with named axes; and a
trace: what was followed through the model.

Letters of the shapes: F, S values of the first and second axis, V draws of donors, R controls of a site, n items (or
other rows of a trace), C candidates, L blocks, H heads, P kinds of pairs of tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from iclviz.keys import Origin
from iclviz.mapping import Axis, Grid, MapSpec, Tracer

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class EffectMap:
    """Log-probabilities of the candidates of a run's items under each of many interventions.

    Attributes
    ----------
    spec, key: the resolved spec and its hex digest.
    item_ids: n strings, those of the run.
    axes: both sides of the grid.
    base: (n, C) with nothing done; the right candidate is the first, NaN where an item has fewer.
    logprobs: (F, S, V, n, C) with what is done at each site, under each draw.
    controls: (F, S, R, n, C) with what is done instead at each site.
    acted, changed: (F, S, V, n) places of an item at which what is done acted, and those whose value changed.
    acted_controls: (F, S, R, n) the same of controls.
    base_scores, scores, control_scores: (n,), (F, S, V, n), (F, S, R, n) the task's main score of what the model wrote
        with nothing done, at each site and at its controls; None of a map whose grid has no responses.
    timing, environment: as of a recording.
    origin: of the run.
    """

    spec: MapSpec
    key: str
    item_ids: Sequence[str]
    axes: tuple[Axis, Axis]
    base: Array
    logprobs: Array
    controls: Array
    acted: Array
    changed: Array
    acted_controls: Array
    origin: Origin
    base_scores: Array | None = None
    scores: Array | None = None
    control_scores: Array | None = None
    timing: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def grid(self) -> Grid:
        """Over what it is spanned."""
        assert isinstance(self.spec.grid, Grid)
        return self.spec.grid

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.axes[0].values) * len(self.axes[1].values)


@dataclass(frozen=True, eq=False)
class Trace:
    """What was followed through the model.

    Attributes
    ----------
    spec, key: the resolved spec and its hex digest.
    item_ids: n strings: the run's items, or what else the rows are.
    arrays: name -> (n, ...), with the axes that its tracer says.
    origin, timing, environment: as of a map.
    """

    spec: MapSpec
    key: str
    item_ids: Sequence[str]
    arrays: Mapping[str, Array]
    origin: Origin
    timing: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tracer(self) -> Tracer:
        """What was followed."""
        assert isinstance(self.spec.grid, Tracer)
        return self.spec.grid

    @property
    def n_items(self) -> int:
        """Number of rows."""
        return len(self.item_ids)


Made = EffectMap | Trace
"""What is made beside a recording and kept with it."""
