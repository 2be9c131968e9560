"""A loaded model of `transformers`, ready to be captured by the engine."""

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from iclviz.capture.attention import Way
from iclviz.capture.backend import Reads
from iclviz.capture.budget import named_budget, token_budget
from iclviz.capture.choosing import Chosen, Trial, choose_way, trials
from iclviz.capture.decoding import Captured, Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.live import LivePrompt
from iclviz.capture.plan import Group, PlanSettings
from iclviz.capture.sites import Done, Donors
from iclviz.capture.tracing import Traced
from iclviz.mapping import Texts, Tracer
from iclviz.models.loading import LoadedModel
from iclviz.models.reach import reach_of
from iclviz.prompts import TokenizedPrompt, Tokenizer, turn_end_tokens
from iclviz.recorders import Asked

LIBRARIES = ("torch", "transformers", "numpy", "safetensors")


class HuggingFaceModel:
    """A loaded model, and the ways of recording its attention that were found exact."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._ways: dict[tuple[Trial, ...], Chosen] = {}

    def ready(self, reads: Reads) -> "ReadyHuggingFace":
        """The model with the way that is exact for runs that read so much."""
        loaded, tried = self.loaded, trials(self.loaded.model.config, reads)
        if tried not in self._ways:
            self._ways[tried] = choose_way(loaded.model, loaded.facts.n_layers, loaded.device, tried)
        return ReadyHuggingFace(loaded, self._ways[tried].way, self._ways[tried].difference)


@dataclass(frozen=True)
class ReadyHuggingFace:
    """A loaded model, the way its attention is recorded, and how far that was from full matrices when it was tried."""

    loaded: LoadedModel
    way: Way
    difference: float | None

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        tokenizer: Tokenizer = self.loaded.tokenizer
        return tokenizer

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a response."""
        return end_tokens(self.loaded)

    @property
    def dtype(self) -> str:
        """The name of its weights' type."""
        return self.loaded.dtype

    def makers(self) -> dict[str, Any]:
        """Versions, kind of device, and way."""
        return {"versions": versions(), "device": self.loaded.device.type, "way": self.way}

    def settings(self) -> PlanSettings:
        """The token budget of this machine, or of `$ICLVIZ_TOKEN_BUDGET`, and its threads."""
        return PlanSettings(budget(self.loaded.model), torch.get_num_threads(), self.way != "alone")

    def environment(self) -> dict[str, Any]:
        """Versions, device, dtype, attention way, layers and how far each reaches."""
        loaded = self.loaded
        on_gpu = loaded.device.type == "cuda"
        return {
            **versions(),
            "device": str(loaded.device),
            "device_name": torch.cuda.get_device_name(loaded.device) if on_gpu else platform.machine(),
            "dtype": loaded.dtype,
            "attention": self.way,
            "attention_difference": self.difference,
            "layers": loaded.facts.n_layers,
            "reach": reach_of(loaded.model.config, loaded.facts.n_layers),
        }

    def at_work(self, settings: PlanSettings) -> AbstractContextManager[None]:
        """Inside, torch has as many threads as the plan's settings say."""
        return _threads(settings.threads)

    def live(self, prompt: TokenizedPrompt) -> LivePrompt:
        """The prompt, read."""
        return LivePrompt(self._engine, prompt)

    def traced(self, tracer: Tracer, texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """As the tracer does."""
        loaded = self.loaded
        subject = Traced(
            loaded.model, loaded.tokenizer, loaded.facts.n_layers, loaded.facts.n_heads, loaded.device, self.way
        )
        return tracer.traced(subject, texts, there)

    @property
    def _engine(self) -> Engine:
        return Engine(self.loaded.model, self.way, self.loaded.facts.n_layers, self.loaded.device)

    def captures(
        self,
        prompts: Sequence[TokenizedPrompt],
        plan: Sequence[Group],
        asked: Asked,
        decoding: Decoding,
        should_stop: Callable[[], bool],
        done: frozenset[int],
        on_read: Callable[[float], None],
        done_to_model: Done,
        donors: Donors | None = None,
    ) -> Iterator[Captured]:
        """As the engine does."""
        return self._engine.captures(prompts, plan, asked, decoding, should_stop, done, on_read, done_to_model, donors)


def versions() -> dict[str, str]:
    """Python and the libraries that numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def budget(model: Any) -> int:
    """`$ICLVIZ_TOKEN_BUDGET`, else what fits into the free memory.

    Raises
    ------
    UserError: the setting is not a positive whole number.
    """
    return named_budget() or token_budget(model)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def end_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens that end a response, from the model's generation settings, its tokenizer and its chat template."""
    settings = getattr(loaded.model, "generation_config", None)
    named = [getattr(settings, "eos_token_id", None), loaded.tokenizer.eos_token_id]
    return turn_end_tokens(loaded.tokenizer) | frozenset(
        int(token) for entry in named if entry is not None for token in (entry if isinstance(entry, list) else [entry])
    )
