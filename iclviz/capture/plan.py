"""The batch plan: which prompts run together. Made once with a job and kept with it, so that a resumed job, or the
same job on another machine, computes in the same shapes and gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

TOKEN_BUDGETS = {"cpu": 4096, "gpu-small": 16384, "gpu": 65536}
"""Padded prompt tokens in one batch, by class of device memory; a GPU is small under 24 GiB."""


@dataclass(frozen=True)
class BatchPlan:
    """Batches of prompt indices, longest prompts first, each within the token budget; and the CPU threads to use."""

    batches: tuple[tuple[int, ...], ...]
    token_budget: int
    threads: int

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BatchPlan":
        """The plan that `to_dict` wrote."""
        batches = tuple(tuple(batch) for batch in values["batches"])
        return cls(batches, values["token_budget"], values["threads"])


def plan_batches(lengths: Sequence[int], token_budget: int, threads: int) -> BatchPlan:
    """Prompts sorted by length, cut where the padded size would pass the budget; a prompt longer than that is alone.

    lengths: tokens of each prompt.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return BatchPlan(tuple(tuple(batch) for batch in batches), token_budget, threads)
