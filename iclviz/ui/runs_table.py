"""Every run of the cache as a table: recordings with what users said of them, and jobs that have no recording yet."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from iclviz.curating import annotation, annotation_problem
from iclviz.errors import StoreError, UserError
from iclviz.jobs.table import Job
from iclviz.models.presets import model_title
from iclviz.recorded import MOST_BYTES, RUN, Summary
from iclviz.schemas import read_json
from iclviz.spec import RunSpec
from iclviz.store import Ailing
from iclviz.ui import loading
from iclviz.ui.page_state import describe, task_title

STAGES = ("prefill", "decode", "candidates")
"""The stages in which the model computes; loading it is shared by many runs."""

COLUMNS = {
    "state": st.column_config.TextColumn("State", width="small"),
    "model": st.column_config.TextColumn("Model"),
    "name": st.column_config.TextColumn("Name", help="Your own; it names the condition on every page."),
    "task": st.column_config.TextColumn("Task"),
    "shown": st.column_config.TextColumn("Demonstrations", help="Their kind; their order unless as drawn."),
    "k": st.column_config.NumberColumn("k", help="Number of demonstrations."),
    "seed": st.column_config.NumberColumn("Seed", help="Draws the demonstrations."),
    "items": st.column_config.NumberColumn("Items"),
    "score": st.column_config.NumberColumn("Main score", format="%.3f", help="The mean of the task's main score."),
    "recorded": st.column_config.DatetimeColumn("Recorded", format="YYYY-MM-DD HH:mm"),
    "took": st.column_config.NumberColumn("Took", format="%.0f s", help="Seconds in which the model computed."),
    "size": st.column_config.NumberColumn("Size", format="%.1f MB"),
    "tags": st.column_config.ListColumn("Tags"),
    "note": st.column_config.TextColumn("Note"),
    "told": st.column_config.TextColumn(
        "Model told by",
        help="A sample: an older key, which weights changed by hand may share. Run it again.",
    ),
    "key": st.column_config.TextColumn("Key", width="small"),
}
"""Column -> how Streamlit shows it."""


def runs() -> pd.DataFrame:
    """One row a run, however many recordings keep more or less of it: those that wait or run, then recorded ones, then
    what failed or was cancelled, the newest first; columns as in `COLUMNS`.
    """
    found = loading.store().runs()
    recorded = [_recorded(run.entry) for run in found]
    known = {key for run in found for key in run.keys}
    jobs = [job for job in reversed(_jobs()) if job.key not in known and job.state != "done"]
    under_way, ended = ([_job(job) for job in jobs if job.is_open is there] for there in (True, False))
    return pd.DataFrame([*under_way, *recorded, *ended], columns=list(COLUMNS))


NARROW = ("task", "shown", "k", "seed", "items", "state")
"""Columns that come first where few are seen: those that tell runs apart."""


def order(is_narrow: bool) -> list[str]:
    """The columns in their order."""
    return [*NARROW, *(name for name in COLUMNS if name not in NARROW)] if is_narrow else list(COLUMNS)


def recordings_of(keys: Sequence[str]) -> list[str]:
    """The keys of all recordings of the runs that have these rows."""
    return [key for run in loading.store().runs() if run.entry.key in keys for key in run.keys]


def _jobs() -> list[Job[RunSpec]]:
    """The jobs of runs; none where the queue cannot be opened, as on a full disk, where recordings can be removed."""
    try:
        return [job for job in loading.queue().jobs() if isinstance(job.spec, RunSpec)]  # type: ignore[misc]
    except StoreError:
        return []


def ailing() -> list[Ailing]:
    """What of the cache cannot be used."""
    store = loading.store()
    readable, wrong = store.listing()
    notes = (annotation_problem(store, entry.key) for entry in readable)
    with suppress(StoreError):
        wrong = [*wrong, *loading.queue().ailing()]
    return [*wrong, *(one for one in notes if one is not None)]


def _job(job: Job[RunSpec]) -> dict[str, Any]:
    return {"state": job.state, "name": "", "told": "", "tags": [], "note": "", **_of_spec(job.spec, job.key)}


def _recorded(entry: Summary) -> dict[str, Any]:
    notes = annotation(loading.store(), entry.key)
    return {
        "state": "recorded",
        **_of_spec(entry.spec, entry.key),
        "told": "a sample of its weights" if entry.by_sample else "",
        "name": notes.name,
        "tags": list(notes.tags),
        "note": notes.note,
        "score": entry.mean_score,
        "recorded": datetime.fromtimestamp(entry.created, tz=UTC).astimezone().replace(tzinfo=None),
        "took": _seconds(entry.key),
        "size": entry.size / 1e6,
    }


def _of_spec(spec: RunSpec, key: str) -> dict[str, Any]:
    shown = spec.demonstrations.canonical()
    return {
        "model": model_title(spec.model),
        "task": task_title(spec.task),
        "shown": f"{shown.kind}{shown.order_words}",
        "k": shown.k,
        "seed": shown.seed,
        "items": spec.n_items,
        "key": key,
    }


def _seconds(key: str) -> float | None:
    try:
        timing = read_json(loading.store().place(key, RUN) / RUN, MOST_BYTES[RUN])["timing"]
        return float(sum(timing.get(stage, 0.0) for stage in STAGES))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def discarded_name(key: str) -> str:
    """What a discarded recording is called: by its name, else by what it was."""
    if name := annotation(loading.store(), key).name:
        return name
    try:
        spec = RunSpec.from_dict(read_json(loading.store().discarded_place(key) / RUN, MOST_BYTES[RUN])["spec"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return key[:12]
    return f"{describe(spec)}, seed {spec.demonstrations.seed}, {spec.n_items} items, {key[:6]}"


def filtered(rows: pd.DataFrame, words: str, chosen: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The rows that hold every word somewhere, and in each column one of the chosen values, if any is chosen."""
    shown = {name: rows[name].map(_SHOWN.get(name, str)) for name in rows}
    texts = [" ".join(row).lower() for row in zip(*shown.values(), strict=True)]
    kept = pd.Series([all(word in text for word in words.lower().split()) for text in texts], rows.index, dtype=bool)
    for column, values in chosen.items():
        if values:
            kept &= np.array([not set(values).isdisjoint(_as_list(value)) for value in rows[column]], dtype=bool)
    return rows[kept]


_SHOWN: Mapping[str, Callable[[Any], str]] = {
    "score": lambda value: f"{value:.3f}",
    "recorded": lambda value: f"{value:%Y-%m-%d %H:%M}" if pd.notna(value) else "",
    "took": lambda value: f"{value:.0f} s",
    "size": lambda value: f"{value:.1f} MB",
    "tags": lambda tags: " ".join(_as_list(tags)),
}
"""Column -> what the table shows of a value, by which rows are found."""


def values_of(rows: pd.DataFrame, column: str) -> list[str]:
    """What a column holds, each value once."""
    return sorted({value for cell in rows[column] for value in _as_list(cell) if value})


def _as_list(value: Any) -> list[str]:
    if isinstance(value, list):
        return value
    return [] if pd.isna(value) else [str(value)]
