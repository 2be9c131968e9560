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
    ModelError: neither does, or there are no such matrices: blocks without attention, or numbers that are none.
    """
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = [(7 * i + 3) % vocabulary for i in range(PROMPT_TOKENS + RESPONSE_TOKENS)]
    middle = PROMPT_TOKENS // 2
    spans = [Span("relevant", 0, middle), Span("question", middle, PROMPT_TOKENS)]
    prompt = TokenizedPrompt(ids[:PROMPT_TOKENS], [""] * PROMPT_TOKENS, spans, middle, [])
    expected = _rows_of_matrices(model, ids, middle, n_layers)
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
    except (RuntimeError, ValueError, TypeError, LookupError):
        return None
    return np.concatenate([captured.last_row, captured.rows[0]])


def _rows_of_matrices(model: Any, ids: list[int], middle: int, n_layers: int) -> Array:
    """The same from one eager forward pass over everything, with full attention matrices."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            device = model.get_input_embeddings().weight.device
            output = model(input_ids=torch.tensor([ids], device=device), output_attentions=True, use_cache=False)
    finally:
        model.set_attn_implementation(before)
    layers = [layer for layer in getattr(output, "attentions", None) or () if layer is not None]
    if len(layers) != n_layers:
        raise ModelError(
            f"{type(model).__name__} has attention in {len(layers)} of its {n_layers} blocks, and all are needed.",
            "Take a model of another architecture.",
        )
    attention = np.stack([layer[0].float().cpu().numpy() for layer in layers])
    _check_numbers(model, attention, output.logits)
    if np.triu(attention, 1).any():
        raise ModelError(
            f"{type(model).__name__} reads later tokens too, so it does not continue a text from left to right.",
            "Take a causal language model.",
        )
    borders = {"relevant": (0, middle), "question": (middle, PROMPT_TOKENS), "response": (PROMPT_TOKENS, len(ids))}
    mass = [attention[..., slice(*borders.get(role, (0, 0)))].sum(-1) for role in ROLES]
    return np.stack(mass, axis=-1).transpose(2, 0, 1, 3)[PROMPT_TOKENS - 1 :]


def _check_numbers(model: Any, attention: Array, logits: torch.Tensor) -> None:
    """Refuse a model whose weights, or whose dtype, make its attention or its logits something else than numbers."""
    if np.isfinite(attention).all() and not logits.isnan().any():
        return
    dtype = str(model.dtype).removeprefix("torch.")
    if dtype == "float32":
        problem, remedy = "its weights are damaged.", "Fetch or save the model again."
    else:
        problem = "its weights are too large for this dtype, or damaged."
        remedy = "Take the dtype float32; where that does not help, fetch or save the model again."
    raise ModelError(f"{type(model).__name__} computes no numbers in {dtype}: {problem}", remedy)
