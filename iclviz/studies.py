"""Studies of a cache: what each asks for, how far it is, and whether it was registered before its first run.

A study is kept as `studies/NAME.json` beside the recordings, so that a page can show it as it fills. Registering writes
down the digest of all that it asks for before any run of it is there; what is asked for later is compared with it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from iclviz import schemas
from iclviz.disk import write_atomically, writing
from iclviz.errors import SpecError, StoreError, UserError, unknown
from iclviz.mapping import Grid, Tracer, map_key
from iclviz.recorded import Summary
from iclviz.resolve import Resolved, resolve_all
from iclviz.schemas import MisfitError
from iclviz.store import Store
from iclviz.study import Cell, Condition, Curve, Study, study
from iclviz.tasks import task

FOLDER = "studies"
MOST_BYTES = 2**24
SCHEMA = schemas.fields(
    {
        "study": schemas.table_of(schemas.plain(), 50),
        "digest": schemas.text(64),
        "at": schemas.text(64),
    }
)


@dataclass(frozen=True)
class Kept:
    """A study as a cache keeps it.

    Attributes
    ----------
    study: what it asks for now.
    registered: the digest of what it asked for when it was registered; "" where it was not. at: when, in UTC.
    """

    study: Study
    registered: str = ""
    at: str = ""

    @property
    def told(self) -> dict[str, str]:
        """What every table of the study says of it: name, digest, and when it was registered as it is now."""
        is_same = self.registered == self.study.digest
        return {"study": self.study.name, "digest": self.study.digest, "registered": self.at if is_same else ""}

    @property
    def words(self) -> str:
        """Whether it was registered, in a sentence."""
        if not self.registered:
            return (
                "Not registered: what is compared may have been chosen after results were seen (digest "
                f"{self.study.digest})."
            )
        if self.registered == self.study.digest:
            return f"Registered before its first run, {self.at} (digest {self.registered})."
        return (
            f"It differs from what was registered on {self.at} (digest then {self.registered}, now "
            f"{self.study.digest})."
        )

    @property
    def sentence(self) -> str:
        """What a methods paragraph says of runs of it."""
        is_same = self.registered == self.study.digest
        how = (
            f"which was registered before its first run, on {self.at} (digest {self.registered})"
            if is_same
            else f"which asks for something else (digest {self.study.digest}) than was registered on {self.at} (digest "
            f"{self.registered})"
            if self.registered
            else f"which was not registered (digest {self.study.digest})"
        )
        return f"The runs are part of the study “{self.study.name}”, {how}."


def path_of(name: str, store: Store) -> Path:
    """Where a study is kept."""
    return store.folder / FOLDER / f"{name}.json"


def kept(name: str, store: Store) -> Kept | None:
    """The study of that name; None where there is none.

    Raises
    ------
    StoreError: its file is damaged.
    """
    path = path_of(name, store)
    if not path.is_file():
        return None
    try:
        content = schemas.read_json(path, MOST_BYTES)
        SCHEMA(content)
        return Kept(study(content["study"], name), content["digest"], content["at"])
    except (OSError, ValueError, MisfitError, SpecError) as error:
        raise StoreError(f"The study in {path} is damaged ({error}).", "Delete the file, and run it again.") from error


def every_kept(store: Store) -> list[str]:
    """The names of the studies of a cache."""
    folder = store.folder / FOLDER
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def check(asked: Study) -> None:
    """Refuse a study of a measure that there is not.

    Raises
    ------
    SpecError: so; it names the nearest one.
    """
    from iclviz.analysis.measures import all_measures  # loads what analyses need, for which no page waits

    for name in asked.measures:
        if name not in all_measures():
            raise unknown(SpecError, "measure of the study", name, list(all_measures()))


def keep(asked: Study, store: Store) -> Kept:
    """Keep a study as it is asked for now; whether it was registered stays.

    Raises
    ------
    SpecError: it is about a measure that there is not.
    """
    check(asked)
    before = kept(asked.name, store)
    found = Kept(asked, before.registered, before.at) if before else Kept(asked)
    _write(found, store)
    return found


def register(asked: Study, store: Store) -> Kept:
    """Write down what a study asks for before its first run; again for the same changes nothing.

    Raises
    ------
    SpecError: a run of it is there already, it was registered otherwise, or is about a measure that there is not.
    """
    check(asked)
    before = kept(asked.name, store)
    if before and before.registered:
        if before.registered == asked.digest:
            return before
        raise SpecError(
            f"The study {asked.name} was registered on {before.at} and asks for something else now.",
            "Give it another name.",
        )
    there = state_of(Kept(asked), store).n_there
    if there:
        raise SpecError(
            f"Of its runs {there} {'are' if there > 1 else 'is'} recorded already: it cannot be registered any more.",
            "Register a study before its first run, or take other seeds or items.",
        )
    found = Kept(asked, asked.digest, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    _write(found, store)
    return found


def _write(one: Kept, store: Store) -> None:
    content = {"study": one.study.to_dict(), "digest": one.registered, "at": one.at}
    with writing(store.folder):
        path = path_of(one.study.name, store)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, ensure_ascii=False, allow_nan=False).encode())


@dataclass(frozen=True)
class CellState:
    """One run of a study, and its recording where it is there."""

    cell: Cell
    resolved: Resolved
    summary: Summary | None

    @property
    def score(self) -> float:
        """The mean main score; NaN where it is not there."""
        return float("nan") if self.summary is None else self.summary.mean_score


@dataclass(frozen=True)
class MapState:
    """A map or a trace of one run of a study: of what, of which run, and its key."""

    of: Grid | Tracer
    run: CellState
    key: str


@dataclass(frozen=True)
class StudyState:
    """How far a study is.

    Attributes
    ----------
    cells: every run.
    left_out: of maps that could not be made, which and why.
    """

    kept: Kept
    cells: tuple[CellState, ...]
    left_out: tuple[str, ...] = ()

    @property
    def study(self) -> Study:
        """What it asks for."""
        return self.kept.study

    @property
    def n_there(self) -> int:
        """Runs that are recorded."""
        return sum(one.summary is not None for one in self.cells)

    @property
    def is_complete(self) -> bool:
        """Whether every run is recorded."""
        return self.n_there == len(self.cells)

    @property
    def missing(self) -> list[Resolved]:
        """Runs that are not."""
        return [one.resolved for one in self.cells if one.summary is None]

    @cached_property
    def maps(self) -> tuple[MapState, ...]:
        """Every map of every run."""
        return tuple(
            MapState(of, one, map_key(one.resolved.spec, one.resolved.origin, of))
            for of in self.study.maps
            for one in self.cells
        )

    def name(self, condition: str) -> str:
        """What a condition is called now."""
        return self.study.shown_name(condition, self.is_complete)

    @property
    def is_hidden(self) -> bool:
        """Whether conditions are called by numbers now."""
        return self.study.hidden and not self.is_complete

    def in_order(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Conditions as they are listed: by what they are called while names are hidden, since their order would tell
        them.
        """
        return sorted(conditions, key=lambda one: self.name(one.name)) if self.is_hidden else list(conditions)

    def primary_pairs(self, model: str, task_name: str) -> list[tuple[CellState, CellState]]:
        """The runs of the comparison that was meant, A and B of each demonstration seed, in the study's first order;
        none where no comparison was meant, names are hidden, or one of the runs is not there.

        Further orders of the same demonstrations are no further draws of them, so the comparison leaves them out.
        """
        if self.study.primary is None or self.is_hidden:
            return []
        sides = []
        for name in self.study.primary:
            runs = self.by_place[model, task_name, name]
            sides.append([one for one in runs if one.cell.order == runs[0].cell.order])
        if any(one.summary is None for side in sides for one in side):
            return []
        n_seeds = max(map(len, sides))
        a, b = (side * (n_seeds // len(side)) for side in sides)
        return list(zip(a, b, strict=True))

    @cached_property
    def by_place(self) -> Mapping[tuple[str, str, str], list[CellState]]:
        """(model, task, condition) -> its runs over seeds and orders."""
        found: dict[tuple[str, str, str], list[CellState]] = {}
        for one in self.cells:
            found.setdefault((one.cell.model, one.cell.task, one.cell.condition), []).append(one)
        return found

    def place(self, model: str, name: str) -> str:
        """What a model and a task of the study are called together."""
        return f"{name}, {self.study.shown_model(model)}"

    def grid(self) -> dict[str, list[str]]:
        """Conditions in rows, models and tasks in columns: the mean main score over a condition's runs, and how many
        of them there are where some are missing; column -> a text for each condition.
        """
        several, rows = len(self.study.models) > 1, self.in_order(self.study.conditions)
        columns = {"condition": [self.name(one.name) for one in rows]}
        for model in self.study.models:
            for name in self.study.tasks:
                title = self.place(model, name) if several else name
                columns[title] = [_mean_of(self.by_place[model, name, one.name]) for one in rows]
        return columns

    def curves(self) -> list[Curve]:
        """The score over k of every kind of demonstrations, where something is recorded."""
        found = []
        for model in self.study.models:
            for name in self.study.tasks:
                by_kind: dict[str, dict[int, list[float]]] = {}
                for condition in self.in_order(self.study.conditions):
                    scores = [one.score for one in self.by_place[model, name, condition.name] if one.summary]
                    if scores:
                        shown = condition.shown.canonical()
                        by_kind.setdefault(self._kind(condition), {}).setdefault(shown.k, []).extend(scores)
                shown_model = self.study.shown_model(model)
                found += [_curve(shown_model, name, kind, of_k) for kind, of_k in by_kind.items()]
        return found

    def _kind(self, condition: Condition) -> str:
        """What the curve of a condition is called; one by one while names are hidden."""
        if self.is_hidden:
            return self.name(condition.name)
        done = f", {'; '.join(condition.interventions)}" if condition.interventions else ""
        return f"{condition.shown.canonical().kind}{done}"

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each run: where it stands, its key, its mean main score, and of which study it is."""
        ordered = sorted(self.cells, key=lambda one: self.name(one.cell.condition)) if self.is_hidden else self.cells
        for one in ordered:
            of = one.cell
            yield {
                "model": self.study.shown_model(of.model),
                "task": of.task,
                "condition": self.name(of.condition),
                "seed": of.seed,
                "order": of.order,
                "key": one.resolved.key,
                "score": one.score if np.isfinite(one.score) else None,
                "score_name": task(of.spec.task).primary.score,
                **self.kept.told,
            }


def _mean_of(runs: Sequence[CellState]) -> str:
    scores = [one.score for one in runs if one.summary is not None]
    there = "" if len(scores) == len(runs) else f" ({len(scores)}/{len(runs)})"
    return f"{sum(scores) / len(scores):.3f}{there}" if scores else f"–{there}"


def _curve(model: str, name: str, kind: str, of_k: Mapping[int, list[float]]) -> Curve:
    """One curve, of k -> scores."""
    ks = tuple(sorted(of_k))
    each = [of_k[k] for k in ks]
    return Curve(
        model,
        name,
        kind,
        ks,
        tuple(float(np.mean(scores)) for scores in each),
        tuple(min(scores) for scores in each),
        tuple(max(scores) for scores in each),
        tuple(map(len, each)),
    )


def resolved_cells(one: Study, store: Store) -> list[Resolved]:
    """Every run of a study as it is asked for, in the order of its cells.

    Raises
    ------
    UserError: a model or a task is not there.
    """
    return resolve_all((cell.spec for cell in one.cells), store.memo)


def state_of(one: Kept, store: Store, resolved: Sequence[Resolved] | None = None) -> StudyState:
    """How far a study is; resolved: its runs, where they are known.

    Raises
    ------
    UserError: a model or a task is not there.
    """
    there = {entry.key: entry for entry in store.summaries()}
    runs = resolved_cells(one.study, store) if resolved is None else resolved
    return StudyState(
        one, tuple(CellState(cell, run, there.get(run.key)) for cell, run in zip(one.study.cells, runs, strict=True))
    )


def registered_of(keys: Sequence[str], store: Store) -> list[Kept]:
    """The registered studies of a cache of which all these runs are part; one that cannot be read is passed over."""
    found = []
    for name in every_kept(store) if keys else []:
        with suppress(UserError):
            one = kept(name, store)
            if one and one.registered and set(keys) <= {run.key for run in resolved_cells(one.study, store)}:
                found.append(one)
    return found


def as_text(one: Study) -> str:
    """A study as the text of a file that asks for the same."""
    return json.dumps(one.to_dict(), indent=2, ensure_ascii=False)
