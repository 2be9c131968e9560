"""Cached loaders: the store, the queue, resolved specs, recordings and tokenizers, shared by all sessions."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from iclviz import studies, whereabouts
from iclviz.errors import ModelError, StoreError, UserError
from iclviz.jobs.queue import Queue
from iclviz.keys import Origin
from iclviz.limits import check_possible
from iclviz.mapping import Grid, MapSpec, Tracer, as_mapped
from iclviz.maps import EffectMap, Made, Trace
from iclviz.models.configuration import ModelFacts
from iclviz.models.locating import LocatedModel, on_disk
from iclviz.models.presets import presets
from iclviz.models.tokenizing import load_tokenizer
from iclviz.places import cache_folder
from iclviz.recording import Recording
from iclviz.resolve import Resolved, ResolvedMap, build, resolve, resolve_map, run_facts, tokenized
from iclviz.spec import RunSpec, canonical_json
from iclviz.store import Store
from iclviz.study import Study
from iclviz.ui.page_state import is_only_linked
from iclviz.ui.plain_text import as_text
from iclviz.whereabouts import without_folder

RESOLVE_SECONDS = 30
"""How long a resolved spec is believed: a model's files may change, and a hub id costs a question to the hub."""


@st.cache_resource(show_spinner=False)
def _store(folder: str) -> Store:
    return Store(folder)


def store() -> Store:
    """The store of this cache folder.

    Raises
    ------
    StoreError: the folder cannot be written.
    """
    return _store(str(cache_folder()))


@st.cache_resource(show_spinner=False)
def _queue(folder: str) -> Queue:
    return Queue(_store(folder))


def queue() -> Queue:
    """The queue of this cache folder."""
    return _queue(str(cache_folder()))


@dataclass
class _Slot:
    """A resolved spec, or why there is none: errors are remembered too, so a hub is not asked on every rerun."""

    resolved: Resolved | None = None
    problem: str = ""


# No copy of a task of ten thousand rows on every rerun, which would also have to work out its rows' order again.
@st.cache_resource(show_spinner=False, ttl=RESOLVE_SECONDS, max_entries=256)
def _slot(spec_json: str, folder: str) -> _Slot:
    return _Slot()


def _fill(slot: _Slot, spec: RunSpec) -> None:
    """Resolve a spec; where large files of its model were not read yet, a bar shows how far that is."""
    bars: list[Any] = []

    def tell(done: int, total: int) -> None:
        words = f"Reading every byte of {as_text(spec.model)}, once: {done / 1e9:.1f} of {total / 1e9:.1f} GB"
        bars[:] = bars or [st.progress(0.0)]
        bars[0].progress(done / total, text=words)

    try:
        slot.resolved = resolve(spec, store().memo, tell)
    except UserError as error:
        slot.problem = str(error)
    for bar in bars:
        bar.empty()


def is_here(model: str) -> bool:
    """Whether a model is known on this disk without looking for it: a preset, or one that was run or seen here."""
    if model in presets():
        return on_disk(model)
    seen = [path for path, _ in whereabouts.known(without_folder(model), store().memo)]
    return model in seen or any(entry.spec.model == model for entry in store().summaries())


def resolved(spec: RunSpec) -> Resolved:
    """A spec with its key, at most half a minute old.

    Model options are left out: what a page shows may come from elsewhere, and only who runs something gives it any.

    Raises
    ------
    UserError: the spec cannot be run, or names a model that only a link asks for.
    """
    if is_only_linked(spec.model) and not is_here(spec.model):
        raise UserError(
            f"A link asks for the model {spec.model}, which nobody has chosen here.",
            "If you know it, click “Use this model” in the sidebar; until then no file is read and no hub is asked.",
        )
    spec = spec.with_(model_options={})
    slot = _slot(canonical_json(spec.to_dict()), str(cache_folder()))
    if slot.resolved is None and not slot.problem:
        _fill(slot, spec)
    if slot.resolved is None:
        raise UserError(slot.problem)
    return slot.resolved


@st.cache_resource(show_spinner=False, ttl=RESOLVE_SECONDS, max_entries=8)
def _study_cells(folder: str, digest: str, _study: Study) -> list[Resolved]:
    return studies.resolved_cells(_study, _store(folder))


def study_state(name: str) -> studies.StudyState | None:
    """How far a study is, None where there is none of that name; its runs are resolved at most half a minute ago.

    Raises
    ------
    UserError: its file is damaged, or a model or a task is not there.
    """
    found = studies.kept(name, store())
    if found is None:
        return None
    return studies.state_of(found, store(), _study_cells(str(cache_folder()), found.study.digest, found.study))


@st.cache_resource(show_spinner=False, max_entries=32)
def _recording(folder: str, key: str, sealed: float) -> Recording:
    return _store(folder).load(key)


def recording(key: str) -> Recording | None:
    """A sealed recording, None where there is none.

    Raises
    ------
    StoreError: its files are damaged.
    """
    return sealed(key) if key in store() else None


def sealed(key: str) -> Recording:
    """A recording that is there.

    Raises
    ------
    StoreError: it is not, or its files are damaged.
    """
    return _recording(str(cache_folder()), key, store().summary(key).created)


@st.cache_resource(show_spinner=False, max_entries=32)
def _made(folder: str, key: str, sealed: int) -> Made:
    return _store(folder).load_made(key)


def _made_of(recording: Recording, of: Grid | Tracer) -> Made | None:
    key = store().map_of(recording, of)
    return None if key is None else _made(str(cache_folder()), key, store().map_place(key).stat().st_mtime_ns)


def effect_map(recording: Recording, grid: Grid) -> EffectMap | None:
    """The map of a recording's run over a grid, None where it was not made.

    Raises
    ------
    StoreError: its files are damaged.
    """
    made = _made_of(recording, grid)
    return made if isinstance(made, EffectMap) else None


def trace(recording: Recording, tracer: Tracer) -> Trace | None:
    """The trace of a recording's run, None where it was not made.

    Raises
    ------
    StoreError: its files are damaged.
    """
    made = _made_of(recording, tracer)
    return made if isinstance(made, Trace) else None


def resolved_map(run: RunSpec, grid: Grid | Tracer) -> ResolvedMap:
    """The map of a run over a grid, or its trace, as it is asked for.

    Raises
    ------
    UserError: the run cannot be read again, such as where its model is not here.
    """
    return resolve_map(MapSpec(resolved(as_mapped(run)).spec, grid), store().memo)


def keeping(recording: Recording, needed: RunSpec) -> Recording | None:
    """The recording, or another of the same run, that keeps whatever one of `needed` keeps; None where none does."""
    if recording.spec.keeps_all_of(needed):
        return recording
    return _that_keeps(needed, recording.spec, recording.origin) if recording.origin else None


def _that_keeps(needed: RunSpec, spec: RunSpec, origin: Origin) -> Recording | None:
    """The newest recording of a run that keeps whatever one of `needed` keeps."""
    return next((one for one in of_run(spec, origin) if one.spec.keeps_all_of(needed)), None)


def of_run(spec: RunSpec, origin: Origin) -> Iterator[Recording]:
    """Every recording of one run that can be read, whatever each keeps of it, the newest first."""
    kept = set(RunSpec.fields_that("kept"))
    for entry in store().summaries():
        if set(entry.spec.differences(spec)) <= kept:
            with suppress(StoreError):
                one = recording(entry.key)
                if one is not None and one.origin is not None and one.origin.is_of_run(origin):
                    yield one


def keeping_too(recording: Recording, needed: RunSpec) -> RunSpec:
    """A spec that keeps what is needed and all that any recording of a run keeps: its own stands for them all.

    Raises
    ------
    SpecError: that is more than a run keeps.
    """
    needed = needed.keeping_also(recording.spec)
    for one in of_run(recording.spec, recording.origin) if recording.origin else ():
        needed = needed.keeping_also(one.spec)
    return needed


@dataclass(frozen=True)
class Found:
    """What there is of a spec: it with every default, its recording, and why one of them is missing."""

    resolved: Resolved | None
    recording: Recording | None
    problem: str = ""


def found(spec: RunSpec) -> Found:
    """A spec's recording, or None where it has not run; why it cannot be run or read is said in words."""
    try:
        known = resolved(spec)
    except UserError as error:
        return Found(None, None, str(error))
    try:
        return Found(known, recording(known.key) or _that_keeps(known.spec, known.spec, known.origin))
    except UserError as error:
        return Found(known, None, str(error))


@st.cache_resource(show_spinner=False, max_entries=8)
def _tokenizer(name: str, files: str, _located: LocatedModel) -> Any:
    return load_tokenizer(_located, store().memo)


def tokenizer(resolved: Resolved) -> Any:
    """A model's tokenizer, without torch; read again where the model's files changed.

    Raises
    ------
    ModelError: it is not on this disk yet.
    """
    return _tokenizer(resolved.located.name, resolved.origin.model, resolved.located)


def prompt_lengths(run: Resolved) -> list[int]:
    """How many tokens each of a run's prompts has.

    Raises
    ------
    ModelError: the model is not on this disk yet.
    SpecError: a prompt does not fit the model, or holds what it cannot read.
    """
    return _prompt_lengths(run.key, run.origin.model, run)


@st.cache_data(show_spinner=False, max_entries=32)
def _prompt_lengths(key: str, files: str, _run: Resolved) -> list[int]:
    return [len(prompt) for prompt in tokenized(_run, build(_run), tokenizer(_run), run_facts(_run))]


def check(run: Resolved) -> None:
    """Refuse a run that cannot be, before its prompts or a job are made.

    Raises
    ------
    SpecError: the task has not so many items or demonstrations, or they do not fit the model; says what does.
    """
    known: tuple[Any, ModelFacts | None]
    try:
        known = tokenizer(run), run_facts(run)
    except ModelError:  # not on this disk yet, or not ready
        known = None, None
    check_possible(run, *known)
