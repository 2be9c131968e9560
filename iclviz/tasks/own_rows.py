"""The rows of a user's own task: what a row holds, and what must be true of one row and of all rows together.

Rows come as tables that fit `own_task.schema.json`. What a schema cannot say is checked here: that relevant and
irrelevant text stands in the query once, that no row repeats another, that a label is of one kind, that groups can be
held out, that answers can be scored.

Texts that look alike are one (`spelling`): two spellings of a group, a label's value, a level or an answer count as the
one that stands first, are named, and are shown as they were written.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from typing import Any, Literal

from iclviz.contrasts import UNIT
from iclviz.errors import TaskFileError
from iclviz.spans import Role, Segment
from iclviz.spec import digest
from iclviz.tasks.doubles import near_copies
from iclviz.tasks.matching import normalise
from iclviz.tasks.spelling import alike

LabelKind = Literal["text", "number"]
Scoring = Literal["words", "exact", "number"]

DIGEST_DIGITS = 16
LONGEST_ID = 80
SHOWN = 60
"""Characters of a wrong value that its problem repeats."""
MOST_PROBLEMS = 5
"""Problems of a file that its error tells in full."""

TAKEN = frozenset(
    {
        *("right", "answer_logprob", "logprob_margin", "prefers_right", "absolute_error"),
        *("query_words", "answer_words", "row", "prompt_tokens", "query_tokens", "response_tokens"),
    }
)
"""Names of scores and covariates, which no label can have."""

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line of a file, counted from 1, and what to do about it."""

    line: int
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.text} {self.remedy}"


def refusal(name: str, problems: Iterable[Problem]) -> TaskFileError:
    """The error of a file with these problems: the first ones in full, and how many more there are."""
    found = sorted(problems, key=lambda problem: problem.line)
    if len(found) == 1:
        return TaskFileError(f"{name}, line {found[0].line}: {found[0].text}", found[0].remedy)
    more = [f"And {len(found) - MOST_PROBLEMS:,} more."] if len(found) > MOST_PROBLEMS else []
    lines = [f"{name} has {len(found):,} mistakes.", *map(str, found[:MOST_PROBLEMS]), *more]
    return TaskFileError("\n".join(lines))


def shown(value: Any) -> str:
    """A wrong value as problems repeat it."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


@dataclass(frozen=True)
class Row:
    """One row of a file.

    Attributes
    ----------
    accepted: other spellings of the answer.
    candidates: wrong answers.
    labels: name -> text or number; a missing one is left out.
    factors: name of a design factor -> the row's level, text or number.
    group, groups: the row's group for every label, and by label; the latter counts first.
    unit: what the row is a copy of, together with others: it stands for its group where no group is given.
    relevant, irrelevant: parts of the query.
    """

    id: str
    query: str
    answer: str
    accepted: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    labels: Mapping[str, str | float] = field(default_factory=dict)
    factors: Mapping[str, str | float] = field(default_factory=dict)
    group: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    relevant: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()
    use: str = "query"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Row":
        """The row of a table that fits the schema."""
        labels = {name: _label(value) for name, value in values.get("labels", {}).items()}
        return cls(
            id=_words(values["id"]) if "id" in values else default_id(values["query"]),
            query=values["query"],
            answer=_words(values["answer"]),
            accepted=tuple(map(_words, values.get("accepted", ()))),
            candidates=tuple(map(_words, values.get("candidates", ()))),
            labels={name: value for name, value in labels.items() if value != ""},
            factors={name: _label(value) for name, value in values.get("factors", {}).items()},
            group=_words(values["group"]) if "group" in values else None,
            groups={name: _words(value) for name, value in values.get("groups", {}).items()},
            unit=_words(values["unit"]) if "unit" in values else None,
            relevant=_parts(values.get("relevant", ())),
            irrelevant=_parts(values.get("irrelevant", ())),
            use=values.get("use", "query"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The table that `of` makes the same row from; what a row does not have is left out."""
        return {name: _plain(value) for name, value in vars(self).items() if value}

    @property
    def right(self) -> tuple[str, ...]:
        """Every spelling of the right answer."""
        return (self.answer, *self.accepted)

    def followed_by(self, answer: str) -> str:
        """An answer as it follows the query."""
        return answer if self.query[-1].isspace() else f" {answer}"

    def group_for(self, label: str) -> str | None:
        """The row's group for a label, None where the file gives none."""
        return self.groups.get(label, self.unit if self.group is None else self.group)

    @property
    def sources(self) -> set[tuple[str, str]]:
        """Everything that the row was made from: its groups with the labels that they are for."""
        whole = [(name, value) for name, value in (("", self.group), ("unit", self.unit)) if value is not None]
        return {*self.groups.items(), *whole}

    @property
    def named(self) -> Iterator[tuple[str, str]]:
        """The row's texts that name something, each with what it names."""
        yield from (("group", group) for group in (self.group, *self.groups.values()) if group is not None)
        yield from (("unit", unit) for unit in (self.unit,) if unit is not None)
        for kind, table in (("label", self.labels), ("factor", self.factors)):
            yield from ((f"{kind} {name}", value) for name, value in table.items() if isinstance(value, str))
        yield from (("answer", text) for text in (*self.right, *self.candidates))

    def respelled(self, spell: Callable[[str, str], str]) -> "Row":
        """The row with its groups, labels and factors as `spell` writes them, told what they name; the text that the
        model reads stays.
        """

        def table(kind: str, values: Mapping[str, Any], by_name: bool = True) -> dict[str, Any]:
            return {
                name: spell(f"{kind} {name}" if by_name else kind, value) if isinstance(value, str) else value
                for name, value in values.items()
            }

        return replace(
            self,
            group=None if self.group is None else spell("group", self.group),
            groups=table("group", self.groups, by_name=False),
            unit=None if self.unit is None else spell("unit", self.unit),
            labels=table("label", self.labels),
            factors=table("factor", self.factors),
        )

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The query, cut at the borders of its relevant and irrelevant parts."""
        pieces, end = [], 0
        for start, stop, role in sorted(self._places()):
            pieces += [Segment("question", self.query[end:start]), Segment(role, self.query[start:stop])]
            end = stop
        return tuple(piece for piece in (*pieces, Segment("question", self.query[end:])) if piece.text)

    def _places(self) -> Iterator[tuple[int, int, Role]]:
        parts: list[tuple[Role, tuple[str, ...]]] = [("relevant", self.relevant), ("irrelevant", self.irrelevant)]
        for role, texts in parts:
            for text in texts:
                start = self.query.index(text)
                yield start, start + len(text), role

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the row by itself, and what to do about it."""
        yield from _misplaced(self.query, [("relevant", text) for text in self.relevant])
        yield from _misplaced(self.query, [("irrelevant", text) for text in self.irrelevant])
        if all(self.query.count(text) for text in (*self.relevant, *self.irrelevant)):
            yield from _overlapping(self)
        for kind, text in (("id", self.id), ("query", self.query), *self.named):
            if not alike(text):
                yield f"{kind} = {text!a} has no character that can be seen.", "Write one, or leave it out."
        forms = {form(spelling) for spelling in self.right}
        for place, candidate in enumerate(self.candidates):
            if form(candidate) in forms:
                yield f"candidates = {shown(candidate)} is the right answer.", "Give wrong answers as candidates."
            elif form(candidate) in map(form, self.candidates[:place]):
                yield f"candidates = {shown(candidate)} stands there twice.", "Give it once."


def _words(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _label(value: Any) -> str | float:
    if value is None or isinstance(value, str):
        return (value or "").strip() if alike(value or "") else ""
    return float(value)


def _parts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def default_id(query: str) -> str:
    """A row's id where the file gives none: its query, shortened where it is long."""
    line = " ".join(query.split())
    return line if len(line) <= LONGEST_ID else f"{line[: LONGEST_ID - 10].rstrip()}… {digest(query)[:8]}"


def _misplaced(query: str, parts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, text in parts:
        start = query.find(text)
        if start < 0:
            yield (
                f"{name} = {shown(text)} does not stand in the query.",
                "Copy the text from the query, blanks included.",
            )
        elif query.find(text, start + 1) >= 0:
            yield (
                f"{name} = {shown(text)} stands in the query more than once.",
                "Give a longer part that stands there once.",
            )


def _overlapping(row: Row) -> Iterator[tuple[str, str]]:
    for (first, stop, _), (start, end, role) in pairwise(sorted(row._places())):
        if start < stop:
            text, other = row.query[start:end], row.query[first:stop]
            yield f"{role} = {shown(text)} overlaps with {shown(other)}.", "Give parts that share no character."


def has_words(text: str) -> bool:
    """Whether a text has letters or digits, by which it can be looked for among others."""
    return any(map(str.isalnum, text))


def form(answer: str) -> str:
    """The form in which answers are compared; one of punctuation alone is compared as it is."""
    return normalise(answer) or alike(answer)


def number_in(text: str) -> float | None:
    """The first number of a text, None where there is none."""
    found = next((word for word in normalise(text).split() if NUMBER.fullmatch(word)), None)
    # A number of hundreds of digits is infinite as a float.
    return float(found) if found and abs(float(found)) < float("inf") else None


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else."""
    return NUMBER.fullmatch(normalise(text)) is not None and number_in(text) is not None


def wrong_scoring(row: Row, scoring: str) -> str | None:
    """Why a row's answer cannot be scored in this way, or None."""
    if scoring == "number" and not all(map(is_number, row.right)):
        return f"answer = {shown(row.answer)} is not a number."
    if scoring == "words" and not all(map(has_words, row.right)):
        return f"answer = {shown(row.answer)} has no letters or digits to look for."
    return None


SCORING_REMEDY: Mapping[str, str] = {
    "number": "Take scoring = words or exact.",
    "words": "Take scoring = exact.",
    "exact": "",
}


def default_scoring(rows: Iterable[Row]) -> Scoring:
    """Numbers where all answers are numbers, words where they have letters or digits, else whole answers."""
    spellings = [spelling for row in rows for spelling in row.right]
    if all(map(is_number, spellings)):
        return "number"
    return "words" if all(map(has_words, spellings)) else "exact"


@dataclass(frozen=True)
class TwoSpellings:
    """Two texts that look alike: what they name, and the ids of the rows that write them so."""

    kind: str
    first: str
    other: str
    rows: tuple[str, str]

    def __str__(self) -> str:
        places = " and ".join(map(shown, self.rows)) if self.rows[0] != self.rows[1] else shown(self.rows[0])
        return f"{self.kind} {self.first!r} is written in two ways that look alike, in {places}: both are one."


class Spellings:
    """The texts of rows that name something, by how they look."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._first: dict[tuple[str, str], tuple[str, str]] = {}
        found: dict[tuple[str, str], TwoSpellings] = {}
        for row in rows:
            for kind, text in row.named:
                first, where = self._first.setdefault((kind, alike(text)), (text, row.id))
                if first != text:
                    found.setdefault((kind, text), TwoSpellings(kind, first, text, (where, row.id)))
        self.twice = tuple(found.values())

    def spell(self, kind: str, text: str) -> str:
        """The text as it is written first."""
        return self._first[kind, alike(text)][0]


WORDS = ("right", "wrong", "unit")
"""What a file may call its answers."""


@dataclass(frozen=True, eq=False)
class TaskFile:
    """A task as its file says it, checked.

    Attributes
    ----------
    name: the file's name without ending; not part of the content.
    called: the name under which the content was given last, its title where it has none; no part of the content either.
    title, description: "" where the file gives none.
    labels: name -> its kind, the one of the primary analysis first.
    right, wrong: what readers call answers that are and are not as asked; unit: of answers that are numbers. "" where
        the file gives none.
    """

    name: str
    title: str
    description: str
    instruction: str
    scoring: Scoring
    labels: Mapping[str, LabelKind]
    rows: tuple[Row, ...]
    right: str = ""
    wrong: str = ""
    unit: str = ""
    called: str = ""

    @cached_property
    def content(self) -> dict[str, Any]:
        """Everything that makes the task what it is, as plain JSON values."""
        head = {
            "title": self.title,
            "description": self.description,
            "instruction": self.instruction,
            "scoring": self.scoring,
            "labels": list(self.labels),
        }
        # Files without words of their own stay the tasks that they were.
        words = {name: value for name in WORDS if (value := getattr(self, name))}
        return {**head, **words, "items": [row.to_dict() for row in self.rows]}

    @cached_property
    def digest(self) -> str:
        """The same for the same content, wherever the file lies and whatever its form."""
        return digest(self.content)[:DIGEST_DIGITS]

    @property
    def task_name(self) -> str:
        """The name of the task in specs."""
        return f"{self.name}@{self.digest}"

    @cached_property
    def spellings(self) -> Spellings:
        """How what rows name is written."""
        return Spellings(self.rows)

    @cached_property
    def _one_spelling(self) -> tuple[Row, ...]:
        return tuple(row.respelled(self.spellings.spell) for row in self.rows)

    @cached_property
    def queries(self) -> tuple[Row, ...]:
        """Rows that can be asked, what looks alike in one spelling."""
        return tuple(row for row in self._one_spelling if row.use == "query")

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """Names of the design factors, which every query has."""
        return tuple(self.queries[0].factors)

    @cached_property
    def doubles(self) -> tuple[tuple[str, str], ...]:
        """Ids of queries that are nearly the same text and of no common unit: statistics take for two what is one."""
        unit = {row.id: row.unit for row in self.queries}
        pairs = near_copies([(row.id, row.query) for row in self.queries])
        return tuple((one, other) for one, other in pairs if unit[one] is None or unit[one] != unit[other])

    @cached_property
    def marked(self) -> tuple[Row, ...]:
        """Rows that are only for demonstrations, what looks alike in one spelling."""
        return tuple(row for row in self._one_spelling if row.use == "demonstration")


Numbered = Sequence[tuple[int, Row]]
"""Rows with the lines on which they begin."""


def label_kinds(rows: Iterable[Row], order: Iterable[str] = ()) -> dict[str, LabelKind]:
    """The labels of rows with their kinds: those of `order` first, the others as they first occur."""
    kinds: dict[str, LabelKind] = {}
    for row in rows:
        for name, value in row.labels.items():
            kinds.setdefault(name, "text" if isinstance(value, str) else "number")
    named = [name for name in order if name in kinds]
    return {name: kinds[name] for name in dict.fromkeys([*named, *kinds])}


def hypothesis(label: str, kind: LabelKind) -> str:
    """The name of a label's hypothesis."""
    return f"same_{label}" if kind == "text" else f"{label}_similarity"


def problems(rows: Numbered, order: Sequence[str], scoring: str | None) -> list[Problem]:
    """What is wrong with rows that are right one by one.

    order: labels that the file lists; scoring: how the file wants to be scored, None where it does not say.
    """
    spell = Spellings(row for _, row in rows).spell
    rows = [(line, row.respelled(spell)) for line, row in rows]
    checks: tuple[Callable[[Numbered], Iterator[Problem]], ...] = (
        _repeated,
        _names_alike,
        _mixed_labels,
        _taken_names,
        _groups_without_label,
        _missing_factors,
        _wrong_units,
        _missing_groups,
        _labels_that_are_groups,
    )
    found = [problem for check in checks for problem in check(rows)]
    found += _unknown_labels(rows, order)
    found += _unscorable(rows, scoring)
    if sum(row.use == "query" for _, row in rows) < 2:
        found.append(Problem(1, "there are fewer than 2 rows to ask.", "Give 2 query rows or more, better 32."))
    return found


def _repeated(rows: Numbered) -> Iterator[Problem]:
    tables: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("id", lambda row: alike(row.id)),
        ("query", lambda row: alike(row.query)),
    )
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows:
        places = {name: (name, value(row)) for name, value in tables}
        # Rows with one query have one id by default: that is one mistake.
        name = next((name for name in ("query", "id") if places[name] in seen), None)
        if name is not None:
            value, first = shown(getattr(row, name)), seen[places[name]]
            yield Problem(line, f"{name} = {value} stands in line {first} too.", f"Give every row its own {name}.")
        for place in places.values():
            seen.setdefault(place, line)


def _names_alike(rows: Numbered) -> Iterator[Problem]:
    """Names of labels and factors that differ in blanks alone."""
    first: dict[tuple[str, str], str] = {}
    for line, row in rows:
        for kind, table in (("label", {**row.labels, **row.groups}), ("factor", row.factors)):
            for name in table:
                known = first.setdefault((kind, without_blanks(name)), name)
                if known != name:
                    first[kind, without_blanks(name)] = name  # each spelling is told once
                    text = f"the {kind}s {known!r} and {name!r} differ in blanks alone."
                    yield Problem(line, text, "Give both one name.")


def without_blanks(name: str) -> str:
    """A name by which it is told whether two differ in more than blanks."""
    return "".join(name.split())


def _mixed_labels(rows: Numbered) -> Iterator[Problem]:
    first: dict[str, tuple[int, str | float]] = {}
    for line, row in rows:
        for name, value in row.labels.items():
            where, other = first.setdefault(name, (line, value))
            if isinstance(other, str) != isinstance(value, str):
                yield Problem(
                    line,
                    f"label {name} = {shown(value)}, and {shown(other)} in line {where}: one is a number, one is text.",
                    "Give numbers only or text only, and nothing where there is no value.",
                )


def _taken_names(rows: Numbered) -> Iterator[Problem]:
    kinds = label_kinds(row for _, row in rows)
    counts = Counter(chain(kinds, (hypothesis(name, kind) for name, kind in kinds.items()), TAKEN))
    for name in kinds:
        if counts[name] > 1:
            line = next(line for line, row in rows if name in row.labels)
            yield Problem(line, f"the name of the label {name} is taken.", "Give the label another name.")


def _unknown_labels(rows: Numbered, order: Sequence[str]) -> Iterator[Problem]:
    kinds = label_kinds(row for _, row in rows)
    for name in order:
        if name not in kinds:
            yield Problem(1, f"labels names {name!r}, and no row has it.", f"Known: {', '.join(kinds) or 'none'}.")


def _groups_without_label(rows: Numbered) -> Iterator[Problem]:
    kinds = label_kinds(row for _, row in rows)
    for line, row in rows:
        for name in row.groups:
            if name not in kinds:
                known = f"Known labels: {', '.join(kinds) or 'none'}."
                yield Problem(line, f"a group is given for {name!r}, which is no label.", known)


def _labels_with_default(rows: Numbered) -> list[str]:
    return list(label_kinds(row for _, row in rows)) or ["answer"]


def _missing_groups(rows: Numbered) -> Iterator[Problem]:
    asked = [(line, row) for line, row in rows if row.use == "query"]
    bare: set[int] = set()
    for name in _labels_with_default(rows):
        if any(row.group_for(name) is not None for _, row in asked):
            bare |= {line for line, row in asked if row.group_for(name) is None}
    for line in sorted(bare):
        yield Problem(line, "the group is missing, and other rows have one.", "Give every row its group, or none.")


def _missing_factors(rows: Numbered) -> Iterator[Problem]:
    """Every row that is asked has a level of every factor, all levels of one being text or numbers."""
    asked = [(line, row) for line, row in rows if row.use == "query"]
    for name in dict.fromkeys(name for _, row in asked for name in row.factors):
        kinds = {isinstance(row.factors[name], str) for _, row in asked if name in row.factors}
        for line, row in asked:
            if name not in row.factors:
                yield Problem(line, f"the factor {name} is missing.", "Give every row its level, or none.")
            elif len(kinds) > 1 and isinstance(row.factors[name], str):
                value = shown(row.factors[name])
                yield Problem(line, f"factor {name} = {value} is text, and others are numbers.", "Give one of both.")


def _wrong_units(rows: Numbered) -> Iterator[Problem]:
    """Every row that is asked has a unit, if any has, and rows of one unit have the same groups."""
    asked = [(line, row) for line, row in rows if row.use == "query"]
    for line, row in asked:
        if UNIT in row.factors:
            yield Problem(line, f"{UNIT} is no factor.", f"Name the column {UNIT}.")
    if not any(row.unit is not None for _, row in asked):
        return
    first: dict[str, tuple[int, Row]] = {}
    for line, row in asked:
        if row.unit is None:
            yield Problem(line, "the unit is missing, and other rows have one.", "Give every row its unit, or none.")
            continue
        where, other = first.setdefault(alike(row.unit), (line, row))
        if _groups_of(row) != _groups_of(other):
            remedy = "Give all rows of a unit the same groups."
            yield Problem(line, f"its unit {shown(row.unit)} is in another group in line {where}.", remedy)


def _groups_of(row: Row) -> dict[str, str]:
    """The row's groups by label, "" for the one of every label, as they are compared."""
    whole = {} if row.group is None else {"": row.group}
    return {name: alike(group) for name, group in {**whole, **row.groups}.items()}


def _labels_that_are_groups(rows: Numbered) -> Iterator[Problem]:
    """No fold can hold out a group without the label's value, and no permutation of groups changes the hypothesis."""
    kinds = label_kinds(row for _, row in rows)
    for name in [name for name, kind in kinds.items() if kind == "text"] or ([] if kinds else ["answer"]):
        if line := _line_of_label_that_is_group(rows, name, bool(kinds)):
            yield Problem(
                line,
                f"every value of the label {name} is in one group only, so that no group can be held out.",
                "Give groups that share its values, such as what each row was made from, or none.",
            )


def _line_of_label_that_is_group(rows: Numbered, name: str, is_given: bool) -> int | None:
    groups: dict[str | float, list[str]] = defaultdict(list)
    lines = []
    for line, row in rows:
        value, group = row.labels.get(name, "") if is_given else row.answer, row.group_for(name)
        if row.use == "query" and value and group is not None:
            groups[value].append(group)
            lines.append(line)
    alone = all(len(set(found)) == 1 for found in groups.values())
    return lines[0] if alone and any(len(found) > 1 for found in groups.values()) else None


def _unscorable(rows: Numbered, scoring: str | None) -> Iterator[Problem]:
    if scoring is None:
        return
    for line, row in rows:
        if text := wrong_scoring(row, scoring):
            yield Problem(line, text, SCORING_REMEDY[scoring])
