"""What a capture is asked for and what it gives, without torch: decoding, the plan of its prompts, captured batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iclviz.capture.plan import Group, PlanSettings, plan_batches
from iclviz.prompts import TokenizedPrompt


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
    """What B prompts left.

    Attributes
    ----------
    prompts: B indices of the prompts.
    response_ids: B lists of token ids.
    taken: for each prompt, what each recorder took of it, by the recorder's name.
    seconds: time per stage: prefill, decode, candidates.
    """

    prompts: list[int]
    response_ids: list[list[int]]
    taken: list[dict[str, Any]]
    seconds: dict[str, float] = field(default_factory=dict)


def plan_prompts(
    prompts: Sequence[TokenizedPrompt],
    decoding: Decoding,
    settings: PlanSettings,
    read_as: Callable[[int], Sequence[int]] | None = None,
) -> tuple[Group, ...]:
    """The groups over all tokens of the prompts but the last of each, which is the first decoding step.

    read_as: a prompt's tokens but the last as numbers, where equal tokens may be read otherwise; None = their ids.
    """
    most = max((decoding.limit(index) for index in range(len(prompts))), default=0)
    texts = [prompt.ids[:-1] if read_as is None else read_as(index) for index, prompt in enumerate(prompts)]
    return plan_batches(texts, settings, new_tokens=most + 1)


def joined(parts: Sequence[Captured]) -> Captured:
    """Captured batches as one, in the order of the prompts."""
    prompts = [index for part in parts for index in part.prompts]
    order = np.argsort(prompts, kind="stable")

    def sort(values: list[Any]) -> list[Any]:
        return [values[place] for place in order]

    return Captured(
        prompts=sort(prompts),
        response_ids=sort([ids for part in parts for ids in part.response_ids]),
        taken=sort([taken for part in parts for taken in part.taken]),
        seconds={stage: sum(part.seconds[stage] for part in parts) for stage in parts[0].seconds},
    )
