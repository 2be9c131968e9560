"""One model that several processes compute together: every one of them runs the same captures, in step.

The first process is asked as for any model, and tells the others what it is asked; they do it too (`follow`) and keep
nothing of it. So whoever computes runs, keeps pieces and seals recordings knows of one process alone.
"""

import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from iclviz.capture.backend import HeldPrompt, Memo, Reads
from iclviz.capture.budget import named_budget, token_budget
from iclviz.capture.decoding import Captured, Decoding
from iclviz.capture.hugging_face import HuggingFaceModel, ReadyHuggingFace
from iclviz.capture.numbers import NoNumberError
from iclviz.capture.plan import Group, PlanSettings
from iclviz.capture.sites import Done, Donors
from iclviz.errors import Cancelled, ModelError, SpecError, UserError
from iclviz.intervening import kinds
from iclviz.mapping import Texts, Tracer
from iclviz.models import ranks
from iclviz.models.identity import identity
from iclviz.models.loading import LoadedModel, load
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.ranks import DecidedOtherwise, ToldOtherwise, ranks_of
from iclviz.prompts import TokenizedPrompt, Tokenizer
from iclviz.recorders import Asked, recorders

ALIKE = (NoNumberError, Cancelled)
"""Errors to which all processes come alike, beside those of users."""


@dataclass(frozen=True, eq=False)
class Loading:
    """A model to load: its name, which every machine finds for itself, and the identity of its files."""

    name: str
    identity: str
    dtype: str | None
    options: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Readying:
    """The loaded model is to be made ready for what runs read."""

    reads: Reads


@dataclass(frozen=True, eq=False)
class Budgeting:
    """The tokens that fit are to be found."""


@dataclass(frozen=True, eq=False)
class Capturing:
    """A plan to run; as `ReadyModel.captures` is told it, recorders by their names."""

    prompts: Sequence[TokenizedPrompt]
    plan: Sequence[Group]
    kept: list[tuple[str, dict[int, Any]]]
    decoding: Decoding
    done: frozenset[int]
    done_to_model: Done
    donors: Donors | None


class SharedModel:
    """A model that this process, the first one, has loaded together with the others."""

    def __init__(self, located: LocatedModel, dtype: str | None, options: Any, memo: Memo) -> None:
        """Raises
        ------
        ModelError: it does not load in one of the processes.
        """
        ranks.tell(Loading(located.name, identity(located, memo), dtype, dict(options)))
        self._own = _loaded(lambda: load(located, dtype, options, memo=memo))

    def ready(self, reads: Reads) -> "SharedReady":
        """The model, ready for what runs read, in all processes.

        Raises
        ------
        ModelError: it cannot be recorded exactly at these lengths, or a process is lost.
        """
        ranks.tell(Readying(tuple(reads)))
        with ranks.in_step(ALIKE):
            return SharedReady(self._own.ready(reads))


def _loaded(made: Callable[[], LoadedModel]) -> HuggingFaceModel:
    """The model, where all processes have loaded it."""
    with ranks.in_step():
        try:
            loaded = made()
        except Exception as error:
            ranks.check_all_did(error)
            raise
        ranks.check_all_did(None)
    return HuggingFaceModel(loaded)


class SharedReady:
    """The first process's part of a model that is ready in all of them."""

    def __init__(self, own: ReadyHuggingFace) -> None:
        self._own, self._n = own, ranks_of(own.loaded.model).n

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return self._own.tokenizer

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens that end a response."""
        return self._own.end_tokens

    @property
    def dtype(self) -> str:
        """The name of its weights' type."""
        return self._own.dtype

    def makers(self) -> dict[str, Any]:
        """Those of one process, and how many there are."""
        return {**self._own.makers(), "processes": self._n}

    def settings(self) -> PlanSettings:
        """The token budget of the process that has least room, and the threads of this one."""
        if named_budget():
            return self._own.settings()
        ranks.tell(Budgeting())
        with ranks.in_step():
            return self._own.settings()

    def environment(self) -> dict[str, Any]:
        """That of this process, and how many there are."""
        return {**self._own.environment(), "processes": self._n}

    def at_work(self, settings: PlanSettings) -> AbstractContextManager[None]:
        """As of one process."""
        return self._own.at_work(settings)

    def live(self, prompt: TokenizedPrompt) -> HeldPrompt:
        """Raises
        ------
        SpecError: always.
        """
        raise SpecError("One item is not acted on live by several processes.", "Start without torchrun.")

    def traced(self, tracer: Tracer, texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Raises
        ------
        SpecError: always.
        """
        raise SpecError(
            "A trace follows gradients and whole matrices, of which each of several processes has some heads only.",
            "Make the trace in one process: without torchrun, over several GPUs by the model option device_map.",
        )

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
        """As the engine does, in all processes."""
        kept = [(recorder.name, dict(of_prompts)) for recorder, of_prompts in asked.items()]
        limits = replace(decoding, is_finished=None)
        ranks.tell(Capturing(list(prompts), tuple(plan), kept, limits, done, done_to_model, donors))
        agreed = ranks_of(self._own.loaded.model).agreed
        with ranks.in_step(ALIKE):
            for captured in self._own.captures(
                prompts, plan, asked, decoding, should_stop, done, on_read, done_to_model, donors
            ):
                yield captured
                agreed(_nothing)


def _nothing() -> None:
    """All go on to the next batch."""


# The other processes


def follow(memo: Memo) -> None:
    """Do what the first process is asked, until it ends; nothing is kept and nothing is printed.

    memo: remembers the identity of local files.

    Raises
    ------
    SystemExit: this process cannot go on.
    """
    # Waiting for words heeds no Ctrl-C of Python's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _follow(memo)
    except Exception as error:
        ranks.leave(error)


def _follow(memo: Memo) -> None:
    follower, otherwise = _Follower(memo), None
    while (told := ranks.heard(otherwise)) is not None:
        otherwise = None
        try:
            follower.do(_read(told))
        except ToldOtherwise as found:
            otherwise = found
        except (UserError, DecidedOtherwise, *ALIKE):
            pass  # the first process came to it too, and says so


def _read(told: bytes) -> Any:
    """What was told; kinds of interventions of one's own are loaded before their values are."""
    kinds()
    return pickle.loads(told)  # from the first process alone, which this one was started with


class _Follower:
    """What one of the other processes holds."""

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._model: HuggingFaceModel | None = None
        self._ready: ReadyHuggingFace | None = None

    def do(self, what: Any) -> None:
        """What the first process does."""
        if isinstance(what, Loading):
            self._model, self._ready = None, None
            self._model = _loaded(lambda: self._load(what))
            return
        assert self._model is not None
        if isinstance(what, Readying):
            self._ready = self._model.ready(what.reads)
        elif isinstance(what, Budgeting):
            token_budget(self._model.loaded.model)
        else:
            self._capture(what)

    def _load(self, what: Loading) -> LoadedModel:
        located = locate(what.name)
        loaded = load(located, what.dtype, what.options, memo=self._memo)
        if identity(located, self._memo) != what.identity:
            raise ModelError(
                f"The files of {what.name} are others on this machine than those of the first process.",
                "Give all machines the same files.",
            )
        return loaded

    def _capture(self, what: Capturing) -> None:
        assert self._model is not None
        assert self._ready is not None
        known = recorders()
        asked = {known[name]: of_prompts for name, of_prompts in what.kept}
        agreed = ranks_of(self._model.loaded.model).agreed
        for _ in self._ready.captures(
            what.prompts, what.plan, asked, what.decoding, lambda: False, what.done, lambda tokens: None,
            what.done_to_model, what.donors,
        ):  # fmt: skip
            agreed(_nothing)
