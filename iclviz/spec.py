"""What to run: model x task x demonstration set, frozen, validated, and with a canonical JSON form.

A field that is None means the task's or the preset's default; `iclviz.resolve` fills it in before the key is made,
so two ways of asking for the same run have the same key.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from iclviz.errors import SpecError, unknown
from iclviz.spans import ROLES

PromptStyle = Literal["plain", "chat"]
Dtype = Literal["float32", "bfloat16", "float16"]

DEFAULT_POOLINGS = ("query_mean", "query_max", "last", "mean", "max")
"""Pooled embeddings that every recording keeps unless its spec says otherwise."""

POOLINGS = (*DEFAULT_POOLINGS, *(f"{role}_mean" for role in ROLES if role not in ("special", "response")))
"""Every pooling that can be asked for."""


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The 32-digit hex digest (BLAKE2b, 128 bits) of a value's canonical JSON."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


def _whole_number(name: str, value: Any, least: int, remedy: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise SpecError(f"{name} = {value!r} is not a whole number.", remedy)
    number = int(value.__index__())
    if number < least:
        raise SpecError(f"{name} = {number} is too small.", remedy)
    return number


def _options(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{name} = {value!r} is not a table of options.", f'Give {name} as {{"name": value}}.')
    try:
        return dict(json.loads(canonical_json(dict(value))))
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"{name} holds a value that JSON cannot hold ({error}).", "Use numbers, texts and lists."
        ) from error


@dataclass(frozen=True)
class Demonstrations:
    """A demonstration set: its kind, the number k of demonstrations and the seed that draws them.

    `kind="none"` and `k = 0` mean the same, whatever else is given: no demonstrations.
    """

    kind: str = "correct"
    k: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str):
            raise SpecError(f"Demonstration kind {self.kind!r} is not a name.", 'Give a name such as "correct".')
        object.__setattr__(self, "k", _whole_number("k", self.k, 0, "Take k >= 0; k = 0 is no demonstrations."))
        object.__setattr__(self, "seed", _whole_number("Demonstration seed", self.seed, 0, "Take a seed >= 0."))

    def canonical(self) -> "Demonstrations":
        """The same set in its one written form: no demonstrations are always kind "none", k = 0, seed 0."""
        return Demonstrations("none", 0, 0) if self.kind == "none" or self.k == 0 else self


@dataclass(frozen=True)
class RunSpec:
    """One condition to run: everything that decides its recording.

    Attributes
    ----------
    model: a preset's name, a hub id, a local folder or a `.gguf` file.
    task: a registered task's name.
    demonstrations: the demonstration set.
    n_items: number of items (not of lines or documents), at least 2.
    seed: draws the items.
    task_options: the task's own parameters; those left out take their defaults.
    prompt_style: "plain" or "chat"; None is the preset's.
    dtype: None is float32 on a CPU and the preset's on a GPU.
    max_new_tokens: None is the task's.
    poolings: names of pooled embeddings to keep; None is the default list.
    model_options: options of loading the model.

    Raises
    ------
    SpecError: a value that no task or model could take.
    """

    model: str
    task: str
    demonstrations: Demonstrations = field(default_factory=Demonstrations)
    n_items: int = 64
    seed: int = 0
    task_options: Mapping[str, Any] = field(default_factory=dict)
    prompt_style: PromptStyle | None = None
    dtype: Dtype | None = None
    max_new_tokens: int | None = None
    poolings: tuple[str, ...] | None = None
    model_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("model", "task"):
            value = str(getattr(self, name)).strip()
            if not value:
                raise SpecError(f"The {name} is empty.", f"Give the {name}'s name.")
            object.__setattr__(self, name, value)
        if isinstance(self.demonstrations, Mapping):
            object.__setattr__(self, "demonstrations", Demonstrations(**self.demonstrations))
        two = "RSA compares pairs of items: take n_items >= 2, better 32 or more."
        object.__setattr__(self, "n_items", _whole_number("n_items", self.n_items, 2, two))
        object.__setattr__(self, "seed", _whole_number("seed", self.seed, 0, "Take a seed >= 0."))
        object.__setattr__(self, "task_options", _options("task_options", self.task_options))
        object.__setattr__(self, "model_options", _options("model_options", self.model_options))
        if self.max_new_tokens is not None:
            tokens = _whole_number("max_new_tokens", self.max_new_tokens, 1, "Take max_new_tokens >= 1.")
            object.__setattr__(self, "max_new_tokens", tokens)
        if self.poolings is not None:
            object.__setattr__(self, "poolings", self._checked_poolings())
        self._check_choice("prompt_style", get_args(PromptStyle))
        self._check_choice("dtype", get_args(Dtype))

    def _checked_poolings(self) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(self.poolings or ()))
        if not names:
            raise SpecError("The list of poolings is empty.", f"Take some of {', '.join(POOLINGS)}.")
        for name in names:
            if name not in POOLINGS:
                raise unknown(SpecError, "pooling", name, list(POOLINGS))
        return names

    def _check_choice(self, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value is not None and value not in known:
            raise unknown(SpecError, name, value, list(known))

    def __hash__(self) -> int:
        return hash(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSpec":
        """The spec that `to_dict` wrote.

        Raises
        ------
        SpecError: a field is missing or unknown.
        """
        try:
            return cls(**{**values, "demonstrations": Demonstrations(**values.get("demonstrations", {}))})
        except TypeError as error:
            raise SpecError(f"The spec cannot be read ({error}).", "See RunSpec for its fields.") from error

    def with_(self, **changes: Any) -> "RunSpec":
        """A copy with some fields changed."""
        return replace(self, **changes)
