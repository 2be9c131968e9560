"""Maps: what acting at each site of a grid does to the answers of a run's items; and traces: what is followed through
the model beside a run, such as gradients.

A grid is one file of `iclviz/grids`, or of a folder of one's own, whose `GRID` is a subclass of `Grid`. It says over
what a map is spanned, and what is done at each site. A tracer is one file of `iclviz/capture/tracers`, or of a folder
of one's own, whose `TRACER` is a subclass of `Tracer`. Both wait in one queue and are kept in one place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from iclviz import schemas
from iclviz.errors import SpecError
from iclviz.intervening import Intervention, shown_words
from iclviz.keys import Origin, key_of
from iclviz.spec import DEFAULT_POOLINGS, MOST_NEW_TOKENS, Demonstrations, RunSpec, digest
from iclviz.typed import Kinds, Typed, check_whole

if TYPE_CHECKING:
    from iclviz.capture.tracing import Traced
    from iclviz.prompts import TokenizedPrompt

Site = tuple[Intervention, ...]
"""What is done together; nothing is the model as it is."""

MOST_SITES = 100_000
MOST_DRAWS = 100
SCHEMA = schemas.fields({"run": schemas.table_of(schemas.plain(), 50), "grid": schemas.table_of(schemas.plain(), 50)})


@dataclass(frozen=True)
class Axis:
    """A side of a grid: what it is called, such as "block", and its values in their order."""

    name: str
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Shape:
    """What a run offers to a grid.

    Attributes
    ----------
    n_layers, n_heads: of the model; blocks are counted from 1, heads from 0.
    k: demonstrations.
    places: roles that some prompt has, and answer:* where demonstrations' answers are marked.
    kinds: of demonstrations that the task has.
    is_drawn: whether a seed draws the demonstrations.
    ranked: (block, head) from the one with the largest effect on, as the map before this one found it on other items;
        empty where there is none before.
    """

    n_layers: int
    n_heads: int
    k: int
    places: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    is_drawn: bool = True
    ranked: tuple[tuple[int, int], ...] = ()

    @property
    def blocks(self) -> Axis:
        """Every block."""
        return Axis("block", tuple(range(1, self.n_layers + 1)))


@dataclass(frozen=True, kw_only=True)
class MapKind(Typed):
    """What can be asked of the model beside a run: its fields are the options.

    A subclass also says a `question` that is answered, and as `blind` what cannot be seen so.
    """

    question: ClassVar[str]
    blind: ClassVar[str]
    references: ClassVar[Mapping[str, str]] = {}
    """Key -> BibTeX entry of each work that this kind comes from."""

    def prior(self, run: RunSpec) -> "MapSpec | None":
        """The map over heads and blocks that has to be there before this one of a run, None where none has: by its
        effects heads are ranked, on one half of the groups for the items of the other.
        """
        return None

    def sentence(self) -> str:
        """What is done, as a clause."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Texts:
    """What a tracer reads.

    Attributes
    ----------
    prompts: of the n items.
    groups: (n,) the coarsest group of each item.
    others: of the same items under the tracer's `other` demonstrations; none where it has none.
    """

    prompts: "Sequence[TokenizedPrompt]"
    groups: Sequence[int]
    others: "Sequence[TokenizedPrompt]" = ()


@dataclass(frozen=True, kw_only=True)
class Tracer(MapKind):
    """What is followed through the model.

    A subclass says as `arrays` what is left of each row: name -> its axes, by the letters of `iclviz.maps`; and whether
    rows are `of_model` alone, whatever the run.
    """

    arrays: ClassVar[Mapping[str, str]]
    of_model: ClassVar[bool] = False

    @property
    def other(self) -> Demonstrations | None:
        """The demonstrations under which items are read too; None unless a kind says so."""
        return None

    def rows(self, item_ids: Sequence[str]) -> list[str]:
        """What the rows are called: the run's items, unless a kind says so."""
        return list(item_ids)

    def traced(self, subject: "Traced", texts: Texts, there: frozenset[int]) -> "Iterator[tuple[int, dict[str, Any]]]":
        """Number and arrays of each row that is not there yet.

        Raises
        ------
        UserError: the model cannot be followed so.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Grid(MapKind):
    """What is done where: its fields are the options of a map.

    A subclass also says as `ready` which maps are offered by name: titles, and how each is typed, in which {shown},
    {k} and {seed} are the demonstrations of the condition beside it, {label} the label of the task's primary analysis
    and {control} the one that goes together with it least.
    """

    ready: ClassVar[tuple[tuple[str, str], ...]]
    responses: int = 0
    """Tokens of a response that is written at every site, whose main score is then an outcome too; 0 = none is."""

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Both sides of the grid for a run.

        Raises
        ------
        SpecError: the run has nothing to act on.
        """
        raise NotImplementedError

    @property
    def n_draws(self) -> int:
        """How many draws of donors each site has, over which effects are averaged."""
        return 1

    def site(self, first: Any, second: Any, shape: Shape, draw: int = 0) -> Site:
        """What is done at a value of each axis, with one of the draws."""
        raise NotImplementedError

    def demonstrations_at(self, first: Any, second: Any, of: Demonstrations) -> Demonstrations | None:
        """The demonstrations under which items are read at a value of each axis; None = those of the run, `of`."""
        return None

    def controls(self, first: Any, second: Any, shape: Shape) -> Sequence[Site]:
        """What is done instead to see what acting like this does anywhere; as many at each site, none by default."""
        return ()

    def names(self) -> Mapping[str, str]:
        """Value of the first axis -> what people call it, where that is not the value itself."""
        return {}


@dataclass(frozen=True, kw_only=True)
class FromDemonstrations(Grid):
    """A map that puts in place what items have under demonstrations: their kind, number, seed and order."""

    shown: str
    k: int = 8
    seed: int = 0
    order: int = 0

    @property
    def demonstrations(self) -> Demonstrations:
        """These demonstrations."""
        return Demonstrations(self.shown, self.k, self.seed, order=self.order).canonical()

    @property
    def drawn(self) -> dict[str, Any]:
        """Which ones of their kind, as fields of what is done with them."""
        return {"k": self.k, "seed": self.seed, "order": self.order}

    @property
    def donor(self) -> str:
        """The demonstrations in words."""
        return shown_words(self.shown, self.k, order=self.order)


KINDS = Kinds("iclviz.grids", "GRID", Grid, "map", "attention rows=query")
TRACERS = Kinds("iclviz.capture.tracers", "TRACER", Tracer, "trace", "information_flow")


def grid(value: Any) -> Grid:
    """The grid that a table with its kind and fields means, or a text such as "attention rows=query"; one that is given
    stays itself.

    Raises
    ------
    SpecError: no such kind, or a field that is missing, unknown or impossible.
    """
    found: Grid = KINDS.read(value)
    return found


def grid_or_tracer(value: Any) -> Grid | Tracer:
    """The grid, or the tracer, that a table or a text means; one that is given stays itself.

    Raises
    ------
    SpecError: no such kind, or a field that is missing, unknown or impossible.
    """
    name = value.get("kind") if isinstance(value, Mapping) else str(value).partition(" ")[0]
    return tracer(value) if isinstance(value, Tracer) or name in tracers() else grid(value)


def tracer(value: Any) -> Tracer:
    """The tracer that a table or a text means; one that is given stays itself.

    Raises
    ------
    SpecError: no such kind, or a field that is missing, unknown or impossible.
    """
    found: Tracer = TRACERS.read(value)
    return found


def tracers() -> Mapping[str, type[Tracer]]:
    """Every kind of tracer by its name.

    Raises
    ------
    UserError: a file of one's own has none, or one that does not fit.
    """
    return TRACERS.all()


def grids() -> Mapping[str, type[Grid]]:
    """Every kind of map by its name.

    Raises
    ------
    UserError: a file of one's own has none, or one that does not fit.
    """
    return KINDS.all()


def ready_maps() -> dict[str, str]:
    """Title -> how it is typed, of the maps that are offered by name."""
    return {title: typed for kind in grids().values() for title, typed in kind.ready}


@dataclass(frozen=True)
class MapSpec:
    """A map or a trace to make: the run whose items are read, and the grid over which is acted, or what is followed."""

    run: RunSpec
    grid: Grid | Tracer

    def __post_init__(self) -> None:
        check_whole("responses", getattr(self.grid, "responses", 0), 0, MOST_NEW_TOKENS)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self.run.n_items

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return {"run": self.run.to_dict(), "grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_dict` wrote.

        Raises
        ------
        MisfitError, SpecError: these are no such values.
        """
        SCHEMA(values)
        return cls(RunSpec.from_dict(values["run"]), grid_or_tracer(values["grid"]))


def as_mapped(run: RunSpec) -> RunSpec:
    """A run's spec without what no map depends on: how long responses are, and what is kept of them."""
    return run.with_(max_new_tokens=1, poolings=DEFAULT_POOLINGS, attention_items=(), record=())


def map_key(run: RunSpec, origin: Origin, of: Grid | Tracer) -> str:
    """The key of the map of a resolved run over a grid, or of a trace; one of the model is that of all its runs."""
    if isinstance(of, Tracer) and of.of_model:
        loaded = {name: run.to_dict()[name] for name in ("dtype", "model_options")}
        of_model = {"model": origin.model, "capture": origin.versions["capture"], **loaded}
        return digest({"trace": of_model, "grid": of.to_dict(), "version": of.version})
    versions = {name: number for name, number in origin.versions.items() if not name.startswith("record.")}
    of_run = key_of(as_mapped(run), replace(origin, versions=versions))
    return digest({"map": of_run, "grid": of.to_dict(), "version": of.version})


def sites_of(of: Grid, shape: Shape) -> tuple[tuple[Axis, Axis], list[Site], list[Sequence[Site]]]:
    """The axes of a map, what is done at each site, row by row, under each draw in turn, and each site's controls.

    Raises
    ------
    SpecError: the run has nothing to act on, or too many sites.
    """
    axes = of.axes(shape)
    n_sites = len(axes[0].values) * len(axes[1].values)
    if n_sites > MOST_SITES:
        raise SpecError(f"A map of {n_sites:,} sites is too large.", f"Take {MOST_SITES:,} or fewer.")
    at = [(first, second) for first in axes[0].values for second in axes[1].values]
    sites = [of.site(*one, shape, draw) for one in at for draw in range(of.n_draws)]
    return axes, sites, [of.controls(*one, shape) for one in at]
