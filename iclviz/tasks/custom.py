"""The user's own task, read from a file (science.md, task 4).

Items are the file's query rows in seeded order. A label of texts gives the hypothesis "same <label>", one of numbers
gives their similarity, and each is probed; both in the file's groups, or in single items where it gives none.
Relevant and irrelevant text is what attention ratios compare.

Demonstrations are rows that the file marks for that, else rows that the run does not ask; never one that was made from
the same thing as an asked row. Of these, in seeded order, a part is set aside: shuffled and wrong answers come from
there, so that none of them belongs to a shown row.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from iclviz.contrasts import UNIT
from iclviz.errors import SpecError
from iclviz.natural_units import NaturalUnit
from iclviz.spans import Segment
from iclviz.spec import Demonstrations, PromptStyle
from iclviz.tasks.base import (
    Array,
    Item,
    Option,
    Parsed,
    PrimaryAnalysis,
    ReadAnswers,
    Task,
    TaskData,
    contrast,
    example,
    generator,
    sameness,
    similarity,
)
from iclviz.tasks.matching import Phrases, declines, given, mention
from iclviz.tasks.own_rows import Row, TaskFile, form, has_words, hypothesis, number_in
from iclviz.tasks.spelling import alike
from iclviz.tasks.task_files import check_scoring

SCORING: Mapping[str, str] = {
    "words": "the answer's words stand in the response's first line, before those of any wrong candidate, and in no "
    "longer answer of the file",
    "exact": "the first line is the answer, but for case and punctuation around its words",
    "number": "the first number of the first line is the answer",
}
"""Way of scoring -> when a response is right."""

MOST_LEVELS = 8
"""Different numbers up to which a factor's numbers are levels that stand apart, as of a place; more are a quantity."""

DONORS = 4
"""One row in so many that could be shown gives its answer to shuffled demonstrations instead."""

CHARACTERS_A_TOKEN = 2
"""Fewer than tokenizers make of most text: responses are cut after the answer, never within."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Rows that a run can show; one object for all items of a run."""

    rows: tuple[Row, ...]


@dataclass(frozen=True)
class OwnItem(Item):
    """A row of the file, and what can be shown before it."""

    row: Row
    pool: Pool


class OwnTask(Task):
    """Answer the queries of a file."""

    version = 3
    foreign_task = "linear_regression"
    lower_is_better = frozenset({"absolute_error"})

    def __init__(self, file: TaskFile) -> None:
        self.file = file
        self.name = file.task_name
        self.title = file.title or title_of(file.called or file.name)
        self.description = file.description or f"Your own task: {len(file.queries)} queries and their answers."
        self.labels = file.labels or {"answer": "text"}
        self.hypothesis_labels = {hypothesis(name, kind): name for name, kind in self.labels.items()}
        self.primary = PrimaryAnalysis("query_mean", "cosine", *next(iter(self.hypothesis_labels.items())), "right")
        self.titles = _titles(self.labels)
        self.outcomes, self.no_outcome = (("right", file.right or "right"),), file.wrong or "wrong"
        self.natural_units = {
            **({"right": NaturalUnit(f"{file.right} answers", "share")} if file.right else {}),
            **({"absolute_error": NaturalUnit("absolute error", suffix=file.unit)} if file.unit else {}),
        }
        self.instructions = dict.fromkeys(("plain", "chat"), file.instruction)
        self.max_new_tokens = _max_new_tokens(file.rows)
        ways = "; ".join(f"{name}: {text}" for name, text in SCORING.items())
        self.options = (Option("scoring", "Right is", "choice", file.scoring, f"{ways}.", choices=tuple(SCORING)),)
        self._known = Phrases(text for row in file.rows for text in (*row.right, *row.candidates))
        self._without_words = {row.answer for row in file.rows if not has_words(row.answer)}
        self._answers_decline = any(declines(spelling) for row in file.rows for spelling in row.right)

    @property
    def identity(self) -> str:
        """The content alone: a file that is given another name is the same task."""
        return f"@{self.file.digest}"

    def chance(self, options: Mapping[str, Any]) -> dict[str, float]:
        """Guessing among a row's answer and wrong candidates; none where some row has no candidates."""
        counts = [1 + len(row.candidates) for row in self.file.queries]
        if min(counts) < 2:
            return {}
        return dict.fromkeys(("right", "prefers_right"), float(np.mean([1 / count for count in counts])))

    def resolve_options(self, chosen: Mapping[str, Any], style: PromptStyle) -> dict[str, Any]:
        """Every option with its value.

        Raises
        ------
        UserError: an unknown option, a value that does not fit, or answers that cannot be scored so.
        """
        options = super().resolve_options(chosen, style)
        check_scoring(self.file, options["scoring"])
        return options

    def check_items(self, n_items: int, options: Mapping[str, Any]) -> None:
        """Every query row is asked once at most."""
        queries = self.file.queries
        if n_items > len(queries):
            raise SpecError(
                f"n_items = {n_items}, and {self.title} has {len(queries)} query rows.",
                f"Take n_items <= {len(queries)}.",
            )

    def data(self, n_items: int, seed: int, options: Mapping[str, Any]) -> TaskData:
        """The first rows of the file's query rows in seeded order."""
        self.check_items(n_items, options)
        queries = self.file.queries
        order = generator("own items", seed).permutation(len(queries))[:n_items]
        rows = [queries[index] for index in order]
        pool = Pool(_showable(self.file, rows))
        items = [OwnItem(row.id, row.segments, row.answer, _candidates(row), row, pool) for row in rows]
        labels = {name: _label(rows, name, kind) for name, kind in self.file.labels.items()}
        labels = labels or {"answer": np.array([self.file.spellings.spell("answer", row.answer) for row in rows])}
        groups = {name: _groups(rows, name) for name in self.labels}
        return TaskData(
            items=items,
            labels=labels,
            groups=groups | {name: groups[label] for name, label in self.hypothesis_labels.items()},
            hypotheses={name: _hypothesis(labels[label]) for name, label in self.hypothesis_labels.items()},
            covariates={
                "query_words": np.array([float(len(row.query.split())) for row in rows]),
                "answer_words": np.array([float(len(row.answer.split())) for row in rows]),
                "row": order.astype(float),
            },
            factors={name: _factor([row.factors[name] for row in rows]) for name in self.file.factors} | _units(rows),
        )

    def examples(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> tuple[Segment, ...]:
        """K rows of the pool, the same for every item."""
        return _shown(_own(data.items[index]).pool, demonstrations.kind, demonstrations.seed, demonstrations.k)

    def most_demonstrations(self, n_items: int) -> int:
        """How many right demonstrations a run of so many items can show, whatever its seed, where no group is given."""
        return len(self.file.marked) or max(0, len(self.file.queries) - n_items)

    def solved_example(self, rng: np.random.Generator) -> Segment:
        """A row of the file with its answer."""
        row = self.file.rows[int(rng.integers(len(self.file.rows)))]
        return _solved(row, row.answer)

    def parse(self, response: str) -> Parsed:
        """The response's first line; a refusal is no answer, unless the file's answers are worded as one."""
        line = self.first_line(response).rstrip()
        value = line.strip()
        says_something = any(map(str.isalnum, value)) or value in self._without_words
        if not says_something or (declines(value) and not self._answers_decline):
            return Parsed(None, len(response))
        return Parsed(value, len(line))

    def score(
        self, data: TaskData, answers: ReadAnswers, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The main score `right` is 1 or 0, and 0 for an unparseable response."""
        rows = [_own(item).row for item in data.items]
        is_right = _IS_RIGHT[options["scoring"]]
        right = [
            value is not None and is_right(row, value, self._known)
            for row, value in zip(rows, answers.parsed, strict=True)
        ]
        scores: dict[str, Array] = {"right": np.array(right, dtype=float)}
        if options["scoring"] == "number":
            scores["absolute_error"] = np.array(list(map(_absolute_error, rows, answers.parsed)))
        scores["answer_logprob"] = answers.logprobs[:, 0]
        if all(row.candidates for row in self.file.queries):
            margin = answers.logprobs[:, 0] - np.nanmax(answers.logprobs[:, 1:], axis=1)
            scores |= {"logprob_margin": margin, "prefers_right": (margin > 0).astype(float)}
        return scores


def title_of(name: str) -> str:
    """A name as a title."""
    text = name.replace("_", " ").strip()
    return f"{text[:1].upper()}{text[1:]}"


def _titles(labels: Mapping[str, Any]) -> dict[str, str]:
    hypotheses = {
        hypothesis(name, kind): f"Same {name.replace('_', ' ')}" if kind == "text" else f"{title_of(name)} similarity"
        for name, kind in labels.items()
    }
    return {
        **{name: title_of(name) for name in labels},
        **hypotheses,
        "right": "Right answers (share)",
        "absolute_error": "Absolute error",
        "answer_logprob": "Log-probability of the right answer (nats)",
        "logprob_margin": "Log-probability, right minus best wrong candidate (nats)",
        "prefers_right": "Right answer more probable than every wrong candidate (share)",
        "query_words": "Words of the query",
        "answer_words": "Words of the answer",
        "row": "Row of the file",
    }


def _max_new_tokens(rows: Sequence[Row]) -> dict[PromptStyle, int]:
    longest = max(len(spelling) for row in rows for spelling in row.right)
    plain = max(8, longest // CHARACTERS_A_TOKEN)
    return {"plain": plain, "chat": plain + 24}


def _own(item: Item) -> OwnItem:
    assert isinstance(item, OwnItem)
    return item


def _candidates(row: Row) -> tuple[str, ...]:
    return tuple(row.followed_by(answer) for answer in (row.answer, *row.candidates))


def _label(rows: Sequence[Row], name: str, kind: str) -> Array:
    """(n,) numbers with NaN, or texts with "", where a row has none."""
    if kind == "number":
        return np.array([float(row.labels.get(name, np.nan)) for row in rows])
    return np.array([str(row.labels.get(name, "")) for row in rows])


def _factor(levels: Sequence[str | float]) -> Array:
    """(n,) levels as texts; numbers of many values stay numbers."""
    is_number = not isinstance(levels[0], str) and len(set(levels)) > MOST_LEVELS
    return np.array(levels, dtype=float) if is_number else np.array([str(level) for level in levels])


def _units(rows: Sequence[Row]) -> dict[str, Array]:
    """The factor of units, none where rows are no copies."""
    return {} if rows[0].unit is None else {UNIT: np.array([str(row.unit) for row in rows])}


def _groups(rows: Sequence[Row], label: str) -> Array:
    """(n,) the rows' groups for a label, their ids where the file gives none."""
    return np.array([row.id if (group := row.group_for(label)) is None else group for row in rows])


def _hypothesis(values: Array) -> Array:
    """(n, n) similarity of numbers or sameness of texts, NaN beside a missing value."""
    if values.dtype.kind == "f":
        return similarity(values)
    return sameness(values, missing=values == "")


def _showable(file: TaskFile, asked: Sequence[Row]) -> tuple[Row, ...]:
    """Rows that were made from nothing that an asked row was made from."""
    ids = {row.id for row in asked}
    sources = set().union(*(row.sources for row in asked))
    return tuple(row for row in file.marked or file.queries if row.id not in ids and not row.sources & sources)


@dataclass(frozen=True)
class _Arranged:
    """The rows of a pool in the order in which they are shown, and those set aside for their answers."""

    rows: tuple[Row, ...]
    donors: tuple[Row, ...]


@lru_cache(maxsize=32)
def _arranged(pool: Pool, seed: int) -> _Arranged:
    """Rows with answers of their own are set aside first, so that every shown row finds another's answer."""
    order = [pool.rows[index] for index in generator("own demonstrations", seed).permutation(len(pool.rows))]
    first: dict[str, Row] = {}
    for row in reversed(order):
        first.setdefault(form(row.answer), row)
    ids = {row.id for row in first.values()}
    by_answer = [*first.values(), *(row for row in reversed(order) if row.id not in ids)]
    donors = by_answer[: max(2, len(order) // DONORS)]
    ids = {row.id for row in donors}
    return _Arranged(tuple(row for row in order if row.id not in ids), tuple(donors))


@lru_cache(maxsize=64)
def _shown(pool: Pool, kind: str, seed: int, k: int) -> tuple[Segment, ...]:
    arranged = _arranged(pool, seed)
    way = _KINDS[kind]
    rows = arranged.rows if way.needs_donors else (*arranged.rows, *arranged.donors)
    if k > len(rows):
        kept = " (others are set aside for their answers)" if way.needs_donors and arranged.donors else ""
        raise SpecError(
            f"k = {k} needs as many rows to show, and there are {len(rows)}{kept}: no row that is asked, and none of "
            "its groups, is shown.",
            f"Take k <= {len(rows)}; for more, mark rows with use = demonstration, or take fewer items.",
        )
    answers = way.answers(rows[:k], arranged, seed)
    return tuple(_solved(row, answer) for row, answer in zip(rows, answers, strict=False))


def _solved(row: Row, answer: str) -> Segment:
    return example(row.query, row.followed_by(answer), OwnTask.example_end)


def _correct(rows: Sequence[Row], arranged: _Arranged, seed: int) -> list[str]:
    return [row.answer for row in rows]


def _shuffled(rows: Sequence[Row], arranged: _Arranged, seed: int) -> list[str]:
    """Each the answer of a row that is never shown, in turn, passing over those that are right."""
    return [_other_answer(row, arranged.donors, turn) for turn, row in enumerate(rows)]


def _other_answer(row: Row, donors: Sequence[Row], turn: int) -> str:
    right = {form(spelling) for spelling in row.right}
    for step in range(len(donors)):
        answer = donors[(turn + step) % len(donors)].answer
        if form(answer) not in right:
            return answer
    raise SpecError(
        f"No row has an answer that is wrong for {row.id!r}.", "Give rows with other answers, or take another kind."
    )


def _distractor(rows: Sequence[Row], arranged: _Arranged, seed: int) -> list[str]:
    """Each the row's first wrong candidate that stands in its query."""
    return [_in_its_text(row) for row in rows]


def _in_its_text(row: Row) -> str:
    known = Phrases((*row.right, *row.candidates))
    for candidate in row.candidates:
        if mention(row.query, (candidate,), known):
            return candidate
    raise SpecError(
        f"No wrong candidate of {row.id!r} stands in its query.", "Give candidates from the text, or take shuffled."
    )


def _random(rows: Sequence[Row], arranged: _Arranged, seed: int) -> list[str]:
    """Answers drawn at random from all that rows of the pool have, the right one among them."""
    answers = list({alike(row.answer): row.answer for row in (*arranged.rows, *arranged.donors)}.values())
    rng = generator("own random", seed)
    return [answers[int(rng.integers(len(answers)))] for _ in rows]


def _contrastive(rows: Sequence[Row], arranged: _Arranged, seed: int) -> list[str]:
    """The right answer beside the row's first wrong candidate, or beside another row's answer."""
    return [
        contrast(row.answer, row.candidates[0] if row.candidates else _other_answer(row, arranged.donors, turn))
        for turn, row in enumerate(rows)
    ]


@dataclass(frozen=True)
class _Way:
    """How a kind of demonstrations answers its rows, and whether it takes answers of rows set aside for that."""

    answers: Callable[[Sequence[Row], _Arranged, int], list[str]]
    needs_donors: bool


_KINDS: Mapping[str, _Way] = {
    "correct": _Way(_correct, False),
    "shuffled": _Way(_shuffled, True),
    "distractor": _Way(_distractor, False),
    "random": _Way(_random, False),
    "contrastive": _Way(_contrastive, True),
}


def _has_words(row: Row, value: str, known: Phrases) -> bool:
    wrong = {f"wrong {text}": (text,) for text in row.candidates}
    return given(value, {"right": row.right, **wrong}, known) == "right"


def _is_the_answer(row: Row, value: str, known: Phrases) -> bool:
    return form(value) in {form(spelling) for spelling in row.right}


def _is_the_number(row: Row, value: str, known: Phrases) -> bool:
    number = number_in(value)
    right = [number_in(spelling) for spelling in row.right]
    return number is not None and any(one is not None and math.isclose(number, one, abs_tol=1e-9) for one in right)


def _absolute_error(row: Row, value: str | None) -> float:
    """The distance to the answer, NaN where the response has no number."""
    number, right = number_in(value or ""), number_in(row.answer)
    return math.nan if number is None or right is None else abs(number - right)


_IS_RIGHT: Mapping[str, Callable[[Row, str, Phrases], bool]] = {
    "words": _has_words,
    "exact": _is_the_answer,
    "number": _is_the_number,
}
"""Way of scoring -> whether a parsed response is right; told which answers the file knows."""
