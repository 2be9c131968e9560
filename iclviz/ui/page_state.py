"""What is chosen, conditions A and B and every view of them, kept in the URL, so that a link reproduces the view.

Choices live in one dictionary of the session, under their URL names, because Streamlit drops the state of a control
that a page does not draw. `bound` ties a control to a choice. The URL is read once, when a session begins; after that
`write_url` writes every choice on each run, on every page. Defaults are constants (the demo comparison), never "the
latest run": a link must mean the same tomorrow.
"""

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from iclviz.errors import UserError
from iclviz.intervening import shortly
from iclviz.models.presets import DEMO_MODEL, model_title
from iclviz.spec import DEFAULT_POOLINGS, TEMPLATE, Demonstrations, RunSpec, canonical_json
from iclviz.tasks import task
from iclviz.ui.link_fields import (
    ACT_BORDER,
    CONDITIONS,
    MOST_TEXT,
    SIDES,
    OutOfBoundsError,
    defaults,
    fields,
    interventions_of,
)
from iclviz.ui.plain_text import as_text

MOST_UNCLAIMED = 32
"""Fields of a link that no page names and that are remembered until a measure asks for them."""

COLOURS = {"a": "blue", "b": "orange"}
EXAMPLE_BORDER = "\n\n"
"""What stands between two examples that somebody types."""


@dataclass(frozen=True)
class ConditionSpecs:
    """The two conditions that pages compare."""

    a: RunSpec
    b: RunSpec

    def side(self, name: str) -> RunSpec:
        """Condition "a" or "b"."""
        return self.a if name == "a" else self.b


def page_state() -> dict[str, Any]:
    """Every choice of this session by its URL name."""
    if "choices" not in st.session_state:
        st.session_state["choices"] = defaults()
    return st.session_state["choices"]  # type: ignore[no-any-return]


def claim_field(name: str, default: Any, read: Callable[[str], Any]) -> None:
    """Make a field of links of something that no page names, such as what a measure leaves open: what the link says of
    it is taken now, else its default.
    """
    st.session_state.setdefault("further fields", {})[name] = default
    value_text = st.session_state.get("unclaimed", {}).pop(name, None)
    if value_text is not None:
        with suppress(ValueError):
            page_state()[name] = read(value_text)
            st.session_state.setdefault("linked", set()).add(name)
    page_state().setdefault(name, default)


def bound(
    control: Callable[..., Any],
    title: str,
    name: str,
    *arguments: Any,
    where: str = "",
    shown: Any = None,
    **options: Any,
) -> Any:
    """A Streamlit control that shows a choice and changes it.

    where: tells apart two of one choice on a page.
    shown: what it shows where the choice itself has no place here; the choice stays what it is.
    """
    key = f"choice-{name}{where}"
    st.session_state[key] = page_state()[name] if shown is None else shown
    return control(title, *arguments, key=key, on_change=_take, args=(name, key), **options)


def keep_known(name: str, known: Collection[Any], default: Any) -> None:
    """Take the default for a choice that nobody has made, or that is not known here; says so where a link asked for it.

    What was a default before follows what is one now.
    """
    value, by_default = page_state()[name], st.session_state.setdefault("by_default", set())
    if value in known and name not in by_default:
        return
    page_state()[name] = default
    by_default.add(name)
    if value and value not in known and name in st.session_state.get("linked", ()):
        st.warning(f"This link asks for {name} = “{as_text(str(value))}”, which is not here, so the default is shown.")
        st.session_state["linked"].discard(name)


def is_made(name: str) -> bool:
    """Whether somebody made this choice, so that it is no default of ours."""
    return name not in st.session_state.get("by_default", ())


def _take(name: str, key: str) -> None:
    set_state({name: st.session_state[key]})
    if name.endswith("_model"):
        confirm(st.session_state[key])
    if name.endswith("_examples"):  # as many as were written
        side = name.removesuffix("_examples")
        set_state({f"{side}_k": max(1, len(_examples(st.session_state[key])))})
    write_url()  # a fragment reruns without the app around it


def read_url() -> None:
    """At the start of a session, take every choice from the URL; what cannot be used stays at its default."""
    if "choices" in st.session_state:
        return
    taken, refused, linked, unclaimed = page_state(), [], set(), {}
    known = fields()
    for name, value_text in st.query_params.to_dict().items():
        if name not in known:
            unclaimed[name[:MOST_TEXT]] = value_text[:MOST_TEXT]
            continue
        try:
            taken[name] = known[name].read(value_text)
            linked.add(name)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError, UserError) as error:
            refused.append(f"{name} = {value_text[:60]}{_allowed(error, taken[name])}")
    st.session_state.update(
        refused=refused, linked=linked, linked_models=_models(linked), unclaimed=_few_identifiers(unclaimed)
    )


def _allowed(error: Exception, used: Any) -> str:
    """What a number may be and what is taken in its place; nothing of what is no number."""
    return f" ({error}; {used} is used)" if isinstance(error, OutOfBoundsError) else ""


def _few_identifiers(unclaimed: Mapping[str, str]) -> dict[str, str]:
    """What a link says of fields that some measure may have, as far as these are names."""
    names = [name for name in unclaimed if name.isidentifier()]
    return {name: unclaimed[name] for name in names[:MOST_UNCLAIMED]}


def _models(linked: Collection[str]) -> set[str]:
    """The models that a link names."""
    named = {page_state()[name] for name in linked if name.endswith("_model")}
    return named | ({str(value) for value in page_state()["values"]} if "values" in linked else set())


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
    shown = dict(st.session_state.get("unclaimed", {}))
    for name, default in {**defaults(), **st.session_state.get("further fields", {})}.items():
        value = page_state()[name]
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


def set_state(values: Mapping[str, Any]) -> None:
    """Set several choices at once; for callbacks of buttons."""
    page_state().update(values)
    for kept in ("by_default", "linked"):
        st.session_state.get(kept, set()).difference_update(values)


def set_condition(side: str, spec: RunSpec) -> None:
    """Choose a resolved spec as A or B; its items, task options and prompt style become those of both."""
    shown, of = spec.demonstrations, task(spec.task)
    defaults = of.resolve_options({}, spec.prompt_style or "plain")
    set_state(
        {
            f"{side}_model": spec.model,
            f"{side}_task": spec.task,
            f"{side}_kind": shown.kind,
            f"{side}_k": shown.k,
            f"{side}_seed": shown.seed,
            f"{side}_order": shown.order,
            f"{side}_examples": EXAMPLE_BORDER.join(shown.examples),
            f"{side}_acts": ACT_BORDER.join(map(str, spec.interventions)),
            "items": spec.n_items,
            "items_seed": spec.seed,
            "style": spec.prompt_style or "preset",
            "options": {**page_state()["options"], spec.task: _beyond(spec.task_options, defaults)},
            "poolings": [name for name in spec.poolings or () if name not in DEFAULT_POOLINGS],
            "attention_items": list(spec.attention_items),
            "record": list(spec.record),
            "first_token": spec.first_token or CONDITIONS["first_token"].default,
            "template": _beyond(spec.template, TEMPLATE),
        }
    )


def _beyond(options: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not at their defaults, as JSON gives them back."""
    plain, defaults = (json.loads(canonical_json(values)) for values in (options, usual))
    return {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}


def condition_specs(changed: Mapping[str, Any] | None = None) -> ConditionSpecs:
    """The two conditions as they are chosen now, or would be with some choices changed."""
    state = {**page_state(), **(changed or {})}
    return ConditionSpecs(*(_spec(side, state) for side in SIDES))


def _spec(side: str, state: Mapping[str, Any]) -> RunSpec:
    style = state["style"]
    name = state[f"{side}_task"]
    return RunSpec(
        model=state[f"{side}_model"] or DEMO_MODEL,
        task=name,
        demonstrations=_demonstrations(side, state),
        n_items=state["items"],
        seed=state["items_seed"],
        task_options=state["options"].get(name, {}),
        prompt_style=None if style == "preset" else style,
        poolings=tuple(dict.fromkeys([*DEFAULT_POOLINGS, *state["poolings"]])) if state["poolings"] else None,
        attention_items=tuple(place for place in state["attention_items"] if place < state["items"]),
        record=tuple(state["record"]),
        first_token=None if state["first_token"] == CONDITIONS["first_token"].default else state["first_token"],
        template=state["template"],
        interventions=interventions_of(state[f"{side}_acts"]),
    )


def kept_places() -> tuple[int, ...]:
    """Places of items whose attention is kept token by token; those of a longer list of items are left out."""
    return tuple(place for place in page_state()["attention_items"] if place < page_state()["items"])


def _demonstrations(side: str, state: Mapping[str, Any]) -> Demonstrations:
    kind = state[f"{side}_kind"]
    examples = _examples(state[f"{side}_examples"]) if kind == "custom" else ()
    return Demonstrations(kind, state[f"{side}_k"], state[f"{side}_seed"], examples, state[f"{side}_order"])


def _examples(written: str) -> tuple[str, ...]:
    """Demonstrations of one's own, from the text that holds all of them."""
    return tuple(text for text in written.split(EXAMPLE_BORDER) if text.strip())


def swap() -> None:
    """A becomes B and B becomes A."""
    for field in ("model", "task", "kind", "k", "seed", "order", "examples", "acts"):
        a, b = page_state()[f"a_{field}"], page_state()[f"b_{field}"]
        set_state({f"a_{field}": b, f"b_{field}": a})


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
    if shown.order or (other is not None and shown.k and other.demonstrations.canonical().order):
        words.append(f"order {shown.order}" if shown.order else "order as drawn")
    if spec.interventions:
        words.append(shortly(spec.interventions))
    return " · ".join(words)
