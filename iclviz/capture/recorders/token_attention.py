"""Attention token by token, of the items that a spec names."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.recorders import TOKENS, Array, ArraySchema, Batch, BatchRecord, Recorder, Session, Subject
from iclviz.spec import RunSpec

if TYPE_CHECKING:
    import torch


class TokenAttention(Recorder):
    """What attention sinks take has no token, and is left out."""

    name = "token_attention"
    title = "Attention by token"
    sentence = "The attention of the response, and of the last prompt token, to each single token of some items."
    arrays = (
        ArraySchema("token_attention", ("block", "head", "token"), "float16", "item", TOKENS),
        ArraySchema("token_attention_last", ("block", "head", "token"), "float16", "item", TOKENS),
    )
    hooks = frozenset(["rows"])
    is_optional = False

    def asked(self, spec: RunSpec, item: int) -> bool | None:
        """Whether the spec names the item."""
        return item in spec.attention_items or None

    def names(self, spec: RunSpec) -> Sequence[int]:
        """The places of the items."""
        return spec.attention_items

    def session(self, subject: Subject, asked: Mapping[int, Any]) -> Session:
        """At work."""
        return _Session(subject, asked)

    def arrays_of(self, taken: Array, n_rows: int) -> Mapping[str, Any]:
        """(L, H, T) of each table, of the rows (1 + tokens of the response, L, H, T)."""
        masses = (taken[1 : n_rows + 1].mean(0), taken[0])
        return {schema.name: mass.astype(np.float16) for schema, mass in zip(self.arrays, masses, strict=True)}


class _Session(Session):
    def __init__(self, subject: Subject, asked: Mapping[int, Any]) -> None:
        self.subject, self.asked = subject, asked

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        chosen = {row: prompt for row, prompt in enumerate(batch.prompts) if prompt in self.asked}
        return _Batch(self.subject, batch, chosen)


class _Batch(BatchRecord):
    def __init__(self, subject: Subject, batch: Batch, chosen: Mapping[int, int]) -> None:
        """chosen: row -> prompt of those that are kept."""
        from iclviz.capture.attention import TokenRows

        self._batch, self._chosen = batch, chosen
        self._rows = TokenRows(list(chosen), subject.n_layers)

    def row(self, layer: int, weights: "torch.Tensor", beside: "torch.Tensor | None") -> None:
        self._rows(layer, weights)

    def end_step(self) -> None:
        self._rows.end_step()

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, Array]:
        return {prompt: self._taken(row, len(responses[row])).numpy() for row, prompt in self._chosen.items()}

    def _taken(self, row: int, n_response: int) -> "torch.Tensor":
        import torch

        width = self._batch.width
        columns = torch.cat([self._batch.columns[row], torch.arange(width, width + n_response)])
        return self._rows.by_token(row, columns, 1 + n_response)


RECORDER = TokenAttention()
