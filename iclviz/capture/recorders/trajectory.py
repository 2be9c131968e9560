"""Answer trajectory (logit lens): what the model would answer if it ended at each of its layers.

At the last prompt token, for every layer from 0 to L, the model's own final norm, unembedding and whatever it does to
its logits give the layer's distribution over the vocabulary. Layer L is the model's output. Of it are kept:

1. the log-probability of each candidate's first token that tells it from the others, and the right one's rank;
2. the layer's entropy, and the divergence of the layer from the output, KL(output || layer): what an output costs more
   in nats where it is foretold by the layer. It is 0 at layer L.

A candidate has NaN whose token right after the prompt is also another candidate's, or that changes the prompt's last
tokens: its first token that tells it from the others does not follow the last prompt token. Without candidates entropy
and divergence alone are numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.recorders import Array, ArraySchema, Batch, BatchRecord, Recorder, Session, Subject, text_array

if TYPE_CHECKING:
    import torch

    from iclviz.capture.readout import Readout
    from iclviz.prompts import TokenizedPrompt


@dataclass(frozen=True)
class Lens:
    """What was read of one prompt.

    Attributes
    ----------
    logprobs: (L + 1, C) of each candidate's token, in nats.
    rank: (L + 1,) of the first candidate's, which is the right one; 1 is the largest logit.
    entropy, divergence: (L + 1,) in nats.
    pieces: C texts of those tokens.
    """

    logprobs: Array
    rank: Array
    entropy: Array
    divergence: Array
    pieces: Sequence[str]


class Trajectory(Recorder):
    """Recorded at the last prompt token alone."""

    name = "trajectory"
    title = "Answer trajectory"
    sentence = "What the model would answer at the last prompt token if it ended at each of its layers."
    arrays = (
        ArraySchema("trajectory", ("item", "layer", "candidate")),
        ArraySchema("trajectory_rank", ("item", "layer")),
        ArraySchema("trajectory_entropy", ("item", "layer")),
        ArraySchema("trajectory_kl", ("item", "layer")),
        ArraySchema("trajectory_token", ("item", "candidate"), "text"),
    )
    hooks = frozenset(["states", "logits"])

    def session(self, subject: Subject, asked: Mapping[int, Any]) -> Session:
        """At work."""
        from iclviz.capture.readout import Readout

        return _Session(subject, frozenset(asked), Readout(subject.model, subject.n_layers))

    def arrays_of(self, taken: Lens, n_rows: int) -> Mapping[str, Any]:
        """The item's arrays, float32."""
        return {
            "trajectory": taken.logprobs,
            "trajectory_rank": taken.rank,
            "trajectory_entropy": taken.entropy,
            "trajectory_kl": taken.divergence,
            "trajectory_token": text_array(list(taken.pieces)),
        }


def telling_tokens(prompt: "TokenizedPrompt") -> list[int | None]:
    """For each candidate the token after the prompt that tells it from the others, None where that one does not."""
    n = len(prompt)
    following = [ids[n] if len(ids) > n and ids[:n] == prompt.ids else None for ids in prompt.candidates]
    return [token if following.count(token) == 1 else None for token in following]


class _Session(Session):
    def __init__(self, subject: Subject, asked: frozenset[int], readout: "Readout") -> None:
        self.subject, self.asked, self.readout = subject, asked, readout

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        return _Batch(self, {row: prompt for row, prompt in enumerate(batch.prompts) if prompt in self.asked})


class _Batch(BatchRecord):
    """Keeps the states of the last prompt token, and reads them out when the batch has been decoded."""

    def __init__(self, session: _Session, chosen: Mapping[int, int]) -> None:
        """chosen: row -> prompt of those that are kept."""
        self._session, self._chosen = session, chosen
        self._rows = list(chosen)
        self._states: dict[int, torch.Tensor] = {}
        self._logits: torch.Tensor | None = None

    def states(self, layer: int, hidden: "torch.Tensor") -> None:
        self._states[layer] = hidden[self._rows, -1]

    def logits(self, logits: "torch.Tensor") -> None:
        if self._logits is None:
            self._logits = logits[self._rows]

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, Lens]:
        import torch

        assert self._logits is not None
        readout, last = self._session.readout, max(self._states)
        readout.check(self._states[last], self._logits)
        output = torch.log_softmax(self._logits.float(), -1)
        prompts = [self._session.subject.prompts[prompt] for prompt in self._chosen.values()]
        layers = [_read(readout.logits(self._states[layer]), output, prompts) for layer in range(last + 1)]
        found = {}
        for row, (index, prompt) in enumerate(zip(self._chosen.values(), prompts, strict=True)):
            logprobs, *others = zip(*(layer[row] for layer in layers), strict=True)
            rank, entropy, divergence = (np.array(values, np.float32) for values in others)
            of_candidates = np.array(logprobs, np.float32).reshape(last + 1, len(prompt.candidates))
            found[index] = Lens(of_candidates, rank, entropy, divergence, prompt.candidate_pieces)
        return found


def _read(
    logits: "torch.Tensor", output: "torch.Tensor", prompts: "Sequence[TokenizedPrompt]"
) -> list[tuple[list[float], float, float, float]]:
    """One layer's log-probabilities of candidates, rank, entropy and divergence of each prompt.

    logits: (B, V) of the layer; output: (B, V) log-probabilities of the model's output.
    """
    import torch

    output = output.to(logits.device)
    logprobs = torch.log_softmax(logits, -1)
    entropy = torch.special.entr(logprobs.exp()).sum(-1).tolist()
    probable = output.exp()
    # Tokens that the model itself excludes have the log-probability minus infinity, and no share.
    divergence = torch.where(probable > 0, probable * (output - logprobs), 0.0).sum(-1).clamp(min=0).tolist()
    found = []
    for row, prompt in enumerate(prompts):
        tokens = telling_tokens(prompt)
        of_candidates = [float("nan") if token is None else float(logprobs[row, token]) for token in tokens]
        rank = float("nan")
        if tokens and tokens[0] is not None:
            rank = 1.0 + int((logits[row] > logits[row, tokens[0]]).sum())
        found.append((of_candidates, rank, entropy[row], divergence[row]))
    return found


RECORDER = Trajectory()
