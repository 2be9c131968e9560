"""A measure by layer: what it is called, how an item and a condition are measured, how two conditions are compared.

A measure is one object of one file, `MEASURE` of a module of `iclviz.analysis.measures` or of a file in the folder
`measures` of one's own. Pages, exports, methods paragraphs, the command line and the docs go over what is found there,
and ask for no measure by its name. What a task's headline rests on is a list of its own, which no new measure changes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import numpy as np

from iclviz.analysis.attention import AttentionRows, Heads, Per
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison
from iclviz.analysis.recordings import probed_labels
from iclviz.analysis.resolution import settled
from iclviz.analysis.results import Estimates, Tested
from iclviz.analysis.rsa import METRICS, Metric
from iclviz.analysis.statistics import mean_interval
from iclviz.analysis.wording import capital, pooling_title
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES

Titles = Mapping[str, str]
"""What a task calls its hypotheses and labels, by name."""

_SUMS = 1e-9
"""What sums in float64 leave of equal values."""


@dataclass(frozen=True, eq=False)
class MeasureOption:
    """Something that a measure leaves open, as data: pages and the command line make their controls from it.

    Attributes
    ----------
    name: as links, `Measuring` and the command line call it; one name means one thing in all measures.
    title, help: for readers.
    values: what may be chosen for a recording, the usual one first.
    titles: value -> its title, where that is not the value itself; titled: the same as a function.
    """

    name: str
    title: str
    help: str
    values: Callable[[Recording], Sequence[Any]]
    titles: Mapping[Any, str] = field(default_factory=dict)
    titled: Callable[[str], str] = str

    def title_of(self, value: Any, of_task: Titles) -> str:
        """What a value is called."""
        return self.titles.get(value) or of_task.get(value) or self.titled(str(value))


def offered(*values: Any) -> Callable[[Recording], Sequence[Any]]:
    """The same values for every recording."""
    return lambda recording: values


HYPOTHESIS = MeasureOption(
    "hypothesis",
    "Hypothesis",
    "The matrix that says which items should be represented alike.",
    lambda recording: list(recording.hypotheses),
)
LABEL = MeasureOption("label", "Label", "What the probe tries to read from the embeddings.", probed_labels)
POOLING = MeasureOption(
    "pooling",
    "Embedding",
    "Over which prompt tokens hidden states are pooled. The query is the item's own, the same text with and "
    "without demonstrations; over the whole prompt, a shared beginning makes all items alike.",
    lambda recording: list(recording.embeddings),
    titled=lambda name: capital(pooling_title(name)),
)
METRIC = MeasureOption(
    "metric",
    "Similarity",
    "How two items' embeddings are compared; the mean over items is subtracted first.",
    offered(*METRICS),
    titled=capital,
)
OUTLIERS = 0.01
"""Share of the dimensions, those of largest variance, that a check leaves out."""

DROPPED = MeasureOption(
    "dropped",
    "Leave out the 1 % of dimensions of largest variance",
    "A check: a few outlier dimensions often carry a cosine by themselves.",
    offered(False, True),
)
OVER = MeasureOption(
    "over", "Attention to", "Text in this role stands above the fraction line.", offered(*ROLES), titled=capital
)
UNDER = MeasureOption(
    "under", "Relative to", "Text in this role stands below the fraction line.", offered(*ROLES), titled=capital
)
HEADS = MeasureOption(
    "heads",
    "Heads",
    "Mean: attention is averaged over heads before the ratio; strongest: the one head with the most on both.",
    offered("mean", "max"),
    {"mean": "Mean", "max": "Strongest"},
)
ROWS = MeasureOption(
    "rows",
    "Attention of",
    "Of the response's tokens on average, or of the prompt's last token, which decides the first response token.",
    offered("response", "last"),
    {"response": "Response", "last": "Prompt's end"},
)
PER = MeasureOption(
    "per",
    "Counted",
    "Attention to a token of the role on average, or to all its text together.",
    offered("token", "mass"),
    {"token": "Per token", "mass": "All its text"},
)


STANDARD = {one.name: one for one in (HYPOTHESIS, LABEL, POOLING, METRIC, DROPPED, OVER, UNDER, HEADS, ROWS, PER)}
"""Options that several measures have, by name: one name means one thing in all of them."""
TAKEN = frozenset({"layer", "own", "first", "measure", "score"})
"""Names that options cannot have."""


@dataclass(frozen=True)
class Measuring:
    """How an item is measured; None stands for the recording's first hypothesis and first probed label.

    Attributes
    ----------
    hypothesis, pooling, metric: of its own alignment; label: of its held-out evidence in a probe, over `pooling`.
    heads, rows, over, under, per: of its log attention ratio.
    own: what single measures leave open, by name; those left out are as usual.
    """

    hypothesis: str | None = None
    label: str | None = None
    pooling: str = "query_mean"
    metric: Metric = "cosine"
    heads: Heads = "mean"
    rows: AttentionRows = "response"
    over: str = "relevant"
    under: str = "irrelevant"
    per: Per = "token"
    own: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own", dict(sorted(self.own.items())))

    def __hash__(self) -> int:
        return hash(tuple(str(getattr(self, one.name)) for one in fields(self)))

    def of(self, recording: Recording) -> "tuple[str, str]":
        """The hypothesis and the label for a recording, "" where it has none."""
        hypothesis = self.hypothesis or next(iter(recording.hypotheses), "")
        return hypothesis, self.label or next(iter(probed_labels(recording)), "")

    def value(self, option: MeasureOption, recording: Recording) -> Any:
        """What was chosen of an option, else what is usual for a recording.

        Raises
        ------
        AnalysisError: a value that the option does not have.
        """
        chosen = getattr(self, option.name, None) or self.own.get(option.name)
        values = list(option.values(recording))
        if chosen is None:
            return values[0] if values else None
        if chosen not in values:
            raise unknown(AnalysisError, option.title.lower(), chosen, values)
        return chosen

    def with_(self, options: Sequence[MeasureOption], chosen: Mapping[str, Any], recording: Recording) -> "Measuring":
        """The same with some of a measure's options chosen, by name; values that are texts may be as links have them.

        Raises
        ------
        AnalysisError: no such option, or a value that it does not have.
        """
        known = {option.name: option for option in options}
        shared, own = dict[str, Any](), dict(self.own)
        for name, value in chosen.items():
            if name not in known:
                raise unknown(AnalysisError, "option", name, list(known))
            values = list(known[name].values(recording))
            meant = next((one for one in values if value == one or str(value) == str(one)), value)
            if meant not in values:
                raise unknown(AnalysisError, known[name].title.lower(), str(value), [str(one) for one in values])
            (shared if name in _FIELDS else own)[name] = meant
        return replace(self, **shared, own=own)


_FIELDS = frozenset(one.name for one in fields(Measuring)) - {"own"}
"""What several measures leave open."""


@dataclass(frozen=True)
class Resampling:
    """How many permutations and resamples were used."""

    alignment_permutations: int = 1000
    probe_permutations: int = 1000
    n_bootstrap: int = 1000


@dataclass(frozen=True, eq=False)
class ByLayer(Tested):
    """A measure of one condition in each layer; arrays (K,), NaN where a layer has no value.

    Attributes
    ----------
    reference: (K,) what there is without the thing that is measured, such as chance; NaN where there is nothing.
    n_units: independent groups of items.
    reason: why no layer has a p, or None.
    missing: layer -> why it has no value.
    """

    reference: Array
    n_units: int
    reason: str | None
    missing: Mapping[int, str]


class Measure(ABC):
    """What is measured inside a model, layer by layer.

    Attributes
    ----------
    name: as Python, the command line and links call it.
    title: what it is, inside a sentence; axis: the title of its axis, with the unit.
    about: what it says and what it does not, in two sentences for the docs.
    page: the page that shows it, by the name of its file; order: its place among that page's measures.
    first_layer: the number of its first column, 0, or 1 for what belongs to blocks.
    options: what it leaves open.
    needs_room: whether it can tell nothing where the prompts' text alone meets the hypothesis, see `room`.
    figure: the figure of conditions by layer, by its name; its results are those of `of_condition`.
    references: key -> BibTeX entry of each work that its methods sentence cites and `reporting.references` lacks.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    axis: ClassVar[str]
    about: ClassVar[str]
    page: ClassVar[str]
    order: ClassVar[int] = 100
    first_layer: ClassVar[int] = 0
    options: ClassVar[tuple[MeasureOption, ...]] = ()
    needs_room: ClassVar[bool] = False
    figure: ClassVar[str] = "measure-by-layer"
    references: ClassVar[Mapping[str, str]] = {}

    @property
    def unit(self) -> str:
        """What is counted from the first layer: attention belongs to blocks."""
        return "block" if self.first_layer else "layer"

    @property
    def short(self) -> str:
        """What it is called where room is short."""
        return self.name.replace("_", " ")

    def short_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """What is measured with these options, in as few words as tell it from others."""
        return self.short

    def absent(self, recording: Recording, measuring: Measuring) -> str | None:
        """Why a recording has no value of it whatever its numbers are, without a full stop; None where it may have."""
        return None

    def subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """What is measured with these options, inside a sentence."""
        return self.title

    def change_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """What is compared between two conditions, inside a sentence."""
        return self.subject(recording, measuring, titles)

    @abstractmethod
    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, K) what each of some items, by their places (m,), has in each layer.

        What is made of all items (RSMs, neighbours) is made of all of the recording's; what is fitted is fitted to
        these items alone, so that two recordings have seen the same ones.
        """

    def resolution(self, recording: Recording, measuring: Measuring, items: Array, values: Array) -> Array:
        """(K,) the least difference of values (m, K) that their numbers hold; smaller ones count as none."""
        return np.zeros(values.shape[1])

    def change_of_items(self, comparison: Comparison, measuring: Measuring, a: Array, b: Array) -> Array:
        """(S, m, K) B minus A of what the common items have in A and in B; NaN where it has no meaning."""
        return b - a

    def held_values(
        self, comparison: Comparison, measuring: Measuring
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """In A and in B: what each common item has in each layer, (S, m, K), and the least difference that it holds,
        (S, 1, K).
        """

        def held(recording: Recording, items: Array) -> Array:
            values = self.of_items(recording, measuring, items)
            return np.vstack([values, self.resolution(recording, measuring, items, values)])

        a, b = comparison.values(held)
        return (a[:, :-1], a[:, -1:]), (b[:, :-1], b[:, -1:])

    def held_change(self, comparison: Comparison, measuring: Measuring) -> tuple[Array, Array]:
        """(S, m, K) B minus A of each common item as computed, and the least difference that it holds, (S, 1, K)."""
        (a, least_a), (b, least_b) = self.held_values(comparison, measuring)
        return self.change_of_items(comparison, measuring, a, b), np.hypot(least_a, least_b) + _SUMS

    @abstractmethod
    def of_condition(self, recording: Recording, measuring: Measuring) -> Estimates:
        """The measure of one condition in each layer, with its interval."""

    @abstractmethod
    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of it in each layer, tested over groups (and seeds) and corrected over layers."""

    def words(self, recording: Recording, measuring: Measuring, titles: Titles) -> dict[str, Any]:
        """What its figure is told besides results and limits."""
        subject = self.subject(recording, measuring, titles)
        name = f"{self.name.replace('_', '-')}-by-layer"
        return {"measure": subject, "value": self.axis, "first": self.first_layer, "about": self.about, "name": name}

    def notes(
        self, results: Sequence[Estimates], recording: Recording, measuring: Measuring, titles: Titles
    ) -> list[str]:
        """Sentences that stand beside its figure for these results."""
        return []

    @abstractmethod
    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """How it was made, for a paper: sentences that cite with [@key]; "" where there is nothing to say."""


class MeanOverItems(Measure):
    """A measure of a condition that is the mean of what its items have: `of_items` says all of it."""

    def of_condition(self, recording: Recording, measuring: Measuring) -> ByLayer:
        """The mean over items in each layer, its interval from resampling groups; nothing is tested."""
        values = self.of_items(recording, measuring, np.arange(recording.n_items))
        mean = mean_interval(values, coarsest_groups(recording), shares=False)
        absent = np.full(len(mean.estimate), np.nan)
        missing = dict.fromkeys(np.flatnonzero(np.isnan(mean.estimate)).tolist(), "no item has a value")
        return ByLayer(mean.estimate, mean.low, mean.high, absent, absent, absent, mean.n_units, None, missing)

    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of the mean over the common items, by sign flips of whole groups, or over seeds by both."""
        return mean_change(settled(*self.held_change(comparison, measuring)), comparison.groups)
