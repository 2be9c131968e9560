import numpy as np
import pytest

from iclviz.recording import Recording
from iclviz.spans import ROLES
from iclviz.spec import RunSpec


def make_recording(n=6, n_layers=3, n_heads=2, **fields):
    """A small recording with even attention, one token a role, and the fields that a test sets."""
    even = np.full((n, n_layers, n_heads), 1 / len(ROLES), dtype=np.float32)
    defaults = {
        "spec": RunSpec("model", "task"),
        "key": "0" * 32,
        "item_ids": [f"item-{index}" for index in range(n)],
        "prompts": ["prompt"] * n,
        "responses": ["response"] * n,
        "answers": ["answer"] * n,
        "parsed": ["response"] * n,
        "prompt_ids": [[1]] * n,
        "response_ids": [[1]] * n,
        "tokens": [["a", "b"]] * n,
        "spans": [[]] * n,
        "query_start": np.zeros(n, dtype=int),
        "labels": {},
        "scores": {},
        "groups": {},
        "covariates": {},
        "hypotheses": {},
        "embeddings": {},
        "attention": dict.fromkeys(ROLES, even),
        "attention_last": dict.fromkeys(ROLES, even),
        "span_lengths": {role: np.ones(n, dtype=int) for role in ROLES},
    }
    return Recording(**{**defaults, **fields})


@pytest.fixture
def recording():
    return make_recording
