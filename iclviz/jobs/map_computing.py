"""A map: its sites captured together, kept piece by piece, and sealed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from iclviz.capture.decoding import Decoding
from iclviz.capture.effects import CapturedSites, Site, SitesCapture
from iclviz.capture.numbers import NoNumberError, no_numbers
from iclviz.capture.plan import PlanSettings
from iclviz.capture.sites import check_sites, halves_of
from iclviz.errors import Cancelled, SpecError
from iclviz.jobs.computing import ModelKeeper, plan_settings, prepared
from iclviz.jobs.donors import SameItems, donors_for, groups_of
from iclviz.jobs.progressing import Pace
from iclviz.jobs.table import Progress, Report
from iclviz.mapped import SCORED
from iclviz.mapping import Axis, Grid, Shape, sites_of
from iclviz.maps import EffectMap
from iclviz.models.configuration import ModelFacts
from iclviz.prompts import ResponseReader, TokenizedPrompt
from iclviz.recording import Array
from iclviz.resolve import Built, Resolved, ResolvedMap, resolve_map
from iclviz.spans import ANSWER, ROLES
from iclviz.spec import draws
from iclviz.store import Store
from iclviz.tasks import ReadAnswers
from iclviz.unfinished import Unfinished

KEEP_SECONDS = 5.0
"""What was captured is kept no more often."""

NAMES = ("rows", "logprobs", "acted", "changed")


def compute_map(
    resolved: ResolvedMap,
    store: Store,
    keeper: ModelKeeper,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EffectMap:
    """Make a map, going on from pieces that an earlier attempt finished, and seal it.

    Raises
    ------
    Cancelled: `should_stop` said so; finished pieces are kept.
    UserError: the map cannot be made.
    """
    start, n_items = time.perf_counter(), resolved.spec.n_items

    def tell(stage: str) -> None:
        report(Progress(stage, 0, n_items))
        if should_stop():
            raise Cancelled

    (run,), (built,), (prompts,), ready, facts = prepared([resolved.run], store, keeper, tell)
    shape = shape_of(run, facts, prompts)
    every = _every_site(resolved, shape, built, prompts, store, keeper, report, should_stop)
    before = tuple(run.spec.interventions)
    acts = [one for of_items in every.done for site in dict.fromkeys(of_items) for one in site]
    donors = donors_for(run, built, prompts, acts, store, ready.tokenizer, facts)
    read = _every_prompt(resolved, every, prompts, SameItems(run, built, store, ready.tokenizer, facts))
    left = store.unfinished_map(resolved.key)
    settings = plan_settings([left], ready, {resolved.key: resolved.spec})
    tell("running")
    writing = _Writing(run, built, read, ResponseReader(ready.tokenizer, ready.end_tokens))
    decoding = writing.decoding(grid_of(resolved).responses, ready.end_tokens)
    kept = _Kept(left, SitesCapture(read, every.done, settings, len(before), donors, decoding))
    try:
        seconds = kept.complete(ready, report, should_stop, n_items)
    except NoNumberError as error:
        item, site = error.prompt % n_items, error.prompt // n_items
        where = f"item {built.data.items[item].id!r}, {error.what}"
        done = "; ".join(one.sentence() for one in every.done[site][item])
        where += f", with {done}" if done else ""
        raise no_numbers(run.spec.model, ready.dtype, where) from error
    kept.count_other_text(read)
    sizes = tuple(len(axis.values) for axis in every.axes)
    made = EffectMap(
        resolved.spec,
        resolved.key,
        [item.id for item in built.data.items],
        every.axes,
        origin=run.origin,
        timing={"capture": seconds, "total": time.perf_counter() - start},
        environment=environment_of(ready, settings, run),
        **_by_site(
            kept,
            (*sizes, grid_of(resolved).n_draws),
            every.n_controls,
            n_items,
            writing.scores(kept) if grid_of(resolved).responses else None,
        ),
    )
    store.save_map(made)
    return made


def grid_of(resolved: ResolvedMap) -> Grid:
    """The grid of a map."""
    assert isinstance(resolved.spec.grid, Grid)
    return resolved.spec.grid


@dataclass(frozen=True)
class _Sites:
    """What is done to each item: nothing, at each site under each draw, at each control.

    Attributes
    ----------
    axes: of the map.
    done: for each of these, what is done to each of the n items.
    n_controls: of a site.
    """

    axes: tuple[Axis, Axis]
    done: list[list[Site]]
    n_controls: int


def _every_site(
    resolved: ResolvedMap,
    shape: Shape,
    built: Built,
    prompts: Sequence[TokenizedPrompt],
    store: Store,
    keeper: ModelKeeper,
    report: Report,
    should_stop: Callable[[], bool],
) -> _Sites:
    """What is done at each site of a map.

    Raises
    ------
    As `compute_map`.
    """
    of = grid_of(resolved)
    shapes = [shape] * len(prompts)
    prior = of.prior(resolved.spec.run)
    if prior is not None:
        wanted = resolve_map(prior, store.memo)
        there = store.has_map(wanted.key)
        found = store.load_map(wanted.key) if there else compute_map(wanted, store, keeper, report, should_stop)
        shapes = [replace(shape, ranked=ranked) for ranked in ranked_on_others(found, groups_of(built))]
    of_shapes = {each: sites_of(of, each) for each in dict.fromkeys(shapes)}
    first = of_shapes[shapes[0]]
    for _, sites, _ in of_shapes.values():
        _check_some(sites, prompts)
    before = tuple(resolved.run.spec.interventions)
    every: list[list[Site]] = [[before] * len(prompts)]
    every += [[(*before, *of_shapes[each][1][place]) for each in shapes] for place in range(len(first[1]))]
    n_controls = len(first[2][0])
    every += [
        [(*before, *of_shapes[each][2][place][number]) for each in shapes]
        for place in range(len(first[2]))
        for number in range(n_controls)
    ]
    return _Sites(first[0], every, n_controls)


def _every_prompt(
    resolved: ResolvedMap, every: _Sites, prompts: Sequence[TokenizedPrompt], items: SameItems
) -> list[Sequence[TokenizedPrompt]]:
    """The n prompts that are read where something of `every` is done: the run's, unless the grid shows others there.

    Raises
    ------
    SpecError: those do not fit, or what is done takes values from prompts that match the run's alone.
    """
    of, own = grid_of(resolved), resolved.run.spec.demonstrations
    at = [of.demonstrations_at(first, second, own) for first, second in product(*(axis.values for axis in every.axes))]
    if any(at) and any(one.needs for of_items in every.done for site in dict.fromkeys(of_items) for one in site):
        raise SpecError(
            "What is done to this run takes values of other items, which match its own demonstrations alone.",
            "Take a run to which nothing of that kind is done.",
        )
    read = [prompts if shown is None else items.under(shown) for shown in at]
    draws_of, controls = ([one for one in read for _ in range(times)] for times in (of.n_draws, every.n_controls))
    return [prompts, *draws_of, *controls]


def differing_tokens(one: TokenizedPrompt, other: TokenizedPrompt) -> int:
    """Places at which another prompt has another token, or none."""
    ids, others = one.ids, other.ids
    return sum(a != b for a, b in zip(ids, others, strict=False)) + abs(len(ids) - len(others))


def ranked_on_others(made: EffectMap, groups: Sequence[int]) -> list[tuple[tuple[int, int], ...]]:
    """For each item the heads (block, head), the one first that raises the right answer's probability most in items of
    the other half of the groups; of one group, in the other half of its items.
    """
    is_first = np.array(halves_of(groups))
    rise = np.where(made.acted > 0, np.exp(made.logprobs[..., 0]) - np.exp(made.base[:, 0]), np.nan)
    rankings = []
    for half in (~is_first, is_first):
        mean = np.nan_to_num(np.nanmean(rise[..., half], axis=(2, 3))) if half.any() else np.zeros(rise.shape[:2])
        places = np.unravel_index(np.argsort(-mean, axis=None, kind="stable"), mean.shape)
        heads, blocks = ([axis.values[place] for place in at] for axis, at in zip(made.axes, places, strict=True))
        rankings.append(tuple((int(block), int(head)) for block, head in zip(blocks, heads, strict=True)))
    return [rankings[0] if one else rankings[1] for one in is_first]


def shape_of(run: Resolved, facts: ModelFacts, prompts: Sequence[TokenizedPrompt]) -> Shape:
    """What a run offers to a grid."""
    held = {role for prompt in prompts for role in prompt.roles()}
    marked = any(mark.name.startswith(f"{ANSWER}:") for prompt in prompts for mark in prompt.marks)
    places = [role for role in ROLES if role in held] + [f"{ANSWER}:*"] * marked
    k, kinds = run.spec.demonstrations.canonical().k, tuple(run.task.demonstration_kinds)
    return Shape(facts.n_layers, facts.n_heads, k, tuple(places), kinds, draws(run.spec))


def _check_some(sites: Sequence[Site], prompts: Sequence[TokenizedPrompt]) -> None:
    """Refuse a map of which no site acts anywhere.

    Raises
    ------
    SpecError: so.
    """
    reasons = []
    for site in sites:
        try:
            check_sites(site, prompts)
            return
        except SpecError as error:
            reasons.append(error)
    if reasons:
        raise reasons[0]


def environment_of(ready: Any, settings: PlanSettings, run: Any) -> dict[str, Any]:
    """What a map says of where it was made."""
    model = {"identity": run.located.commit, "hub_id": run.located.hub_id}
    return {**ready.environment(), "plan": settings.to_dict(), "model": model}


class _Writing:
    """What the model writes at every site, and what the task says of it."""

    def __init__(
        self, run: Resolved, built: Built, read: Sequence[Sequence[TokenizedPrompt]], reader: ResponseReader
    ) -> None:
        """read: the n prompts of each site."""
        self._run, self._built, self._reader = run, built, reader
        self._prompts = [prompt for of_site in read for prompt in of_site]

    def _text(self, row: int, response: Sequence[int]) -> str:
        return self._reader.read(self._prompts[row].ids, response).readable

    def decoding(self, most: int, ends: frozenset[int]) -> Decoding:
        """How responses of at most so many tokens are written, asked about rows."""
        return Decoding(most, ends, lambda row, ids: self._run.task.is_finished(self._text(row, ids)))

    def scores(self, kept: "_Kept") -> Array:
        """(rows,) the main score of every response."""
        task, data, n = self._run.task, self._built.data, len(self._built.data.items)
        condition = (self._run.spec.demonstrations, self._run.spec.task_options)
        found = []
        for start in range(0, len(self._prompts), n):
            texts = [self._text(start + item, kept.responses[start + item]) for item in range(n)]
            parsed = [task.parse(text).value for text in texts]
            read = ReadAnswers(texts, parsed, kept.logprobs[start : start + n])
            found.append(np.asarray(task.score(data, read, *condition)[task.primary.score], dtype=float))
        return np.concatenate(found)


class _Kept:
    """What is there of a map's rows so far."""

    def __init__(self, left: Unfinished, capture: SitesCapture) -> None:
        self._left, self._capture = left, capture
        self.logprobs = np.full((capture.n_rows, capture.most_candidates), np.nan)
        self.acted, self.changed = (np.full(capture.n_rows, -1, dtype=np.int32) for _ in range(2))
        self.responses: dict[int, list[int]] = {}
        self._there: set[int] = set()
        self._new: list[CapturedSites] = []
        self._seconds = 0.0
        for arrays, facts in left.pieces():
            written = facts.get("responses") or [[] for _ in arrays["rows"]]
            self._take(CapturedSites(**{name: arrays[name] for name in NAMES}, responses=written))
            self._seconds += facts["seconds"]["capture"]

    def _take(self, batch: CapturedSites) -> None:
        self.logprobs[batch.rows] = batch.logprobs
        self.acted[batch.rows], self.changed[batch.rows] = batch.acted, batch.changed
        self.responses.update(zip(batch.rows.tolist(), batch.responses, strict=True))
        self._there.update(batch.rows.tolist())

    def complete(self, ready: Any, report: Report, should_stop: Callable[[], bool], n_items: int) -> float:
        """Capture the rows that are not there; the seconds that all took."""
        there, n_rows = frozenset(self._there), self._capture.n_rows
        pace = Pace(self._capture.tokens(there))
        kept_at = time.perf_counter()

        def on_read(tokens: float) -> None:
            if pace.is_due(tokens):
                report(pace.progress(len(self._there) * n_items // n_rows, n_items))

        try:
            for batch in self._capture.captured(ready, should_stop, on_read, there) if len(there) < n_rows else ():
                self._take(batch)
                self._new.append(batch)
                if time.perf_counter() - kept_at >= KEEP_SECONDS:
                    self._keep(time.perf_counter() - kept_at)
                    kept_at = time.perf_counter()
        finally:
            self._keep(time.perf_counter() - kept_at)
        return self._seconds

    def count_other_text(self, read: Sequence[Sequence[TokenizedPrompt]]) -> None:
        """Count the tokens that differ from the run's as places acted on and changed, where other text is read; the
        first of `read` are the run's prompts.
        """
        own, n = read[0], len(read[0])
        for place, of_site in enumerate(read):
            if of_site is not own:
                counts = [differing_tokens(one, theirs) for one, theirs in zip(of_site, own, strict=True)]
                for kept in (self.acted, self.changed):
                    rows = kept[place * n : (place + 1) * n]
                    rows[:] = np.maximum(rows, counts)

    def _keep(self, seconds: float) -> None:
        if self._new:
            arrays = {name: np.concatenate([getattr(batch, name) for batch in self._new]) for name in NAMES}
            written = [response for batch in self._new for response in batch.responses]
            facts = {"seconds": {"capture": seconds}} | ({"responses": written} if any(written) else {})
            self._left.save_piece(int(arrays["rows"].min()), arrays, facts)
            self._new = []
            self._seconds += seconds


def _by_site(
    kept: _Kept, sizes: tuple[int, ...], n_controls: int, n_items: int, scores: Array | None
) -> dict[str, Array]:
    """The arrays of a map, of rows that are base, sites and controls, each of all items."""
    n_sites = int(np.prod(sizes))  # and draws

    def shaped(values: Array) -> tuple[Array, Array, Array]:
        by_row = values.reshape(-1, n_items, *values.shape[1:])
        at, beside = by_row[1 : 1 + n_sites], by_row[1 + n_sites :]
        return (
            by_row[0],
            at.reshape(*sizes, *by_row.shape[1:]),
            beside.reshape(*sizes[:-1], n_controls, *by_row.shape[1:]),
        )

    base, logprobs, controls = shaped(kept.logprobs)
    _, acted, acted_controls = shaped(kept.acted)
    scored = {} if scores is None else dict(zip(SCORED, shaped(scores), strict=True))
    return {
        **scored,
        "base": base,
        "logprobs": logprobs,
        "controls": controls,
        "acted": acted,
        "changed": shaped(kept.changed)[1],
        "acted_controls": acted_controls,
    }
