"""One generation that records everything (a batch of prompts at a time).

1. Prefill: all prompt tokens but the last, left-padded, with explicit positions; hooks pool the hidden states.
2. The prompt's last token is the first decoding step: its attention row is recorded, its hidden states join the pools.
3. Greedy decoding: every generated token is fed once, also the last one, so that each leaves its attention row.
4. Candidate answers are scored on the prompt's own cache, cropped back to the prompt, without recording.

Prompts that share a beginning will be prefilled from a common cache by `_prefill`; everything after it is the same.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from iclviz.capture.attention import RoleMass, Way, attention_way, rows_to
from iclviz.capture.pooling import HiddenPooling, blocks_of, pool_masks
from iclviz.errors import Cancelled
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import ROLES

Array = NDArray[Any]
RESPONSE = ROLES.index("response")
PAD = -1


@dataclass(frozen=True)
class Decoding:
    """How responses are made: greedily, until an end token, `is_finished` of the response's ids, or the limit.

    forced: for each prompt the tokens to feed instead of the model's choice (for comparisons on equal tokens).
    """

    max_new_tokens: int
    end_tokens: frozenset[int] = frozenset()
    is_finished: Callable[[int, list[int]], bool] | None = None
    forced: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class Captured:
    """What a batch of B prompts left; L blocks, H heads, S roles, d width.

    Attributes
    ----------
    response_ids: B lists of token ids.
    embeddings: pooling -> (B, L + 1, d) float32.
    last_row: (B, L, H, S) attention mass per role of the last prompt token.
    rows: B arrays (tokens of the response, L, H, S), the same for each response token.
    candidate_logprobs: B lists, for each candidate the sum of its tokens' log-probabilities.
    seconds: time per stage: prefill, decode, candidates.
    """

    response_ids: list[list[int]]
    embeddings: dict[str, Array]
    last_row: Array
    rows: list[Array]
    candidate_logprobs: list[list[float]]
    seconds: dict[str, float] = field(default_factory=dict)


class Engine:
    """Runs one model over batches of prompts and records."""

    def __init__(self, model: Any, way: Way, n_layers: int) -> None:
        self.model = model
        self.way = way
        self.n_layers = n_layers
        self.blocks = blocks_of(model, n_layers)
        self.device = model.get_input_embeddings().weight.device

    def capture(
        self,
        prompts: Sequence[TokenizedPrompt],
        poolings: Sequence[str],
        decoding: Decoding,
        should_stop: Callable[[], bool] = lambda: False,
        recording: bool = True,
    ) -> Captured:
        """Run a batch; on running out of GPU memory, halve it and go on.

        `recording=False` generates the same way and records nothing, for measuring what recording costs.

        Raises
        ------
        Cancelled: `should_stop` said so between two decoding steps.
        """
        try:
            return _Batch(self, prompts, poolings, decoding, should_stop, recording).run()
        except torch.OutOfMemoryError:
            if len(prompts) == 1:
                raise
        torch.cuda.empty_cache()
        middle = len(prompts) // 2
        halves = [(slice(0, middle)), (slice(middle, None))]
        parts = [
            self.capture(prompts[half], poolings, _forced_part(decoding, half), should_stop, recording)
            for half in halves
        ]
        return _joined(parts)


class _Batch:
    """The state of one batch while it runs; B prompts padded on the left to T tokens."""

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[TokenizedPrompt],
        poolings: Sequence[str],
        decoding: Decoding,
        should_stop: Callable[[], bool],
        recording: bool,
    ) -> None:
        self.engine, self.prompts, self.decoding, self.should_stop = engine, prompts, decoding, should_stop
        self.recording = recording
        self.length = max(len(prompt) for prompt in prompts)
        self.ids = self._padded([prompt.ids for prompt in prompts], 0)
        roles = [[ROLES.index(role) for role in prompt.roles()] for prompt in prompts]
        self.roles = self._padded(roles, PAD)
        self.mask = (self.roles != PAD).long()
        self.cache = DynamicCache()
        starts = torch.tensor([self.length - len(p) + p.query_start for p in prompts], device=engine.device)
        self.pooling = HiddenPooling(pool_masks(poolings, self.roles, starts) if recording else {})
        self.mass = RoleMass(self.roles, engine.n_layers, len(ROLES), RESPONSE)
        self.seconds: dict[str, float] = {}

    def run(self) -> Captured:
        with torch.inference_mode():
            self._timed("prefill", self._prefill)
            responses: list[list[int]] = self._timed("decode", self._decode)
            logprobs: list[list[float]] = self._timed("candidates", self._score_candidates)
        pooled = {name: values.numpy() for name, values in self.pooling.pooled().items()}
        last_row, rows = self._rows_of(responses)
        return Captured(responses, pooled, last_row, rows, logprobs, self.seconds)

    def _timed(self, stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds[stage] = time.perf_counter() - start
        return result

    def _padded(self, rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
        padded = [[pad] * (self.length - len(row)) + list(row) for row in rows]
        return torch.tensor(padded, device=self.engine.device)

    def _prefill(self) -> None:
        """Read all prompt tokens but the last."""
        if self.length == 1:
            return
        with attention_way(self.engine.model, self.engine.way, decoding=False):
            self._read(self.ids[:, :-1], self.mask[:, :-1])

    def _decode(self) -> list[list[int]]:
        """Feed the last prompt token, then each response token once, the last one included."""
        responses: list[list[int]] = [[] for _ in self.prompts]
        open_rows = set(range(len(self.prompts)))
        with attention_way(self.engine.model, self.engine.way, decoding=True):
            logits = self._step(self.ids[:, -1:], reads_prompt=True)
            while open_rows:
                if self.should_stop():
                    raise Cancelled
                chosen = logits.argmax(-1).tolist()
                fed = [self._next_token(row, chosen[row], responses[row]) for row in range(len(self.prompts))]
                for row in sorted(open_rows):
                    responses[row].append(fed[row])
                open_rows -= {row for row in open_rows if self._is_finished(row, responses[row])}
                logits = self._step(torch.tensor(fed, device=self.engine.device)[:, None], reads_prompt=False)
        return responses

    def _next_token(self, row: int, chosen: int, response: list[int]) -> int:
        forced = self.decoding.forced
        return chosen if forced is None else forced[row][min(len(response), len(forced[row]) - 1)]

    def _is_finished(self, row: int, response: list[int]) -> bool:
        decoding = self.decoding
        if decoding.forced is not None:
            return len(response) >= len(decoding.forced[row])
        if len(response) >= decoding.max_new_tokens or response[-1] in decoding.end_tokens:
            return True
        return decoding.is_finished is not None and decoding.is_finished(row, response)

    def _step(self, ids: torch.Tensor, reads_prompt: bool) -> torch.Tensor:
        """One decoding step; the next-token logits (B, V)."""
        if not reads_prompt:
            self.mask = torch.cat([self.mask, torch.ones_like(ids)], dim=1)
        if not self.recording:
            return self._forward(ids, self.mask).logits[:, -1]
        with rows_to(self.mass):
            output = self._read(ids, self.mask) if reads_prompt else self._forward(ids, self.mask)
        if self.engine.way == "eager":
            for layer, weights in enumerate(output.attentions):
                self.mass(layer, weights[:, :, -1].float())
        self.mass.end_step()
        return output.logits[:, -1]

    def _read(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        """A forward pass over prompt tokens, whose hidden states are pooled."""
        with self.pooling.reading(self.engine.blocks, ids.shape[1]):
            return self._forward(ids, mask)

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, logits_to_keep: int = 1) -> Any:
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        eager_row = self.engine.way == "eager" and self.recording and ids.shape[1] == 1
        return self.engine.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=logits_to_keep,
            output_attentions=eager_row,
        )

    def _score_candidates(self) -> list[list[float]]:
        """Log-probability of each candidate's tokens after the prompt, on the prompt's cache."""
        if not any(prompt.candidates for prompt in self.prompts):
            return [[] for _ in self.prompts]
        most = max(len(prompt.candidates) for prompt in self.prompts)
        scored = [self._score_candidate(number) for number in range(most)]
        return [
            [scored[number][row] for number in range(len(prompt.candidates))] for row, prompt in enumerate(self.prompts)
        ]

    def _score_candidate(self, number: int) -> list[float]:
        """Tokens are cut from the whole text, so a candidate may change the prompt's last tokens: the batch goes back
        to where all rows still agree and reads on from there, padded on the right.
        """
        wholes = [p.candidates[number] if number < len(p.candidates) else p.ids for p in self.prompts]
        lengths = [len(prompt) for prompt in self.prompts]
        shared = [_common_prefix(prompt.ids, whole) for prompt, whole in zip(self.prompts, wholes, strict=True)]
        back = max(length - max(same - 1, 0) for length, same in zip(lengths, shared, strict=True))
        starts = [length - back for length in lengths]
        tails = [[PAD] * max(-start, 0) + whole[max(start, 0) :] for start, whole in zip(starts, wholes, strict=True)]
        width = max(len(tail) for tail in tails)
        ids = torch.tensor([tail + [PAD] * (width - len(tail)) for tail in tails], device=self.engine.device)
        kept = self.length - back
        self.cache.crop(-(self.cache.get_seq_length() - kept))
        mask = torch.cat([self.mask[:, :kept], (ids != PAD).long()], dim=1)
        with attention_way(self.engine.model, self.engine.way, decoding=False):
            logits = self._forward(ids.clamp(min=0), mask, logits_to_keep=width).logits
        targets = ids[:, 1:].clamp(min=0)[..., None]
        logprobs = torch.log_softmax(logits[:, :-1].float(), dim=-1).gather(-1, targets)[..., 0].cpu()
        firsts = [max(same - start - 1, 0) for same, start in zip(shared, starts, strict=True)]
        return [
            float(logprobs[row, first : len(tail) - 1].sum())
            for row, (first, tail) in enumerate(zip(firsts, tails, strict=True))
        ]

    def _rows_of(self, responses: list[list[int]]) -> tuple[Array, list[Array]]:
        if not self.recording:
            return np.empty(0), []
        steps = torch.stack(self.mass.steps).numpy()
        rows = [steps[1 : len(response) + 1, row] for row, response in enumerate(responses)]
        return steps[0], rows


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _forced_part(decoding: Decoding, part: slice) -> Decoding:
    forced = None if decoding.forced is None else decoding.forced[part]
    offset = part.start or 0
    whole = decoding.is_finished
    is_finished = None if whole is None else (lambda row, ids: whole(row + offset, ids))
    return Decoding(decoding.max_new_tokens, decoding.end_tokens, is_finished, forced)


def _joined(parts: list[Captured]) -> Captured:
    """Batches one after another as one."""
    return Captured(
        response_ids=[ids for part in parts for ids in part.response_ids],
        embeddings={n: np.concatenate([part.embeddings[n] for part in parts]) for n in parts[0].embeddings},
        last_row=np.concatenate([part.last_row for part in parts]),
        rows=[rows for part in parts for rows in part.rows],
        candidate_logprobs=[values for part in parts for values in part.candidate_logprobs],
        seconds={stage: sum(part.seconds[stage] for part in parts) for stage in parts[0].seconds},
    )
