"""A trace: its rows followed one by one, kept as they end, and sealed."""

import time
from collections.abc import Callable

import numpy as np

from iclviz.capture.backend import ReadyModel
from iclviz.errors import Cancelled
from iclviz.jobs.computing import ModelKeeper, plan_settings, prepared
from iclviz.jobs.donors import SameItems, groups_of
from iclviz.jobs.map_computing import environment_of
from iclviz.jobs.table import Progress, Report
from iclviz.mapping import Texts, Tracer
from iclviz.maps import Trace
from iclviz.recording import Array
from iclviz.resolve import ResolvedMap
from iclviz.store import Store
from iclviz.unfinished import Unfinished

KEPT_TOGETHER = 8
"""Rows of a piece."""


def compute_trace(
    resolved: ResolvedMap,
    store: Store,
    keeper: ModelKeeper,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trace:
    """Make a trace, going on from rows that an earlier attempt finished, and seal it.

    Raises
    ------
    Cancelled: `should_stop` said so; finished rows are kept.
    UserError: the trace cannot be made.
    """
    start, n_items = time.perf_counter(), resolved.spec.n_items

    def tell(stage: str) -> None:
        report(Progress(stage, 0, n_items))
        if should_stop():
            raise Cancelled

    tracer = tracer_of(resolved)
    (run,), (built,), (prompts,), ready, facts = prepared([resolved.run], store, keeper, tell)
    items = SameItems(run, built, store, ready.tokenizer, facts)
    others = items.under(tracer.other) if tracer.other else ()
    left = store.unfinished_map(resolved.key)
    settings = plan_settings([left], ready, {resolved.key: resolved.spec})
    kept = _Kept(left, tracer, tracer.rows([item.id for item in built.data.items]))
    tell("running")
    with ready.at_work(settings):
        kept.complete(ready, Texts(prompts, groups_of(built), others), report, should_stop)
    made = Trace(
        resolved.spec,
        resolved.key,
        kept.rows,
        kept.arrays(),
        origin=run.origin,
        timing={"total": time.perf_counter() - start},
        environment=environment_of(ready, settings, run),
    )
    store.save_map(made)
    return made


def tracer_of(resolved: ResolvedMap) -> Tracer:
    """What is followed."""
    assert isinstance(resolved.spec.grid, Tracer)
    return resolved.spec.grid


class _Kept:
    """What is there of a trace's rows so far."""

    def __init__(self, left: Unfinished, tracer: Tracer, rows: list[str]) -> None:
        self._left, self._tracer, self.rows = left, tracer, rows
        self._found: dict[int, dict[str, Array]] = {}
        self._new: dict[int, dict[str, Array]] = {}
        for arrays, _ in left.pieces():
            for place, number in enumerate(arrays.pop("rows").tolist()):
                self._found[number] = {name: values[place] for name, values in arrays.items()}

    def complete(self, ready: ReadyModel, texts: Texts, report: Report, should_stop: Callable[[], bool]) -> None:
        """Follow the rows that are not there."""
        there, n_rows = frozenset(self._found), len(self.rows)
        try:
            for number, row in ready.traced(self._tracer, texts, there) if len(there) < n_rows else ():
                self._found[number] = self._new[number] = {name: np.asarray(values) for name, values in row.items()}
                if len(self._new) >= KEPT_TOGETHER:
                    self._keep()
                report(Progress("running", len(self._found), n_rows))
                if should_stop():
                    raise Cancelled
        finally:
            self._keep()

    def _keep(self) -> None:
        if self._new:
            joined = {name: np.stack([row[name] for row in self._new.values()]) for name in self._tracer.arrays}
            self._left.save_piece(min(self._new), {"rows": np.array(list(self._new)), **joined}, {"seconds": {}})
            self._new.clear()

    def arrays(self) -> dict[str, Array]:
        """Name -> (rows, ...), when all are there."""
        rows = [self._found[number] for number in range(len(self.rows))]
        return {name: np.stack([row[name] for row in rows]) for name in self._tracer.arrays}
