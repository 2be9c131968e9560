"""What is chosen, conditions A and B and every view of them, kept in the URL, so that a link reproduces the view.

Choices live in one dictionary of the session, under their URL names, because Streamlit drops the state of a control
that a page does not draw. `bound` ties a control to a choice. The URL is read once, when a session begins; after that
`write_url` writes every choice on each run, on every page. Defaults are constants (the demo comparison), never "the
latest run": a link must mean the same tomorrow.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import streamlit as st

from iclviz.errors import UserError
from iclviz.models.presets import DEMO_MODEL, model_title
from iclviz.spec import (
    DEFAULT_POOLINGS,
    MOST_ATTENTION_ITEMS,
    POOLINGS,
    TEMPLATE,
    Demonstrations,
    FirstToken,
    RunSpec,
    canonical_json,
    template_options,
)
from iclviz.tasks import KINDS, all_tasks, task
from iclviz.ui.plain import as_text

SIDES = ("a", "b")
COLOURS = {"a": "blue", "b": "orange"}
MOST_ITEMS = 4096
MOST_K = 1000
MOST_SEED = 2**31 - 1
MOST_MEMBERS = 8
"""Conditions of a set: what a figure can tell apart."""

EXAMPLE_BORDER = "\n\n"
"""What stands between two examples that somebody types."""

DEMO_OPTIONS = {"linear_regression": {"distractor": True}}
"""Task options of the demo comparison, by task; everything else is the task's own default."""


@dataclass(frozen=True)
class Choice:
    """The two conditions that pages compare."""

    a: RunSpec
    b: RunSpec

    def side(self, name: str) -> RunSpec:
        """Condition "a" or "b"."""
        return self.a if name == "a" else self.b


DEFAULTS: dict[str, Any] = {
    **{f"{side}_model": DEMO_MODEL for side in SIDES},
    **{f"{side}_task": "reading_comprehension" for side in SIDES},
    "a_kind": "none",
    "b_kind": "correct",
    "a_k": 0,
    "b_k": 2,
    "a_seed": 0,
    "b_seed": 0,
    "a_examples": "",
    "b_examples": "",
    "items": 64,
    "items_seed": 0,
    "style": "preset",
    "options": DEMO_OPTIONS,
    "poolings": [],
    "attention_items": [],
    "layer": 15,
    "head": "",
    "hypothesis": "",
    "label": "",
    "score": "",
    "pooling": "query_mean",
    "metric": "cosine",
    "heads": "mean",
    "rows": "response",
    "over": "relevant",
    "under": "irrelevant",
    "per": "token",
    "method": "spearman",
    "level": "",
    "item": 0,
    "shaded": "role",
    "sinks": False,
    "sorted": "",
    "colours": "raw",
    "vary": "k",
    "values": [],
    "runs": [],
    "averaged": False,
    "bands": False,
    "section": "",
    "strength": "",
    "dimensions": "",
    "dropped": False,
    "played": False,
    "measure": "",
    "at": -1,
    "over_conditions": False,
    "changed": "",
    "effect_of": "",
    "equivalent": "",
    "equivalence_bound": 0.1,
    "against": "",
    "alike": "rsa",
    "first_token": "start",
    "template": {},
}
"""Every choice that a link carries, under its URL name. An empty text is the task's primary analysis, or all heads."""

DEMO: Mapping[str, Any] = {name: DEFAULTS[name] for name in list(DEFAULTS)[:16]}
"""Reading comprehension, no demonstrations against two."""


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise ValueError(f"not from {least} to {most}")
        return number

    return read


def _one_of(known: Callable[[], Any]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known():
            raise ValueError("unknown")
        return text

    return read


def _options(text: str) -> dict[str, dict[str, Any]]:
    given = json.loads(text)
    known = all_tasks()  # never a path: a link must not read files
    for name, values in given.items():
        known[name].resolve_options(values, "plain")
    return {name: dict(values) for name, values in given.items()}


def _template(text: str) -> dict[str, Any]:
    return dict(template_options(json.loads(text)))


def _poolings(text: str) -> list[str]:
    names = json.loads(text)
    if not isinstance(names, list) or not set(names) <= set(POOLINGS):
        raise ValueError("unknown")
    return names


def _places(text: str) -> list[int]:
    places = [_whole(0, MOST_ITEMS)(str(place)) for place in json.loads(text)]
    if len(places) > MOST_ATTENTION_ITEMS:
        raise ValueError(f"more than {MOST_ATTENTION_ITEMS}")
    return sorted(set(places))


def _values(text: str) -> list[int | str]:
    values = json.loads(text)
    if not isinstance(values, list) or not all(isinstance(one, int | str) for one in values):
        raise ValueError("no list of numbers or words")
    return [one if isinstance(one, int) else one[:200] for one in values][:MOST_MEMBERS]


def _size(text: str) -> float:
    size = float(text)
    if not 0 < size < float("inf"):
        raise ValueError("no size")
    return size


def _flag(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _text(text: str) -> str:
    return text[:200]


READERS: dict[str, Callable[[str], Any]] = {
    **{f"{side}_model": _text for side in SIDES},
    **{f"{side}_task": _one_of(all_tasks) for side in SIDES},
    **{f"{side}_kind": _one_of(lambda: KINDS) for side in SIDES},
    **{f"{side}_k": _whole(0, MOST_K) for side in SIDES},
    **{f"{side}_seed": _whole(0, MOST_SEED) for side in SIDES},
    "a_examples": str,
    "b_examples": str,
    "items": _whole(2, MOST_ITEMS),
    "items_seed": _whole(0, MOST_SEED),
    "style": _one_of(lambda: ("preset", "plain", "chat")),
    "options": _options,
    "poolings": _poolings,
    "first_token": _one_of(lambda: get_args(FirstToken)),
    "template": _template,
    "attention_items": _places,
    "layer": _whole(0, 1000),
    "item": _whole(0, MOST_ITEMS),
    "sinks": _flag,
    "values": _values,
    "runs": _values,
    "averaged": _flag,
    "dropped": _flag,
    "played": _flag,
    "at": _whole(-1, 1000),
    "bands": _flag,
    "over_conditions": _flag,
    "equivalence_bound": _size,
}
"""How a URL's text becomes a choice; names without an entry are short texts."""


def choices() -> dict[str, Any]:
    """Every choice of this session by its URL name."""
    return st.session_state.setdefault("choices", dict(DEFAULTS))  # type: ignore[no-any-return]


def bound(control: Callable[..., Any], title: str, name: str, *arguments: Any, where: str = "", **options: Any) -> Any:
    """A Streamlit control that shows a choice and changes it; `where` tells apart two of one choice on a page."""
    key = f"choice-{name}{where}"
    st.session_state[key] = choices()[name]
    return control(title, *arguments, key=key, on_change=_take, args=(name, key), **options)


def keep_known(name: str, known: Collection[Any], default: Any) -> None:
    """Take the default for a choice that nobody has made, or that is not known here; says so where a link asked for it.

    What was a default before follows what is one now.
    """
    value, by_default = choices()[name], st.session_state.setdefault("by_default", set())
    if value in known and name not in by_default:
        return
    choices()[name] = default
    by_default.add(name)
    if value and value not in known and name in st.session_state.get("linked", ()):
        st.warning(f"This link asks for {name} = “{as_text(str(value))}”, which is not here, so the default is shown.")
        st.session_state["linked"].discard(name)


def is_made(name: str) -> bool:
    """Whether somebody made this choice, so that it is no default of ours."""
    return name not in st.session_state.get("by_default", ())


def _take(name: str, key: str) -> None:
    choose({name: st.session_state[key]})
    if name.endswith("_model"):
        confirm(st.session_state[key])
    write_url()  # a fragment reruns without the app around it


def read_url() -> None:
    """At the start of a session, take every choice from the URL; what cannot be used stays at its default."""
    if "choices" in st.session_state:
        return
    taken, refused, linked = choices(), [], set()
    for name in DEFAULTS:
        text = st.query_params.get(name)
        if text is None:
            continue
        try:
            taken[name] = READERS.get(name, _text)(text)
            linked.add(name)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError, UserError):
            refused.append(f"{name} = {text[:60]}")
    st.session_state.update(refused=refused, linked=linked, linked_models=_models(linked))


def _models(linked: Collection[str]) -> set[str]:
    """The models that a link names."""
    named = {choices()[name] for name in linked if name.endswith("_model")}
    return named | ({str(value) for value in choices()["values"]} if "values" in linked else set())


@st.cache_resource(show_spinner=False)
def _confirmed() -> set[str]:
    """Models that somebody chose here by hand, in any session."""
    return set()


def confirm(model: str) -> None:
    """Somebody chose a model by hand; for a button."""
    _confirmed().add(model)


def is_only_linked(model: str) -> bool:
    """Whether nothing but a link asks for a model, so that no file of it is read and no hub asked for it."""
    return model in st.session_state.get("linked_models", ()) and model not in _confirmed()


def write_url() -> None:
    """Put every choice that is not at its default into the URL."""
    shown = {}
    for name, default in DEFAULTS.items():
        value = choices()[name]
        if value != default:
            shown[name] = json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else str(value)
    if shown != st.query_params.to_dict():
        st.query_params.from_dict(shown)


def say_refused() -> None:
    """One sentence about what in the link could not be used, until the next choice."""
    refused = st.session_state.pop("refused", None)
    if refused:
        values = ", ".join(f"“{as_text(entry)}”" for entry in refused)
        st.warning(f"This link holds values that cannot be used, so their defaults were taken: {values}.")


def choose(values: Mapping[str, Any]) -> None:
    """Set several choices at once; for callbacks of buttons."""
    choices().update(values)
    for kept in ("by_default", "linked"):
        st.session_state.get(kept, set()).difference_update(values)


def choose_run(side: str, spec: RunSpec) -> None:
    """Choose a resolved spec as A or B; its items, task options and prompt style become those of both."""
    shown, of = spec.demonstrations, task(spec.task)
    defaults = of.resolve_options({}, spec.prompt_style or "plain")
    choose(
        {
            f"{side}_model": spec.model,
            f"{side}_task": spec.task,
            f"{side}_kind": shown.kind,
            f"{side}_k": shown.k,
            f"{side}_seed": shown.seed,
            f"{side}_examples": EXAMPLE_BORDER.join(shown.examples),
            "items": spec.n_items,
            "items_seed": spec.seed,
            "style": spec.prompt_style or "preset",
            "options": {**choices()["options"], spec.task: _beyond(spec.task_options, defaults)},
            "poolings": [name for name in spec.poolings or () if name not in DEFAULT_POOLINGS],
            "attention_items": list(spec.attention_items),
            "first_token": spec.first_token or DEFAULTS["first_token"],
            "template": _beyond(spec.template, TEMPLATE),
        }
    )


def _beyond(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not at their defaults, as JSON gives them back."""
    plain, defaults = (json.loads(canonical_json(values)) for values in (given, usual))
    return {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}


def choice() -> Choice:
    """The two conditions as they are chosen now."""
    return Choice(*(_spec(side) for side in SIDES))


def _spec(side: str) -> RunSpec:
    state = choices()
    style = state["style"]
    name = state[f"{side}_task"]
    return RunSpec(
        model=state[f"{side}_model"] or DEMO_MODEL,
        task=name,
        demonstrations=_demonstrations(side),
        n_items=state["items"],
        seed=state["items_seed"],
        task_options=state["options"].get(name, {}),
        prompt_style=None if style == "preset" else style,
        poolings=tuple(dict.fromkeys([*DEFAULT_POOLINGS, *state["poolings"]])) if state["poolings"] else None,
        attention_items=kept_places(),
        first_token=None if state["first_token"] == DEFAULTS["first_token"] else state["first_token"],
        template=state["template"],
    )


def kept_places() -> tuple[int, ...]:
    """Places of items whose attention is kept token by token; those of a longer list of items are left out."""
    return tuple(place for place in choices()["attention_items"] if place < choices()["items"])


def _demonstrations(side: str) -> Demonstrations:
    state = choices()
    kind = state[f"{side}_kind"]
    examples = tuple(text for text in state[f"{side}_examples"].split(EXAMPLE_BORDER) if text.strip())
    return Demonstrations(kind, state[f"{side}_k"], state[f"{side}_seed"], examples if kind == "custom" else ())


def swap() -> None:
    """A becomes B and B becomes A."""
    for field in ("model", "task", "kind", "k", "seed", "examples"):
        a, b = choices()[f"a_{field}"], choices()[f"b_{field}"]
        choose({f"a_{field}": b, f"b_{field}": a})


def task_title(name: str) -> str:
    """A task's title; the name of one whose file is gone."""
    try:
        return task(name).title
    except UserError:
        return name


def describe(spec: RunSpec, other: RunSpec | None = None) -> str:
    """A condition in a few words: its demonstrations, and what else tells it from the other."""
    shown = spec.demonstrations.canonical()
    words = ["no demonstrations"] if shown.kind == "none" else [f"{shown.kind}, k = {shown.k}"]
    if other is None or other.task != spec.task:
        words.insert(0, task_title(spec.task))
    if other is None or other.model != spec.model:
        words.insert(0, model_title(spec.model))
    if other is not None and other.demonstrations.seed != spec.demonstrations.seed:
        words.append(f"seed {shown.seed}")
    return " · ".join(words)
