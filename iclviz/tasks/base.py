"""What a task is: items with answers, labels and hypotheses, the prompts that ask for them, and a scorer.

A task is one class in one file of this package, found by the registry. Everything it draws comes from named seeds, so
the same spec gives the same text anywhere, and the demonstration set for k + 1, as drawn, starts with the set for k.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from iclviz.contrasts import Contrast
from iclviz.errors import SpecError, unknown
from iclviz.natural_units import Better, NaturalUnit
from iclviz.points import ItemPoints
from iclviz.prompts import Prompt
from iclviz.spans import ANSWER, DEMONSTRATION, Role, Segment, TextMark
from iclviz.spec import FEW, Demonstrations, PromptStyle, digest

Array = NDArray[Any]
Shown = TypeVar("Shown")
SHARE, NATS = " (share)", " (nats)"
"""How the title of a score ends that is a share, or a log-probability."""
Kind = Literal["none", "correct", "shuffled", "distractor", "random", "contrastive", "out-of-domain", "custom"]

KINDS: Mapping[str, str] = {
    "none": "No demonstrations.",
    "correct": "Solved examples with their right answers.",
    "shuffled": "The same examples, each with a wrong answer from outside those shown. It usually does not stand in "
    "the example's text, and the model may learn that as well.",
    "distractor": "The same examples, each with a wrong answer that stands in its own text.",
    "random": "The same examples, each with an answer drawn at random.",
    "contrastive": "The same examples, each with its right answer and a wrong one that is marked as wrong.",
    "out-of-domain": "Solved examples of another task.",
    "custom": "Examples that you write yourself, the first k of them, in your order.",
}
"""Every demonstration kind with one sentence for readers."""


def contrast(right: str, wrong: str) -> str:
    """The answer of a contrastive demonstration."""
    return f"{right} (not {wrong})"


def example(before: str, answer: str, after: str, role: Role = "demonstration") -> Segment:
    """A solved example as a segment, in which it and its answer, blanks around that aside, are marked."""
    own = answer.strip()
    start = len(before) + len(answer) - len(answer.lstrip())
    text = f"{before}{answer}{after}"
    marks = (TextMark(DEMONSTRATION, 0, len(text)), TextMark(ANSWER, start, start + len(own)))
    return Segment(role, text, marks)


def _numbered(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments with the number of each demonstration in the names of its marks."""
    count: Counter[str] = Counter()
    found = []
    for segment in segments:
        marks = []
        for mark in segment.marks:
            marks.append(replace(mark, name=f"{mark.name}:{count[mark.name]}"))
            count[mark.name] += 1
        found.append(replace(segment, marks=tuple(marks)))
    return tuple(found)


def generator(*parts: Any) -> np.random.Generator:
    """A random generator named by its parts: the same parts give the same draws, other parts unrelated ones."""
    return np.random.default_rng(int(digest(list(parts)), 16))


def arranged(shown: Sequence[Shown], demonstrations: Demonstrations) -> tuple[Shown, ...]:
    """What belongs to k demonstrations as drawn, as many entries to each, in the order in which they are shown.

    Raises
    ------
    SpecError: it cannot be told which entry belongs to which demonstration.
    """
    known = demonstrations.canonical()
    if not known.order:
        return tuple(shown)
    of_each, left = divmod(len(shown), known.k)
    if left:
        raise SpecError(
            f"{len(shown)} parts of {known.k} demonstrations cannot be reordered, since these have unequally many.",
            "Take order = 0.",
        )
    return tuple(one for place in _places(known.k, known.order) for one in shown[place * of_each :][:of_each])


@lru_cache(maxsize=256)
def _places(k: int, order: int) -> tuple[int, ...]:
    """Which of k demonstrations stands in each place in an order that is not as drawn.

    Orders 1 to k! - 1 of few demonstrations are all there are, each once, so that no two of them are the same; of more
    each is drawn by its number.
    """
    if k <= FEW:
        others = list(permutations(range(k)))[1:]
        return others[int(generator("orders", k).permutation(len(others))[order - 1])]
    rng, as_drawn = generator("order", k, order), tuple(range(k))
    found = as_drawn
    while found == as_drawn:
        found = tuple(rng.permutation(k).tolist())
    return found


SHOWN = 80
"""Characters of a wrong value that its error repeats."""


@dataclass(frozen=True)
class Option:
    """A parameter of a task, declared as data so that pages build their controls from it.

    Attributes
    ----------
    kind: "integer", "number", "switch", "choice", "numbers" (a list) or "text".
    low, high: inclusive bounds of a number or of every number of a list.
    choices: the values of a choice.
    """

    name: str
    title: str
    kind: Literal["integer", "number", "switch", "choice", "numbers", "text"]
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """The value in its written form.

        Raises
        ------
        SpecError: the value is of another kind or out of bounds.
        """
        return _CHECKS[self.kind](self, value)

    def refuse(self, value: Any, wanted: str) -> SpecError:
        """The error that says what was given and what is wanted."""
        shown = repr(value) if len(repr(value)) <= SHOWN else f"{repr(value)[:SHOWN]}…"
        return SpecError(f"{self.name} = {shown} does not fit.", f"Give {wanted}.")


def _check_number(option: Option, value: Any) -> float:
    low = "-inf" if option.low is None else f"{option.low:g}"
    high = "inf" if option.high is None else f"{option.high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise option.refuse(value, f"a number from {low} to {high}")
    if not float(low) <= value <= float(high) or value in (float("inf"), float("-inf")):
        raise option.refuse(value, f"a number from {low} to {high}")
    return int(value) if float(value).is_integer() else float(value)


def _check_integer(option: Option, value: Any) -> int:
    number = _check_number(option, value)
    if not isinstance(number, int):
        raise option.refuse(value, "a whole number")
    return number


def _check_switch(option: Option, value: Any) -> bool:
    if not isinstance(value, bool):
        raise option.refuse(value, "true or false")
    return value


def _check_choice(option: Option, value: Any) -> str:
    if value not in option.choices:
        raise option.refuse(value, f"one of {', '.join(option.choices)}")
    return str(value)


def _check_numbers(option: Option, value: Any) -> list[float]:
    if not isinstance(value, list | tuple) or not value:
        raise option.refuse(value, "a list of numbers")
    numbers = [_check_number(option, number) for number in value]
    if len(set(numbers)) != len(numbers):
        raise option.refuse(value, "a list without repeats")
    return numbers


def _check_text(option: Option, value: Any) -> str:
    if not isinstance(value, str):
        raise option.refuse(value, "a text")
    return value


_CHECKS = {
    "number": _check_number,
    "integer": _check_integer,
    "switch": _check_switch,
    "choice": _check_choice,
    "numbers": _check_numbers,
    "text": _check_text,
}


INSTRUCTION = Option("instruction", "Instruction", "text", "", "A line before everything else; empty for none.")
"""The option that every task has beside its own."""


@dataclass(frozen=True)
class Item:
    """One query with its expected answer.

    Attributes
    ----------
    id: the same for the same item under any demonstrations.
    query: its own text as segments, the prompt's end.
    answer: the expected answer in the form that `parse` gives.
    candidates: answers to compare by log-probability, the right one first, each as it would follow the query.
    """

    id: str
    query: tuple[Segment, ...]
    answer: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class TaskData:
    """The items of a run and everything known about them before a model reads them; n items.

    Attributes
    ----------
    labels: name -> (n,), probe targets: floats are numbers, all else classes.
    groups: name of a label or hypothesis -> (n,): what folds keep whole, what is permuted and resampled.
        A label without groups is not probed.
    hypotheses: name -> (n, n), symmetric.
    covariates: name -> (n,), difficulty.
    factors: name -> (n,), what the design makes different between the items of a group: names are taken apart by level,
        floats as numbers. Items that differ in one do not trade places in any test.
    """

    items: Sequence[Item]
    labels: Mapping[str, Array]
    groups: Mapping[str, Array]
    hypotheses: Mapping[str, Array]
    covariates: Mapping[str, Array] = field(default_factory=dict)
    factors: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class PrimaryAnalysis:
    """The one analysis of a task that is fixed before any result."""

    pooling: str
    metric: str
    hypothesis: str
    label: str
    score: str


@dataclass(frozen=True)
class Parsed:
    """What a response says: the answer (None where unparseable) and the character at which it ends."""

    value: str | None
    end: int


@dataclass(frozen=True, eq=False)
class ReadAnswers:
    """What a model answered to n items.

    Attributes
    ----------
    responses: n texts as generated, with blanks in place of special tokens.
    parsed: n values that `parse` found in them, None where unparseable.
    logprobs: (n, C) log-probability of each candidate answer, NaN where an item has fewer.
    """

    responses: Sequence[str]
    parsed: Sequence[str | None]
    logprobs: Array


class Task(ABC):
    """A family of items that a model is asked about; see the module's text.

    Attributes
    ----------
    name, title, description: the name in specs; what readers see.
    version: raised when the task's results change; part of every key.
    options: its parameters, beside the instruction that every task has.
    demonstration_kinds: the kinds that make sense for it.
    example_end: what ends one of its demonstrations.
    foreign_task: whose solved examples are its "out-of-domain" demonstrations.
    primary: its one primary analysis.
    titles: what readers see for each label, hypothesis, score and covariate.
    lower_is_better: names of scores that fall when the model does better.
    natural_units: score -> how people say it, where its title does not tell.
    role_titles: role -> what the task calls text in it, inside a sentence.
    outcomes: (score that is 1 where an item had it, what it is called) of what can become of an item, each at most one;
        what has none of them is called `no_outcome`. None where answers are not of this kind.
    no_outcome: as it goes on after "12 items".
    has_statements: whether an item's relevant text is a statement that gives its answer, and irrelevant ones another.
    contrast: the two levels of a design factor whose difference is the effect that the task is about; None where its
        effects are those of conditions.
    hypothesis_labels: hypothesis -> the label that it is about, by which its matrix is sorted.
    stop_text, max_new_tokens, instructions: where responses end, and defaults by prompt style.
    """

    name: str
    title: str
    description: str
    version: int
    options: tuple[Option, ...]
    demonstration_kinds: tuple[Kind, ...] = get_args(Kind)
    example_end: str = "\n\n"
    foreign_task: str
    primary: PrimaryAnalysis
    titles: Mapping[str, str]
    lower_is_better: frozenset[str] = frozenset()
    natural_units: Mapping[str, NaturalUnit] = {}
    role_titles: Mapping[str, str] = {}
    outcomes: tuple[tuple[str, str], ...] = ()
    no_outcome: str = "neither"
    has_statements: bool = False
    contrast: Contrast | None = None
    hypothesis_labels: Mapping[str, str]
    stop_text: str = "\n"
    max_new_tokens: Mapping[PromptStyle, int] = {"plain": 8, "chat": 32}
    instructions: Mapping[PromptStyle, str]

    def chance(self, options: Mapping[str, Any]) -> dict[str, float]:
        """Score -> what guessing among the answers that a text offers reaches; none where nothing can be guessed."""
        return {}

    def is_floor(self, demonstrations: Demonstrations) -> bool:
        """Whether nothing could be known after these demonstrations, so that they are no baseline of any gain."""
        return False

    def natural_unit(self, score: str) -> NaturalUnit:
        """How people say a score: a share in percent, others as they are, unless the task knows better."""
        title = self.titles.get(score, score)
        if title[1:2].islower():  # no abbreviation
            title = f"{title[:1].lower()}{title[1:]}"
        if title.endswith(SHARE):
            usual = NaturalUnit(title.removesuffix(SHARE), "share")
        elif title.endswith(NATS):
            usual = NaturalUnit(title.removesuffix(NATS), suffix="nats")
        else:
            usual = NaturalUnit(title)
        return self.natural_units.get(score, usual)

    def text_in(self, role: str) -> str:
        """What the task calls text in a role, inside a sentence."""
        return self.role_titles.get(role, f"{role} text")

    def better(self, score: str) -> Better:
        """Which way a score goes when the model does better."""
        return "lower" if score in self.lower_is_better else "higher"

    @property
    def identity(self) -> str:
        """What stands for the task in keys and seeds: its name, unless the same task can go by several."""
        return self.name

    def resolve_options(self, chosen: Mapping[str, Any], style: PromptStyle) -> dict[str, Any]:
        """Every option with its value, defaults filled in; the instruction's default depends on the prompt style.

        Raises
        ------
        SpecError: an unknown option or a value that does not fit.
        """
        instruction = replace(INSTRUCTION, default=self.instructions[style])
        known = {option.name: option for option in (*self.options, instruction)}
        for name in chosen:
            if name not in known:
                raise unknown(SpecError, f"option of {self.name}", name, list(known))
        return {name: option.check(chosen.get(name, option.default)) for name, option in known.items()}

    def check_demonstrations(self, demonstrations: Demonstrations) -> Demonstrations:
        """The demonstration set in its one written form.

        Raises
        ------
        SpecError: a kind that this task does not have.
        """
        if demonstrations.kind not in self.demonstration_kinds:
            kinds: list[str] = list(self.demonstration_kinds)
            raise unknown(SpecError, f"demonstration kind of {self.name}", demonstrations.kind, kinds)
        return demonstrations.canonical()

    @abstractmethod
    def check_items(self, n_items: int, options: Mapping[str, Any]) -> None:
        """Refuse more items than the options allow, before any is made; `data` asks too.

        Raises
        ------
        SpecError: so, and how many there are.
        """

    @abstractmethod
    def data(self, n_items: int, seed: int, options: Mapping[str, Any]) -> TaskData:
        """The items and all that is known about them.

        Raises
        ------
        SpecError: more items than the options allow.
        """

    def demonstrations(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> tuple[Segment, ...]:
        """The segments of item `index`'s demonstrations, of whatever kind, in their order: `answer:0` is the first
        shown one's.

        Raises
        ------
        SpecError: more demonstrations than the options allow, or they cannot be reordered.
        """
        if demonstrations.k == 0 or demonstrations.kind == "none":
            return ()
        return _numbered(arranged(self._as_drawn(data, index, demonstrations, options), demonstrations))

    def _as_drawn(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> Sequence[Segment]:
        """The same in the order in which they are drawn or given; their marks have no numbers yet."""
        if demonstrations.kind == "custom":
            shown = demonstrations.examples[: demonstrations.k]
            return [_of_ones_own(text.rstrip() + self.example_end) for text in shown]
        if demonstrations.kind == "out-of-domain":
            return _foreign(self.identity, self.foreign_task, demonstrations.k, demonstrations.seed)
        return self.examples(data, index, demonstrations, options)

    @abstractmethod
    def examples(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> tuple[Segment, ...]:
        """The segments of item `index`'s demonstrations from this task's own solved examples, as drawn and as many of
        each, every demonstration made by `example`.

        Raises
        ------
        SpecError: more demonstrations than the options allow.
        """

    def shown_covariates(
        self, data: TaskData, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """Covariates (n,) that depend on what is shown; none unless a task says so."""
        return {}

    def points(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> ItemPoints | None:
        """What a picture of item `index` shows, for tasks whose items are points; None for all others."""
        return None

    @abstractmethod
    def solved_example(self, rng: np.random.Generator) -> Segment:
        """One solved example of this task, with the line break that ends it, for another task to show."""

    @abstractmethod
    def parse(self, response: str) -> Parsed:
        """The answer that a response gives."""

    @abstractmethod
    def score(
        self, data: TaskData, answers: ReadAnswers, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """Scores, name -> (n,), of answers given after these demonstrations; the main one is defined for every item."""

    def first_line(self, response: str) -> str:
        """The response up to the stop text that follows its first visible character."""
        visible = len(response) - len(response.lstrip())
        end = response.find(self.stop_text, visible)
        return response if end < 0 else response[:end]

    def is_finished(self, response: str) -> bool:
        """Whether the stop text has followed something visible, so that generation may end."""
        return len(self.first_line(response)) < len(response)

    def prompt(self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]) -> Prompt:
        """The prompt of one item: instruction, demonstrations, query."""
        instruction = options["instruction"]
        opening = (Segment("instruction", instruction + "\n"),) if instruction else ()
        item = data.items[index]
        shown = self.demonstrations(data, index, demonstrations, options)
        return Prompt(opening + shown, item.query, item.candidates, self.example_end)

    def prompts(self, data: TaskData, demonstrations: Demonstrations, options: Mapping[str, Any]) -> list[Prompt]:
        """The prompt of every item."""
        return [self.prompt(data, index, demonstrations, options) for index in range(len(data.items))]


@lru_cache(maxsize=32)
def _foreign(name: str, foreign_task: str, k: int, seed: int) -> tuple[Segment, ...]:
    from iclviz.tasks import task

    rng = generator("out-of-domain", name, seed)
    other = task(foreign_task)
    return tuple(other.solved_example(rng) for _ in range(k))


def _of_ones_own(text: str) -> Segment:
    """An example of which nobody says what in it is the answer."""
    return Segment("demonstration", text, (TextMark(DEMONSTRATION, 0, len(text)),))


def similarity(values: Array) -> Array:
    """(n, n) negative absolute difference of n numbers."""
    return -np.abs(np.subtract.outer(values, values)).astype(float)


def sameness(values: Array, missing: Array | None = None) -> Array:
    """(n, n) 1 where two items have the same value, else 0; NaN beside an item whose value is missing (n,)."""
    same = np.equal.outer(values, values).astype(float)
    return same if missing is None else np.where(np.logical_or.outer(missing, missing), np.nan, same)
