"""A model with the last items' keys and values, for what is asked of single items."""

import time
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from iclviz.capture.backend import ReadyModel
from iclviz.capture.decoding import Decoding
from iclviz.capture.recorders.acting import RECORDER as ACTING
from iclviz.capture.recorders.attention import RECORDER as ATTENTION
from iclviz.capture.recorders.candidates import RECORDER as CANDIDATES
from iclviz.capture.sites import check_sites
from iclviz.errors import SpecError
from iclviz.jobs.computing import ModelKeeper, files_changed, prepared
from iclviz.jobs.donors import donors_for
from iclviz.live import LiveAnswer, LiveSpec
from iclviz.models.configuration import ModelFacts
from iclviz.prompts import ResponseReader, TokenizedPrompt
from iclviz.recorders import Asked
from iclviz.resolve import Built, Resolved, resolve
from iclviz.spans import ROLES
from iclviz.store import Store

KEPT_RUNS, KEPT_ITEMS = 4, 8
MOST_TOKENS = 24
"""Of a response, which is a glimpse."""


@dataclass(frozen=True, eq=False)
class _Run:
    resolved: Resolved
    built: Built
    prompts: list[TokenizedPrompt]
    ready: ReadyModel
    facts: ModelFacts


class LiveModel:
    """Answers what is asked of single items of a cache."""

    def __init__(self, store: Store) -> None:
        self._store, self._keeper = store, ModelKeeper()
        self._runs: LRUCache[str, _Run] = LRUCache(KEPT_RUNS)
        self._items: LRUCache[tuple[str, int], Any] = LRUCache(KEPT_ITEMS)

    def answer(self, spec: LiveSpec) -> LiveAnswer:
        """What the model answers to the item while that is done.

        Raises
        ------
        UserError: it cannot be done, or the run cannot be read.
        """
        run = self._run(spec)
        if spec.item >= len(run.prompts):
            raise SpecError(f"There is no item {spec.item}.", f"Take a place from 0 to {len(run.prompts) - 1}.")
        prompt, start = run.prompts[spec.item], time.perf_counter()
        done = (*run.resolved.spec.interventions, *spec.done)
        check_sites(done, [prompt])
        every = donors_for(
            run.resolved, run.built, run.prompts, done, self._store, run.ready.tokenizer, run.facts
        ).only(spec.item)
        held = self._item(run, spec.item)
        reader = ResponseReader(run.ready.tokenizer, run.ready.end_tokens)
        task = run.resolved.task

        def is_finished(index: int, ids: list[int]) -> bool:
            return task.is_finished(reader.read(prompt.ids, ids).readable)

        counts: Asked = {ACTING: {0: len(done)}} if done else {}
        kept: Asked = {CANDIDATES: {0: True}, ATTENTION: {0: True}, **counts}
        most = min(task.max_new_tokens[run.resolved.spec.prompt_style or "plain"], MOST_TOKENS)
        limit = most if spec.writes else 0
        with run.ready.at_work(run.ready.settings()):
            captured = held.captured(kept, Decoding(limit, run.ready.end_tokens, is_finished), done, every)
        (taken,) = captured.taken
        acted, changed = (int(places.min()) for places in taken[ACTING.name]) if done else (-1, -1)
        masses = taken[ATTENTION.name][0].mean(axis=1)
        return LiveAnswer(
            [reader.read(prompt.ids, ids[len(prompt) :]).text.strip() for ids in prompt.candidates],
            [float(one) for one in taken[CANDIDATES.name]],
            reader.read(prompt.ids, captured.response_ids[0]).text,
            {role: masses[:, place].tolist() for place, role in enumerate(ROLES) if masses[:, place].any()},
            acted,
            changed,
            time.perf_counter() - start,
        )

    def _run(self, spec: LiveSpec) -> _Run:
        resolved = resolve(spec.run, self._store.memo)
        if resolved.origin.model != spec.files:
            raise files_changed(spec.run.model)
        if resolved.key not in self._runs:
            (run,), (built,), (prompts,), ready, facts = prepared(
                [resolved], self._store, self._keeper, lambda stage: None
            )
            self._runs[resolved.key] = _Run(run, built, prompts, ready, facts)
        return self._runs[resolved.key]

    def _item(self, run: _Run, item: int) -> Any:
        """The item's prompt, read."""
        key = (run.resolved.key, item)
        if key not in self._items:
            self._items[key] = run.ready.live(run.prompts[item])
        return self._items[key]
