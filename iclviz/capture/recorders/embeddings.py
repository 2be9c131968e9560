"""Pooled hidden states: for each pooling of the spec one state a layer."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.numbers import NoNumberError
from iclviz.recorders import Array, ArraySchema, Batch, BatchRecord, PassRecord, ReadRow, Recorder, Session, Subject
from iclviz.spec import RunSpec

if TYPE_CHECKING:
    import torch

    from iclviz.capture.pooling import Pooled


class Embeddings(Recorder):
    """Kept as float16 where the numbers fit, as float32 where not."""

    name = "embeddings"
    title = "Pooled embeddings"
    sentence = "Hidden states of every layer, pooled over tokens of the prompt."
    arrays = (
        ArraySchema("embeddings", ("item", "layer", "width"), "float16", "pooling", "embeddings.{name}.safetensors"),
    )
    hooks = frozenset(["states"])
    is_optional = False

    def asked(self, spec: RunSpec, item: int) -> tuple[str, ...] | None:
        """The names of its poolings."""
        return spec.poolings or None

    def names(self, spec: RunSpec) -> Sequence[str]:
        """The poolings."""
        return spec.poolings or ()

    def session(self, subject: Subject, asked: Mapping[int, tuple[str, ...]]) -> Session:
        """At work."""
        return _Session(subject, asked)

    def arrays_of(self, taken: Mapping[str, Array], n_rows: int) -> Mapping[str, Any]:
        """Pooling -> (L + 1, d)."""
        return {"embeddings": taken}


class _Session(Session):
    def __init__(self, subject: Subject, asked: Mapping[int, tuple[str, ...]]) -> None:
        self.subject, self.asked = subject, asked
        self._masks: dict[int, dict[str, Array]] = {}

    def reading(self, rows: Sequence[ReadRow], width: int) -> PassRecord:
        masks = [
            {(i, name): mask[row.start : row.end] for i in row.prompts for name, mask in self.masks(i).items()}
            for row in rows
        ]
        return _Pass(self, masks, width, [row.prompts[0] for row in rows])

    def decoding(self, batch: Batch, before: Sequence["Pooled"]) -> BatchRecord:
        return _Batch(self, batch, before)

    def masks(self, index: int) -> dict[str, Array]:
        """Pooling -> (T,) boolean of one prompt; none where nothing is kept of it."""
        from iclviz.capture.pooling import pool_masks

        if index not in self._masks:
            self._masks[index] = pool_masks(self.asked.get(index, ()), self.subject.prompts[index])
        return self._masks[index]

    def forget(self, prompts: Sequence[int]) -> None:
        """Let go of the masks of prompts that are done."""
        for prompt in prompts:
            self._masks.pop(prompt, None)


class _Pass(PassRecord):
    """Sums and maxima of the states that one forward pass reads."""

    def __init__(
        self, session: _Session, masks: Sequence[dict[tuple[int, str], Array]], width: int, prompts: Sequence[int]
    ) -> None:
        """prompts: one of each row's."""
        from iclviz.capture.pooling import HiddenPooling

        self._n_layers, self._prompts = session.subject.n_layers, prompts
        self._pools = HiddenPooling(masks, width, session.subject.device)

    def states(self, layer: int, hidden: "torch.Tensor") -> None:
        self._pools.states(layer, hidden)

    def left(self) -> "Pooled":
        pooled = self._pools.pooled()
        if found := pooled.no_number():
            layer, row = found
            raise NoNumberError(self._prompts[row], f"a state of layer {layer} of {self._n_layers}")
        return pooled


class _Batch(BatchRecord):
    """The last prompt tokens join what was pooled before."""

    def __init__(self, session: _Session, batch: Batch, before: Sequence["Pooled"]) -> None:
        self._session, self._prompts = session, batch.prompts
        self._before = list(before)
        masks = [{(i, name): mask[-1:] for name, mask in session.masks(i).items()} for i in batch.prompts]
        self._last: _Pass | None = _Pass(session, masks, 1, batch.prompts)

    def states(self, layer: int, hidden: "torch.Tensor") -> None:
        if self._last:
            self._last.states(layer, hidden)

    def end_step(self) -> None:
        if self._last:
            self._before.append(self._last.left())
            self._last = None

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, dict[str, Array]]:
        names = dict.fromkeys(name for prompt in self._prompts for name in self._session.asked.get(prompt, ()))
        found: dict[int, dict[str, Array]] = {prompt: {} for prompt in self._prompts if prompt in self._session.asked}
        for name in names:
            own = [prompt for prompt in found if name in self._session.asked[prompt]]
            for prompt, state in zip(own, self._pooled(own, name), strict=True):
                found[prompt][name] = state
        self._session.forget(self._prompts)
        return found

    def _pooled(self, prompts: Sequence[int], name: str) -> Array:
        """(B, L + 1, d): sums over what was read before and the last tokens, over the number of tokens; or maxima."""
        import torch

        from iclviz.capture.pooling import is_maximum

        parts = [part.of(prompts, name) for part in self._before]
        if is_maximum(name):
            highest = torch.stack(parts).amax(0)
            pooled = torch.where(torch.isneginf(highest), torch.nan, highest)
        else:
            counts = torch.tensor([self._session.masks(prompt)[name].sum() for prompt in prompts]).float()
            counts = torch.where(counts > 0, counts, torch.nan)
            pooled = torch.stack(parts).sum(0) / counts[None, :, None]
        return np.ascontiguousarray(pooled.transpose(0, 1).numpy())


RECORDER = Embeddings()
