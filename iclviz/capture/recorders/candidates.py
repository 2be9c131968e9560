"""The log-probability of each candidate answer, of which the task makes scores."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.numbers import NoNumberError
from iclviz.recorders import ArraySchema, Batch, BatchRecord, Recorder, Session, Subject
from iclviz.spec import RunSpec

if TYPE_CHECKING:
    import torch


class Candidates(Recorder):
    """Sums over a candidate's tokens, scored on the prompt's own cache."""

    name = "candidates"
    title = "Log-probabilities of candidates"
    sentence = "The log-probability of each candidate answer after the prompt."
    arrays = (ArraySchema("candidate_logprobs", ("item", "candidate"), "float64", is_kept=False),)
    hooks = frozenset(["candidates"])
    is_optional = False

    def asked(self, spec: RunSpec, item: int) -> bool:
        """Every item has them."""
        return True

    def session(self, subject: Subject, asked: Mapping[int, Any]) -> Session:
        """At work."""
        return _Session(subject, asked)

    def arrays_of(self, taken: list[float], n_rows: int) -> Mapping[str, Any]:
        """(candidates,)."""
        return {"candidate_logprobs": np.array(taken)}


class _Session(Session):
    def __init__(self, subject: Subject, asked: Mapping[int, Any]) -> None:
        self.subject, self.asked = subject, asked

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        return _Batch(self.subject, batch)


class _Batch(BatchRecord):
    def __init__(self, subject: Subject, batch: Batch) -> None:
        self._prompts = batch.prompts
        self._n = [len(subject.prompts[prompt].candidates) for prompt in batch.prompts]
        self._sums: list[list[float]] = [[] for _ in batch.prompts]

    def candidate(self, number: int, logprobs: Sequence["torch.Tensor | None"]) -> None:
        for row, values in enumerate(logprobs):
            if number < self._n[row]:
                total = float("nan") if values is None else float(values.sum())
                if values is not None and not np.isfinite(total):
                    what = f"the log-probability of candidate {number + 1}"
                    raise NoNumberError(self._prompts[row], what)
                self._sums[row].append(total)

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, list[float]]:
        return dict(zip(self._prompts, self._sums, strict=True))


RECORDER = Candidates()
