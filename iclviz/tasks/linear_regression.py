"""Linear regression in text: points of a line y = a x + b, then a query x (science.md, task 1).

Lines lie on a grid of slopes x intercepts. A demonstration is a point of the queried line, role `relevant` whatever
was done to its answer; with a distractor line, each is paired with a point of another line, role `irrelevant`, in
seeded order, so that length and distance are equal. k counts the points of the queried line.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from iclviz.errors import SpecError
from iclviz.natural_units import NaturalUnit
from iclviz.points import ItemPoints
from iclviz.spans import Role, Segment
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
    arranged,
    contrast,
    example,
    generator,
    sameness,
    similarity,
)
from iclviz.tasks.numbers import GROUPED, POWER, TEN_TO, digits_alone, exponent

_SIGN = r"(?:[-−–+]|\b(?:minus|negative)\s+)?"
_DIGITS = rf"(?:{GROUPED}|\d+)(?:[.٫]\d+|,\d{{1,2}}(?![\d,]))?|\.\d+"
_UNSIGNED = rf"(?:(?P<ten>{TEN_TO})|(?P<digits>{_DIGITS})(?P<power>{POWER})?)"
_NUMBER = rf"(?P<number>(?P<sign>{_SIGN})(?>{_UNSIGNED}))(?![\d.]*\s*[*×·]?\s*x\b)"
NUMBER = re.compile(_NUMBER)
AT_ONCE = re.compile(rf"\W*?{_NUMBER}(?!\s*(?:->|→|[-+*/×·^=]\s*[\dx(.]))")
"""A number with which a response begins, and no term of a calculation."""
_CALLED = r"(?:=|->|→|≈|\b(?:is|equals|answer|result|be)\b:?)\s*(?:about|around|roughly|approximately)?\W*?"
MARKED = re.compile(_CALLED + _NUMBER, re.IGNORECASE)
"""A number that a response calls its answer."""
ERROR_FLOOR = 0.1
SAME = 1e-9
WORST_SCORE = -2.0

ROW_FORMATS: Mapping[str, tuple[str, str]] = {
    "equations": ("{line}x = {x}, y =", " {y}"),
    "function": ("{name}({x}) =", " {y}"),
    "arrow": ("{line}{x} ->", " {y}"),
    "named": ("{line}hours worked = {x}, pay in dollars =", " {y}"),
}
"""Row format -> (query, answer); `line` is "f: " where a distractor line needs names, else empty."""

NUMBER_FORMATS: Mapping[str, str] = {"plain": "", "padded": "0", "signed": "+"}
"""Number format -> the flag that writes it."""


@dataclass(frozen=True)
class Line:
    """y = slope x + intercept."""

    slope: float
    intercept: float

    def at(self, x: float) -> float:
        """The line's value at x."""
        return self.slope * x + self.intercept

    def __str__(self) -> str:
        sign = "-" if self.intercept < 0 else "+"
        return f"y = {self.slope}x {sign} {abs(self.intercept)}"


@dataclass(frozen=True)
class LineItem(Item):
    """One query x of a line.

    Attributes
    ----------
    own: the queried line.
    distractor: another line of the grid.
    x: the query.
    line_queries: every x that is asked of this line, so that shared points can leave them out.
    """

    own: Line
    distractor: Line
    x: int
    line_queries: tuple[int, ...]


class LinearRegression(Task):
    """Predict y for a query x from in-context points of the same line."""

    name = "linear_regression"
    title = "Linear regression"
    description = "Points of a line y = a·x + b in the prompt, then a query x: the model must infer the line."
    version = 4
    example_end = "\n"
    foreign_task = "reading_comprehension"
    primary = PrimaryAnalysis("query_mean", "cosine", "same_line", "slope", "log_accuracy")
    demonstration_kinds = ("none", "correct", "shuffled", "random", "contrastive", "out-of-domain", "custom")
    instructions = {"plain": "", "chat": "Complete the last line. Answer with the number only."}
    lower_is_better = frozenset(
        {"absolute_error", "least_squares_error", "nearest_point_error", "from_least_squares", "from_nearest_point"}
    )
    role_titles = {"relevant": "points of the line", "irrelevant": "points of another line"}
    natural_units = {"log_accuracy": NaturalUnit("typical error", "negative log", floor=ERROR_FLOOR)}
    hypothesis_labels = {"same_line": "line", "slope_similarity": "slope", "intercept_similarity": "intercept"}
    titles = {
        "line": "Line",
        "slope": "Slope a",
        "intercept": "Intercept b",
        "x": "Query x",
        "same_line": "Same line",
        "slope_similarity": "Slope similarity −|Δa|",
        "intercept_similarity": "Intercept similarity −|Δb|",
        "log_accuracy": "−log₁₀(|error| + 0.1)",
        "absolute_error": "Absolute error",
        "exact": "Exactly right",
        "answer_logprob": "Log-probability of the right answer (nats)",
        "least_squares_error": "Absolute error of least squares on the shown points",
        "nearest_point_error": "Absolute error of the nearest shown point",
        "from_least_squares": "Distance of the answer from that of least squares",
        "from_nearest_point": "Distance of the answer from that of the nearest point",
        "answer_size": "Size of the answer |y|",
        "mean_y": "Mean y of the shown points",
    }
    options = (
        Option("slopes", "Slopes", "numbers", [1, 2, 3, 4], "Slopes a of the grid of lines.", -100, 100),
        Option("intercepts", "Intercepts", "numbers", [0, 3, 6, 9], "Intercepts b of the grid of lines.", -1000, 1000),
        Option("x_max", "Largest x", "integer", 19, "x is a whole number from 0 to this.", 1, 999),
        Option(
            "points",
            "Points",
            "choice",
            "per_item",
            "per_item: every query draws its own points; per_line: the queries of a line share them.",
            choices=("per_item", "per_line"),
        ),
        Option("distractor", "Distractor line", "switch", False, "Interleave as many points of another line g."),
        Option("noise", "Noise", "number", 0, "Standard deviation added to the y of every shown point.", 0, 1000),
        Option("decimals", "Decimals", "integer", 0, "Digits after the point in every y.", 0, 4),
        Option(
            "row_format",
            "Row format",
            "choice",
            "equations",
            "equations: x = 3, y = 9; function: f(3) = 9; arrow: 3 -> 9; named: hours worked = 3, pay in dollars = 9, "
            "features of which a model may know something (learning against retrieval).",
            choices=tuple(ROW_FORMATS),
        ),
        Option(
            "number_format",
            "Numbers",
            "choice",
            "plain",
            "plain: 9; padded: 009, all of one width; signed: +9.",
            choices=tuple(NUMBER_FORMATS),
        ),
    )

    def check_items(self, n_items: int, options: Mapping[str, Any]) -> None:
        """Every x of every line is asked once at most."""
        lines = len(options["slopes"]) * len(options["intercepts"])
        most = lines * (options["x_max"] + 1)
        if n_items > most:
            raise SpecError(
                f"n_items = {n_items} is more than the {most} queries of {lines} lines.",
                f"Take n_items <= {most}, or more lines or a larger x_max.",
            )

    def data(self, n_items: int, seed: int, options: Mapping[str, Any]) -> TaskData:
        """Items spread evenly over the lines of the grid, in an order in which every few hold all slopes."""
        self.check_items(n_items, options)
        lines = _grid(options, seed)
        items = _items(lines, n_items, seed, options)
        own = np.array([str(item.own) for item in items])
        slopes = np.array([item.own.slope for item in items])
        intercepts = np.array([item.own.intercept for item in items])
        ids = np.array([item.id for item in items])
        groups = {
            "slope": own,
            "intercept": own,
            "x": own,
            "slope_similarity": own,
            "intercept_similarity": own,
        }
        hypotheses = {"slope_similarity": similarity(slopes), "intercept_similarity": similarity(intercepts)}
        if options["points"] == "per_item":
            # Where the queries of a line share their points, its identity could be read off the shared text.
            groups |= {"line": ids, "same_line": ids}
            hypotheses = {"same_line": sameness(own), **hypotheses}
        return TaskData(
            items=items,
            labels={
                "line": own,
                "slope": _classes(slopes),
                "intercept": _classes(intercepts),
                "x": np.array([float(item.x) for item in items]),
            },
            groups=groups,
            hypotheses=hypotheses,
            covariates={"answer_size": np.array([abs(item.own.at(item.x)) for item in items])},
            factors={"x": np.array([float(item.x) for item in items])},
        )

    def is_floor(self, demonstrations: Demonstrations) -> bool:
        """Without a point of it a line cannot be known."""
        return not _shows_points(demonstrations)

    def examples(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> tuple[Segment, ...]:
        """Points of the queried line, each beside one of the distractor's where the condition has one."""
        item = _line_item(data, index)
        own = _rows(item, "f", "relevant", demonstrations, options)
        if not options["distractor"]:
            return own
        other = _rows(item, "g", "irrelevant", demonstrations, options)
        first = generator("order", _owner(item, options), demonstrations.seed).random(len(own)) < 0.5
        pairs = [(a, b) if own_first else (b, a) for a, b, own_first in zip(own, other, first, strict=True)]
        return tuple(segment for pair in pairs for segment in pair)

    def points(
        self, data: TaskData, index: int, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> ItemPoints:
        """The shown points of both lines; of demonstrations that are none, such as another task's, no points."""
        item = _line_item(data, index)
        has_other = options["distractor"] and _shows_points(demonstrations)
        other = _points(item, "g", demonstrations, options) if has_other else []
        xs, ys = _own_points(item, demonstrations, options)
        lines = (
            (item.own.slope, item.own.intercept),
            (item.distractor.slope, item.distractor.intercept) if other else None,
        )
        return ItemPoints(
            tuple(zip(xs.tolist(), ys.tolist(), strict=True)), tuple(other), lines, item.x, item.own.at(item.x)
        )

    def solved_example(self, rng: np.random.Generator) -> Segment:
        """One point of a random line."""
        line = Line(int(rng.integers(1, 5)), int(rng.integers(0, 10)))
        x = int(rng.integers(0, 20))
        query, answer = _row("equations", "f", named=False, x=str(x), y=f"{line.at(x):g}")
        return example(query, answer, "\n")

    def parse(self, response: str) -> Parsed:
        """The number of the response's first line: the one it begins with, else the last that it calls its answer
        ("= 9", "is 9"), else the first.
        """
        line = self.first_line(response)
        marked = list(MARKED.finditer(line))
        found = AT_ONCE.match(line) or (marked[-1] if marked else NUMBER.search(line))
        if found is None:
            return Parsed(None, len(response))
        value = _value(found)
        if not math.isfinite(value):  # 10^400 is an answer that no float holds
            return Parsed(None, len(response))
        return Parsed(repr(int(value) if value.is_integer() else value), found.end())

    def score(
        self, data: TaskData, answers: ReadAnswers, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The main score log_accuracy = -log10(|error| + 0.1), clipped below at -2, the value of an unparseable one.

        Beside the model's errors stand those of two readers of the same shown points, NaN where these do not settle
        an answer, and how far the model's answers are from theirs.
        """
        right = np.array([float(item.answer) for item in data.items])
        values = np.array([np.nan if value is None else float(value) for value in answers.parsed])
        error = np.abs(values - right)
        accuracy = np.maximum(-np.log10(np.minimum(error, 1e6) + ERROR_FLOOR), WORST_SCORE)
        points = [_own_points(_line_item(data, index), demonstrations, options) for index in range(len(right))]
        asked = [_line_item(data, index).x for index in range(len(right))]
        fitted, nearest = (
            np.array([reader(*seen, x) for seen, x in zip(points, asked, strict=True)])
            for reader in (_least_squares, _nearest_point)
        )
        return {
            "log_accuracy": np.where(np.isnan(error), WORST_SCORE, accuracy),
            "absolute_error": error,
            "exact": (error < SAME).astype(float),
            "answer_logprob": answers.logprobs[:, 0],
            "least_squares_error": np.abs(fitted - right),
            "nearest_point_error": np.abs(nearest - right),
            "from_least_squares": np.abs(values - fitted),
            "from_nearest_point": np.abs(values - nearest),
        }

    def shown_covariates(
        self, data: TaskData, demonstrations: Demonstrations, options: Mapping[str, Any]
    ) -> dict[str, Array]:
        """The mean y of each item's shown points, those of a distractor line included; none where no points are."""
        if not _shows_points(demonstrations):
            return {}
        names = ("f", "g") if options["distractor"] else ("f",)
        means = [
            np.mean([y for name in names for _, y in _points(_line_item(data, index), name, demonstrations, options)])
            for index in range(len(data.items))
        ]
        return {"mean_y": np.array(means)}


def _value(found: re.Match[str]) -> float:
    """The number that a match of `NUMBER` or its like holds."""
    digits = found["digits"] or "1"
    is_decimal_comma = re.fullmatch(r"\d+,\d{1,2}", digits)
    plain = digits.replace(",", ".") if is_decimal_comma else digits_alone(digits)
    sign = -1 if found["sign"].strip() not in ("", "+") else 1
    return sign * float(f"{plain}e{exponent(found['power'] or found['ten'] or '')}")


def _line_item(data: TaskData, index: int) -> LineItem:
    item = data.items[index]
    assert isinstance(item, LineItem)
    return item


def _least_squares(xs: Array, ys: Array, x: int) -> float:
    """What the line of least squares through the points says at x; NaN for fewer than two points."""
    return float(np.polyval(np.polyfit(xs, ys, 1), x)) if len(xs) > 1 else float("nan")


def _nearest_point(xs: Array, ys: Array, x: int) -> float:
    """The y of the point nearest to x, the first shown of two as near; NaN without points."""
    return float(ys[np.argmin(np.abs(xs - x))]) if len(xs) else float("nan")


def _classes(values: Array) -> Array:
    """Grid values as classes: whole numbers where they are, else texts (floats would be probed as numbers)."""
    whole = np.all(values == np.round(values))
    return values.astype(int) if whole else np.array([str(value) for value in values])


def _grid(options: Mapping[str, Any], seed: int) -> list[Line]:
    """All lines, seeded, ordered so that any run of them holds slopes and intercepts about equally often."""
    rng = generator("lines", seed)
    slopes = rng.permutation(options["slopes"]).tolist()
    intercepts = rng.permutation(options["intercepts"]).tolist()
    return [
        Line(slope, intercepts[(position + shift) % len(intercepts)])
        for shift in range(len(intercepts))
        for position, slope in enumerate(slopes)
    ]


def _items(lines: list[Line], n_items: int, seed: int, options: Mapping[str, Any]) -> list[LineItem]:
    per_line = -(-n_items // len(lines))
    queries = {
        line: generator("queries", seed, str(line)).permutation(options["x_max"] + 1)[:per_line].tolist()
        for line in lines
    }
    items = []
    for position in range(n_items):
        line = lines[position % len(lines)]
        items.append(_item(line, queries[line][position // len(lines)], tuple(queries[line]), lines, seed, options))
    return items


def _item(
    line: Line, x: int, line_queries: tuple[int, ...], lines: list[Line], seed: int, options: Mapping[str, Any]
) -> LineItem:
    others = [other for other in lines if other.slope != line.slope] or [other for other in lines if other != line]
    if options["distractor"] and not others:
        raise SpecError("A grid of one line has no distractor line.", "Add a slope, or take distractor = false.")
    # Queries that draw their own points draw their own distractor too, or "same line" could be read off it.
    owner = [str(line), x] if options["points"] == "per_item" else [str(line)]
    rng = generator("distractor", seed, *owner)
    answer = _written(line.at(x), options)
    asked = _written_x(x, options)
    query, after = _row(options["row_format"], "f", options["distractor"], x=asked, y=_formatted(answer, options))
    return LineItem(
        id=f"{line}, x = {x}",
        query=(Segment("question", query),),
        answer=answer,
        candidates=(f"{after}\n",),
        own=line,
        distractor=others[int(rng.integers(len(others)))] if others else line,
        x=x,
        line_queries=line_queries,
    )


def _row(row_format: str, name: str, named: bool, x: str, y: str) -> tuple[str, str]:
    query, answer = ROW_FORMATS[row_format]
    line = f"{name}: " if named else ""
    return query.format(line=line, name=name, x=x), answer.format(y=y)


def _written(y: float, options: Mapping[str, Any]) -> str:
    text = f"{y:.{options['decimals']}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _written_x(x: int, options: Mapping[str, Any]) -> str:
    return _flagged(str(x), len(str(options["x_max"])), options)


def _formatted(y: str, options: Mapping[str, Any]) -> str:
    """A written y in the chosen number format."""
    return _flagged(y, _y_width(options), options)


def _flagged(number: str, width: int, options: Mapping[str, Any]) -> str:
    flag = NUMBER_FORMATS[options["number_format"]]
    if flag == "0":
        return number.zfill(width)
    return number if number.startswith("-") else f"{flag}{number}"


def _y_width(options: Mapping[str, Any]) -> int:
    """Characters of the longest y of the grid."""
    return max(len(_written(y, options)) for y in _corners(options))


def _corners(options: Mapping[str, Any]) -> list[float]:
    """The least and the largest y of every line of the grid."""
    return [Line(a, b).at(x) for a in options["slopes"] for b in options["intercepts"] for x in (0, options["x_max"])]


def _shows_points(demonstrations: Demonstrations) -> bool:
    return demonstrations.canonical().kind in _ANSWERS


def _owner(item: LineItem, options: Mapping[str, Any]) -> str:
    """Who the shown points belong to: the item, or its line where the queries of a line share them."""
    return item.id if options["points"] == "per_item" else str(item.own)


def _rows(
    item: LineItem, name: str, role: Role, demonstrations: Demonstrations, options: Mapping[str, Any]
) -> tuple[Segment, ...]:
    """The rows of k points of the line of that name; those of the queried line are its demonstrations."""
    points = _shown(item, name, demonstrations, options)
    rows = [
        _row(options["row_format"], name, options["distractor"], x=_written_x(x, options), y=answer)
        for x, _, answer in points
    ]
    if name == "f":
        return tuple(example(query, answer, "\n", role) for query, answer in rows)
    return tuple(Segment(role, f"{query}{answer}\n") for query, answer in rows)


def _own_points(item: LineItem, demonstrations: Demonstrations, options: Mapping[str, Any]) -> tuple[Array, Array]:
    """The x and y of the shown points of the queried line, as they are written; empty where none are shown."""
    points = _points(item, "f", demonstrations, options) if _shows_points(demonstrations) else []
    xs, ys = np.array(points, dtype=float).reshape(-1, 2).T
    return xs, ys


def _points(
    item: LineItem, name: str, demonstrations: Demonstrations, options: Mapping[str, Any]
) -> list[tuple[int, float]]:
    """X and y of the shown points of a line, in the order in which they are shown."""
    shown = arranged(_shown(item, name, demonstrations, options), demonstrations)
    return [(x, float(y)) for x, y, _ in shown]


def _shown(
    item: LineItem, name: str, demonstrations: Demonstrations, options: Mapping[str, Any]
) -> list[tuple[int, str, str]]:
    """K points of a line without the queried x, the first k of a sequence that does not depend on k: x, y, and the
    answer as it is shown.
    """
    line = {"f": item.own, "g": item.distractor}[name]
    asked = {item.x} if options["points"] == "per_item" else set(item.line_queries)
    free = [x for x in range(options["x_max"] + 1) if x not in asked]
    if demonstrations.k > len(free):
        raise SpecError(
            f"k = {demonstrations.k} needs as many different x, and 0 to {options['x_max']} has {len(free)} "
            "beside the queried.",
            f"Take k <= {len(free)}, or a larger x_max.",
        )
    owner = _owner(item, options)
    xs = generator("points", name, owner, demonstrations.seed).permutation(free)[: demonstrations.k].tolist()
    noise = generator("noise", name, owner, demonstrations.seed).normal(0, options["noise"], len(free))
    exact = [_written(line.at(x), options) for x in xs]
    noisy = [_written(line.at(x) + error, options) for x, error in zip(xs, noise, strict=False)]
    names = [name, owner, demonstrations.seed]
    ys = _ANSWERS[demonstrations.kind](exact, noisy, line, names, options)
    answers = [_formatted(y, options) for y in ys]
    if demonstrations.kind == "contrastive":
        wrong = _shuffled(exact, noisy, line, names, options)
        answers = [contrast(y, _formatted(other, options)) for y, other in zip(answers, wrong, strict=True)]
    return list(zip(xs, ys, answers, strict=True))


def _shuffled(
    exact: list[str], noisy: list[str], line: Line, names: list[Any], options: Mapping[str, Any]
) -> list[str]:
    """Each answer replaced by one from a fixed pool outside the line's points, different from its own."""
    pool = _pool(line, tuple(options["slopes"]), tuple(options["intercepts"]), options["x_max"])
    written = [_written(y, options) for y in generator("shuffled", *names).permutation(pool)]
    shown = []
    for own in zip(exact, noisy, strict=True):
        drawn = next((index for index, other in enumerate(written) if other not in own), None)
        if drawn is None:
            raise SpecError(f"No other point of the grid has another y than {own[0]} of {line}.", "Add a slope.")
        shown.append(written.pop(drawn))
        written.append(shown[-1])
    return shown


@lru_cache(maxsize=128)
def _pool(line: Line, slopes: tuple[float, ...], intercepts: tuple[float, ...], x_max: int) -> list[float]:
    """The y of every point of the grid's other lines; of the line itself beyond x_max where it is the only one."""
    others = [Line(a, b) for a in slopes for b in intercepts if Line(a, b) != line]
    beyond = [line.at(x) for x in range(x_max + 1, 2 * x_max + 2)]
    return [other.at(x) for other in others for x in range(x_max + 1)] or beyond


def _random(exact: list[str], noisy: list[str], line: Line, names: list[Any], options: Mapping[str, Any]) -> list[str]:
    """Answers drawn evenly from the range that the grid's answers span."""
    corners = _corners(options)
    rng = generator("random", *names)
    step = 10 ** -options["decimals"]
    steps = rng.integers(round(min(corners) / step), round(max(corners) / step) + 1, len(exact))
    return [_written(number * step, options) for number in steps]


def _correct(exact: list[str], noisy: list[str], line: Line, names: list[Any], options: Mapping[str, Any]) -> list[str]:
    return noisy


_ANSWERS = {"correct": _correct, "shuffled": _shuffled, "random": _random, "contrastive": _correct}
"""Demonstration kind -> the y of every shown point."""
