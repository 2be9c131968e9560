"""A capture with the recorders that every run has, and what they took as arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from iclviz.capture.decoding import Captured
from iclviz.recorders import asked
from iclviz.spec import RunSpec


@dataclass
class Taken:
    """embeddings: pooling -> (B, L + 1, d); last_row (B, L, H, S); rows: B arrays (tokens, L, H, S); token_rows: prompt
    -> (1 + tokens, L, H, T); candidate_logprobs: B lists.
    """

    prompts: list
    response_ids: list
    embeddings: dict
    last_row: np.ndarray
    rows: list
    token_rows: dict
    candidate_logprobs: list


def kept(prompts, poolings, by_token=frozenset()) -> Any:
    """What those recorders keep of the prompts; by_token: prompts whose rows are kept token by token."""
    plain = RunSpec("model", "task", poolings=tuple(poolings))
    spec = plain.with_(attention_items=(0,))
    return asked([(spec, 0) if index in by_token else (plain, 0) for index in range(len(prompts))])


def taken(captured: Captured) -> Taken:
    """What was taken of the prompts of a capture or of one of its batches."""
    names = captured.taken[0]["embeddings"]
    rows = [one["attention"] for one in captured.taken]
    return Taken(
        captured.prompts,
        captured.response_ids,
        {name: np.stack([one["embeddings"][name] for one in captured.taken]) for name in names},
        np.stack([one[0] for one in rows]),
        [one[1:] for one in rows],
        {
            index: one["token_attention"]
            for index, one in zip(captured.prompts, captured.taken, strict=True)
            if "token_attention" in one
        },
        [one["candidates"] for one in captured.taken],
    )


def record(engine, prompts, poolings, *how, by_token=frozenset(), interventions=()) -> Taken:
    """`Engine.capture` of prompts with those recorders."""
    return taken(
        engine.capture(prompts, kept(prompts, poolings, by_token), *how, done_to_model=[interventions] * len(prompts))
    )
