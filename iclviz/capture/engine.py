"""One generation that records everything.

1. Prefixes of tokens that prompts share are read once, pass by pass down the trie; all prompt tokens but the last are
   read so. Hooks pool the hidden states.
2. The prompt's last token is the first decoding step: its attention row is recorded, its hidden states join the pools.
3. Greedy decoding: every generated token is fed once, also the last one, so that each leaves its attention row.
4. Candidate answers are scored on the prompt's own cache, without recording.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.capture.acting import Acting, DonorValues, Keeping
from iclviz.capture.attention import AttentionEdits, RowSink, Way, attention_way, reading
from iclviz.capture.cache import PathCache, Prefix, SharedPrefix
from iclviz.capture.decoding import Captured, Decoding, joined, plan_prompts
from iclviz.capture.numbers import NoNumberError
from iclviz.capture.plan import BatchRow, Group, Leaf, PlanSettings
from iclviz.capture.pooling import beginning_at, blocks_of, reading_states
from iclviz.capture.prefixes import common_prefix
from iclviz.capture.recorders_of_ones_own import guarded, is_out_of_memory
from iclviz.capture.sites import Done, Donors, reading_as
from iclviz.errors import Cancelled, SpecError
from iclviz.intervening import Intervention
from iclviz.models.ranks import ranks_of
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import Asked, Batch, BatchRecord, Hook, PassRecord, ReadRow, Recorder, Subject

Result = TypeVar("Result")
Placed = TypeVar("Placed", BatchRow, Leaf)
SETTINGS = PlanSettings(token_budget=4096, threads=1)
MOST_PLAIN_BYTES = 2**30
"""Of states that are kept for sites to begin at their blocks."""


class Engine:
    """Runs one model over prompts and records."""

    def __init__(self, model: Any, way: Way, n_layers: int, device: torch.device | None = None) -> None:
        """device: where token ids go, for a model that is split; None is where its embeddings are."""
        self.model = model
        self.way = way
        self.reads_whole_caches = way != "interface"
        self.n_layers = n_layers
        self.blocks = blocks_of(model, n_layers)
        self.ranks = ranks_of(model)
        self.device = device or model.get_input_embeddings().weight.device

    def captures(
        self,
        prompts: Sequence[TokenizedPrompt],
        plan: Sequence[Group],
        asked: Asked,
        decoding: Decoding,
        should_stop: Callable[[], bool] = lambda: False,
        done: frozenset[int] = frozenset(),
        on_read: Callable[[float], None] = lambda tokens: None,
        done_to_model: Done = (),
        donors: Donors | None = None,
    ) -> Iterator[Captured]:
        """Run a plan; yields each batch of prompts as it ends. Where memory does not suffice a batch is halved.

        Parameters
        ----------
        plan: over the prompts' tokens but the last, as `plan_prompts` makes it.
        asked: what each recorder keeps of which prompts; with none the same is generated and nothing recorded.
        done: prompts whose results are there already: what only they need is not run.
        on_read: told after each block of a pass its share of the tokens, and after each decoding step its tokens.
        done_to_model: the interventions of each prompt; the plan is then over tokens as `sites.reading_as` reads them.
        donors: whose values are put in place of others'; they are read first, with nothing done to the model.

        Raises
        ------
        Cancelled: `should_stop` said so, between two forward passes.
        NoNumberError: what would be recorded of a prompt is no number.
        UserError: a recorder cannot record this model, or an intervention cannot act on it.
        """
        values = self.values_of(donors, should_stop) if donors and donors.of else None
        acting = self.acting(done_to_model, prompts, values)
        plain = None
        if acting.kinds and self.way == "interface" and _scores_alone(asked, decoding, len(prompts)):
            plain = self._plain_states(prompts, acting, asked, decoding, should_stop)
        run = PlanRun(self, prompts, asked, decoding, should_stop, on_read, acting, plain)
        for group in plan:
            yield from run.under(group, {}, done)

    def values_of(self, donors: Donors, should_stop: Callable[[], bool]) -> DonorValues:
        """What donors' prompts hold where it is needed."""
        kept, prompts = DonorValues(donors, self.blocks, self.ranks), donors.prompts
        done = [kept.wanted()] * len(prompts)
        self._read_through(prompts, done, self.acting(done, prompts, keeps=kept), donors=None, should_stop=should_stop)
        for one, of_fold in kept.in_turn():
            self._in_turn(kept, one, of_fold, should_stop)
        return kept

    def _in_turn(
        self, values: DonorValues, one: Intervention, donors: Sequence[int], should_stop: Callable[[], bool]
    ) -> None:
        """Read donors up to the last block in which something is fitted, changed in the blocks below that one."""
        *below, layer = one.layers or ()
        prompts = [values.donors.prompts[donor] for donor in donors]
        changed = replace(one, layers=tuple(below))
        kept, known = DonorValues(Donors(prompts), self.blocks, self.ranks), values.for_donors(changed, donors)
        done = [[changed, Keeping.of_place(one.rows, one.part, (layer,))] for _ in prompts]
        acting = self.acting(done, prompts, known, keeps=kept)
        self._read_through(prompts, done, acting, known.donors, should_stop)
        values.fit_in_turn(one, donors, kept)

    def _read_through(
        self,
        prompts: Sequence[TokenizedPrompt],
        done: Done,
        acting: Acting,
        donors: Donors | None,
        should_stop: Callable[[], bool],
    ) -> None:
        """Read prompts for what is kept of them alone."""
        decoding = Decoding(0)
        run = PlanRun(self, prompts, {}, decoding, should_stop, lambda tokens: None, acting)
        for group in plan_prompts(prompts, decoding, self._sharing(SETTINGS), reading_as(done, prompts, donors)):
            for _ in run.under(group, {}, frozenset()):
                pass

    def _plain_states(
        self,
        prompts: Sequence[TokenizedPrompt],
        acting: Acting,
        asked: Asked,
        decoding: Decoding,
        should_stop: Callable[[], bool],
    ) -> "_PlainStates | None":
        """Read each prompt once with nothing done to the model, for sites to begin at their blocks; None where that
        would take too much room.
        """
        first: dict[int, int] = {}
        for index, prompt in enumerate(prompts):
            first[id(prompt)] = min(first.get(id(prompt), len(prompt)), acting.first_token(index))
        different = list({id(prompt): prompt for prompt in prompts}.values())
        width = self.model.get_input_embeddings().weight.shape[1]
        n_states = sum(len(prompt) - first[id(prompt)] for prompt in different) * self.n_layers
        if 4 * n_states * width > MOST_PLAIN_BYTES:
            return None
        plain = _PlainStates(first, self.n_layers)
        every = {one: dict.fromkeys(range(len(different)), True) for one in asked if one.hooks}
        run = PlanRun(
            self, different, every, decoding, should_stop, lambda tokens: None, self.acting((), different), keeps=plain
        )
        for group in plan_prompts(different, decoding, SETTINGS):
            for _ in run.under(group, {}, frozenset()):
                pass
        return plain

    def capture(
        self,
        prompts: Sequence[TokenizedPrompt],
        asked: Asked,
        decoding: Decoding,
        settings: PlanSettings = SETTINGS,
        done_to_model: Done = (),
        donors: Donors | None = None,
    ) -> Captured:
        """Run all prompts and give their results in their order.

        Raises
        ------
        As `captures`.
        """
        read_as = reading_as(done_to_model, prompts, donors)
        plan = plan_prompts(prompts, decoding, self._sharing(settings), read_as)
        return joined(list(self.captures(prompts, plan, asked, decoding, done_to_model=done_to_model, donors=donors)))

    def _sharing(self, settings: PlanSettings) -> PlanSettings:
        """Settings of which prompts share text only where the model can go on from it."""
        return replace(settings, sharing=settings.sharing and self.way != "alone")

    def acting(
        self,
        done_to_model: Done,
        prompts: Sequence[TokenizedPrompt],
        values: DonorValues | None = None,
        keeps: DonorValues | None = None,
    ) -> Acting:
        """The interventions of prompts at work; values: what donors hold; keeps: where what is kept of prompts goes.

        Raises
        ------
        SpecError: they cannot act on this model.
        """
        acting = Acting(done_to_model, prompts, self.blocks, values, keeps, self.ranks)
        if acting.acts_in_attention and self.way != "interface":
            raise SpecError(
                f"The attention of {type(self.model).__name__} runs in its own code alone, so neither it nor single "
                "heads can be changed.",
                "Act on a block's attention, MLP or state, or take another model.",
            )
        return acting


def _scores_alone(asked: Asked, decoding: Decoding, n_prompts: int) -> bool:
    """Whether nothing is asked for but candidates' scores."""
    return all(recorder.hooks <= {"candidates"} for recorder in asked) and not any(
        decoding.limit(prompt) for prompt in range(n_prompts)
    )


class _PlainStates:
    """The states with which prompts enter each block while nothing is done to the model: of their tokens from the first
    that is acted on, and of what is read on after them.
    """

    def __init__(self, first: Mapping[int, int], n_layers: int) -> None:
        """first: by a prompt's identity the position of the first token that is acted on."""
        self.first, self._n_layers = first, n_layers
        self._tokens: dict[tuple[int, int], torch.Tensor] = {}
        self._readings: dict[tuple[int, _Reading], torch.Tensor] = {}

    def needs(self, row: BatchRow, prompts: Sequence[TokenizedPrompt]) -> bool:
        """Whether anything of a row is kept."""
        return any(self.first[id(prompts[index])] < row.end for index in row.prompts)

    def keep(self, rows: Sequence[BatchRow], prompts: Sequence[TokenizedPrompt], states: Mapping[int, Any]) -> None:
        """Keep what a pass over rows left, states: layer -> (B, t, d)."""
        for number, row in enumerate(rows):
            for prompt in {id(prompts[index]) for index in row.prompts}:
                for at in range(max(row.start, self.first[prompt]), row.end):
                    self._tokens[prompt, at] = self._of_layers(
                        states, number, slice(at - row.start, at - row.start + 1)
                    )

    def keep_reading(
        self, prompts: Sequence[TokenizedPrompt], readings: Sequence["_Reading"], states: Mapping[int, Any]
    ) -> None:
        """Keep what rows left that read on after their prompts."""
        for row, (prompt, text) in enumerate(zip(prompts, readings, strict=True)):
            self._readings[id(prompt), text] = self._of_layers(states, row, slice(0, len(text[1])))

    def _of_layers(self, states: Mapping[int, torch.Tensor], row: int, tokens: slice) -> torch.Tensor:
        """(L, t, d), what enters each block."""
        return torch.stack([states[layer][row, tokens] for layer in range(self._n_layers)])

    def entering(self, block: int, prompt: TokenizedPrompt, start: int, end: int) -> torch.Tensor:
        """(t, d) of a prompt's tokens [start, end) where they enter a block, counted from 1."""
        return torch.cat([self._tokens[id(prompt), at][block - 1] for at in range(start, end)])

    def reading_on(self, block: int, prompt: TokenizedPrompt, text: "_Reading") -> torch.Tensor:
        """(t, d) of what is read on after a prompt where it enters a block; zeros for what nobody asks about."""
        kept = self._readings.get((id(prompt), text))
        if kept is not None:
            return kept[block - 1]
        assert text == _nothing(prompt)
        return torch.zeros_like(next(iter(self._readings.values()))[block - 1, :1])


@dataclass(frozen=True)
class Read:
    """What one pass left, and the row of it that a prefix is.

    left: recorder -> what it hands to the batches that go on from the pass.
    """

    prefix: Prefix
    left: Mapping[Recorder, Any]
    row: int


Held = dict[BatchRow, Read]


class PlanRun:
    """One run of a plan, group by group; keys and values live as long as a group needs them."""

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[TokenizedPrompt],
        asked: Asked,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        on_read: Callable[[float], None],
        acting: Acting,
        plain: _PlainStates | None = None,
        keeps: _PlainStates | None = None,
    ) -> None:
        """plain: states of the prompts with nothing done, from which they begin at their blocks; None = all blocks are
        run. keeps: where such states are put.
        """
        self.plain, self.keeps = plain, keeps
        self.engine, self.prompts, self.decoding, self.should_stop = engine, prompts, decoding, should_stop
        self.asked, self.on_read, self.acting = asked, on_read, acting
        subject = Subject(engine.model, engine.n_layers, engine.device, prompts, acting)
        self.sessions = {recorder: guarded(recorder).session(subject, kept) for recorder, kept in self.asked.items()}
        self._reading_seconds = 0.0

    def at_work(self, prompts: Iterable[int]) -> list[Recorder]:
        """The recorders that keep something of one of these prompts."""
        some = set(prompts)
        return [recorder for recorder, kept in self.asked.items() if not some.isdisjoint(kept)]

    def under(self, group: Group, before: Held, done: frozenset[int]) -> Iterator[Captured]:
        """Run a group and all that go on from it; before: the prefixes that are held."""
        if group.prompts <= done:
            return
        held = dict(before)
        start = time.perf_counter()
        for rows in group.passes:
            for some in self._apart(rows, self._block_of_row):
                self.check()
                held.update(self.read(some, held))
        self._reading_seconds += self._elapsed(start)
        if group.leaves and not {leaf.prompt for leaf in group.leaves} <= done:
            for leaves in self._apart(group.leaves, lambda leaf: self.block_of([leaf.prompt])):
                yield from self._decoded(leaves, held)
        for child in group.children:
            yield from self.under(child, held, done)

    def _apart(self, some: Sequence[Placed], block_of: Callable[[Placed], int]) -> list[list[Placed]]:
        """Rows of a pass, or leaves, by the block at which they begin: those of one block run together."""
        by_block: dict[int, list[Placed]] = {}
        for one in some:
            by_block.setdefault(block_of(one), []).append(one)
        return [together for _, together in sorted(by_block.items())]

    def _block_of_row(self, row: BatchRow) -> int:
        if self.plain is None or row.start < self.plain.first[id(self.prompts[row.prompts[0]])]:
            return 1
        return self.block_of(row.prompts)

    def block_of(self, prompts: Sequence[int]) -> int:
        """The block, from 1, at which rows of these prompts begin."""
        return 1 if self.plain is None else min(self.acting.first_block(prompt) for prompt in prompts)

    def check(self) -> None:
        """Stop where the caller says so."""
        if self.engine.ranks.agreed(self.should_stop):
            raise Cancelled

    def read(self, rows: Sequence[BatchRow], held: Held) -> Held:
        """One pass, or where memory does not suffice two of half the rows."""
        found = self._tried(lambda: self._pass(rows, held), len(rows))
        if found is not None:
            return found
        middle = len(rows) // 2
        return {**self.read(rows[:middle], held), **self.read(rows[middle:], held)}

    def _decoded(self, leaves: Sequence[Leaf], held: Held) -> Iterator[Captured]:
        captured = self._tried(lambda: self._decode(leaves, held), len(leaves))
        if captured is not None:
            yield captured
            return
        middle = len(leaves) // 2
        yield from self._decoded(leaves[:middle], held)
        yield from self._decoded(leaves[middle:], held)

    def _tried(self, work: Callable[[], Result], n_rows: int) -> Result | None:
        """None where memory did not suffice and there are rows to halve."""
        counts = [one.copy() for one in self.acting.counts]
        try:
            with torch.inference_mode():
                return work()
        except RuntimeError as error:
            # Several processes would have to halve together, and some of them may have had room.
            if n_rows == 1 or self.engine.ranks.n > 1 or not is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()
        self.acting.counts[:] = counts
        return None

    def _pass(self, rows: Sequence[BatchRow], held: Held) -> Held:
        width = max(len(row) for row in rows)
        # Padding repeats a row's last token, at whose position it is read: it is no other state that could overflow.
        texts = [self.prompts[row.prompts[0]].ids[row.start : row.end] for row in rows]
        ids = np.array([text + text[-1:] * (width - len(text)) for text in texts])
        columns = _Columns(self.engine, [row.path[:-1] for row in rows], held, width)
        columns.add([len(row) for row in rows], width)
        readings = {
            recorder: self.sessions[recorder].reading([ReadRow(row.start, row.end, row.prompts) for row in rows], width)
            for recorder in self.at_work(prompt for row in rows for prompt in row.prompts)
            if "states" in recorder.hooks
        }
        on_device = torch.from_numpy(ids).to(self.engine.device)
        blocks = _Blocks(self.on_read, sum(len(row) for row in rows) / self.engine.n_layers)
        states: dict[int, torch.Tensor] = {}
        keeps = self.keeps if self.keeps and any(self.keeps.needs(row, self.prompts) for row in rows) else None
        takers = [*readings.values(), blocks, *([_Kept(states)] if keeps else [])]
        owners = [row.prompts for row in rows]
        acting = self.acting.at_work(owners, columns.mask, width, [len(self.prompts[prompts[0]]) for prompts in owners])
        with (
            attention_way(self.engine.model, self.engine.way, decoding=False),
            acting as edits,
            self.states(takers),
            self._beginning(rows),
        ):
            columns.forward(on_device, n_logits=0, edits=edits)
        if keeps:
            keeps.keep(rows, self.prompts, states)
        left = {recorder: reading.left() for recorder, reading in readings.items()}
        prefix = columns.cache.prefix([len(row) for row in rows])
        return {row: Read(prefix, left, number) for number, row in enumerate(rows)}

    def _decode(self, leaves: Sequence[Leaf], held: Held) -> Captured:
        prompts = [leaf.prompt for leaf in leaves]
        steps = min(max(self.decoding.limit(prompt) for prompt in prompts) + 1, 64)
        columns = _Columns(self.engine, [leaf.path for leaf in leaves], held, steps)
        reads = {id(held[row].left): held[row].left for leaf in leaves for row in leaf.path}
        batch = _DecodeBatch(self, prompts, columns, list(reads.values()))
        start = time.perf_counter()
        responses = batch.decode()
        decode = self._elapsed(start)
        start = time.perf_counter()
        batch.score_candidates()
        seconds = {"prefill": self._reading_seconds, "decode": decode, "candidates": self._elapsed(start)}
        self._reading_seconds = 0.0
        return Captured(prompts, responses, batch.taken(responses), seconds)

    def _elapsed(self, start: float) -> float:
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def _beginning(self, rows: Sequence[BatchRow]) -> AbstractContextManager[None]:
        """The pass over rows inside begins at their block."""
        block = self._block_of_row(rows[0])
        if self.plain is None or block == 1:
            return nullcontext()
        found = [self.plain.entering(block, self.prompts[row.prompts[0]], row.start, row.end) for row in rows]
        return beginning_at(self.engine.blocks, block, _padded(found))

    def beginning_to_read_on(
        self, prompts: Sequence[int], readings: Sequence["_Reading"]
    ) -> AbstractContextManager[None]:
        """What rows read on inside, each after its prompt, begins at their block."""
        block = self.block_of(prompts)
        if self.plain is None or block == 1:
            return nullcontext()
        own = [self.prompts[prompt] for prompt in prompts]
        found = [self.plain.reading_on(block, *one) for one in zip(own, readings, strict=True)]
        return beginning_at(self.engine.blocks, block, _padded(found))

    @contextmanager
    def states(self, takers: "Collection[PassRecord | BatchRecord | _Blocks | _Kept]") -> Iterator[None]:
        """Forward passes inside hand every layer's hidden states to their takers."""
        if not takers:
            yield
            return

        def take(layer: int, hidden: torch.Tensor) -> None:
            for taker in takers:
                taker.states(layer, hidden)

        with reading_states(self.engine.blocks, take):
            yield


@dataclass(frozen=True)
class _Kept:
    """Keeps each layer's states."""

    found: dict[int, torch.Tensor]

    def states(self, layer: int, hidden: torch.Tensor) -> None:
        """Called with each layer's states, of which the first are the embeddings."""
        self.found[layer] = hidden


@dataclass(frozen=True)
class _Blocks:
    """Tells that a block was passed: a long pass, too, is seen to go on."""

    on_read: Callable[[float], None]
    tokens: float

    def states(self, layer: int, hidden: torch.Tensor) -> None:
        """Called with each layer's states, of which the first are the embeddings."""
        if layer:
            self.on_read(self.tokens)


class _Columns:
    """The columns that the rows of one batch see: those of the prefixes before them, and their own."""

    def __init__(self, engine: Engine, paths: Sequence[Sequence[BatchRow]], held: Held, capacity: int) -> None:
        """paths: for each row the prefixes that it goes on from; capacity: own columns that are surely needed."""
        self.engine = engine
        shared_prefixes = _shared_prefixes(paths, held)
        before = [np.zeros((len(paths), 0), dtype=int)]
        before += [_columns(shared.lengths(), shared.prefix.width) for shared in shared_prefixes]
        self.mask = torch.from_numpy(np.concatenate(before, axis=1)).to(engine.device)
        self.cache = PathCache(shared_prefixes, engine.n_layers, capacity, engine.reads_whole_caches)
        self._shared_prefixes = [] if engine.reads_whole_caches else shared_prefixes

    def add(self, lengths: Sequence[int], width: int) -> None:
        """Columns of their own that the rows read next; lengths: tokens of each row."""
        own = torch.from_numpy(_columns(lengths, width)).to(self.engine.device)
        self.mask = torch.cat([self.mask, own], dim=1)

    def forward(
        self, ids: torch.Tensor, n_logits: int, sink: RowSink | None = None, edits: AttentionEdits | None = None
    ) -> Any:
        """A forward pass over the last columns; without any logits the model's head does not run."""
        model = self.engine.model if n_logits else self.engine.model.base_model
        head = {"logits_to_keep": n_logits} if n_logits else {}
        with reading(self._shared_prefixes, sink, edits):
            return model(
                input_ids=ids,
                attention_mask=self.mask,
                position_ids=(self.mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :],
                past_key_values=self.cache,
                use_cache=True,
                output_attentions=sink is not None and self.engine.reads_whole_caches,
                **head,
            )


def _shared_prefixes(paths: Sequence[Sequence[BatchRow]], held: Held) -> list[SharedPrefix]:
    """One shared prefix for each prefix that a row goes on from, in the order in which they were read."""
    prefixes: dict[int, tuple[Prefix, list[int | None]]] = {}
    order = {id(read.prefix): read.prefix for read in held.values()}
    for number, path in enumerate(paths):
        for row in path:
            read = held[row]
            _, index = prefixes.setdefault(id(read.prefix), (read.prefix, [None] * len(paths)))
            index[number] = read.row
    return [SharedPrefix(*prefixes[place]) for place in order if place in prefixes]


class _DecodeBatch:
    """Decoding of prompts that were read up to their last token."""

    def __init__(
        self, run: PlanRun, indices: list[int], columns: _Columns, before: Sequence[Mapping[Recorder, Any]]
    ) -> None:
        """before: what recorders left of each pass that was read before."""
        self.run, self.indices, self.columns, self.engine = run, indices, columns, run.engine
        self.prompts = [run.prompts[index] for index in indices]
        self._owners = [(index,) for index in indices]
        self._read_mask = columns.mask
        self._last_is_read = False
        self._grow()
        mask = self.columns.mask.cpu().bool()
        batch = Batch(indices, [row.nonzero()[:, 0] for row in mask], mask.shape[1])
        self._takers = {
            recorder: run.sessions[recorder].decoding(batch, [left[recorder] for left in before if recorder in left])
            for recorder in run.at_work(indices)
        }

    def _of(self, *hooks: Hook) -> list[BatchRecord]:
        """Those who have one of these hooks."""
        return [taker for recorder, taker in self._takers.items() if not recorder.hooks.isdisjoint(hooks)]

    def _grow(self) -> None:
        self.columns.add([1] * len(self.prompts), 1)

    def decode(self) -> list[list[int]]:
        """Feed the last prompt token, then each response token once, the last one included."""
        decoding, indices = self.run.decoding, self.indices
        responses: list[list[int]] = [[] for _ in indices]
        waiting = {row for row, index in enumerate(indices) if decoding.limit(index)}
        if not waiting and not self._of("states", "rows", "logits") and self.run.acting.keeps is None:
            return responses
        agreed = self.engine.ranks.agreed
        with attention_way(self.engine.model, self.engine.way, decoding=True):
            logits = self._last_prompt_token()
            while waiting:
                self.run.check()
                chosen = agreed(partial(self._largest, logits, waiting))
                fed = [self._next_token(row, chosen[row], responses[row]) for row in range(len(indices))]
                for row in sorted(waiting):
                    responses[row].append(fed[row])
                going_on = waiting
                waiting = agreed(partial(self._without_ends, going_on, responses))
                self._grow()
                ids = torch.tensor(fed, device=self.engine.device)[:, None]
                with self.run.states(self._of("response states")):
                    logits = self._step(ids, is_last=not waiting, counted=dict.fromkeys(going_on, 1))
        return responses

    def _without_ends(self, waiting: set[int], responses: Sequence[list[int]]) -> set[int]:
        """The rows whose responses go on."""
        is_end, indices = self.run.decoding.is_end, self.indices
        return {row for row in waiting if not is_end(indices[row], responses[row])}

    def _largest(self, logits: torch.Tensor, waiting: set[int]) -> list[int]:
        """The tokens of the largest logits (B, V); NaN is larger than any number.

        Raises
        ------
        NoNumberError: in a row that still waits it is none.
        """
        largest = logits.argmax(-1)
        is_number = logits.gather(-1, largest[:, None])[:, 0].isfinite()
        chosen: list[int] = torch.where(is_number, largest, -1).tolist()
        for row in waiting:
            if chosen[row] < 0:
                for taker in self._takers.values():
                    taker.check(row)
                raise NoNumberError(self.indices[row], "the logits")
        return [max(token, 0) for token in chosen]

    def _next_token(self, row: int, chosen: int, response: list[int]) -> int:
        forced = self.run.decoding.forced
        if forced is None:
            return chosen
        own = forced[self.indices[row]]
        return own[min(len(response), len(own) - 1)]

    def _last_prompt_token(self) -> torch.Tensor:
        self._last_is_read = True
        ids = torch.tensor([[prompt.ids[-1]] for prompt in self.prompts], device=self.engine.device)
        with self.run.states(self._of("states", "response states")):
            return self._step(ids)

    def _step(self, ids: torch.Tensor, is_last: bool = False, counted: Mapping[int, int] | None = None) -> torch.Tensor:
        """One decoding step; the next-token logits (B, V), for all but the last. counted: rows that are not done."""
        takers = self._of("rows")
        n_logits = 0 if is_last and not self._of("logits") else 1
        n_own = list(map(len, self.prompts))
        with self.run.acting.at_work(self._owners, self.columns.mask, 1, n_own, counted) as edits:
            output = self.columns.forward(ids, n_logits, self._take if takers else None, edits)
        self.run.on_read(len(self.prompts))
        if takers and self.engine.reads_whole_caches:
            for layer, weights in enumerate(output.attentions):
                self._take(layer, weights[:, :, -1])
        logits = output.logits[:, -1] if n_logits else torch.empty(0)
        for taker in self._of("logits"):
            taker.logits(logits)
        for taker in self._takers.values():
            taker.end_step()
        return logits

    def _take(self, layer: int, weights: torch.Tensor, beside: torch.Tensor | None = None) -> None:
        """Hand one layer's rows (B, H, K), of all heads, to all that take something of them."""
        weights = self.engine.ranks.whole(weights)
        beside = None if beside is None else self.engine.ranks.whole(beside)
        for taker in self._of("rows"):
            taker.row(layer, weights, beside)

    def taken(self, responses: list[list[int]]) -> list[dict[str, Any]]:
        """For each prompt what each recorder took of it."""
        found: dict[int, dict[str, Any]] = {index: {} for index in self.indices}
        for recorder, taker in self._takers.items():
            taken = taker.taken(responses)
            for index in found.keys() & taken.keys():
                found[index][recorder.name] = taken[index]
        return list(found.values())

    def score_candidates(self) -> None:
        """Hand on the log-probabilities of each candidate's tokens after the prompt, scored on the prompt's cache."""
        takers = self._of("candidates")
        if not takers:
            return
        scored = self._scored([tails_of(prompt) for prompt in self.prompts])
        for number in range(max(map(len, scored))):
            logprobs = [of_row[number] if number < len(of_row) else torch.empty(0) for of_row in scored]
            for taker in takers:
                taker.candidate(number, logprobs)

    def _scored(self, tails: Sequence[Sequence["Tail | None"]]) -> list[list[torch.Tensor | None]]:
        """Of each row's candidates the log-probabilities of their tokens; what differs in the last token alone comes of
        one reading.
        """
        found: list[list[torch.Tensor | None]] = [
            [None if tail is None else torch.empty(0) for tail in of_row] for of_row in tails
        ]
        readings = [list(dict.fromkeys(tail.reading for tail in of_row if tail and tail.is_read)) for of_row in tails]
        for number in range(max(map(len, readings))):
            now = [
                of_row[number] if number < len(of_row) else _nothing(prompt)
                for of_row, prompt in zip(readings, self.prompts, strict=True)
            ]
            logits = self._read_on(now)
            certain = logits.logsumexp(-1)
            for row, of_row in enumerate(tails):
                for candidate, tail in enumerate(of_row):
                    if tail and tail.is_read and tail.reading == now[row]:
                        tokens = torch.tensor(tail.tokens[1:], device=logits.device)
                        at = torch.arange(len(tokens), device=logits.device)
                        found[row][candidate] = (logits[row, at, tokens] - certain[row, at]).cpu()
        return found

    def _read_on(self, readings: Sequence["_Reading"]) -> torch.Tensor:
        """(B, t, V) logits after each of the tokens that rows read on with: each row forgets its prompt's columns from
        there on.
        """
        starts, texts = zip(*readings, strict=True)
        width = max(map(len, texts))
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts], device=self.engine.device)
        position = self._read_mask.cumsum(1) - 1
        stays = torch.tensor(starts, device=self.engine.device)[:, None]
        self.columns.mask = self._read_mask * (position < stays)
        self.columns.add([len(text) for text in texts], width)
        self.columns.cache.cut(0)
        # Places of a candidate's tokens are not counted; those of the last prompt token are, where it was not read yet.
        own = {row: len(self.prompts[row]) - start for row, start in enumerate(starts)}
        counted, self._last_is_read = ({} if self._last_is_read else own), True
        keeps, states = self.run.keeps, dict[int, torch.Tensor]()
        with (
            attention_way(self.engine.model, self.engine.way, decoding=False),
            self.run.acting.at_work(
                self._owners, self.columns.mask, width, [start + 1 for start in starts], counted
            ) as edits,
            self.run.states([_Kept(states)] if keeps else []),
            self.run.beginning_to_read_on(self.indices, readings),
        ):
            logits: torch.Tensor = self.columns.forward(ids, n_logits=width, edits=edits).logits
        if keeps:
            keeps.keep_reading(self.prompts, readings, states)
        self.run.on_read(sum(map(len, texts)))
        return logits.float()


def _padded(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B, t, d) of rows of different lengths (t, d)."""
    width = max(map(len, rows))
    return torch.stack([torch.nn.functional.pad(row, (0, 0, 0, width - len(row))) for row in rows])


_Reading = tuple[int, tuple[int, ...]]
"""The position from which a row reads on, and what it reads, of which the first token is the prompt's."""


@dataclass(frozen=True)
class Tail:
    """What of a candidate's text is scored. Tokens are cut from the whole text, so a candidate may change the prompt's
    last tokens.

    Attributes
    ----------
    start: position of the last token that it has in common with the prompt, from which it is read on.
    tokens: its tokens from there on; the last one is scored and not read.
    """

    start: int
    tokens: tuple[int, ...]

    @property
    def is_read(self) -> bool:
        """Whether there is anything to score."""
        return len(self.tokens) > 1

    @property
    def reading(self) -> _Reading:
        """What is read for it."""
        return self.start, self.tokens[:-1]


def _nothing(prompt: TokenizedPrompt) -> _Reading:
    """What a row reads while others of its batch read on with what is scored."""
    return len(prompt) - 1, (prompt.ids[-1],)


def tails_of(prompt: TokenizedPrompt) -> list[Tail | None]:
    """What is scored of each candidate; None of one that begins otherwise than the prompt."""
    starts = [common_prefix(prompt.ids, whole) - 1 for whole in prompt.candidates]
    return [
        None if start < 0 else Tail(start, tuple(whole[start:]))
        for start, whole in zip(starts, prompt.candidates, strict=True)
    ]


def _columns(lengths: Sequence[int], width: int) -> NDArray[Any]:
    """(B, width) one where a column holds a token, as attention masks have it."""
    return (np.arange(width)[None, :] < np.array(lengths)[:, None]).astype(int)
