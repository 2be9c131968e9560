"""What can be recorded: for each recorder the arrays that it leaves, when it is on, and what it takes from a model.

A recorder is one file of `iclviz/capture/recorders`, or of a folder of one's own, whose `RECORDER` is a `Recorder`.
From its arrays follow what the pieces and the files of a recording hold, how they are checked and when they are read.

The modules of recorders are found by their names, and import torch in methods alone: whoever reads which arrays there
are, such as the store and the pages, then loads neither torch nor the rest of the capture.

1. A run's capture asks `Recorder.session` for what takes its prompts' share.
2. `Session.reading` is told the rows of each pass over prompt tokens, and given every layer's states of them.
3. `Session.decoding` is told the prompts that are decoded together, and given states, attention rows and logits of each
   step, beginning with the last prompt token's; then the log-probabilities of candidate answers.
4. `BatchRecord.taken` says what was taken of each prompt, and `Recorder.arrays_of` makes the item's arrays of it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from iclviz import extensions
from iclviz.errors import SpecError, UserError, unknown
from iclviz.spans import ROLES
from iclviz.spec import POOLINGS, RunSpec

if TYPE_CHECKING:
    import torch

    from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]
Hook = Literal["states", "response states", "rows", "logits", "candidates"]
"""What a recorder is given: hidden states of prompt tokens, or also of response tokens; attention rows and logits of
the last prompt token and of each response token; log-probabilities of candidates.
"""

PACKAGE = "iclviz.capture.recorders"
ARRAYS, TOKENS = "arrays.safetensors", "tokens.safetensors"
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "text")
"""Kinds of further arrays on disk; `text` is UTF-8 bytes along one more axis, with zeros behind."""

TABLES: Mapping[str, tuple[str, ...]] = {"pooling": POOLINGS, "role": ROLES}
"""What an array may be kept apart by, and the names that there are; by item, they are places."""

ATTRIBUTES = frozenset({
    "array", "n_items", "by_sample", "n_layers", "spec", "key", "item_ids", "prompts", "responses", "answers", "parsed",
    "prompt_ids", "response_ids", "tokens", "spans", "query_start", "labels", "scores", "groups", "covariates",
    "hypotheses", "span_lengths", "factors", "recorded", "marks", "timing", "environment", "origin",
})  # fmt: skip
"""What a recording is asked for besides arrays, so that none can be called so."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class ArraySchema:
    """One array, or table of arrays, that a recorder leaves.

    Attributes
    ----------
    name: under which a recording has it.
    axes: names of its axes, such as item (n), layer (L + 1), block (L), head (H), width (d), token, role, candidate or
        demonstration. Along others than the first four sizes may differ between items: shorter ones are filled up with
        NaN, integers with 0.
    dtype: as it is kept on disk, one of `DTYPES`.
    by: "pooling", "role" or "item" where it is a table of arrays, None where it is one array.
    file: where it lies; "{name}" in it stands for a table's name, which then has a file of its own.
    is_kept: False for what is needed until scores are made, and is then in no recording.
    """

    name: str
    axes: tuple[str, ...]
    dtype: str = "float32"
    by: str | None = None
    file: str = ""
    is_kept: bool = True

    @property
    def has_own_files(self) -> bool:
        """Whether each array of a table has a file of its own, in which it is called `values`."""
        return "{name}" in self.file

    def table(self, values: Array) -> dict[str, Array]:
        """An array with a last axis of roles as a table, role -> array."""
        return {role: np.ascontiguousarray(values[..., index]) for index, role in enumerate(ROLES)}


@dataclass(frozen=True)
class Subject:
    """What is recorded from: a model of L blocks, the prompts of a capture by their index, and what is done to the
    model, None for nothing.
    """

    model: Any
    n_layers: int
    device: "torch.device"
    prompts: "Sequence[TokenizedPrompt]"
    acting: Any = None


@dataclass(frozen=True)
class ReadRow:
    """A row of a pass: the tokens [start, end) of its prompts, which they have in common."""

    start: int
    end: int
    prompts: tuple[int, ...]

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Batch:
    """B prompts that are decoded together.

    Attributes
    ----------
    prompts: their indices.
    columns: for each the columns of its prompt tokens, in their order; keys of attention rows are columns.
    width: columns before the first response token, whose column that is.
    """

    prompts: Sequence[int]
    columns: "Sequence[torch.Tensor]"
    width: int


class PassRecord:
    """What a recorder does while one pass reads prompt tokens."""

    def states(self, layer: int, hidden: "torch.Tensor") -> None:
        """Take hidden states (B, t, d): layer 0 enters the first block, layer l leaves block l, before the final norm.
        Columns behind a row's tokens are padding.
        """

    def left(self) -> Any:
        """What is handed to the batches that go on from this pass.

        Raises
        ------
        NoNumberError: what was read is no number.
        """


class BatchRecord:
    """What a recorder does while a batch of B prompts is decoded. Step 0 is the last prompt token's."""

    def states(self, layer: int, hidden: "torch.Tensor") -> None:
        """Take hidden states (B, 1, d) of one layer."""

    def row(self, layer: int, weights: "torch.Tensor", beside: "torch.Tensor | None") -> None:
        """Take the attention (B, H, K) of one block, counted from 0; beside: (B, H) mass that went to no key."""

    def logits(self, logits: "torch.Tensor") -> None:
        """Take the logits (B, V) of the step's next token."""

    def end_step(self) -> None:
        """Close a step.

        Raises
        ------
        NoNumberError: what was read is no number.
        """

    def candidate(self, number: int, logprobs: "Sequence[torch.Tensor | None]") -> None:
        """Take for each prompt the log-probability of each token of its candidate of that number; None where the
        candidate begins otherwise than the prompt, no tokens where there is no such candidate.
        """

    def check(self, row: int) -> None:
        """Refuse a row of which something that was taken is no number.

        Raises
        ------
        NoNumberError: so.
        """

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, Any]:
        """Prompt -> what was taken of it; responses: the ids of the B prompts' responses.

        Raises
        ------
        NoNumberError: it is none.
        """
        return {}


class Session:
    """One recorder at work on one capture."""

    def reading(self, rows: Sequence[ReadRow], width: int) -> PassRecord:
        """For a pass over rows of so many columns."""
        return PassRecord()

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        """For a batch; before: what the passes left from which it goes on, in their order."""
        return BatchRecord()


class Recorder:
    """What one recorder declares. Unless it `is_optional`, it is on in every run that `asked` says.

    Attributes
    ----------
    name: its file's name, by which a spec asks for an optional one.
    title, sentence: what readers are told.
    arrays: what it leaves of a run.
    hooks: what it is given.
    version: raised when its numbers change, part of the key of runs that ask for it.
    """

    name: str
    title: str
    sentence: str
    arrays: tuple[ArraySchema, ...]
    hooks: frozenset[Hook]
    is_optional = True
    version = 1

    def asked(self, spec: RunSpec, item: int) -> Any:
        """What a run keeps of the item at a place, as `session` understands it; None for nothing."""
        return True if self.name in spec.record else None

    def names(self, spec: RunSpec) -> Sequence[Any]:
        """The names in this recorder's tables under a spec, in their order."""
        return ()

    def session(self, subject: Subject, asked: Mapping[int, Any]) -> Session:
        """At work on a capture; asked: prompt -> what is kept of it.

        Raises
        ------
        UserError: it cannot record this model.
        """
        raise NotImplementedError

    def arrays_of(self, taken: Any, n_rows: int) -> Mapping[str, Any]:
        """The item's arrays by name, of tables a mapping from name to array, without the item's axis.

        taken: what `BatchRecord.taken` said of its prompt; n_rows: response tokens up to the end of the parsed answer.
        """
        raise NotImplementedError


def recorders() -> Mapping[str, Recorder]:
    """Every recorder by its name.

    Raises
    ------
    UserError: a file of one's own has no recorder, or one that does not fit.
    """
    return _by_name(tuple(extensions.modules(PACKAGE)))


@lru_cache(maxsize=8)
def _by_name(modules: tuple[ModuleType, ...]) -> Mapping[str, Recorder]:
    found: dict[str, Recorder] = {}
    arrays: set[str] = set()
    for module in modules:
        recorder = getattr(module, "RECORDER", None)
        if not isinstance(recorder, Recorder):
            raise _unfit(module, "it has no RECORDER", "Set RECORDER to a Recorder.")
        name, declared = getattr(recorder, "name", None), getattr(recorder, "arrays", None)
        if not isinstance(name, str) or name in found or not NAME.fullmatch(name):
            raise _unfit(module, f"its name {name!r} is taken, or no plain name", "Give it another one.")
        if not isinstance(declared, tuple) or not all(isinstance(one, ArraySchema) for one in declared):
            raise _unfit(module, "its arrays are no tuple of ArraySchema", "Set arrays to such a tuple.")
        hooks = getattr(recorder, "hooks", None)
        if not isinstance(hooks, frozenset) or not hooks <= set(get_args(Hook)):
            raise _unfit(module, f"its hooks are {hooks}", f"Set hooks to a frozenset of some of {get_args(Hook)}.")
        if not all(isinstance(getattr(recorder, told, None), str) for told in ("title", "sentence")):
            raise _unfit(module, "it has no text title or sentence", "Give it both.")
        for schema in recorder.arrays:
            _check_array(module, schema, arrays)
        arrays |= {schema.name for schema in recorder.arrays}
        found[recorder.name] = recorder
    return found


def _check_array(module: ModuleType, schema: ArraySchema, taken: set[str]) -> None:
    if schema.name in taken or schema.name in ATTRIBUTES or not NAME.fullmatch(schema.name):
        raise _unfit(module, f"its array {schema.name!r} has a name that is taken, or no plain one", "Rename it.")
    if schema.dtype not in DTYPES:
        raise _unfit(module, f"its array {schema.name} has the dtype {schema.dtype}", f"Take one of {DTYPES}.")
    is_by_item = schema.by is None and not schema.file and schema.is_kept and schema.axes[:1] == ("item",)
    if extensions.is_own(module) and not is_by_item:
        raise _unfit(module, f"its array {schema.name} is no array by item", "Give axes that begin with item.")


def _unfit(module: ModuleType, reason: str, remedy: str) -> UserError:
    return UserError(f"The recorder of {extensions.called(module)} does not fit: {reason}.", remedy)


@lru_cache(maxsize=1)
def tables() -> Mapping[str, ArraySchema]:
    """The tables that every recording has, by name; further recorders leave plain arrays."""
    found = (schema for recorder in _by_name(extensions.inside(PACKAGE)).values() for schema in recorder.arrays)
    return {schema.name: schema for schema in found if schema.by is not None}


Asked = Mapping[Recorder, Mapping[int, Any]]
"""Recorder -> prompt -> what it keeps of it."""


def asked(owners: Sequence[tuple[RunSpec, int]]) -> Asked:
    """What each recorder keeps of the prompts of a capture; owners: the spec and the item that each prompt is of."""
    found: dict[Recorder, dict[int, Any]] = {}
    for recorder in recorders().values():
        kept = {index: recorder.asked(spec, item) for index, (spec, item) in enumerate(owners)}
        found[recorder] = {index: one for index, one in kept.items() if one is not None}
    return {recorder: kept for recorder, kept in found.items() if kept}


def optional() -> Mapping[str, Recorder]:
    """The recorders that a spec may ask for."""
    return {name: recorder for name, recorder in recorders().items() if recorder.is_optional}


def check_taken(recorder: Recorder, taken: Mapping[str, Any]) -> None:
    """Refuse a recorder that took nothing of a prompt of which it keeps something; taken: by recorder.

    Raises
    ------
    UserError: so.
    """
    if recorder.name not in taken:
        raise _otherwise(recorder, "it took nothing of a prompt")


def check_made(recorder: Recorder, made: Mapping[str, Any], sizes: dict[str, int]) -> None:
    """Refuse an item's arrays that are not what the recorder declares.

    sizes: of axes of the model, as an item's arrays have them; those that are first seen here are added.

    Raises
    ------
    UserError: so; it names the array, what it is and what was declared.
    """
    declared = {schema.name: schema for schema in recorder.arrays}
    if made.keys() != declared.keys():
        raise _otherwise(recorder, f"it makes {sorted(made)} and declares {sorted(declared)}")
    for name, schema in declared.items():
        if schema.by == "item":
            continue
        for values in made[name].values() if isinstance(made[name], Mapping) else [made[name]]:
            if not isinstance(values, np.ndarray):
                raise _otherwise(recorder, f"its array {name} is of the type {type(values).__name__}, not of numpy")
            _check_shape(recorder, schema, values, sizes)


def axes_fit(axes: Sequence[str], shape: Sequence[int], sizes: dict[str, int]) -> bool:
    """Whether a shape has these axes, each of the size that is known of it; what it tells of others is added."""
    fits = len(shape) == len(axes)
    for axis, size in zip(axes, shape, strict=False):
        fits = fits and size == sizes.setdefault(axis, size)
    if "block" in axes and "block" in sizes:
        sizes.setdefault("layer", sizes["block"] + 1)
    return fits


def _check_shape(recorder: Recorder, schema: ArraySchema, values: Array, sizes: dict[str, int]) -> None:
    axes = (*schema.axes[1:], *(("byte",) if schema.dtype == "text" else ()))
    shape = values.shape[:-1] if schema.by == "role" else values.shape  # the last axis is that of the table's names
    seen = {axis: sizes[axis] for axis in OF_MODEL if axis in sizes}
    fits = axes_fit(axes, shape, seen)
    sizes.update(seen)
    if not fits:
        raise _otherwise(recorder, f"its array {schema.name} has the shape {values.shape} where {axes} are declared")
    kind = "uint8" if schema.dtype == "text" else schema.dtype
    if schema.is_kept and not np.can_cast(values.dtype, kind, "same_kind"):
        raise _otherwise(recorder, f"its array {schema.name} is {values.dtype} where {schema.dtype} is declared")


OF_MODEL = ("layer", "block", "head", "width")
"""Axes that are of one size in all arrays of a run."""


def _otherwise(recorder: Recorder, reason: str) -> UserError:
    return UserError(f"The recorder {recorder.name} does not make what it declares: {reason}.", "Mend it.")


def check_record(names: Sequence[str]) -> None:
    """Refuse what no optional recorder is called.

    Raises
    ------
    SpecError: so; it lists those that there are.
    """
    known = optional()
    for name in names:
        if name not in known:
            raise unknown(SpecError, "recorder", name, list(known))


def schema_of(array: str) -> ArraySchema | None:
    """What an array is, None where its recorder is not known here."""
    found = (schema for one in recorders().values() for schema in one.arrays if schema.name == array)
    return next(found, None)


def recorder_of(array: str) -> Recorder | None:
    """The recorder that leaves an array, None where it is not known here."""
    found = (one for one in recorders().values() if array in {schema.name for schema in one.arrays})
    return next(found, None)


def text_array(texts: Any) -> Array:
    """(..., bytes) uint8 of texts (...), as an array of dtype `text` holds them."""
    texts = np.asarray(texts, dtype=object)
    encoded = [text.encode() for text in texts.flat]
    longest = max(1, *(len(one) for one in encoded), 1)
    flat = np.frombuffer(b"".join(one.ljust(longest, b"\0") for one in encoded), np.uint8)
    return flat.reshape(*texts.shape, longest)


def texts_of(values: Array) -> Array:
    """The texts (...) of uint8 bytes (..., bytes); what is no UTF-8 is shown as replaced."""
    rows = values.reshape(-1, values.shape[-1])
    texts = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in rows]
    return np.array(texts, dtype=object).reshape(values.shape[:-1])
