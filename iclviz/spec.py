"""What to run: model x task x demonstration set, frozen, validated, and with a canonical JSON form.

A field that is None means the task's or the preset's default; `iclviz.resolve` fills it in before the key is made,
so two ways of asking for the same run have the same key.
"""

import hashlib
import json
import math
import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from datetime import date
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Literal, NoReturn, Self, get_args

from iclviz.errors import SpecError, unknown
from iclviz.fields import Classified, changes
from iclviz.intervening import Intervention, intervention
from iclviz.spans import ROLES

PromptStyle = Literal["plain", "chat"]
Dtype = Literal["float32", "bfloat16", "float16"]
FirstToken = Literal["start", "as is"]

DEFAULT_POOLINGS = ("query_mean", "query_max", "last", "mean", "max")
"""Pooled embeddings that every recording keeps unless its spec says otherwise."""

POOLINGS = (*DEFAULT_POOLINGS, *(f"{role}_mean" for role in ROLES if role not in ("special", "response")))
"""Every pooling that can be asked for, in the order in which a spec keeps them."""

TEMPLATE: Mapping[str, Any] = {"date": "2025-01-01", "enable_thinking": False}
"""What chat templates read unless a spec says otherwise: one day for ever, and no thinking first (Qwen 3 would)."""

RENDERED = frozenset({"messages", "conversation", "add_generation_prompt", "tokenize", "chat_template", "strftime_now"})
"""What rendering gives a template itself."""

OTHER_NAMES: Mapping[str, str] = {
    **{name: f"demonstrations.{name}" for name in ("kind", "k", "examples", "order")},
    "demo_seed": "demonstrations.seed",
    "example": "demonstrations.examples",
    "option": "task_options",
    "options": "task_options",
}
"""Word that the command line or a reader has for a field -> where it stands in a spec's table."""

MOST_ITEMS = 10_000
MOST_NEW_TOKENS = 100_000
MOST_ATTENTION_ITEMS = 16
MOST_INTERVENTIONS = 16
PLACE_OPTIONS = ("device", "device_map", "max_memory")
"""Model options that only say where weights go, which changes no result: they are no part of a key."""

FEW = 6
"""Demonstrations up to which every order of them has a number."""

MOST = 2**31 - 1
"""The largest seed and k: what every generator and array index takes."""


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The 32-digit hex digest (BLAKE2b, 128 bits) of a value's canonical JSON."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


class Options(dict[str, Any]):
    """A table of options that cannot be changed: lists in it are tuples, so that its spec keeps one hash.

    It is a dict, so that it copies, compares and goes to JSON as one does.
    """

    def _refuse(self, *values: Any, **named: Any) -> NoReturn:
        raise TypeError("the options of a spec are frozen; make another spec with RunSpec.with_(...)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Options, (dict(self),)


def _frozen(where: str, value: Any) -> Any:
    """The value as JSON could hold it, out of reach of changes: lists as tuples, tables as `Options`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(where, value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return Options((_text(where, name), _frozen(f"{where}[{name!r}]", value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(_frozen(where, item) for item in value)
    if hasattr(value, "tolist"):  # NumPy's arrays
        return _frozen(where, value.tolist())
    raise SpecError(f"{where} = {value!r} is a value that JSON cannot hold.", "Use finite numbers, texts and lists.")


def _plain(value: Any) -> Any:
    """The frozen value as JSON gives it back: tables as dicts, tuples as lists."""
    if isinstance(value, Intervention):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SpecError(f"{name} = {value!r} is not a text in Unicode.", "Write it without stray bytes.") from error
    return str(value)


def _whole_number(name: str, value: Any, least: int, remedy: str, most: int = MOST, limit: str = "") -> int:
    """The value as an int from `least` to `most`.

    remedy: what to do about one that is too small or no whole number.
    limit: why there is a largest value.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError as error:
        raise SpecError(f"{name} = {value!r} is not a whole number.", remedy) from error
    if number < least:
        raise SpecError(f"{name} = {_short(number)} is too small.", remedy)
    if number > most:
        raise SpecError(f"{name} = {_short(number)} is too large.", f"{limit}Take {name.lower()} <= {most:,}.")
    return number


def _short(number: int) -> str:
    """The number; not its digits where there are so many that nobody reads them and Python refuses to write them."""
    return str(number) if number.bit_length() <= 128 else f"{'-' if number < 0 else ''}(more than 38 digits)"


def _options(name: str, value: Any) -> Options:
    if not isinstance(value, Mapping):
        raise SpecError(f"{name} = {value!r} is not a table of options.", f'Give {name} as {{"name": value}}.')
    try:
        options: Options = _frozen(name, value)
        canonical_json(options)
    except (RecursionError, ValueError) as error:  # a list that holds itself, a number of thousands of digits
        raise SpecError(f"{name} holds a value that JSON cannot hold.", "Use numbers, texts and lists.") from error
    return options


@dataclass(frozen=True)
class Demonstrations:
    """A demonstration set: its kind, the number k of demonstrations, the seed that draws them and their order.

    `kind="none"` and `k = 0` mean the same, whatever else is given: no demonstrations. `kind="custom"` shows the first
    k of the given `examples`, each a text as the model is to read it, in their order; no other kind has any.
    `order = 0` shows them as they are drawn or given; any other number names another arrangement of the same k, which
    is the same for every item (`iclviz.tasks.base.arranged`).
    """

    kind: str = "correct"
    k: int = 8
    seed: int = 0
    examples: tuple[str, ...] = ()
    order: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str):
            raise SpecError(f"Demonstration kind {self.kind!r} is not a name.", 'Give a name such as "correct".')
        object.__setattr__(self, "kind", _text("Demonstration kind", self.kind))
        object.__setattr__(self, "k", _whole_number("k", self.k, 0, "Take k >= 0; k = 0 is no demonstrations."))
        object.__setattr__(self, "seed", _whole_number("Demonstration seed", self.seed, 0, "Take a seed >= 0."))
        object.__setattr__(self, "examples", _examples(self.examples))
        as_drawn = "Take an order >= 0; 0 is as drawn."
        object.__setattr__(self, "order", _whole_number("Demonstration order", self.order, 0, as_drawn))
        if self.kind == "custom" and self.k > len(self.examples):
            raise SpecError(
                f"k = {self.k} needs as many examples of your own, and there are {len(self.examples)}.",
                f"Take k = {len(self.examples)}, or give more examples.",
            )

    def canonical(self) -> "Demonstrations":
        """The same set in its one written form: no demonstrations are always kind "none", k = 0, seed 0, and only
        "custom" has examples, the k that are shown, and no seed. Few demonstrations have few orders, and numbers beyond
        them name these again.
        """
        if self.kind == "none" or self.k == 0:
            return Demonstrations("none", 0, 0)
        others = math.factorial(self.k) - 1 if self.k <= FEW else MOST
        order = (self.order - 1) % others + 1 if others and self.order else 0
        if self.kind == "custom":
            return replace(self, seed=0, examples=self.examples[: self.k], order=order)
        return replace(self, examples=(), order=order)

    def to_dict(self) -> dict[str, Any]:
        """The set as plain JSON values; there were sets before there were orders, so that as drawn is not written."""
        written = _plain(asdict(self))
        return {name: value for name, value in written.items() if name != "order" or value}

    @property
    def order_words(self) -> str:
        """How the order goes on behind other words: ", order 3"; "" as drawn."""
        return f", order {self.order}" if self.order else ""


@dataclass(frozen=True)
class RunSpec(Classified):
    """One condition to run: everything that decides its recording.

    Attributes
    ----------
    model: a preset's name, a hub id, a local folder or a `.gguf` file.
    task: a registered task's name, the path of a task file, or the name of one that is kept.
    demonstrations: the demonstration set.
    n_items: number of items (not of lines or documents), at least 2.
    seed: draws the items.
    task_options: the task's own parameters; those left out take their defaults.
    prompt_style: "plain" or "chat"; None is the preset's.
    dtype: None is float32 on a CPU and the preset's on a GPU.
    max_new_tokens: None is the task's.
    poolings: names of pooled embeddings to keep; None is the default list.
    model_options: options of loading the model.
    attention_items: places of items, from 0 and in the task's order, whose attention is kept token by token.
    first_token: "start" keeps a prompt's first token, which collects attention, apart from its content; "as is" adds
        nothing to a plain prompt. None is "start"; it is what recordings have that were made before there was a choice,
        which are as they are.
    template: what the chat template reads besides the message, such as `enable_thinking`, `tools` or `date_string`, and
        as `date` the day that it takes for today; those left out take the defaults of `TEMPLATE`.
    record: names of optional recorders, whose arrays are kept too.
    interventions: what is done to the model while it reads, in this order where several act at one place.

    Raises
    ------
    SpecError: a value that no task or model could take.
    """

    model: str = field(metadata=changes("forward", "model"))
    task: str = field(metadata=changes("tokens", "task"))
    demonstrations: Demonstrations = field(
        default_factory=Demonstrations, metadata=changes("tokens", "demonstrations", begins_alike=True)
    )
    n_items: int = field(default=64, metadata=changes("tokens", "number of items", begins_alike=True))
    seed: int = field(default=0, metadata=changes("tokens", "item seed"))
    task_options: Mapping[str, Any] = field(default_factory=dict, metadata=changes("tokens", "task options"))
    prompt_style: PromptStyle | None = field(default=None, metadata=changes("tokens", "prompt style"))
    dtype: Dtype | None = field(default=None, metadata=changes("forward", "arithmetic"))
    max_new_tokens: int | None = field(default=None, metadata=changes("decoding", "longest response"))
    poolings: tuple[str, ...] | None = field(default=None, metadata=changes("kept", "pooled embeddings"))
    model_options: Mapping[str, Any] = field(default_factory=dict, metadata=changes("forward", "model options"))
    attention_items: tuple[int, ...] = field(
        default=(), metadata=changes("kept", "items with attention token by token", later=True)
    )
    first_token: FirstToken | None = field(default=None, metadata=changes("tokens", "first token", later=True))
    template: Mapping[str, Any] = field(
        default_factory=dict, metadata=changes("tokens", "what the chat template reads", later=True)
    )
    record: tuple[str, ...] = field(default=(), metadata=changes("kept", "what else is recorded", later=True))
    interventions: tuple[Intervention, ...] = field(
        default=(), metadata=changes("forward", "what is done to the model", later=True)
    )

    def __post_init__(self) -> None:
        for name in ("model", "task"):
            object.__setattr__(self, name, self._checked_name(name))
        object.__setattr__(self, "demonstrations", _demonstrations(self.demonstrations))
        two, squares = "RSA compares pairs of items: take n_items >= 2, better 32 or more.", "Hypotheses are n x n. "
        object.__setattr__(self, "n_items", _whole_number("n_items", self.n_items, 2, two, MOST_ITEMS, squares))
        object.__setattr__(self, "seed", _whole_number("seed", self.seed, 0, "Take a seed >= 0."))
        object.__setattr__(self, "task_options", _options("task_options", self.task_options))
        object.__setattr__(self, "model_options", _options("model_options", self.model_options))
        object.__setattr__(self, "template", template_options(self.template))
        if self.max_new_tokens is not None:
            one = "Take max_new_tokens >= 1."
            tokens = _whole_number("max_new_tokens", self.max_new_tokens, 1, one, MOST_NEW_TOKENS)
            object.__setattr__(self, "max_new_tokens", tokens)
        if self.poolings is not None:
            object.__setattr__(self, "poolings", _poolings(self.poolings))
        object.__setattr__(self, "attention_items", _attention_items(self.attention_items, self.n_items))
        object.__setattr__(self, "record", _record(self.record))
        object.__setattr__(self, "interventions", _interventions(self.interventions))
        self._check_choice("prompt_style", get_args(PromptStyle))
        self._check_choice("dtype", get_args(Dtype))
        self._check_choice("first_token", get_args(FirstToken))

    def _checked_name(self, name: str) -> str:
        value = getattr(self, name)
        if not isinstance(value, str | os.PathLike):
            raise SpecError(f"The {name} {value!r} is not a name.", f"Give the {name}'s name as a text.")
        text = _text(f"The {name}", os.fsdecode(value)).strip()
        if not text:
            raise SpecError(f"The {name} is empty.", f"Give the {name}'s name.")
        return text

    def _check_choice(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value is not None and not (isinstance(value, str) and value in known):
            raise unknown(SpecError, name, value, list(known))

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values, apart from the spec: changing them changes nothing here."""
        values = {entry.name: (getattr(self, entry.name), entry.metadata["later"]) for entry in fields(self)}
        written = {name: _plain(value) for name, (value, later) in values.items() if value or not later}
        return {**written, "demonstrations": self.demonstrations.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_dict` wrote; fields that are left out take their defaults.

        Raises
        ------
        SpecError: a field is missing, unknown or impossible.
        """
        return cls(**_checked_fields(cls, "the spec", values))

    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def is_read_with(self, other: Self) -> bool:
        """Whether one reading serves both, and reads much of their text once: prompts with demonstrations of another
        seed or in another order share little.
        """
        return self._draw == other._draw and self.may_run_with(other) and self.shares_text_with(other)

    @cached_property
    def _draw(self) -> tuple[Any, ...]:
        """The model, and which draw of demonstrations this is."""
        shown = self.demonstrations.canonical()
        return self.model, self.task, shown.seed, shown.order

    def canonical(self) -> Self:
        """The same spec with its demonstrations in their one written form."""
        return self.with_(demonstrations=self.demonstrations.canonical())


def _checked_fields(kind: type[Any], what: str, values: Any) -> dict[str, Any]:
    """The values by field, none of them unknown and none missing."""
    if not isinstance(values, Mapping):
        raise SpecError(f"{values!r} is not {what}.", f"Give a table of {what}'s fields.")
    known = {entry.name: entry for entry in fields(kind)}
    for name in values:
        if name not in known:
            raise unknown(SpecError, f"field of {what}", name, list(known), OTHER_NAMES)
    for name, entry in known.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise SpecError(f"The field {name} of {what} is missing.", f"Give the {name}.")
    return dict(values)


def template_options(value: Any) -> Options:
    """The options of a chat template; none that rendering itself needs.

    Raises
    ------
    SpecError: no such table, a name that no template can read, or a day that there is not.
    """
    options = _options("template", value)
    for name in options:
        if not name.isidentifier() or name in RENDERED:
            raise SpecError(
                f"template has no option {name!r}.", "Name a variable that the model's chat template reads."
            )
    try:
        date.fromisoformat(options.get("date", TEMPLATE["date"]))
    except (TypeError, ValueError) as error:
        raise SpecError(f"date = {options['date']!r} is no day.", 'Write it as "2025-01-31".') from error
    return options


def _examples(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise SpecError(f"examples = {value!r} is not a list of texts.", "Give each example as one text.")
    values = list(value)
    if not all(isinstance(example, str) and example.strip() for example in values):
        raise SpecError("An example of the demonstrations is empty or no text.", "Give each example as one text.")
    return tuple(_text("An example", example) for example in values)


def _demonstrations(value: Any) -> Demonstrations:
    if isinstance(value, Demonstrations):
        return value
    if isinstance(value, Mapping):
        return Demonstrations(**_checked_fields(Demonstrations, "the demonstrations", value))
    example = 'Give Demonstrations(kind="correct", k=8, seed=0), or a table with these fields.'
    raise SpecError(f"demonstrations = {value!r} is no demonstration set.", example)


def _poolings(value: Any) -> tuple[str, ...]:
    """The names, each once and in the order of `POOLINGS`: the order of asking changes no result."""
    asked = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else None
    known = f"Take some of {', '.join(POOLINGS)}."
    if asked is None:
        raise SpecError(f"poolings = {value!r} is not a list of names.", known)
    if not asked:
        raise SpecError("The list of poolings is empty.", known)
    for name in asked:
        if not isinstance(name, str) or name not in POOLINGS:
            raise unknown(SpecError, "pooling", name, list(POOLINGS))
    return tuple(name for name in POOLINGS if name in asked)


def _record(value: Any) -> tuple[str, ...]:
    """The names, each once and in alphabetical order; which recorders there are is not known here."""
    values = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    for name in values:
        if not isinstance(name, str) or not name.isidentifier():
            raise SpecError(f"record = {name!r} is no recorder's name.", 'Give names such as record=("trajectory",).')
    return tuple(sorted({_text("A recorder's name", name) for name in values}))


def _interventions(value: Any) -> tuple[Intervention, ...]:
    """Those that are given as such, as tables or as texts."""
    if isinstance(value, Intervention | Mapping | str) or not isinstance(value, Iterable):
        value = [value]
    found = tuple(intervention(one) for one in value)
    if len(found) > MOST_INTERVENTIONS:
        raise SpecError(f"{len(found):,} interventions are too many.", f"Take {MOST_INTERVENTIONS} or fewer.")
    return found


def _attention_items(value: Any, n_items: int) -> tuple[int, ...]:
    """The places, each once and in the order of the items."""
    remedy = "Give places of items, counted from 0, such as attention_items=(0, 3)."
    try:
        values = list(value)
    except TypeError as error:
        raise SpecError(f"attention_items = {value!r} is not a list of places.", remedy) from error
    limit = f"The places of {n_items:,} items are counted from 0. "
    places = {_whole_number("Attention item", place, 0, remedy, n_items - 1, limit) for place in values}
    if len(places) > MOST_ATTENTION_ITEMS:
        raise SpecError(f"{len(places):,} attention items are too many.", f"Take {MOST_ATTENTION_ITEMS} or fewer.")
    return tuple(sorted(places))


def draws(spec: RunSpec) -> bool:
    """Whether a seed draws the demonstrations that are shown."""
    return spec.demonstrations.canonical().kind not in ("none", "custom")
