"""Which way of recording attention is exact for a model, at the lengths that its runs read.

Short prompts that share their beginning are tried on every model. A configuration also names lengths from which the
model reads otherwise: windows and chunks of attention, and the length at which rotary positions are scaled anew, so
that what was read before no longer fits. Each that a run goes beyond is tried too, with what is shared ending before
and behind it, and with responses that cross it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from iclviz.capture.attention import Way, eagerly
from iclviz.capture.budget import free_memory
from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.numbers import no_numbers
from iclviz.capture.plan import PlanSettings
from iclviz.capture.recorders.attention import RECORDER as ATTENTION
from iclviz.capture.recorders.embeddings import RECORDER as EMBEDDINGS
from iclviz.errors import ModelError, UserError
from iclviz.models.ranks import ranks_of
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import Array, Asked
from iclviz.spans import ROLES, Span

TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of attention mass by dtype; in half precision two exact ways round differently."""

WAYS: tuple[Way, ...] = ("interface", "eager", "alone")
RESPONSE_TOKENS = 3
MOST_BYTES = 2**31
"""Of full attention matrices that are made to compare with."""

FLOAT64_TOLERANCE = 1e-6
FREE_SHARE = 0.8
"""Share of the free memory that a copy of the weights in float64 may take."""

MOST_SUM = 1.1
"""More than a row of attention sums to in any dtype."""

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

    def within(self, positions: int | None) -> "Trial":
        """The same with prompts so much shorter that they and their responses fit the positions; None: no limit."""
        excess = self.prompts[0] + RESPONSE_TOKENS - (positions or 2**62)
        if excess <= 0:
            return self
        longer, shorter = (max(1, length - excess) for length in self.prompts)
        return replace(self, shared=min(self.shared, shorter - 1), prompts=(longer, shorter))


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
    is_dynamic = any(kind == "dynamic" for name, kind in _entries(text.to_dict()) if name in ("rope_type", "type"))
    if is_dynamic and (positions := _positions(config)):
        found[positions] = True
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


@dataclass(frozen=True)
class Chosen:
    """A way that is exact, and the largest difference of mass from full matrices that its trials had by rounding; None
    where no matrices could be made.
    """

    way: Way
    difference: float | None


def choose_way(
    model: Any, n_layers: int, device: torch.device | None = None, tried: tuple[Trial, ...] = (USUAL,)
) -> Chosen:
    """The first way whose rows equal those of full attention matrices in every trial: the registered function, else
    eager decoding, else each prompt alone.

    Weights can make rounding so large that two exact ways differ by more than the tolerance of their dtype. Where none
    is within it, they are compared in float64, which rounding cannot tell apart. Matrices that would take too much room
    are not made; where positions are scaled anew, prompts are then read alone.

    Parameters
    ----------
    device: where token ids go, for a model that is split; None is where its embeddings are.

    Raises
    ------
    ModelError: none does, or there are no such matrices: blocks without attention, or numbers that are none.
    """
    ways, differences = list(WAYS), dict[Way, float]()
    with _in_words(model):
        device = device or model.get_input_embeddings().weight.device
        for trial in (one.within(_positions(model.config)) for one in tried):
            if not _is_too_large(model, n_layers, trial):
                found = _differences(model, n_layers, device, trial, ways, TOLERANCES.get(model.dtype, 1e-2))
                ways = found.exact or _exact_in_float64(model, n_layers, device, trial, found)
                differences[ways[0]] = max(found.differences[ways[0]], differences.get(ways[0], 0.0))
            elif borders(model.config).get(trial.border):
                ways = [] if trial.crosses else [way for way in ways if way == "alone"]
                if not ways:
                    raise _inexact(model, trial)
    return Chosen(ways[0], differences.get(ways[0]))


@contextmanager
def _in_words(model: Any) -> Iterator[None]:
    """Whatever a model does that no way of recording can take becomes one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise ModelError(
            f"{type(model).__name__} does not run as it has to for its attention to be recorded ({_shortened(error)}).",
            "Take another model, or another release of transformers.",
        ) from error


def _shortened(error: Exception) -> str:
    """An error's kind and words, as far as a sentence holds them."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _positions(config: Any) -> int | None:
    """The positions that a configuration names, None where there is no end of them."""
    named = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return named if isinstance(named, int) and named > 0 else None


@dataclass(frozen=True)
class _Found:
    """Ways that were tried in turn, and those from the first exact one on; none where none was.

    Attributes
    ----------
    differences: way -> largest difference of mass from full matrices; infinite where the model does not run this way.
    reason: what the model said where it did not run.
    """

    differences: Mapping[Way, float]
    exact: list[Way]
    reason: str = ""


def _differences(
    model: Any, n_layers: int, device: torch.device, trial: Trial, ways: list[Way], tolerance: float
) -> _Found:
    """The ways of a trial, up to the first one within the tolerance."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    texts = [_text(length, trial.shared, vocabulary) for length in trial.prompts]
    expected = [_rows_of_matrices(model, ids, trial.shared, n_layers, device) for ids in texts]
    found: dict[Way, float] = {}
    reason, ranks = "", ranks_of(model)
    for place, way in enumerate(ways):
        engine = Engine(model, way, n_layers, device)
        try:
            found[way] = _difference(engine, texts, trial.shared, expected)
        except Exception as error:  # each architecture fails in its own way
            found[way], reason = float("inf"), _shortened(error)
        if not ranks.least(int(np.isfinite(found[way]))):
            found[way] = float("inf")
        if found[way] <= tolerance:
            return _Found(found, ways[place:])
    return _Found(found, [], reason)


def _exact_in_float64(model: Any, n_layers: int, device: torch.device, trial: Trial, found: _Found) -> list[Way]:
    """The ways from the first one that runs and is exact in float64: what differs in the model's dtype is rounding.

    Raises
    ------
    ModelError: there is none, or no room to compare in float64.
    """
    running = [way for way in found.differences if np.isfinite(found.differences[way])]
    if not running:
        raise ModelError(
            f"{type(model).__name__} runs in none of the ways in which its attention could be recorded "
            f"({found.reason}).",
            "Take a model of another architecture.",
        )
    if ranks_of(model).n > 1:
        raise _inexact(model, trial, found.differences, "a model that processes share is not compared in float64")
    if not _has_room_in_float64(model, device):
        raise _inexact(
            model, trial, found.differences, "there is no room to compare in float64 whether that is rounding"
        )
    with _Float64():
        wide = _differences(deepcopy(model).double(), n_layers, device, trial, running, FLOAT64_TOLERANCE)
    if not wide.exact:
        raise _inexact(model, trial, found.differences)
    return wide.exact


def _has_room_in_float64(model: Any, device: torch.device) -> bool:
    """Whether a copy of plain weights on one device fits there."""
    weights = list(model.parameters())
    is_plain = all(weight.device == weights[0].device and weight.is_floating_point() for weight in weights)
    return is_plain and 8 * sum(weight.numel() for weight in weights) <= FREE_SHARE * free_memory(device)


class _Float64(TorchFunctionMode):  # type: ignore[misc]
    """Whatever is asked for in float32 inside is made in float64: norms, softmax and positions too."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        wide = [torch.float64 if value is torch.float32 else value for value in args]
        named = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return function(*wide, **named)


def _inexact(model: Any, trial: Trial, found: Mapping[Way, float] | None = None, beside: str = "") -> ModelError:
    """The error of a model of which no way is exact; found: what each way differed by; beside: what is not known."""
    ways = [
        f"{way}: {difference:.1g}" if np.isfinite(difference) else f"{way}: it does not run so"
        for way, difference in (found or {}).items()
    ]
    reasons = [*ways, beside] if beside else ways
    name, detail = type(model).__name__, f" ({', '.join(reasons)})" if reasons else ""
    if not trial.border:
        return ModelError(
            f"The attention of {name} cannot be recorded exactly; its rows differ from its full matrices{detail}.",
            "Take the dtype float32, or a machine with more memory."
            if beside
            else "Take a model of another architecture.",
        )
    where = "responses that cross" if trial.crosses else "prompts longer than"
    return ModelError(
        f"The attention of {name} cannot be recorded exactly for {where} {trial.border:,} tokens, from where it reads "
        f"otherwise{detail}.",
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
    """The largest of rows of one way and of full matrices."""
    prompts, forced = [], []
    for ids in texts:
        length = len(ids) - RESPONSE_TOKENS
        spans = [Span("relevant", 0, n_shared), Span("question", n_shared, length)]
        prompts.append(TokenizedPrompt(ids[:length], [""] * length, spans, n_shared, []))
        forced.append(ids[length:])
    settings = PlanSettings(token_budget=max(256, sum(map(len, texts))), threads=1, pass_tokens=0)
    everyone = range(len(prompts))
    kept: Asked = {EMBEDDINGS: dict.fromkeys(everyone, ("last",)), ATTENTION: dict.fromkeys(everyone, True)}
    captured = engine.capture(prompts, kept, Decoding(RESPONSE_TOKENS, forced=forced), settings)
    rows = [taken[ATTENTION.name] for taken in captured.taken]
    return max(float(np.abs(a - b).max()) for a, b in zip(rows, expected, strict=True))


def _rows_of_matrices(model: Any, ids: list[int], n_shared: int, n_layers: int, device: torch.device) -> Array:
    """(rows, L, H, S) of the last prompt token and the response, from one eager pass with full attention matrices."""
    with eagerly(model), torch.inference_mode():
        output = model(input_ids=torch.tensor([ids], device=device), output_attentions=True, use_cache=False)
    weights = [layer for layer in getattr(output, "attentions", None) or () if layer is not None]
    whole = ranks_of(model).whole
    layers = [whole(layer)[0].float().cpu().numpy() for layer in weights if _is_attention(layer, len(ids))]
    if len(layers) != n_layers:
        raise ModelError(
            f"{type(model).__name__} has attention in {len(layers)} of its {n_layers} blocks, and all are needed.",
            "Take a model of another architecture.",
        )
    attention = np.stack(layers)
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


def _is_attention(layer: torch.Tensor, n_tokens: int) -> bool:
    """Whether a block gives attention over tokens (1, H, T, T): those of another kind give states of theirs."""
    if layer.dim() != 4 or tuple(layer.shape[-2:]) != (n_tokens, n_tokens):
        return False
    return not bool((layer < 0).any() or (layer.float().sum(-1) > MOST_SUM).any())


def _check_numbers(model: Any, attention: Array, logits: torch.Tensor) -> None:
    """Refuse a model whose weights, or whose dtype, make its attention or its logits something else than numbers."""
    if not np.isfinite(attention).all() or bool((logits.isnan() | logits.isposinf()).any()):
        raise no_numbers(type(model).__name__, str(model.dtype).removeprefix("torch."))
