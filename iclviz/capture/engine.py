"""One generation that records everything.

1. Stretches of tokens that prompts share are read once, pass by pass down the trie; all prompt tokens but the last are
   read so. Hooks pool the hidden states.
2. The prompt's last token is the first decoding step: its attention row is recorded, its hidden states join the pools.
3. Greedy decoding: every generated token is fed once, also the last one, so that each leaves its attention row.
4. Candidate answers are scored on the prompt's own cache, without recording.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.capture.attention import RoleMass, RowSink, TokenRows, Way, attention_way, reading
from iclviz.capture.cache import Fan, PathCache, Stretch
from iclviz.capture.numbers import NoNumberError
from iclviz.capture.plan import End, Group, PlanSettings, Row, plan_batches
from iclviz.capture.pooling import HiddenPooling, Pooled, blocks_of, is_maximum, pool_masks, role_numbers
from iclviz.capture.prefixes import common_prefix
from iclviz.errors import Cancelled
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import ROLES

Array = NDArray[Any]
RESPONSE, SPECIAL = ROLES.index("response"), ROLES.index("special")
PAD = -1
Result = TypeVar("Result")
SETTINGS = PlanSettings(token_budget=4096, threads=1)


@dataclass(frozen=True)
class Decoding:
    """How responses are made: greedily, until an end token, `is_finished` of the response's ids, or the limit.

    Attributes
    ----------
    max_new_tokens: the limit, one for all prompts or one for each.
    end_tokens: tokens that end a response.
    is_finished: asked with a prompt's index and its response's ids.
    forced: for each prompt the tokens to feed instead of the model's choice (for comparisons on equal tokens).
    """

    max_new_tokens: int | Sequence[int]
    end_tokens: frozenset[int] = frozenset()
    is_finished: Callable[[int, list[int]], bool] | None = None
    forced: Sequence[Sequence[int]] | None = None

    def limit(self, prompt: int) -> int:
        """Most tokens of a prompt's response."""
        if self.forced is not None:
            return len(self.forced[prompt])
        return self.max_new_tokens if isinstance(self.max_new_tokens, int) else self.max_new_tokens[prompt]

    def is_end(self, prompt: int, response: list[int]) -> bool:
        """Whether a response is complete."""
        if len(response) >= self.limit(prompt):
            return True
        if self.forced is not None:
            return False
        return response[-1] in self.end_tokens or (self.is_finished is not None and self.is_finished(prompt, response))


@dataclass(frozen=True)
class Captured:
    """What B prompts left; L blocks, H heads, S roles, d width.

    Attributes
    ----------
    prompts: B indices of the prompts.
    response_ids: B lists of token ids.
    embeddings: pooling -> (B, L + 1, d) float32.
    last_row: (B, L, H, S) attention mass per role of the last prompt token.
    rows: B arrays (tokens of the response, L, H, S), the same for each response token.
    candidate_logprobs: B lists, for each candidate the sum of its tokens' log-probabilities.
    seconds: time per stage: prefill, decode, candidates.
    token_rows: prompt -> (1 + tokens of the response, L, H, T), of the prompts whose rows were asked for: the mass on
        each of the T tokens of prompt + response, first of the last prompt token's row, then of each response token's.
    """

    prompts: list[int]
    response_ids: list[list[int]]
    embeddings: dict[str, Array]
    last_row: Array
    rows: list[Array]
    candidate_logprobs: list[list[float]]
    seconds: dict[str, float] = field(default_factory=dict)
    token_rows: dict[int, Array] = field(default_factory=dict)


class Engine:
    """Runs one model over prompts and records."""

    def __init__(self, model: Any, way: Way, n_layers: int, device: torch.device | None = None) -> None:
        """device: where token ids go, for a model that is split; None is where its embeddings are."""
        self.model = model
        self.way = way
        self.reads_whole_caches = way != "interface"
        self.n_layers = n_layers
        self.blocks = blocks_of(model, n_layers)
        self.device = device or model.get_input_embeddings().weight.device

    def captures(
        self,
        prompts: Sequence[TokenizedPrompt],
        plan: Sequence[Group],
        poolings: Sequence[str],
        decoding: Decoding,
        should_stop: Callable[[], bool] = lambda: False,
        recording: bool = True,
        done: frozenset[int] = frozenset(),
        on_read: Callable[[int], None] = lambda tokens: None,
        by_token: frozenset[int] = frozenset(),
    ) -> Iterator[Captured]:
        """Run a plan; yields each batch of prompts as it ends. Where memory does not suffice a batch is halved.

        Parameters
        ----------
        plan: over the prompts' tokens but the last, as `plan_prompts` makes it.
        recording: False generates the same way and records nothing, for measuring what recording costs.
        done: prompts whose results are there already: what only they need is not run.
        on_read: told after each pass and each decoding step how many tokens it read.
        by_token: prompts whose attention rows are kept token by token too.

        Raises
        ------
        Cancelled: `should_stop` said so, between two forward passes.
        NoNumberError: what would be recorded of a prompt is no number.
        """
        walk = _Walk(self, prompts, poolings, decoding, should_stop, recording, on_read, by_token)
        for group in plan:
            yield from walk.under(group, {}, done)

    def capture(
        self,
        prompts: Sequence[TokenizedPrompt],
        poolings: Sequence[str],
        decoding: Decoding,
        settings: PlanSettings = SETTINGS,
        recording: bool = True,
        by_token: frozenset[int] = frozenset(),
    ) -> Captured:
        """Run all prompts and give their results in their order.

        Raises
        ------
        As `captures`.
        """
        plan = plan_prompts(prompts, decoding, replace(settings, sharing=self.way != "alone"))
        parts = self.captures(prompts, plan, poolings, decoding, recording=recording, by_token=by_token)
        return joined(list(parts))


def plan_prompts(prompts: Sequence[TokenizedPrompt], decoding: Decoding, settings: PlanSettings) -> tuple[Group, ...]:
    """The groups over all tokens of the prompts but the last of each, which is the first decoding step."""
    most = max((decoding.limit(index) for index in range(len(prompts))), default=0)
    return plan_batches([prompt.ids[:-1] for prompt in prompts], settings, new_tokens=most + 1)


def joined(parts: Sequence[Captured]) -> Captured:
    """Captured batches as one, in the order of the prompts."""
    prompts = [index for part in parts for index in part.prompts]
    order = np.argsort(prompts, kind="stable")

    def sort(values: list[Any]) -> list[Any]:
        return [values[place] for place in order]

    return Captured(
        prompts=sort(prompts),
        response_ids=sort([ids for part in parts for ids in part.response_ids]),
        embeddings={n: np.concatenate([part.embeddings[n] for part in parts])[order] for n in parts[0].embeddings},
        last_row=np.concatenate([part.last_row for part in parts])[order],
        rows=sort([rows for part in parts for rows in part.rows]),
        candidate_logprobs=sort([values for part in parts for values in part.candidate_logprobs]),
        seconds={stage: sum(part.seconds[stage] for part in parts) for stage in parts[0].seconds},
        token_rows={index: rows for part in parts for index, rows in part.token_rows.items()},
    )


@dataclass(frozen=True)
class _Read:
    """What one pass left, and the row of it that a stretch is."""

    stretch: Stretch
    pooled: Pooled | None
    row: int


_Held = dict[Row, _Read]


class _Walk:
    """The walk over a plan's groups; keys and values live as long as a group needs them."""

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[TokenizedPrompt],
        poolings: Sequence[str],
        decoding: Decoding,
        should_stop: Callable[[], bool],
        recording: bool,
        on_read: Callable[[int], None],
        by_token: frozenset[int],
    ) -> None:
        self.engine, self.prompts, self.decoding, self.should_stop = engine, prompts, decoding, should_stop
        self.recording, self.on_read = recording, on_read
        self.poolings = tuple(poolings) if recording else ()
        self.by_token = by_token if recording else frozenset()
        self._masks: dict[int, dict[str, Array]] = {}
        self._reading_seconds = 0.0

    def under(self, group: Group, before: _Held, done: frozenset[int]) -> Iterator[Captured]:
        """Run a group and all that go on from it; before: the stretches that are held."""
        if group.prompts <= done:
            return
        held = dict(before)
        start = time.perf_counter()
        for rows in group.passes:
            self.check()
            held.update(self._read(rows, held))
        self._reading_seconds += self._elapsed(start)
        if group.ends and not {end.prompt for end in group.ends} <= done:
            yield from self._decoded(group.ends, held)
        for child in group.children:
            yield from self.under(child, held, done)

    def check(self) -> None:
        """Stop where the caller says so."""
        if self.should_stop():
            raise Cancelled

    def _read(self, rows: Sequence[Row], held: _Held) -> _Held:
        """One pass, or where memory does not suffice two of half the rows."""
        found = self._tried(lambda: self._pass(rows, held), len(rows))
        if found is not None:
            return found
        middle = len(rows) // 2
        return {**self._read(rows[:middle], held), **self._read(rows[middle:], held)}

    def _decoded(self, ends: Sequence[End], held: _Held) -> Iterator[Captured]:
        captured = self._tried(lambda: self._ends(ends, held), len(ends))
        if captured is not None:
            yield captured
            return
        middle = len(ends) // 2
        yield from self._decoded(ends[:middle], held)
        yield from self._decoded(ends[middle:], held)

    def _tried(self, work: Callable[[], Result], n_rows: int) -> Result | None:
        """None where memory did not suffice and there are rows to halve."""
        try:
            with torch.inference_mode():
                return work()
        except RuntimeError as error:
            if n_rows == 1 or not _is_out_of_memory(error):
                raise
        torch.cuda.empty_cache()
        return None

    def _pass(self, rows: Sequence[Row], held: _Held) -> _Held:
        width = max(len(row) for row in rows)
        # Padding repeats a row's last token, at whose position it is read: it is no other state that could overflow.
        texts = [self.prompts[row.prompts[0]].ids[row.start : row.end] for row in rows]
        ids = np.array([text + text[-1:] * (width - len(text)) for text in texts])
        columns = _Columns(self.engine, [row.way[:-1] for row in rows], held, width)
        columns.add([len(row) for row in rows], width)
        masks = [
            {(i, name): mask[row.start : row.end] for i in row.prompts for name, mask in self.masks(i).items()}
            for row in rows
        ]
        on_device = torch.from_numpy(ids).to(self.engine.device)
        with attention_way(self.engine.model, self.engine.way, decoding=False):
            pooled, _ = self.pooling(masks, width, lambda: columns.forward(on_device, n_logits=0))
        self.check_states(pooled, [row.prompts[0] for row in rows])
        self.on_read(sum(len(row) for row in rows))
        stretch = columns.cache.stretch([len(row) for row in rows])
        return {row: _Read(stretch, pooled, number) for number, row in enumerate(rows)}

    def _ends(self, ends: Sequence[End], held: _Held) -> Captured:
        prompts = [end.prompt for end in ends]
        steps = min(max(self.decoding.limit(prompt) for prompt in prompts) + 1, 64)
        columns = _Columns(self.engine, [end.way for end in ends], held, steps)
        end = _Ends(self, prompts, columns)
        start = time.perf_counter()
        responses = end.decode()
        decode = self._elapsed(start)
        start = time.perf_counter()
        logprobs = end.score_candidates()
        seconds = {"prefill": self._reading_seconds, "decode": decode, "candidates": self._elapsed(start)}
        self._reading_seconds = 0.0
        pooled = {id(held[row].pooled): held[row].pooled for each in ends for row in each.way}
        embeddings = end.embeddings(list(pooled.values()))
        for prompt in prompts:
            self._masks.pop(prompt, None)
        last_row, rows = end.attention(responses)
        return Captured(prompts, responses, embeddings, last_row, rows, logprobs, seconds, end.token_rows(responses))

    def _elapsed(self, start: float) -> float:
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def pooling(
        self, masks: Sequence[dict[tuple[int, str], Array]], width: int, work: Callable[[], Any]
    ) -> tuple[Pooled | None, Any]:
        """What hooks pool while a forward pass reads `width` columns, and what it gives."""
        if not self.poolings:
            return None, work()
        pools = HiddenPooling(masks, width, self.engine.device)
        with pools.reading(self.engine.blocks):
            output = work()
        return pools.pooled(), output

    def check_states(self, pooled: Pooled | None, prompts: Sequence[int]) -> None:
        """Refuse states that are no numbers; prompts: one of each row's.

        Raises
        ------
        NoNumberError: some are.
        """
        if pooled is not None and (found := pooled.no_number()):
            layer, row = found
            raise NoNumberError(prompts[row], f"a state of layer {layer} of {self.engine.n_layers}")

    def masks(self, index: int) -> dict[str, Array]:
        """Pooling -> (T,) boolean of one prompt."""
        if index not in self._masks:
            self._masks[index] = pool_masks(self.poolings, self.prompts[index])
        return self._masks[index]


class _Columns:
    """The columns that the rows of one batch see: those of the stretches before them, and their own."""

    def __init__(self, engine: Engine, ways: Sequence[Sequence[Row]], held: _Held, capacity: int) -> None:
        """ways: for each row the stretches that it goes on from; capacity: own columns that are surely needed."""
        self.engine = engine
        fans = _fans(ways, held)
        before = [np.zeros((len(ways), 0), dtype=int)] + [_columns(fan.lengths(), fan.stretch.width) for fan in fans]
        self.mask = torch.from_numpy(np.concatenate(before, axis=1)).to(engine.device)
        self.cache = PathCache(fans, engine.n_layers, capacity, engine.reads_whole_caches)
        self._fans = [] if engine.reads_whole_caches else fans

    def add(self, lengths: Sequence[int], width: int) -> None:
        """Columns of their own that the rows read next; lengths: tokens of each row."""
        own = torch.from_numpy(_columns(lengths, width)).to(self.engine.device)
        self.mask = torch.cat([self.mask, own], dim=1)

    def forward(self, ids: torch.Tensor, n_logits: int, sink: RowSink | None = None) -> Any:
        """A forward pass over the last columns; without any logits the model's head does not run."""
        model = self.engine.model if n_logits else self.engine.model.base_model
        head = {"logits_to_keep": n_logits} if n_logits else {}
        with reading(self._fans, sink):
            return model(
                input_ids=ids,
                attention_mask=self.mask,
                position_ids=(self.mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :],
                past_key_values=self.cache,
                use_cache=True,
                output_attentions=sink is not None and self.engine.reads_whole_caches,
                **head,
            )


def _fans(ways: Sequence[Sequence[Row]], held: _Held) -> list[Fan]:
    """One fan for each stretch that a row goes on from, in the order in which they were read."""
    stretches: dict[int, tuple[Stretch, list[int | None]]] = {}
    order = {id(read.stretch): read.stretch for read in held.values()}
    for number, way in enumerate(ways):
        for row in way:
            read = held[row]
            _, index = stretches.setdefault(id(read.stretch), (read.stretch, [None] * len(ways)))
            index[number] = read.row
    return [Fan(*stretches[place]) for place in order if place in stretches]


class _Ends:
    """Decoding of prompts that were read up to their last token."""

    def __init__(self, walk: _Walk, indices: list[int], columns: _Columns) -> None:
        self.walk, self.indices, self.columns, self.engine = walk, indices, columns, walk.engine
        self.prompts = [walk.prompts[index] for index in indices]
        self._read_mask = columns.mask
        self._last: Pooled | None = None
        self._grow()
        self._prompt_mask = self.columns.mask.cpu().bool()
        self._chosen = {row: index for row, index in enumerate(indices) if index in walk.by_token}
        self._mass = RoleMass(self._roles(), self.engine.n_layers, len(ROLES), RESPONSE, SPECIAL)
        self._rows = TokenRows(list(self._chosen), self.engine.n_layers)
        self._sinks = (self._mass, self._rows) if self._chosen else (self._mass,)

    def _grow(self) -> None:
        self.columns.add([1] * len(self.prompts), 1)

    def _roles(self) -> torch.Tensor:
        """(B, columns) role of each prompt token, -1 for columns that hold none."""
        mask = self._prompt_mask.numpy()
        roles = np.full(mask.shape, PAD)
        for number, prompt in enumerate(self.prompts):
            roles[number, mask[number]] = role_numbers(prompt)
        return torch.from_numpy(roles).to(self.engine.device)

    def decode(self) -> list[list[int]]:
        """Feed the last prompt token, then each response token once, the last one included."""
        decoding, indices = self.walk.decoding, self.indices
        responses: list[list[int]] = [[] for _ in indices]
        waiting = set(range(len(indices)))
        with attention_way(self.engine.model, self.engine.way, decoding=True):
            logits = self._last_prompt_token()
            while waiting:
                self.walk.check()
                chosen = self._largest(logits, waiting)
                fed = [self._next_token(row, chosen[row], responses[row]) for row in range(len(indices))]
                for row in sorted(waiting):
                    responses[row].append(fed[row])
                waiting = {row for row in waiting if not decoding.is_end(indices[row], responses[row])}
                self._grow()
                logits = self._step(torch.tensor(fed, device=self.engine.device)[:, None], is_last=not waiting)
        return responses

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
                self._check_attention(row, len(self._mass.steps))
                raise NoNumberError(self.indices[row], "the logits")
        return [max(token, 0) for token in chosen]

    def _check_attention(self, row: int, n_steps: int) -> None:
        """Refuse a row whose attention is no number in one of its first steps.

        Raises
        ------
        NoNumberError: it is, and in which block first.
        """
        wrong = [(~step[row].isfinite()).any(-1).any(-1) for step in self._mass.steps[:n_steps]]
        if wrong and len(blocks := torch.stack(wrong).any(0).nonzero()):
            what = f"the attention of block {int(blocks[0, 0]) + 1} of {self.engine.n_layers}"
            raise NoNumberError(self.indices[row], what)

    def _next_token(self, row: int, chosen: int, response: list[int]) -> int:
        forced = self.walk.decoding.forced
        if forced is None:
            return chosen
        own = forced[self.indices[row]]
        return own[min(len(response), len(own) - 1)]

    def _last_prompt_token(self) -> torch.Tensor:
        ids = torch.tensor([[prompt.ids[-1]] for prompt in self.prompts], device=self.engine.device)
        masks = [{(index, name): mask[-1:] for name, mask in self.walk.masks(index).items()} for index in self.indices]
        self._last, logits = self.walk.pooling(masks, 1, lambda: self._step(ids))
        self.walk.check_states(self._last, self.indices)
        return logits

    def _step(self, ids: torch.Tensor, is_last: bool = False) -> torch.Tensor:
        """One decoding step; the next-token logits (B, V), for all but the last."""
        n_logits = 0 if is_last else 1
        output = self.columns.forward(ids, n_logits, self._take if self.walk.recording else None)
        self.walk.on_read(len(self.prompts))
        if self.walk.recording:
            if self.engine.reads_whole_caches:
                for layer, weights in enumerate(output.attentions):
                    self._take(layer, weights[:, :, -1])
            for sink in self._sinks:
                sink.end_step()
        return output.logits[:, -1] if n_logits else torch.empty(0)

    def _take(self, layer: int, weights: torch.Tensor, beside: torch.Tensor | None = None) -> None:
        """Hand one layer's rows (B, H, K) to all that keep something of them."""
        for sink in self._sinks:
            sink(layer, weights, beside)

    def embeddings(self, read: Sequence[Pooled | None]) -> dict[str, Array]:
        """Pooling -> (B, L + 1, d): sums over what was read before and the last tokens, over the number of tokens."""
        parts = [part for part in [*read, self._last] if part]
        return {name: self._embedding(name, parts) for name in self.walk.poolings}

    def _embedding(self, name: str, parts: Sequence[Pooled]) -> Array:
        pieces = [part.of(self.indices, name) for part in parts]
        if is_maximum(name):
            highest = torch.stack(pieces).amax(0)
            pooled = torch.where(torch.isneginf(highest), torch.nan, highest)
        else:
            counts = torch.tensor([self.walk.masks(index)[name].sum() for index in self.indices]).float()
            counts = torch.where(counts > 0, counts, torch.nan)
            pooled = torch.stack(pieces).sum(0) / counts[None, :, None]
        return np.ascontiguousarray(pooled.transpose(0, 1).numpy())

    def attention(self, responses: list[list[int]]) -> tuple[Array, list[Array]]:
        """(B, L, H, S) of the last prompt tokens, and for each prompt the rows of its response."""
        if not self.walk.recording:
            return np.empty((len(responses), 0)), [np.empty(0)] * len(responses)
        steps = torch.stack(self._mass.steps)
        if not steps.isfinite().all():
            for row, response in enumerate(responses):
                self._check_attention(row, len(response) + 1)
        masses = steps.numpy()
        rows = [masses[1 : len(response) + 1, row] for row, response in enumerate(responses)]
        return masses[0], rows

    def token_rows(self, responses: list[list[int]]) -> dict[int, Array]:
        """Chosen prompt -> (1 + tokens of the response, L, H, T)."""
        return {index: self._token_rows(row, len(responses[row])).numpy() for row, index in self._chosen.items()}

    def _token_rows(self, row: int, n_response: int) -> torch.Tensor:
        width = self._prompt_mask.shape[1]
        columns = torch.cat([self._prompt_mask[row].nonzero()[:, 0], torch.arange(width, width + n_response)])
        return self._rows.by_token(row, columns, 1 + n_response)

    def score_candidates(self) -> list[list[float]]:
        """Log-probability of each candidate's tokens after the prompt, on the prompt's cache."""
        if not any(prompt.candidates for prompt in self.prompts):
            return [[] for _ in self.prompts]
        most = max(len(prompt.candidates) for prompt in self.prompts)
        scored = [self._score_candidate(number) for number in range(most)]
        return [
            [scored[number][row] for number in range(len(prompt.candidates))] for row, prompt in enumerate(self.prompts)
        ]

    def _score_candidate(self, number: int) -> list[float]:
        """Tokens are cut from the whole text, so a candidate may change the prompt's last tokens: each row forgets the
        columns of those, and of the last token that stays, and reads on from there.
        """
        wholes = [p.candidates[number] if number < len(p.candidates) else p.ids for p in self.prompts]
        shared = [common_prefix(prompt.ids, whole) for prompt, whole in zip(self.prompts, wholes, strict=True)]
        kept = [max(same - 1, 0) for same in shared]
        tails = [whole[start:] for start, whole in zip(kept, wholes, strict=True)]
        width = max(len(tail) for tail in tails)
        ids = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails], device=self.engine.device)
        position = self._read_mask.cumsum(1) - 1
        stays = torch.tensor(kept, device=self.engine.device)[:, None]
        self.columns.mask = self._read_mask * (position < stays)
        self.columns.add([len(tail) for tail in tails], width)
        self.columns.cache.cut(0)
        with attention_way(self.engine.model, self.engine.way, decoding=False):
            logits = self.columns.forward(ids, n_logits=width).logits
        logprobs = torch.log_softmax(logits[:, :-1].float(), dim=-1).gather(-1, ids[:, 1:, None])[..., 0].cpu()
        found = []
        for row, (same, start, tail) in enumerate(zip(shared, kept, tails, strict=True)):
            found.append(float(logprobs[row, same - start - 1 : len(tail) - 1].sum()) if same else float("nan"))
            if same and not np.isfinite(found[-1]):
                raise NoNumberError(self.indices[row], f"the log-probability of candidate {number + 1}")
        return found


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _columns(lengths: Sequence[int], width: int) -> NDArray[Any]:
    """(B, width) one where a column holds a token, as attention masks have it."""
    return (np.arange(width)[None, :] < np.array(lengths)[:, None]).astype(int)
