"""Which way of recording attention is exact for a model, at the lengths that its runs read.

Short prompts that share their beginning are tried on every model. A configuration also names lengths from which the
model reads otherwise: windows and chunks of attention, and the length at which rotary positions are scaled anew, so
that what was read before no longer fits. Each that a run goes beyond is tried too, with what is shared ending before
and behind it, and with responses that cross it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
RESPONSE_TOKENS = 3
MOST_BYTES = 2**31
"""Of full attention matrices that are made to compare with."""

_BORDER = re.compile(r"window|chunk|original_max_position")
_SWITCH = "original_max_position"


@dataclass(frozen=True)
class Trial:
    """Two prompts of these lengths that share their first tokens.

    Attributes
    ----------
    border: the length that it is about, 0 for none.
    crosses: whether responses cross the border.
    """

    shared: int
    prompts: tuple[int, int]
    border: int = 0
    crosses: bool = False


USUAL = Trial(6, (13, 9))

Reads = Iterable[tuple[int, int]]
"""Tokens of each prompt of a run, and the most of its response."""


def trials(config: Any, reads: Reads = ()) -> tuple[Trial, ...]:
    """What to try for runs that read so many tokens."""
    reads = list(reads)
    return (USUAL, *(trial for at in sorted(borders(config)) for trial in _at_border(at, reads)))


def borders(config: Any) -> dict[int, bool]:
    """The lengths from which a model reads otherwise, and whether what was read before is then scaled anew."""
    text = config.get_text_config(decoder=True)
    found: dict[int, bool] = {}
    for name, value in _numbers(text.to_dict()):
        if _BORDER.search(name):
            found[value] = found.get(value, False) or _SWITCH in name
    if any(kind == "dynamic" for name, kind in _entries(text.to_dict()) if name in ("rope_type", "type")):
        found[int(text.max_position_embeddings)] = True
    # Those of a few tokens are crossed by every trial.
    return {at: is_switch for at, is_switch in found.items() if at > max(USUAL.prompts) + RESPONSE_TOKENS}


def _entries(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _entries(value)
        else:
            yield str(name), value


def _numbers(table: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    return ((name, value) for name, value in _entries(table) if isinstance(value, int) and not isinstance(value, bool))


def _at_border(at: int, reads: list[tuple[int, int]]) -> Iterator[Trial]:
    # The last prompt token is read as the first step, after the others.
    if any(prompt - 1 > at for prompt, _ in reads):
        yield Trial(at - 3, (at + 9, at + 5), at)
        yield Trial(at + 2, (at + 9, at + 5), at)
    if any(prompt - 1 <= at < prompt + response for prompt, response in reads):
        yield Trial(USUAL.shared, (at, at - 1), at, crosses=True)


def choose_way(
    model: Any, n_layers: int, device: torch.device | None = None, tried: tuple[Trial, ...] = (USUAL,)
) -> Way:
    """The first way whose rows equal those of full attention matrices in every trial: the registered function, else
    eager decoding, else each prompt alone.

    Matrices that would take too much room are not made; where positions are scaled anew, prompts are then read alone.

    Parameters
    ----------
    device: where token ids go, for a model that is split; None is where its embeddings are.

    Raises
    ------
    ModelError: none does, or there are no such matrices: blocks without attention, or numbers that are none.
    """
    device = device or model.get_input_embeddings().weight.device
    ways = list(WAYS)
    for trial in tried:
        if not _is_too_large(model, n_layers, trial):
            ways = _exact(model, n_layers, device, trial, ways)
        elif borders(model.config).get(trial.border):
            ways = [] if trial.crosses else [way for way in ways if way == "alone"]
            if not ways:
                raise _inexact(model, trial, [])
    return ways[0]


def _exact(model: Any, n_layers: int, device: torch.device, trial: Trial, ways: list[Way]) -> list[Way]:
    """The first way that a trial finds exact, with those that come after it."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    texts = [_text(length, trial.shared, vocabulary) for length in trial.prompts]
    expected = [_rows_of_matrices(model, ids, trial.shared, n_layers, device) for ids in texts]
    found = []
    for place, way in enumerate(ways):
        difference = _difference(Engine(model, way, n_layers, device), texts, trial.shared, expected)
        if difference <= TOLERANCES.get(model.dtype, 1e-2):
            return ways[place:]
        found.append(f"{way}: {difference:.1g}" if np.isfinite(difference) else f"{way}: it does not run so")
    raise _inexact(model, trial, found)


def _inexact(model: Any, trial: Trial, found: list[str]) -> ModelError:
    name, said = type(model).__name__, f" ({', '.join(found)})" if found else ""
    if not trial.border:
        return ModelError(
            f"The attention of {name} cannot be recorded exactly; its rows differ from its full matrices{said}.",
            "Take a model of another architecture.",
        )
    where = "responses that cross" if trial.crosses else "prompts longer than"
    return ModelError(
        f"The attention of {name} cannot be recorded exactly for {where} {trial.border:,} tokens, from where it reads "
        f"otherwise{said}.",
        f"Take prompts that end well before {trial.border:,} tokens"
        + (", or begin behind them: another k." if trial.crosses else ": fewer demonstrations."),
    )


def _is_too_large(model: Any, n_layers: int, trial: Trial) -> bool:
    """Whether full matrices of the trial's longer prompt take too much room."""
    heads = getattr(model.config.get_text_config(decoder=True), "num_attention_heads", 1)
    tokens = trial.prompts[0] + RESPONSE_TOKENS
    return bool(trial.border) and n_layers * np.max(heads) * tokens**2 * 4 > MOST_BYTES


def _text(length: int, n_shared: int, vocabulary: int) -> list[int]:
    """A prompt of that length and its response."""
    shared = [(7 * i + 3) % vocabulary for i in range(n_shared)]
    own = [(5 * i + length) % vocabulary for i in range(length + RESPONSE_TOKENS - n_shared)]
    return shared + own


def _difference(engine: Engine, texts: list[list[int]], n_shared: int, expected: list[Array]) -> float:
    """The largest of rows of one way and of full matrices; infinite where the model does not run this way."""
    prompts, forced = [], []
    for ids in texts:
        length = len(ids) - RESPONSE_TOKENS
        spans = [Span("relevant", 0, n_shared), Span("question", n_shared, length)]
        prompts.append(TokenizedPrompt(ids[:length], [""] * length, spans, n_shared, []))
        forced.append(ids[length:])
    settings = PlanSettings(token_budget=max(256, sum(map(len, texts))), threads=1, pass_tokens=0)
    try:
        captured = engine.capture(prompts, ["last"], Decoding(RESPONSE_TOKENS, forced=forced), settings)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        return float("inf")
    rows = [np.concatenate([last[None], own]) for last, own in zip(captured.last_row, captured.rows, strict=True)]
    return max(float(np.abs(a - b).max()) for a, b in zip(rows, expected, strict=True))


def _rows_of_matrices(model: Any, ids: list[int], n_shared: int, n_layers: int, device: torch.device) -> Array:
    """(rows, L, H, S) of the last prompt token and the response, from one eager pass with full attention matrices."""
    with eagerly(model), torch.inference_mode():
        output = model(input_ids=torch.tensor([ids], device=device), output_attentions=True, use_cache=False)
    square = (len(ids), len(ids))  # blocks of another kind may give what is no matrix over tokens
    given = [layer for layer in getattr(output, "attentions", None) or () if layer is not None]
    layers = [layer for layer in given if tuple(layer.shape[-2:]) == square]
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
    places = {"relevant": (0, n_shared), "question": (n_shared, length), "response": (length, len(ids))}
    mass = np.stack([attention[..., slice(*places.get(role, (0, 0)))].sum(-1) for role in ROLES], axis=-1)
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
