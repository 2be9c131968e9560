"""Studies of a cache: what each asks for, how far it is, and whether it was registered before its first run.

A study is kept as `studies/NAME.json` beside the recordings, so that a page can show it as it fills. Registering writes
down the digest of all that it asks for before any run of it is there; what is asked for later is compared with it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from iclviz import schemas
from iclviz.disk import write_atomically, writing
from iclviz.errors import SpecError, StoreError
from iclviz.mapping import Grid, Tracer, map_key
from iclviz.recorded import Summary
from iclviz.resolve import Resolved, resolve
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


def keep(asked: Study, store: Store) -> Kept:
    """Keep a study as it is asked for now; whether it was registered stays."""
    before = kept(asked.name, store)
    found = Kept(asked, before.registered, before.at) if before else Kept(asked)
    _write(found, store)
    return found


def register(asked: Study, store: Store) -> Kept:
    """Write down what a study asks for before its first run; again for the same changes nothing.

    Raises
    ------
    SpecError: a run of it is there already, or it was registered otherwise.
    """
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

    @cached_property
    def by_place(self) -> Mapping[tuple[str, str, str], list[CellState]]:
        """(model, task, condition) -> its runs over seeds and orders."""
        found: dict[tuple[str, str, str], list[CellState]] = {}
        for one in self.cells:
            found.setdefault((one.cell.model, one.cell.task, one.cell.condition), []).append(one)
        return found

    def curves(self) -> list[Curve]:
        """The score over k of every kind of demonstrations, where something is recorded."""
        found = []
        for model in self.study.models:
            for name in self.study.tasks:
                by_kind: dict[str, dict[int, list[float]]] = {}
                for condition in self.study.conditions:
                    scores = [one.score for one in self.by_place[model, name, condition.name] if one.summary]
                    if scores:
                        shown = condition.shown.canonical()
                        by_kind.setdefault(self._kind(condition), {}).setdefault(shown.k, []).extend(scores)
                found += [_curve(model, name, kind, of_k) for kind, of_k in by_kind.items()]
        return found

    def _kind(self, condition: Condition) -> str:
        """What the curve of a condition is called; one by one while names are hidden."""
        if self.study.hidden and not self.is_complete:
            return self.name(condition.name)
        done = f", {'; '.join(condition.interventions)}" if condition.interventions else ""
        return f"{condition.shown.canonical().kind}{done}"

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each run: where it stands, its key and its mean main score."""
        for one in self.cells:
            of = one.cell
            yield {
                "model": of.model,
                "task": of.task,
                "condition": self.name(of.condition),
                "seed": of.seed,
                "order": of.order,
                "key": one.resolved.key,
                "score": one.score if np.isfinite(one.score) else None,
                "score_name": task(of.spec.task).primary.score,
            }


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


def state_of(one: Kept, store: Store) -> StudyState:
    """How far a study is.

    Raises
    ------
    UserError: a model or a task is not there.
    """
    there = {entry.key: entry for entry in store.summaries()}
    resolved = [resolve(cell.spec, store.memo) for cell in one.study.cells]
    return StudyState(
        one,
        tuple(CellState(cell, run, there.get(run.key)) for cell, run in zip(one.study.cells, resolved, strict=True)),
    )


def as_text(one: Study) -> str:
    """A study as the text of a file that asks for the same."""
    return json.dumps(one.to_dict(), indent=2, ensure_ascii=False)
