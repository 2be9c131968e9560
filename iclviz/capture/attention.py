"""Attention over scattered columns, and its rows while decoding: reduced at once to mass per role, and
kept key by key for chosen prompts alone.

Two ways give the same numbers. *Interface*: an attention function registered with `transformers`; a step's one query
row computes its weights anyway, so nothing is computed beside it, and keys that rows share are read once. *Eager*: the
model's own attention over whole caches, eager while decoding, whose matrices one query row makes tiny; it needs no code
for an architecture. *Alone* is the same for models whose own fast attention is another one than their eager one, or
that count positions along the cache: all eager, each prompt by itself. No T x T matrix is ever kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from iclviz.capture.cache import SharedPrefix
from iclviz.intervening import Part

Way = Literal["interface", "eager", "alone"]

NAME = "iclviz_rows"
BLOCK_BYTES = {"cpu": 2**21, "cuda": 2**28}
"""Largest block of attention scores that is held at a time: on a CPU what stays in its cache."""

FUSED_QUERIES = 8
"""Queries from which on a CPU torch's own kernel is faster than blocks that share keys (measured)."""


class LayerEdits(Protocol):
    """What is changed inside the attention of one block."""

    def apply(self, part: Part, values: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Values (B, H, q, X) of a part, of these of the pass's rows, as they are to be."""


class AttentionEdits(Protocol):
    """What is changed inside the attention of one forward pass."""

    def of(self, layer: int) -> LayerEdits | None:
        """In one block, counted from 0; None where nothing is."""


class RowSink(Protocol):
    """Takes the attention weights (B, H, K) of one layer's single query row."""

    def __call__(self, layer: int, weights: torch.Tensor, beside: torch.Tensor | None = None) -> None:
        """Take one layer's row; beside: (B, H) mass that went to no key, None where there cannot be any."""


@dataclass(frozen=True)
class _Reading:
    """What the registered function has to know beside its arguments."""

    path: Sequence[SharedPrefix] = ()
    sink: RowSink | None = None
    edits: "AttentionEdits | None" = None


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading(
    path: Sequence[SharedPrefix], sink: RowSink | None = None, edits: "AttentionEdits | None" = None
) -> Iterator[None]:
    """Attention inside goes on from the prefixes of a path, hands rows of single queries to a sink, and is changed."""
    token = _reading.set(_Reading(path, sink, edits))
    try:
        yield
    finally:
        _reading.reset(token)


_traced: ContextVar[dict[int, torch.Tensor] | None] = ContextVar("traced", default=None)


@contextmanager
def tracing_weights() -> Iterator[dict[int, torch.Tensor]]:
    """The weights (B, H, q, K) of each block, from 0, that attention inside computes, as nodes of the graph."""
    found: dict[int, torch.Tensor] = {}
    token = _traced.set(found)
    try:
        yield found
    finally:
        _traced.reset(token)


# The registered function


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    now = _reading.get() or _Reading()
    layer = int(module.layer_idx)
    kernel = Kernel(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, s_aux)
    path, length = now.path, query.shape[2]
    edits = now.edits.of(layer) if now.edits else None
    traced = _traced.get()
    if traced is not None:
        whole = attention_mask if attention_mask is not None else _causal(length, key.shape[2], query.device)
        output, traced[layer] = _block(query, [key], [value], whole, kernel, path)
    elif edits is None and kernel.is_plain and length >= FUSED_QUERIES and query.device.type == "cpu":
        output = _fused(query, key, value, attention_mask, kernel, path, layer)
    elif edits is None and kernel.is_plain and length > 1 and not path:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]
    else:
        keys = [*(shared.parents(shared.prefix.keys[layer]) for shared in path), key]
        values = [*(shared.parents(shared.prefix.values[layer]) for shared in path), value]
        if length > 1:
            output = _in_blocks(query, keys, values, attention_mask, kernel, path, edits)
        else:
            output, weights = _block(query, keys, values, attention_mask, kernel, path, edits)
            if now.sink is not None:
                now.sink(layer, weights[:, :, 0], None if s_aux is None else 1 - weights[:, :, 0].sum(-1))
        if edits is not None:
            output = edits.apply("heads", output)
    return output.transpose(1, 2).contiguous(), None


def _fused(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    kernel: "Kernel",
    path: Sequence[SharedPrefix],
    layer: int,
) -> torch.Tensor:
    """Output (B, H, q, D) of many queries by torch's own kernel, which wants the path's keys copied for each row. On a
    CPU it takes grouped keys as they are; on a GPU they would have to be copied for each head, or go without it.
    """
    key = torch.cat([*(shared.gathered(shared.prefix.keys[layer]) for shared in path), key], dim=2)
    value = torch.cat([*(shared.gathered(shared.prefix.values[layer]) for shared in path), value], dim=2)
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=kernel.scaling, enable_gqa=True
    )


@dataclass(frozen=True)
class Kernel:
    """How scores become weights.

    Attributes
    ----------
    scaling: factor of the scores.
    softcap: scores are squeezed smoothly between minus and plus this (Gemma 2); None leaves them.
    sinks: (H,) logits that take mass and have no key (gpt-oss), or None.
    """

    scaling: float
    softcap: float | None = None
    sinks: torch.Tensor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether torch's own kernels compute it."""
        return self.softcap is None and self.sinks is None

    def weights(
        self,
        scores: torch.Tensor,
        mask: torch.Tensor | None,
        edits: LayerEdits | None = None,
        rows: slice = slice(None),
    ) -> torch.Tensor:
        """Post-softmax weights in float32 of scaled scores (B, H, q, K), which are overwritten, under a boolean mask or
        none; what is changed of them, in rows that are these of the pass's.
        """
        scores = scores.float()
        if self.softcap is not None:
            scores = scores.div_(self.softcap).tanh_() * self.softcap
        if mask is not None:
            scores.masked_fill_(~mask[..., : scores.shape[-1]], -torch.inf)
        if edits is not None:
            scores = edits.apply("scores", scores, rows)
        if self.sinks is None:
            weights = torch.softmax(scores, dim=-1)
        else:
            sinks = self.sinks.float().reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
            weights = torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]
        return weights if edits is None else edits.apply("weights", weights, rows)


def _block(
    query: torch.Tensor,
    keys: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
    mask: torch.Tensor | None,
    kernel: Kernel,
    path: Sequence[SharedPrefix],
    edits: LayerEdits | None = None,
    rows: slice = slice(None),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output (B, H, q, D) and weights (B, H, q, K) of queries (B, H, q, D).

    keys, values: (R, G, P, D) of each prefix of the path, and last (B, G, columns, D) of the batch's own, with H a
    multiple of G (grouped-query attention: head h reads key head h // (H / G)). Keys that several rows go on from are
    read once for all of them.
    """
    batch, heads, length, size = query.shape
    key_heads = keys[-1].shape[1]
    grouped = (query * kernel.scaling).reshape(batch, key_heads, -1, size)
    scores = [
        shared.apart(torch.matmul(shared.together(grouped), key.transpose(-1, -2)))
        for shared, key in zip(path, keys[:-1], strict=True)
    ]
    scores.append(torch.matmul(grouped, keys[-1].transpose(-1, -2)))
    widths = [part.shape[-1] for part in scores]
    weights = kernel.weights(torch.cat(scores, dim=-1).reshape(batch, heads, length, -1), mask, edits, rows)
    *before, own = weights.to(query.dtype).reshape(batch, key_heads, -1, sum(widths)).split(widths, dim=-1)
    output = torch.matmul(own, values[-1])
    for shared, part, value in zip(path, before, values[:-1], strict=True):
        output = output + shared.apart(torch.matmul(shared.together(part), value))
    return output.reshape(batch, heads, length, -1), weights


def _in_blocks(
    query: torch.Tensor,
    keys: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
    mask: torch.Tensor | None,
    kernel: Kernel,
    path: Sequence[SharedPrefix],
    edits: LayerEdits | None = None,
) -> torch.Tensor:
    """Output (B, H, q, D) of many queries, some of them at a time."""
    batch, heads, length, _ = query.shape
    columns = sum(key.shape[2] for key in keys)
    step = max(1, BLOCK_BYTES.get(query.device.type, BLOCK_BYTES["cpu"]) // (4 * batch * heads * columns))
    if mask is None:
        mask = _causal(length, columns, query.device)
    blocks = [slice(start, start + step) for start in range(0, length, step)]
    return torch.cat(
        [_block(query[:, :, rows], keys, values, mask[:, :, rows], kernel, path, edits, rows)[0] for rows in blocks],
        dim=2,
    )


# Masks


def _causal(length: int, columns: int, device: torch.device) -> torch.Tensor:
    """(1, 1, q, K) boolean, True where the last queries of a text may attend to its keys."""
    return torch.ones(length, columns, dtype=torch.bool, device=device).tril(columns - length)[None, None]


def mask_by_position(
    batch_size: int,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., torch.Tensor],
    attention_mask: torch.Tensor,
    local_size: int | None = None,
    allow_is_causal_skip: bool = True,
    **options: Any,
) -> torch.Tensor | None:
    """(B, 1, q, K) boolean, True where a query may attend to a key: the library's rule (causal, a sliding window,
    chunks), asked about positions instead of columns. None where the plain causal rule needs no mask.

    attention_mask: (B, K) True for columns that hold a token. Positions count those; padding has the position of the
    token before it, so that its unused queries attend to something.
    """
    unbroken = bool(attention_mask.all())
    is_near = local_size is None or kv_length < local_size
    if allow_is_causal_skip and unbroken and is_near and q_length in (1, kv_length):
        return None
    position = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    rows = torch.arange(batch_size, device=attention_mask.device)[:, None, None, None]
    heads = torch.zeros_like(rows[:1])
    allowed = mask_function(rows, heads, position[:, None, -q_length:, None], position[:, None, None, :])
    return allowed.expand(batch_size, 1, q_length, kv_length) & attention_mask[:, None, None, :]


def _added_mask_by_position(dtype: torch.dtype = torch.float32, **options: Any) -> torch.Tensor:
    """The same as numbers to add to scores, 0 or the least number of a dtype; for the models' own eager attention."""
    allowed = mask_by_position(**{**options, "allow_is_causal_skip": False})
    assert allowed is not None
    return torch.where(allowed, torch.zeros((), dtype=dtype, device=allowed.device), torch.finfo(dtype).min)


MASKS = {NAME: mask_by_position, "sdpa": mask_by_position, "eager": _added_mask_by_position}


@contextmanager
def attention_way(model: Any, way: Way, decoding: bool) -> Iterator[None]:
    """The model runs with the attention that a way needs and masks by position, and with its own again afterwards.

    Interface: our function for prefill and decoding. Eager: the model's own for prefill, eager for decoding. Alone:
    eager for both.
    """
    before = model.config._attn_implementation
    own = "eager" if decoding or way == "alone" else before
    wanted = NAME if way == "interface" else own
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, mask_by_position)
    for name, mask in MASKS.items():
        ALL_MASK_ATTENTION_FUNCTIONS[name] = mask
    try:
        set_attention(model, wanted)
        yield
    finally:
        set_attention(model, before)
        for name in MASKS:
            del ALL_MASK_ATTENTION_FUNCTIONS[name]


@contextmanager
def eagerly(model: Any) -> Iterator[None]:
    """The model runs with its eager attention, which gives full matrices, and with its own again afterwards."""
    before = model.config._attn_implementation
    set_attention(model, "eager")
    try:
        yield
    finally:
        set_attention(model, before)


def set_attention(model: Any, name: str) -> None:
    """Some models look the name up in their configuration and cannot be told otherwise."""
    if model.config._attn_implementation == name:
        return
    if model._can_set_attn_implementation():
        model.set_attn_implementation(name)
    else:
        model.config._attn_implementation = name


# What is kept of the rows


class _Steps:
    """What every layer leaves of each decoding step: one tensor (B, L, ...) for a step, on the CPU."""

    def __init__(self, n_layers: int) -> None:
        self._n_layers = n_layers
        self._layers: dict[int, torch.Tensor] = {}
        self.steps: list[torch.Tensor] = []

    def end_step(self) -> None:
        """Close a step in which every layer has given its row.

        Raises
        ------
        RuntimeError: a layer gave none.
        """
        if len(self._layers) != self._n_layers:
            raise RuntimeError(f"{len(self._layers)} of {self._n_layers} layers gave their attention row")
        device = self._layers[0].device
        self.steps.append(torch.stack([self._layers[i].to(device) for i in range(self._n_layers)], dim=1).cpu())
        self._layers = {}


class RoleMass(_Steps):
    """Mass per role of the decoding steps' rows.

    Keeps (steps, B, L, H, S) float32 on the CPU: the attention of each step's token, summed over the keys of each
    role. Keys without a role (padding) get no mass. What an attention sink takes belongs to the role that is named
    for it, so that a row sums to 1.
    """

    def __init__(self, roles: torch.Tensor, n_layers: int, n_roles: int, response_role: int, sink_role: int) -> None:
        """roles: (B, K) role index of each column that holds a prompt token, -1 for padding."""
        super().__init__(n_layers)
        self._roles = roles
        self._response_role = response_role
        self._sink_role = sink_role
        self._n_roles = n_roles
        self._onehot: dict[torch.device, torch.Tensor] = {}

    def __call__(self, layer: int, weights: torch.Tensor, beside: torch.Tensor | None = None) -> None:
        """Reduce one layer's row (B, H, K) to mass per role."""
        mass = torch.matmul(weights.float(), self._membership(weights.shape[-1], weights.device))
        if beside is not None:
            mass[..., self._sink_role] += beside
        self._layers[layer] = mass

    def end_step(self) -> None:
        """As of all steps; the next one has a column more."""
        super().end_step()
        self._onehot = {}

    def _membership(self, n_keys: int, device: torch.device) -> torch.Tensor:
        """(B, K, S) one where a key has a role; keys after the prompt are response."""
        if device not in self._onehot:
            grown = torch.nn.functional.pad(
                self._roles, (0, n_keys - self._roles.shape[1]), value=self._response_role
            ).to(device)
            self._onehot[device] = (grown[..., None] == torch.arange(self._n_roles, device=device)).float()
        return self._onehot[device]


class TokenRows(_Steps):
    """The decoding steps' rows themselves, of chosen rows of the batch.

    Keeps (C, L, H, K) float32 a step on the CPU, of C chosen rows; each step has one column more than the step before.
    """

    def __init__(self, chosen: Sequence[int], n_layers: int) -> None:
        super().__init__(n_layers)
        self._chosen = list(chosen)

    def __call__(self, layer: int, weights: torch.Tensor, beside: torch.Tensor | None = None) -> None:
        """Keep the chosen of one layer's rows (B, H, K); what a sink took has no key, and is left out."""
        self._layers[layer] = weights[self._chosen].float()

    def by_token(self, row: int, columns: torch.Tensor, n_steps: int) -> torch.Tensor:
        """(n_steps, L, H, T) of one chosen row's first steps; zero for tokens that were not there yet.

        columns: (T,) where the row's tokens are, in their order.
        """
        place = self._chosen.index(row)
        steps = [step[place] for step in self.steps[:n_steps]]
        masses = torch.zeros(n_steps, *steps[0].shape[:2], len(columns))
        for mass, step in zip(masses, steps, strict=True):
            there = columns[columns < step.shape[-1]]
            mass[..., : len(there)] = step[..., there]
        return masses
