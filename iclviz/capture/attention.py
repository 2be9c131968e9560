"""Attention rows while decoding: each step has one query row, reduced at once to mass per role.

Two ways give the same numbers. *Interface*: an attention function registered with `transformers` calls the library's
own sdpa function for the output and recomputes the one row beside it. *Eager*: the model's own eager attention returns
its matrices, which one query row makes tiny; it needs no code for an architecture. No T x T matrix is ever kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

Way = Literal["interface", "eager"]

NAME = "iclviz_rows"


class RowSink(Protocol):
    """Takes the attention weights (B, H, K) of one layer's single query row."""

    def __call__(self, layer: int, weights: torch.Tensor) -> None:
        """Take one layer's row."""


_sink: ContextVar[RowSink | None] = ContextVar("row_sink", default=None)


def row_weights(
    query: torch.Tensor,
    key: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    """Post-softmax weights (B, H, K) in float32 of a single query row.

    query: (B, H, 1, D); key: (B, G, K, D) with H a multiple of G (grouped-query attention: head h reads key head
    h // (H / G)); attention_mask: boolean (True = may attend) or additive, broadcastable to (B, H, 1, K);
    sinks: (H,) logits of gpt-oss's attention sinks, which take mass and have no key.
    """
    batch, heads, _, width = query.shape
    key_heads = key.shape[1]
    grouped = query.reshape(batch, key_heads, heads // key_heads, width)
    scores = torch.matmul(grouped, key.transpose(-1, -2)).reshape(batch, heads, -1).float()
    scores = scores * (width**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        mask = attention_mask[:, :, -1, : scores.shape[-1]]
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask.float()
    if sinks is None:
        return torch.softmax(scores, dim=-1)
    extra = sinks.float().reshape(1, heads, 1).expand(batch, heads, 1)
    return torch.softmax(torch.cat([scores, extra], dim=-1), dim=-1)[..., :-1]


def _attend_and_record(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    sink = _sink.get()
    if sink is not None and query.shape[2] == 1:
        sink(int(module.layer_idx), row_weights(query, key, attention_mask, scaling, options.get("s_aux")))
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]


@contextmanager
def attention_way(model: Any, way: Way, decoding: bool) -> Iterator[None]:
    """The model runs with the attention that a way needs, and with its own again afterwards.

    Interface: our function for prefill and decoding. Eager: the model's own for prefill, eager for decoding.
    """
    before = model.config._attn_implementation
    wanted = NAME if way == "interface" else ("eager" if decoding else before)
    if way == "interface":
        AttentionInterface.register(NAME, _attend_and_record)
        AttentionMaskInterface.register(NAME, sdpa_mask)
    try:
        if wanted != before:
            model.set_attn_implementation(wanted)
        yield
    finally:
        if wanted != before:
            model.set_attn_implementation(before)


@contextmanager
def rows_to(sink: RowSink) -> Iterator[None]:
    """Rows that the registered function recomputes go to a sink."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


class RoleMass:
    """Mass per role of the decoding steps' rows.

    Keeps (steps, B, L, H, S) float32 on the CPU: the attention of each step's token, summed over the keys of each
    role. Keys without a role (padding) get no mass.
    """

    def __init__(self, prompt_roles: torch.Tensor, n_layers: int, n_roles: int, response_role: int) -> None:
        """prompt_roles: (B, T) role index of each prompt position, -1 for padding."""
        self._roles = prompt_roles
        self._response_role = response_role
        self._n_layers = n_layers
        self._n_roles = n_roles
        self._onehot: dict[torch.device, torch.Tensor] = {}
        self._layers: dict[int, torch.Tensor] = {}
        self.steps: list[torch.Tensor] = []

    def __call__(self, layer: int, weights: torch.Tensor) -> None:
        """Reduce one layer's row (B, H, K) to mass per role."""
        onehot = self._membership(weights.shape[-1], weights.device)
        self._layers[layer] = torch.matmul(weights, onehot)

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
        self._onehot = {}

    def _membership(self, n_keys: int, device: torch.device) -> torch.Tensor:
        """(B, K, S) one where a key has a role; keys after the prompt are response."""
        if device not in self._onehot:
            grown = torch.nn.functional.pad(
                self._roles, (0, n_keys - self._roles.shape[1]), value=self._response_role
            ).to(device)
            self._onehot[device] = (grown[..., None] == torch.arange(self._n_roles, device=device)).float()
        return self._onehot[device]
