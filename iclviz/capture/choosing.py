"""Which way of recording attention is exact for a model: tried on one short prompt when the model is loaded."""

from typing import Any

import numpy as np
import torch

from iclviz.capture.attention import Way
from iclviz.capture.engine import Array, Captured, Decoding, Engine
from iclviz.errors import ModelError
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import ROLES, Span

TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of attention mass by dtype; in half precision two exact ways round differently."""

PROMPT_TOKENS = 12
RESPONSE_TOKENS = 3


def choose_way(model: Any, n_layers: int) -> Way:
    """The first way whose rows equal those of full attention matrices: the registered function, else eager decoding.

    Raises
    ------
    ModelError: neither does.
    """
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = [(7 * i + 3) % vocabulary for i in range(PROMPT_TOKENS + RESPONSE_TOKENS)]
    middle = PROMPT_TOKENS // 2
    spans = [Span("relevant", 0, middle), Span("question", middle, PROMPT_TOKENS)]
    prompt = TokenizedPrompt(ids[:PROMPT_TOKENS], [""] * PROMPT_TOKENS, spans, middle, [])
    expected = _rows_of_matrices(model, ids, middle)
    ways: tuple[Way, ...] = ("interface", "eager")
    for way in ways:
        rows = _rows_of(Engine(model, way, n_layers), prompt, ids[PROMPT_TOKENS:])
        if rows is not None and np.abs(rows - expected).max() <= TOLERANCES.get(model.dtype, 1e-2):
            return way
    raise ModelError(
        f"The attention of {type(model).__name__} cannot be recorded exactly, neither beside its own nor eagerly.",
        "Take a model of another architecture.",
    )


def _rows_of(engine: Engine, prompt: TokenizedPrompt, response: list[int]) -> Array | None:
    """(rows, L, H, S) of the last prompt token and the response; None where the model does not run this way."""
    try:
        captured: Captured = engine.capture([prompt], ["last"], Decoding(len(response), forced=[response]))
    except (RuntimeError, ValueError, TypeError):
        return None
    return np.concatenate([captured.last_row, captured.rows[0]])


def _rows_of_matrices(model: Any, ids: list[int], middle: int) -> Array:
    """The same from one eager forward pass over everything, with full attention matrices."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            device = model.get_input_embeddings().weight.device
            output = model(input_ids=torch.tensor([ids], device=device), output_attentions=True, use_cache=False)
    finally:
        model.set_attn_implementation(before)
    attention = np.stack([layer[0].float().cpu().numpy() for layer in output.attentions])
    borders = {"relevant": (0, middle), "question": (middle, PROMPT_TOKENS), "response": (PROMPT_TOKENS, len(ids))}
    mass = [attention[..., slice(*borders.get(role, (0, 0)))].sum(-1) for role in ROLES]
    return np.stack(mass, axis=-1).transpose(2, 0, 1, 3)[PROMPT_TOKENS - 1 :]
