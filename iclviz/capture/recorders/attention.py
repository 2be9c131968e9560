"""Attention by role: how much of each row goes to the tokens of each role."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.numbers import NoNumberError
from iclviz.recorders import ARRAYS, Array, ArraySchema, Batch, BatchRecord, Recorder, Session, Subject
from iclviz.spans import ROLES
from iclviz.spec import RunSpec

if TYPE_CHECKING:
    import torch

RESPONSE, SPECIAL = ROLES.index("response"), ROLES.index("special")
PAD = -1


class Attention(Recorder):
    """The response's rows are averaged up to the end of the parsed answer; roles sum to 1."""

    name = "attention"
    title = "Attention by role"
    sentence = "The attention of the response, and of the last prompt token, summed over the tokens of each role."
    arrays = (
        ArraySchema("attention", ("item", "block", "head"), "float32", "role", ARRAYS),
        ArraySchema("attention_last", ("item", "block", "head"), "float32", "role", ARRAYS),
    )
    hooks = frozenset(["rows"])
    is_optional = False

    def asked(self, spec: RunSpec, item: int) -> bool:
        """Every item has it."""
        return True

    def names(self, spec: RunSpec) -> Sequence[str]:
        """The roles."""
        return ROLES

    def session(self, subject: Subject, asked: Mapping[int, Any]) -> Session:
        """At work."""
        return _Session(subject, asked)

    def arrays_of(self, taken: Array, n_rows: int) -> Mapping[str, Any]:
        """(L, H, S) of each table, of the rows (1 + tokens of the response, L, H, S)."""
        return {"attention": taken[1 : n_rows + 1].mean(0), "attention_last": taken[0]}


class _Session(Session):
    def __init__(self, subject: Subject, asked: Mapping[int, Any]) -> None:
        self.subject, self.asked = subject, asked

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        return _Batch(self, batch)


class _Batch(BatchRecord):
    def __init__(self, session: _Session, batch: Batch) -> None:
        from iclviz.capture.attention import RoleMass

        self._session, self._prompts = session, batch.prompts
        self._mass = RoleMass(self._roles(batch), session.subject.n_layers, len(ROLES), RESPONSE, SPECIAL)

    def _roles(self, batch: Batch) -> "torch.Tensor":
        """(B, columns) role of each prompt token, PAD for columns that hold none."""
        import torch

        from iclviz.capture.pooling import role_numbers

        roles = np.full((len(batch.prompts), batch.width), PAD)
        for number, (prompt, columns) in enumerate(zip(batch.prompts, batch.columns, strict=True)):
            roles[number, columns.numpy()] = role_numbers(self._session.subject.prompts[prompt])
        return torch.from_numpy(roles).to(self._session.subject.device)

    def row(self, layer: int, weights: "torch.Tensor", beside: "torch.Tensor | None") -> None:
        self._mass(layer, weights, beside)

    def end_step(self) -> None:
        self._mass.end_step()

    def check(self, row: int) -> None:
        self._check(row, len(self._mass.steps))

    def _check(self, row: int, n_steps: int) -> None:
        import torch

        wrong = [(~step[row].isfinite()).any(-1).any(-1) for step in self._mass.steps[:n_steps]]
        if wrong and len(blocks := torch.stack(wrong).any(0).nonzero()):
            what = f"the attention of block {int(blocks[0, 0]) + 1} of {self._session.subject.n_layers}"
            raise NoNumberError(self._prompts[row], what)

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, Array]:
        import torch

        steps = torch.stack(self._mass.steps)
        if not steps.isfinite().all():
            for row, response in enumerate(responses):
                self._check(row, len(response) + 1)
        masses = steps.numpy()
        return {
            prompt: masses[: len(response) + 1, row]
            for row, (prompt, response) in enumerate(zip(self._prompts, responses, strict=True))
        }


RECORDER = Attention()
