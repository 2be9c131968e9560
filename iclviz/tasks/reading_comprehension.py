"""Reading comprehension: statements "NAME is ACTIVITY.", then a question about one name (science.md, task 2).

Each set of statements is asked about each of its names, so every statement is relevant equally often at every
position. Demonstrations are solved examples over other names and activities, shared by all items; within the query
the answering statement is `relevant`, the others are `irrelevant`.

Beside these composite prompts there are simple ones, of one statement and no question: for each composite item the
statement that answers it ("simple_same"), or that activity with a name from outside the set ("simple_other"). Item by
item they belong together, so the simple prompts of a set are the right one and the distractors' of each of its items.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import perm
from typing import Any

import numpy as np

from iclviz.errors import SpecError
from iclviz.spans import Segment
from iclviz.spec import Demonstrations
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
)

# fmt: off
NAMES = (
    "Mary", "John", "Anna", "Peter", "Laura", "Tom", "Emma", "Paul", "Alice", "David", "Julia", "Mark", "Sarah",
    "James", "Linda", "Robert", "Kate", "Daniel", "Susan", "George", "Helen", "Frank", "Nina", "Oscar", "Ruth",
    "Victor", "Clara", "Simon", "Diana", "Henry", "Eva", "Martin",
)
ACTIVITIES = (
    "reading", "cooking", "swimming", "painting", "singing", "sleeping", "running", "writing", "dancing",
    "fishing", "cleaning", "drawing", "eating", "walking", "talking", "driving", "laughing", "jumping",
    "shopping", "skating", "climbing", "sewing", "studying", "waiting", "gardening", "knitting", "hiking",
    "sailing", "typing", "camping", "boxing", "cycling",
)
# fmt: on
_NO_ACTIVITY = "(?:(?:any|every|no|some)?th|do|be|go|hav|dur|accord|follow|mean|morn|even|k|r|s|br|spr|str|w)ing"
ACTIVITY = re.compile(rf"(?<!\bnot )(?<!n't )\b(?!{_NO_ACTIVITY}\b)[a-z]+ing\b", re.IGNORECASE)
"""A word in -ing that can be what somebody does, and is not denied."""
MOST_NAMES = 16
POOL_SIZE = 8
"""Activities kept out of every statement: the fixed pool from which shuffled answers come."""

QUESTION_FORMS: Mapping[str, tuple[str, str]] = {
    "short": ("\nQ: What is {name} doing?\nA:", " {activity}"),
    "long": ("\nQuestion: What is {name} doing?\nAnswer: {name} is", " {activity}"),
}
"""Question form -> (question after the statements, answer)."""


@dataclass(frozen=True)
class Statement:
    """NAME is ACTIVITY."""

    name: str
    activity: str

    def __str__(self) -> str:
        return f"{self.name} is {self.activity}."


@dataclass(frozen=True)
class StatementsItem(Item):
    """One set of statements asked about one of its names; `position` counts from 0."""

    statements: tuple[Statement, ...]
    position: int

    @property
    def asked(self) -> Statement:
        """The statement that answers."""
        return self.statements[self.position]


PROMPTS: Mapping[str, str] = {
    "composite": "several statements and a question",
    "simple_same": "the answering statement alone",
    "simple_other": "the answering activity alone, with a name from outside the set",
}
"""What a query holds."""


class ReadingComprehension(Task):
    """Say what a named person is doing, from statements about several."""

    name = "reading_comprehension"
    title = "Reading comprehension"
    description = "Statements about what people are doing, then a question about one of them."
    version = 4
    foreign_task = "linear_regression"
    primary = PrimaryAnalysis("query_mean", "cosine", "same_answer", "answer", "right")
    instructions = {"plain": "", "chat": "Answer the last question with one word."}
    outcomes, no_outcome, has_statements = (("right", "right"),), "wrong", True
    role_titles = {"relevant": "asked statement", "irrelevant": "other statements"}
    hypothesis_labels = {"same_answer": "answer", "same_name": "name"}
    titles = {
        "name": "Asked name",
        "answer": "Answer activity",
        "position": "Position of the relevant statement",
        "same_answer": "Same answer activity",
        "same_name": "Same asked name",
        "right": "Right answers (share)",
        "answer_logprob": "Log-probability of the right answer (nats)",
        "logprob_margin": "Log-probability, right minus best distractor (nats)",
        "prefers_right": "Right answer more probable than every distractor (share)",
    }
    options = (
        Option(
            "prompts",
            "Prompts",
            "choice",
            "composite",
            f"{'; '.join(f'{name}: {text}' for name, text in PROMPTS.items())}.",
            choices=tuple(PROMPTS),
        ),
        Option("statements", "Statements", "integer", 2, "Statements in each query.", 2, 8),
        Option(
            "question_form",
            "Question",
            "choice",
            "short",
            "short: Q: What is NAME doing? A:; long: Question: … Answer: NAME is.",
            choices=tuple(QUESTION_FORMS),
        ),
        Option(
            "position",
            "Relevant statement",
            "choice",
            "balanced",
            "balanced: each set is asked about each of its names; first or last: only about that one.",
            choices=("balanced", "first", "last"),
        ),
        Option("names", "Names", "integer", 8, "Names that queries are about.", 2, MOST_NAMES),
        Option("activities", "Activities", "integer", 8, "Activities that queries are about.", 2, MOST_NAMES),
    )

    def check_items(self, n_items: int, options: Mapping[str, Any]) -> None:
        """Sets of statements have names and activities enough, and no two sets are the same."""
        size, names, activities = options["statements"], options["names"], options["activities"]
        if size > min(names, activities):
            raise SpecError(
                f"{size} statements need as many different names and activities, and there are "
                f"{min(names, activities)}.",
                f"Take statements <= {min(names, activities)}, or more names and activities.",
            )
        n_sets = _n_sets(n_items, options)
        # A quarter of all sets, so that drawing sets that differ stays quick.
        most = perm(names, size) * perm(activities, size) // 4
        if n_sets > most:
            raise SpecError(
                f"n_items = {n_items} needs {n_sets} sets of statements, and there are {most}.",
                f"Take n_items <= {most * len(_positions(options))}, or more names and activities.",
            )

    def data(self, n_items: int, seed: int, options: Mapping[str, Any]) -> TaskData:
        """Sets of statements, each asked about its names; names and activities used equally often."""
        self.check_items(n_items, options)
        sets = _sets(n_items, seed, options)
        positions = _positions(options)
        build = _item if options["prompts"] == "composite" else _simple_item
        items = [build(statements, position, options) for statements in sets for position in positions][:n_items]
        answers = np.array([item.asked.activity for item in items])
        names = np.array([item.asked.name for item in items])
        position = np.array([item.position + 1 for item in items])
        group = np.array([_set_name(item.statements) for item in items])
        of_a_set = ("name", "answer", "position", "same_answer", "same_name")
        return TaskData(
            items=items,
            labels={"name": names, "answer": answers, "position": position},
            groups=dict.fromkeys(of_a_set, group),
            hypotheses={"same_answer": sameness(answers), "same_name": sameness(names)},
            factors={"position": position.astype(str)},
        )

    def chance(self, options: Mapping[str, Any]) -> dict[str, float]:
        """Naming any statement's activity is right once in as many as there are."""
        if options["prompts"] != "composite":
            return {}
        return dict.fromkeys(("right", "prefers_right"), 1 / options["statements"])

    def examples(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> tuple[Segment, ...]:
        """K solved examples over names and activities that no query uses, the same for every item."""
        examples = _examples(demonstrations.seed, options["statements"], demonstrations.k)
        answers = _ANSWERS[demonstrations.kind](examples, demonstrations.seed)
        return tuple(
            _solved(example, answer, options["question_form"])
            for example, answer in zip(examples, answers, strict=True)
        )

    def solved_example(self, rng: np.random.Generator) -> Segment:
        """Two statements, a question and its right answer."""
        drawn = _example(rng, 2)
        return _solved(drawn, drawn.asked.activity, "short")

    def parse(self, response: str) -> Parsed:
        """The first activity (a word in -ing) of the response's first line."""
        found = ACTIVITY.search(self.first_line(response))
        return Parsed(found.group().lower(), found.end()) if found else Parsed(None, len(response))

    def score(
        self, data: TaskData, answers: ReadAnswers, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The main score `right` is 1 or 0, and 0 for an unparseable response."""
        right = np.array([value == item.answer for value, item in zip(answers.parsed, data.items, strict=True)])
        margin = answers.logprobs[:, 0] - np.nanmax(answers.logprobs[:, 1:], axis=1)
        return {
            "right": right.astype(float),
            "answer_logprob": answers.logprobs[:, 0],
            "logprob_margin": margin,
            "prefers_right": (margin > 0).astype(float),
        }


def _positions(options: Mapping[str, Any]) -> list[int]:
    last = options["statements"] - 1
    return {"balanced": list(range(last + 1)), "first": [0], "last": [last]}[options["position"]]


def _n_sets(n_items: int, options: Mapping[str, Any]) -> int:
    return -(-n_items // len(_positions(options)))


def _sets(n_items: int, seed: int, options: Mapping[str, Any]) -> list[tuple[Statement, ...]]:
    """Different sets of statements, names and activities of each set distinct, all used about equally often."""
    size, names, activities = options["statements"], options["names"], options["activities"]
    n_sets = _n_sets(n_items, options)
    rng = generator("sets", seed)
    chosen_names = _balanced_rows(n_sets, size, names, rng)
    chosen_activities = _balanced_rows(n_sets, size, activities, rng)
    _make_distinct(chosen_names, chosen_activities, rng)
    return [
        tuple(Statement(NAMES[a], ACTIVITIES[b]) for a, b in zip(*chosen, strict=True))
        for chosen in zip(chosen_names, chosen_activities, strict=True)
    ]


def _balanced_rows(n_rows: int, size: int, n_values: int, rng: np.random.Generator) -> Array:
    """(n_rows, size) values, each row's different, each column holding every value about equally often.

    Balance holds over all rows at once: drawing in cycles would let no two sets of a cycle share a value, a pattern
    that names and activities would have in common and that no permutation of sets keeps.
    """
    from scipy.optimize import linear_sum_assignment  # here: the first page waits for the list of tasks

    rows = np.empty((n_rows, 0), dtype=int)
    while rows.shape[1] < size:
        values = np.concatenate([np.tile(np.arange(n_values), n_rows // n_values), rng.permutation(n_values)])[:n_rows]
        taken = (rows[:, :, None] == values).any(axis=1)
        row, place = linear_sum_assignment(rng.random((n_rows, n_rows)) + n_rows * taken)
        if not taken[row, place].any():
            rows = np.column_stack([rows, values[place]])
    return rows


def _make_distinct(names: Array, activities: Array, rng: np.random.Generator) -> None:
    """Exchange rows of activities until no two sets are the same."""
    while True:
        first = np.unique(np.column_stack([names, activities]), axis=0, return_index=True)[1]
        repeated = np.setdiff1d(np.arange(len(names)), first)
        if not len(repeated):
            return
        for row in repeated:
            other = int(rng.integers(len(names)))
            activities[[row, other]] = activities[[other, row]]


def _set_name(statements: tuple[Statement, ...]) -> str:
    return " ".join(str(statement) for statement in statements)


def _item(statements: tuple[Statement, ...], position: int, options: Mapping[str, Any]) -> StatementsItem:
    asked = statements[position]
    question, answer = QUESTION_FORMS[options["question_form"]]
    pieces = [
        Segment("relevant" if index == position else "irrelevant", f"{' ' if index else ''}{statement}")
        for index, statement in enumerate(statements)
    ]
    activities = [asked.activity, *(other.activity for other in statements if other != asked)]
    return StatementsItem(
        id=f"{_set_name(statements)} {asked.name}?",
        query=(*pieces, Segment("question", question.format(name=asked.name))),
        answer=asked.activity,
        candidates=tuple(answer.format(activity=activity) for activity in activities),
        statements=statements,
        position=position,
    )


def _simple_item(statements: tuple[Statement, ...], position: int, options: Mapping[str, Any]) -> StatementsItem:
    """The composite item's simple prompt: one statement, no question."""
    composite = _item(statements, position, options)
    asked = composite.asked
    name = asked.name if options["prompts"] == "simple_same" else _outside_name(statements, position, options)
    return replace(composite, query=(Segment("relevant", str(Statement(name, asked.activity))),))


def _outside_name(statements: tuple[Statement, ...], position: int, options: Mapping[str, Any]) -> str:
    """A name of the queries that the set does not have, another for each of its statements."""
    names = NAMES[: max(options["names"], 2 * options["statements"])]
    outside = [name for name in names if name not in {statement.name for statement in statements}]
    return str(generator("outside name", _set_name(statements)).permutation(outside)[position])


@dataclass(frozen=True)
class _Example:
    statements: tuple[Statement, ...]
    position: int

    @property
    def asked(self) -> Statement:
        return self.statements[self.position]


def _example(rng: np.random.Generator, size: int, position: int | None = None) -> _Example:
    names = rng.choice(NAMES[MOST_NAMES:], size, replace=False)
    activities = rng.choice(ACTIVITIES[MOST_NAMES:-POOL_SIZE], size, replace=False)
    statements = tuple(Statement(str(name), str(activity)) for name, activity in zip(names, activities, strict=True))
    drawn = int(rng.integers(size))
    return _Example(statements, drawn if position is None else position)


@lru_cache(maxsize=32)
def _examples(seed: int, size: int, k: int) -> list[_Example]:
    """K examples that ask about each position equally often, as far as k goes: else a set would teach to name the
    first, or the second.
    """
    rng, order = generator("examples", seed), generator("positions", seed)
    rounds = -(-k // size)
    positions = [int(position) for _ in range(rounds) for position in order.permutation(size)]
    return [_example(rng, size, position) for position in positions[:k]]


def _solved(shown: _Example, answer: str, form: str) -> Segment:
    question, after = QUESTION_FORMS[form]
    before = _set_name(shown.statements) + question.format(name=shown.asked.name)
    return example(before, after.format(activity=answer), "\n\n")


def _correct(examples: list[_Example], seed: int) -> list[str]:
    return [example.asked.activity for example in examples]


def _shuffled(examples: list[_Example], seed: int) -> list[str]:
    """Each the answer of another example from a pool whose activities no shown statement has."""
    pool = ACTIVITIES[-POOL_SIZE:]
    order = generator("shuffled", seed).permutation(len(pool))
    return [pool[order[index % len(pool)]] for index in range(len(examples))]


def _distractor(examples: list[_Example], seed: int) -> list[str]:
    """Each the activity of another statement of the same example, the one after its own."""
    return [example.statements[(example.position + 1) % len(example.statements)].activity for example in examples]


def _random(examples: list[_Example], seed: int) -> list[str]:
    """Answers drawn at random from all activities that demonstrations can have."""
    pool = ACTIVITIES[MOST_NAMES:]
    rng = generator("random", seed)
    return [pool[int(rng.integers(len(pool)))] for _ in examples]


def _contrastive(examples: list[_Example], seed: int) -> list[str]:
    wrong = _shuffled(examples, seed)
    return [contrast(right, other) for right, other in zip(_correct(examples, seed), wrong, strict=True)]


_ANSWERS = {
    "correct": _correct,
    "shuffled": _shuffled,
    "distractor": _distractor,
    "random": _random,
    "contrastive": _contrastive,
}
"""Demonstration kind -> the answer of every example."""
