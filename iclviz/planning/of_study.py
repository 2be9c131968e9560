"""What is left to do of a study, and what that takes on this machine: its runs in the groups in which they are read,
then the maps of each run.

A group's tokens are those of its own batch plan, with the settings that the engine would have here. Of the maps of one
condition that differ in seed and order alone the first is planned, and the others are counted like it.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from iclviz.capture.plan import PlanSettings
from iclviz.capture.sites import reading_as
from iclviz.errors import ModelError, UserError
from iclviz.mapping import Grid, Tracer
from iclviz.models.configuration import ModelFacts
from iclviz.models.tokenizing import load_tokenizer
from iclviz.planning.configurations import counts_of
from iclviz.planning.devices import Device, this_machine
from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.mapping import map_cost
from iclviz.planning.memory import held_bytes, recorded_bytes
from iclviz.planning.planned import engine_settings
from iclviz.planning.reading import Reading, reading
from iclviz.planning.roofline import seconds
from iclviz.prompts import TokenizedPrompt
from iclviz.resolve import Resolved, build, run_facts, run_together, tokenized
from iclviz.store import Store
from iclviz.studies import MapState, StudyState

TOKEN_BUDGET = 16_384
"""Of tokens whose keys and values are held together, where a model's shape is not known: as of some gigabytes."""


@dataclass(frozen=True)
class Cost:
    """Bytes in memory at the worst moment, bytes that are left on the disk, seconds."""

    memory: int = 0
    disk: int = 0
    seconds: float = 0.0

    def with_(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(max(self.memory, other.memory), self.disk + other.disk, self.seconds + other.seconds)


@dataclass(frozen=True)
class PlannedGroup:
    """Runs that are read together.

    Attributes
    ----------
    model, task: of all of them.
    n_runs, n_items: runs that are not there yet, and their prompts.
    tokens: of all prompts; read: as many are read, since what prompts share is read once.
    cost: None where it cannot be foretold.
    """

    model: str
    task: str
    n_runs: int
    n_items: int
    tokens: int
    read: int
    cost: Cost | None


@dataclass(frozen=True)
class PlannedMaps:
    """Maps of one kind that are not there yet, of one model: how many, tokens that they read, and what they take."""

    model: str
    title: str
    n_maps: int
    read: int
    cost: Cost


@dataclass(frozen=True)
class StudyPlan:
    """What is left to do of a study.

    Attributes
    ----------
    groups: of runs that are read together.
    maps: that can be foretold.
    n_there: runs that are recorded.
    n_maps, n_maps_there: maps and traces, and how many are made.
    free: bytes of disk that the cache folder has left.
    unforetold: what takes something beside all this, or cannot be made, in a line each.
    """

    groups: tuple[PlannedGroup, ...]
    maps: tuple[PlannedMaps, ...]
    n_there: int
    n_maps: int
    n_maps_there: int
    free: int
    unforetold: tuple[str, ...]

    @property
    def n_missing(self) -> int:
        """Runs that are not there."""
        return sum(one.n_runs for one in self.groups)

    @cached_property
    def models(self) -> Mapping[str, Cost]:
        """Model -> what all that is left of it takes, as far as that is foretold."""
        found: dict[str, Cost] = {}
        every: tuple[PlannedGroup | PlannedMaps, ...] = (*self.groups, *self.maps)
        for one in every:
            if one.cost is not None:
                found[one.model] = found.get(one.model, Cost()).with_(one.cost)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; memory and disk in bytes, time in seconds."""
        return {
            **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()},
            "n_missing": self.n_missing,
            "models": {name: asdict(cost) for name, cost in self.models.items()},
        }


def planned(state: StudyState, store: Store) -> StudyPlan:
    """What is left to do.

    Raises
    ------
    UserError: a run cannot be, or its model is not on this disk.
    """
    planner = _Planner(store)
    groups = tuple(planner.group(group) for group in run_together(state.missing))
    there = {one.key for one in state.maps if store.has_map(one.key)}
    maps = planner.maps([one for one in state.maps if one.key not in there])
    n_maps = len({one.key for one in state.maps})
    place = next(folder for folder in (store.folder, *store.folder.parents) if folder.exists())
    return StudyPlan(
        groups, maps, state.n_there, n_maps, len(there), shutil.disk_usage(place).free, tuple(planner.unforetold)
    )


@dataclass(frozen=True)
class _Known:
    """What is known of a run's model: shape, tokenizer, and counts with this machine where its code can be counted."""

    facts: ModelFacts
    tokenizer: Any
    counts: ModelCounts | None
    machine: Device | None

    @property
    def settings(self) -> PlanSettings:
        """Those of its batch plans."""
        if self.counts is None or self.machine is None:
            return PlanSettings(TOKEN_BUDGET, 1)
        return engine_settings(self.counts, self.machine)


class _Planner:
    """Plans groups and maps; each model is looked at once, and what cannot be foretold is noted once."""

    def __init__(self, store: Store) -> None:
        self._memo = store.memo
        self._models: dict[tuple[str, str | None], _Known] = {}
        self.unforetold: dict[str, None] = {}

    def _known(self, run: Resolved) -> _Known:
        name = (run.origin.model, run.spec.dtype)
        if name not in self._models:
            self._models[name] = self._looked_at(run)
        return self._models[name]

    def _looked_at(self, run: Resolved) -> _Known:
        facts, tokenizer = run_facts(run), load_tokenizer(run.located, self._memo)
        assert run.spec.dtype is not None
        try:
            trusted = bool(run.spec.model_options.get("trust_remote_code", False))
            counts = counts_of(run.located, run.spec.dtype, trusted)
        except ModelError as error:
            self.unforetold.setdefault(f"memory, disk and time of {run.spec.model}: {error}")
            return _Known(facts, tokenizer, None, None)
        return _Known(facts, tokenizer, counts, this_machine(counts.width))

    def _prompts(self, run: Resolved) -> list[TokenizedPrompt]:
        known = self._known(run)
        return tokenized(run, build(run), known.tokenizer, known.facts)

    def group(self, group: Sequence[Resolved]) -> PlannedGroup:
        """Runs that are read together."""
        known, prompts = self._known(group[0]), [prompt for run in group for prompt in self._prompts(run)]
        done = [run.spec.interventions for run in group for _ in range(run.spec.n_items)]
        limit = max(run.spec.max_new_tokens or 1 for run in group)
        found = reading(prompts, limit, known.settings, reading_as(done, prompts))
        tasks = ", ".join(dict.fromkeys(run.task.title for run in group))
        cost = _cost_of(group, found, known)
        return PlannedGroup(group[0].spec.model, tasks, len(group), len(prompts), found.tokens, found.read, cost)

    def maps(self, missing: Sequence[MapState]) -> tuple[PlannedMaps, ...]:
        """Maps that are not there, by model and kind."""
        found: dict[tuple[str, str], PlannedMaps] = {}
        for alike in _alike(missing):
            one = self._maps(alike)
            if one is not None:
                before = found.get((one.model, one.title), replace(one, n_maps=0, read=0, cost=Cost()))
                found[one.model, one.title] = replace(
                    one,
                    n_maps=before.n_maps + one.n_maps,
                    read=before.read + one.read,
                    cost=before.cost.with_(one.cost),
                )
        return tuple(found.values())

    def _maps(self, alike: Sequence[MapState]) -> PlannedMaps | None:
        """Maps that differ in what a seed draws alone; None, which is noted, where nothing of them is foretold."""
        first, n_maps = alike[0], len({one.key for one in alike})
        of, run = first.of, first.run.resolved
        where = f"{of} of {first.run.cell.task}, {first.run.cell.condition}, in {run.spec.model}"
        if isinstance(of, Tracer):
            self.unforetold.setdefault(f"{of} in {run.spec.model}: what a trace takes")
            return None
        try:
            return self._mapped(of, run, n_maps, where)
        except UserError as error:
            self.unforetold.setdefault(f"{where}: {error}")
            return None

    def _mapped(self, of: Grid, run: Resolved, n_maps: int, where: str) -> PlannedMaps | None:
        known = self._known(run)
        if known.counts is None or known.machine is None:
            return None
        prompts = self._prompts(run)
        plain = reading(prompts, 1, known.settings)
        one = map_cost(of, run, prompts, plain, known.counts, known.facts, known.settings, known.machine)
        for what in one.unforetold:
            self.unforetold.setdefault(f"{where}: {what}")
        cost = Cost(one.memory, n_maps * one.disk, n_maps * one.seconds)
        return PlannedMaps(run.spec.model, str(of), n_maps, n_maps * one.read, cost)


def _alike(missing: Sequence[MapState]) -> Iterator[list[MapState]]:
    """Maps that differ in what a seed draws alone."""
    found: dict[tuple[str, str, str, str], list[MapState]] = {}
    for one in missing:
        cell = one.run.cell
        found.setdefault((cell.model, cell.task, cell.condition, str(one.of)), []).append(one)
    yield from found.values()


def _cost_of(group: Sequence[Resolved], found: Reading, known: _Known) -> Cost | None:
    """Of what is recorded, that of the prompts that are decoded together is in memory, or a run that is sealed."""
    counts = known.counts
    if counts is None or known.machine is None:
        return None
    kept = {run.key: recorded_bytes(counts, found, run.spec, in_memory=True) for run in group}
    rows = max(one.rows for one in found.decoded)
    of_batch = max(rows * kept[run.key] // run.spec.n_items for run in group)
    return Cost(
        held_bytes(counts, found) + max(of_batch, *kept.values()),
        sum(recorded_bytes(counts, found, run.spec) for run in group),
        seconds(counts, found, known.machine).total,
    )
