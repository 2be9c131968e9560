"""Which way of recording attention is exact for a model: tried on one short prompt when the model is loaded."""

from typing import Any

import numpy as np
import torch

from iclviz.capture.attention import Way, eagerly
from iclviz.capture.engine import Array, Decoding, Engine
from iclviz.capture.plan import PlanSettings
from iclviz.errors import ModelError
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import ROLES, Span

TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of attention mass by dtype; in half precision two exact ways round differently."""

WAYS: tuple[Way, ...] = ("interface", "eager", "alone")
SHARED_TOKENS = 6
PROMPT_TOKENS = (13, 9)
RESPONSE_TOKENS = 3
SETTINGS = PlanSettings(token_budget=256, threads=1, pass_tokens=0)


def choose_way(model: Any, n_layers: int, device: torch.device | None = None) -> Way:
    """The first way whose rows equal those of full attention matrices, on two prompts of different lengths that share
    their beginning: the registered function, else eager decoding, else each prompt alone.

    Parameters
    ----------
    device: where token ids go, for a model that is split; None is where its embeddings are.

    Raises
    ------
    ModelError: none does, or there are no such matrices: blocks without attention, or numbers that are none.
    """
    vocabulary = model.get_input_embeddings().weight.shape[0]
    texts = [_text(length, vocabulary) for length in PROMPT_TOKENS]
    device = device or model.get_input_embeddings().weight.device
    expected = [_rows_of_matrices(model, ids, n_layers, device) for ids in texts]
    found = []
    for way in WAYS:
        difference = _difference(Engine(model, way, n_layers, device), texts, expected)
        if difference <= TOLERANCES.get(model.dtype, 1e-2):
            return way
        found.append(f"{way}: {difference:.1g}" if np.isfinite(difference) else f"{way}: it does not run so")
    raise ModelError(
        f"The attention of {type(model).__name__} cannot be recorded exactly; its rows differ from its full matrices "
        f"({', '.join(found)}).",
        "Take a model of another architecture.",
    )


def _text(length: int, vocabulary: int) -> list[int]:
    """A prompt of that length and its response."""
    shared = [(7 * i + 3) % vocabulary for i in range(SHARED_TOKENS)]
    own = [(5 * i + length) % vocabulary for i in range(length + RESPONSE_TOKENS - SHARED_TOKENS)]
    return shared + own


def _difference(engine: Engine, texts: list[list[int]], expected: list[Array]) -> float:
    """The largest of rows of one way and of full matrices; infinite where the model does not run this way."""
    prompts, forced = [], []
    for ids in texts:
        length = len(ids) - RESPONSE_TOKENS
        spans = [Span("relevant", 0, SHARED_TOKENS), Span("question", SHARED_TOKENS, length)]
        prompts.append(TokenizedPrompt(ids[:length], [""] * length, spans, SHARED_TOKENS, []))
        forced.append(ids[length:])
    try:
        captured = engine.capture(prompts, ["last"], Decoding(RESPONSE_TOKENS, forced=forced), SETTINGS)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        return float("inf")
    rows = [np.concatenate([last[None], own]) for last, own in zip(captured.last_row, captured.rows, strict=True)]
    return max(float(np.abs(a - b).max()) for a, b in zip(rows, expected, strict=True))


def _rows_of_matrices(model: Any, ids: list[int], n_layers: int, device: torch.device) -> Array:
    """(rows, L, H, S) of the last prompt token and the response, from one eager pass with full attention matrices."""
    with eagerly(model), torch.inference_mode():
        output = model(input_ids=torch.tensor([ids], device=device), output_attentions=True, use_cache=False)
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
    length = len(ids) - RESPONSE_TOKENS
    borders = {"relevant": (0, SHARED_TOKENS), "question": (SHARED_TOKENS, length), "response": (length, len(ids))}
    mass = np.stack([attention[..., slice(*borders.get(role, (0, 0)))].sum(-1) for role in ROLES], axis=-1)
    mass[..., ROLES.index("special")] += 1 - attention.sum(-1)
    return mass.transpose(2, 0, 1, 3)[length - 1 :]


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
