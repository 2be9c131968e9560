"""What runs a model: token ids, spans and marks in, what recorders take and the environment out.

A backend is one file of `iclviz/capture/backends`, or of a folder of one's own, whose `BACKEND` has this form. Who
computes runs knows no other: the library that a model is run with is a backend's own business, and is imported when the
backend is at work.
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from iclviz import extensions
from iclviz.capture.decoding import Captured, Decoding
from iclviz.capture.plan import Group, PlanSettings
from iclviz.capture.sites import Done, Donors
from iclviz.errors import UserError
from iclviz.intervening import Intervention
from iclviz.mapping import Texts, Tracer
from iclviz.models.locating import LocatedModel
from iclviz.prompts import TokenizedPrompt, Tokenizer
from iclviz.recorders import Asked

PACKAGE = "iclviz.capture.backends"
Memo = MutableMapping[str, Any] | None
Reads = Sequence[tuple[int, int]]
"""Tokens of each prompt of a run, and the most of its response."""


class ReadyModel(Protocol):
    """A model that is ready for prompts of given lengths.

    Attributes
    ----------
    tokenizer: reads its responses.
    end_tokens: tokens that end a response.
    dtype: the name of its weights' type.
    """

    @property
    def tokenizer(self) -> Tokenizer:
        """Reads its responses."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a response."""

    @property
    def dtype(self) -> str:
        """The name of its weights' type."""

    def makers(self) -> dict[str, Any]:
        """What else decides the numbers: only pieces of equal makers are joined."""

    def settings(self) -> PlanSettings:
        """What a new plan is made with.

        Raises
        ------
        UserError: a setting of the environment that is none.
        """

    def environment(self) -> dict[str, Any]:
        """What a recording says of where it was made: versions, device, dtype, attention way, layers and reach."""

    def at_work(self, settings: PlanSettings) -> AbstractContextManager[None]:
        """Inside, it computes as a plan's settings say."""

    def live(self, prompt: TokenizedPrompt) -> "HeldPrompt":
        """The prompt, read, for acting on it again and again."""

    def traced(self, tracer: Tracer, texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and arrays of each row of a trace that is not there yet.

        Raises
        ------
        UserError: the model cannot be followed so.
        """

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
        """Run a plan; yields each batch of prompts as it ends.

        Parameters
        ----------
        asked: what each recorder keeps of which prompts.
        done: prompts whose results are there already.
        on_read: told how many tokens were read since it was last told, of a long pass in parts.
        done_to_model: the interventions of each prompt; the plan is then over tokens as `sites.reading_as` reads them.
        donors: whose values are put in place of others'; they are read first, with nothing done to the model.

        Raises
        ------
        Cancelled: `should_stop` said so.
        NoNumberError: what would be recorded of a prompt is no number.
        UserError: a recorder cannot record this model, or what is to be done to it cannot be.
        """


class HeldPrompt(Protocol):
    """A prompt that was read once, of which what is done to the model shows at once."""

    def captured(
        self, asked: Asked, decoding: Decoding, done: Sequence[Intervention], donors: Donors | None = None
    ) -> Captured:
        """What the prompt leaves while something is done.

        Raises
        ------
        NoNumberError: what would be recorded is no number.
        UserError: what is to be done cannot be done to this model.
        """


class BackendModel(Protocol):
    """A loaded model."""

    def ready(self, reads: Reads) -> ReadyModel:
        """The model for runs that read so much.

        Raises
        ------
        ModelError: it cannot be recorded exactly at these lengths.
        """


@runtime_checkable
class Backend(Protocol):
    """One way of running models."""

    def takes(self, located: LocatedModel) -> bool:
        """Whether it runs this model."""

    def tokenizer(self, located: LocatedModel, memo: Memo, trusted: bool) -> Tokenizer:
        """The model's tokenizer, without its weights.

        Raises
        ------
        ModelError: it cannot be read.
        """

    def load(self, located: LocatedModel, dtype: str | None, options: Any, memo: Memo) -> BackendModel:
        """The model, loaded.

        Raises
        ------
        ModelError: it does not load.
        """


def backend_of(located: LocatedModel) -> Backend:
    """The backend that runs a model; those of one's own are asked first.

    Raises
    ------
    UserError: none does, or a file has no backend.
    """
    for module in reversed(extensions.modules(PACKAGE)):
        found = getattr(module, "BACKEND", None)
        if not isinstance(found, Backend):
            name = module.__name__.rpartition(".")[2]
            raise UserError(f"The backend {name} does not fit: it has no BACKEND.", "Set BACKEND to a Backend.")
        if found.takes(located):
            return found
    raise UserError(f"No backend runs {located.path}.", "Take another model.")
