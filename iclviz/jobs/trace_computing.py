"""A trace: its rows followed one by one, kept as they end, and sealed."""

import time
from collections.abc import Callable

import numpy as np

from iclviz.errors import Cancelled
from iclviz.jobs.computing import ModelKeeper, plan_settings, prepared
from iclviz.jobs.map_computing import environment_of
from iclviz.jobs.table import Progress, Report
from iclviz.mapping import Tracer
from iclviz.maps import Trace
from iclviz.recording import Array
from iclviz.resolve import ResolvedMap
from iclviz.store import Store

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
    start, tracer = time.perf_counter(), resolved.spec.grid
    assert isinstance(tracer, Tracer)

    def tell(stage: str) -> None:
        report(Progress(stage, 0, resolved.spec.n_items))
        if should_stop():
            raise Cancelled

    (run,), (built,), (prompts,), ready, _ = prepared([resolved.run], store, keeper, tell)
    rows = tracer.rows([item.id for item in built.data.items])
    left = store.unfinished_map(resolved.key)
    settings = plan_settings([left], ready, [resolved.key])
    found: dict[int, dict[str, Array]] = {}
    for arrays, _ in left.pieces():
        for place, number in enumerate(arrays.pop("rows").tolist()):
            found[number] = {name: values[place] for name, values in arrays.items()}
    tell("running")
    new: dict[int, dict[str, Array]] = {}

    def keep() -> None:
        if new:
            joined = {name: np.stack([row[name] for row in new.values()]) for name in tracer.arrays}
            left.save_piece(min(new), {"rows": np.array(list(new)), **joined}, {"seconds": {}})
            new.clear()

    try:
        with ready.at_work(settings):
            for number, row in ready.traced(tracer, prompts, frozenset(found)) if len(found) < len(rows) else ():
                found[number] = new[number] = {name: np.asarray(values) for name, values in row.items()}
                if len(new) >= KEPT_TOGETHER:
                    keep()
                report(Progress("running", len(found), len(rows)))
                if should_stop():
                    raise Cancelled
    finally:
        keep()
    made = Trace(
        resolved.spec,
        resolved.key,
        rows,
        {name: np.stack([found[number][name] for number in range(len(rows))]) for name in tracer.arrays},
        origin=run.origin,
        timing={"total": time.perf_counter() - start},
        environment=environment_of(ready, settings, run),
    )
    store.save_map(made)
    return made
