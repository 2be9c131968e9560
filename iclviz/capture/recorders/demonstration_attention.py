"""Attention of the last prompt token by demonstration: on all its tokens, on its answer's, and the largest weight.

The last prompt token is where the answer is read out; which demonstrations it attends to says which ones it could copy
from. Mass on one demonstration, over all of them and the rest of the prompt, sums to 1 at most.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iclviz.recorders import Array, ArraySchema, Batch, BatchRecord, Recorder, Session, Subject
from iclviz.spans import ANSWER, DEMONSTRATION, Mark
from iclviz.spec import RunSpec

if TYPE_CHECKING:
    import torch

_AXES = ("item", "block", "head", "demonstration")


class DemonstrationAttention(Recorder):
    """NaN where a demonstration, or an answer that is known, has no token of its own."""

    name = "demonstration_attention"
    title = "Attention by demonstration"
    sentence = "How much the last prompt token attends to each demonstration, to its answer, and to one token at most."
    arrays = (
        ArraySchema("demonstration_attention", _AXES),
        ArraySchema("demonstration_answer_attention", _AXES),
        ArraySchema("demonstration_largest_attention", _AXES),
    )
    hooks = frozenset(["rows"])

    def asked(self, spec: RunSpec, item: int) -> int | None:
        """The number of demonstrations."""
        return spec.demonstrations.canonical().k if self.name in spec.record else None

    def session(self, subject: Subject, asked: Mapping[int, int]) -> Session:
        """At work; asked: prompt -> k."""
        return _Session(subject, asked)

    def arrays_of(self, taken: Mapping[str, Array], n_rows: int) -> Mapping[str, Any]:
        """(L, H, k) of each array."""
        return taken


class _Session(Session):
    def __init__(self, subject: Subject, asked: Mapping[int, int]) -> None:
        self.subject, self.asked = subject, asked

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        return _Batch(self, batch)


class _Batch(BatchRecord):
    def __init__(self, session: _Session, batch: Batch) -> None:
        self._session, self._batch = session, batch
        self._k = max(session.asked.get(prompt, 0) for prompt in batch.prompts)
        self._owners = {kind: self._owner(kind) for kind in (DEMONSTRATION, ANSWER)}
        self._layers: dict[int, tuple[torch.Tensor, ...]] = {}
        self._is_first = True

    def _owner(self, kind: str) -> "torch.Tensor":
        """(B, columns) the number of the demonstration, or of the answer, that holds each column; k for none."""
        import torch

        owner = torch.full((len(self._batch.prompts), self._batch.width), self._k)
        for row, (prompt, columns) in enumerate(zip(self._batch.prompts, self._batch.columns, strict=True)):
            for mark, number in _numbered(self._session.subject.prompts[prompt].marks, kind):
                if number < self._k:
                    owner[row, columns[mark.start : mark.end]] = number
        return owner.to(self._session.subject.device)

    def row(self, layer: int, weights: "torch.Tensor", beside: "torch.Tensor | None") -> None:
        if not self._is_first:
            return
        weights = weights.float()
        whole, answers = (owner.to(weights.device)[:, None].expand_as(weights) for owner in self._owners.values())
        empty = weights.new_zeros(*weights.shape[:2], self._k + 1)
        mass = empty.scatter_add(-1, whole, weights)
        on_answers = empty.scatter_add(-1, answers, weights)
        largest = empty.scatter_reduce(-1, whole, weights, "amax")
        self._layers[layer] = tuple(one[..., : self._k].cpu() for one in (mass, on_answers, largest))

    def end_step(self) -> None:
        self._is_first = False

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, dict[str, Array]]:
        import torch

        layers = [self._layers[layer] for layer in sorted(self._layers)]
        whole, on_answers, largest = (torch.stack(parts, dim=1) for parts in zip(*layers, strict=True))
        has = {kind: self._present(owner) for kind, owner in self._owners.items()}
        arrays = [(whole, has[DEMONSTRATION]), (on_answers, has[ANSWER]), (largest, has[DEMONSTRATION])]
        masses = [values.masked_fill(~there[:, None, None], torch.nan).numpy() for values, there in arrays]
        return {
            prompt: {
                schema.name: mass[row, ..., : self._session.asked[prompt]]
                for schema, mass in zip(RECORDER.arrays, masses, strict=True)
            }
            for row, prompt in enumerate(self._batch.prompts)
            if prompt in self._session.asked
        }

    def _present(self, owner: "torch.Tensor") -> "torch.Tensor":
        """(B, k) whether any column is a demonstration's, or an answer's."""
        import torch

        return (owner.cpu()[..., None] == torch.arange(self._k)).any(1)


def _numbered(marks: Sequence[Mark], kind: str) -> list[tuple[Mark, int]]:
    """The marks of a kind with their numbers."""
    parts = [(mark, *mark.name.partition(":")) for mark in marks]
    return [(mark, int(number)) for mark, name, _, number in parts if name == kind]


RECORDER = DemonstrationAttention()
