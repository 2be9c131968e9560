"""A set of up to eight conditions: those like A that differ in one thing, or runs that were chosen by hand.

What may vary is a table: how a value becomes a spec, what it is called, and which values are offered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from iclviz.curating import annotation
from iclviz.errors import UserError
from iclviz.models.presets import model_title
from iclviz.recorded import Summary
from iclviz.recording import Recording
from iclviz.resolve import Resolved
from iclviz.spec import RunSpec
from iclviz.tasks import KINDS, task
from iclviz.ui import loading, options
from iclviz.ui.controls import models_here
from iclviz.ui.link_fields import MOST_K, MOST_MEMBERS, MOST_SEED
from iclviz.ui.page_state import (
    bound,
    condition_specs,
    describe,
    is_made,
    keep_known,
    page_state,
    set_state,
)
from iclviz.whereabouts import without_folder

USUAL_K = (0, 1, 2, 4, 8, 16, 32)
USUAL_SEEDS = USUAL_ORDERS = tuple(range(5))


@dataclass(frozen=True)
class Member:
    """One condition of a set.

    Attributes
    ----------
    label: what figures call it; A and B keep their letters, and so their colours.
    spec: the condition as it was asked for.
    resolved: with every default, None where it cannot be run.
    recording: None where it has not run.
    problem: why it cannot be run or read.
    """

    label: str
    spec: RunSpec
    resolved: Resolved | None
    recording: Recording | None
    problem: str = ""


@dataclass(frozen=True)
class Variation:
    """One thing in which the conditions of a set differ.

    Attributes
    ----------
    title: its name.
    put: the spec with a value of it.
    of: the value of a spec.
    offered: values that can be chosen, for A.
    named: what a value is called.
    taken: the value that a typed text means; ValueError where it means none.
    """

    title: str
    put: Callable[[RunSpec, Any], RunSpec]
    of: Callable[[RunSpec], Any]
    offered: Callable[[RunSpec], Sequence[Any]]
    named: Callable[[Any], str]
    taken: Callable[[str], Any]


def _shown(**fields: Callable[[Any], Any]) -> Callable[[RunSpec, Any], RunSpec]:
    def put(spec: RunSpec, value: Any) -> RunSpec:
        changed = {name: of(value) for name, of in fields.items()}
        return spec.with_(demonstrations=replace(spec.demonstrations, **changed))

    return put


def _whole(most: int) -> Callable[[str], int]:
    def taken(text: str) -> int:
        if not 0 <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    return taken


def _kinds(spec: RunSpec) -> list[str]:
    return [kind for kind in task(spec.task).demonstration_kinds if kind != "custom"]


def _kind_put(spec: RunSpec, kind: Any) -> RunSpec:
    shown = spec.demonstrations
    return spec.with_(demonstrations=replace(shown, kind=str(kind), k=0 if kind == "none" else shown.k, examples=()))


def _kind_taken(text: str) -> str:
    if text not in KINDS:
        raise ValueError(text)
    return text


VARIATIONS: Mapping[str, Variation] = {
    "k": Variation(
        "Number of demonstrations",
        _shown(k=int),
        lambda spec: spec.demonstrations.k,
        lambda spec: USUAL_K,
        lambda k: f"k = {k}",
        _whole(MOST_K),
    ),
    "kind": Variation(
        "Kind of demonstrations", _kind_put, lambda spec: spec.demonstrations.kind, _kinds, str, _kind_taken
    ),
    "seed": Variation(
        "Demonstration seed",
        _shown(seed=int),
        lambda spec: spec.demonstrations.seed,
        lambda spec: USUAL_SEEDS,
        lambda seed: f"seed {seed}",
        _whole(MOST_SEED),
    ),
    "order": Variation(
        "Order of demonstrations",
        _shown(order=int),
        lambda spec: spec.demonstrations.order,
        lambda spec: USUAL_ORDERS,
        lambda order: f"order {order}" if order else "order as drawn",
        _whole(MOST_SEED),
    ),
    "model": Variation(
        "Model",
        lambda spec, name: spec.with_(model=str(name)),
        lambda spec: without_folder(spec.model),
        lambda spec: models_here(without_folder(spec.model)),
        model_title,
        str,
    ),
}
"""What the conditions of a set may differ in, by its name in the link."""

CHOSEN = "runs"
"""The name of a set that was put together by hand."""


def show_set_controls(controls: options.Controls) -> None:
    """The controls that put a set together."""
    titles = {**{name: one.title for name, one in VARIATIONS.items()}, CHOSEN: "Chosen runs"}
    letter, _ = base()
    about = f"Everything else is as in {letter}. Chosen runs are picked here or on the Runs page."
    controls.select("vary", f"Like {letter}, but for", list(titles), titles, help=about, is_main=True)
    with controls.shown:
        if page_state()["vary"] == CHOSEN:
            _runs_control()
        else:
            _values_control(VARIATIONS[page_state()["vary"]])


def base() -> tuple[str, RunSpec]:
    """The condition, with its letter, that those of a set are like: A, unless it alone shows no demonstrations."""
    a, b = condition_specs().a, condition_specs().b
    shows_nothing, shows_something = (not one.demonstrations.canonical().k for one in (a, b))
    return ("B", b) if shows_nothing and not shows_something else ("A", a)


def _plain(spec: RunSpec) -> RunSpec:
    """A spec that equals every other of the same meaning."""
    return spec.canonical().with_(model=without_folder(spec.model))


def _values_control(varied: Variation) -> None:
    usable = _usable(varied, page_state()["values"])
    page_state()["values"] = usable
    if not usable or not is_made("values"):
        keep_known("values", (), default_values(varied))
    chosen = page_state()["values"]
    offered = list(dict.fromkeys([*varied.offered(base()[1]), *chosen]))
    texts = sorted({str(value) for value in offered}, key=lambda text: (not text.isdigit(), len(text), text))
    names = {str(value): varied.named(value) for value in offered}
    key = f"set-{varied.title}"
    st.session_state[key] = [str(value) for value in chosen]

    def take() -> None:
        set_state({"values": _usable(varied, st.session_state[key])})

    st.multiselect(
        varied.title,
        texts,
        key=key,
        on_change=take,
        format_func=lambda text: names.get(text, text),
        max_selections=MOST_MEMBERS,
        accept_new_options=True,
        help=f"Up to {MOST_MEMBERS}; type one that is not offered.",
    )


def _runs_control() -> None:
    entries = {entry.key: entry for entry in loading.store().summaries()}
    listed = [run.entry.key for run in loading.store().runs()]
    page_state()["runs"] = [key for key in page_state()["runs"] if key in entries][:MOST_MEMBERS]
    bound(
        st.multiselect,
        "Runs",
        "runs",
        list(dict.fromkeys([*listed, *page_state()["runs"]])),
        format_func=lambda key: run_name(entries[key]),
        max_selections=MOST_MEMBERS,
        help=f"Up to {MOST_MEMBERS} recorded runs of one task.",
    )


def run_name(entry: Summary) -> str:
    """A run in the words of its user, else in ours, with what tells it from others alike."""
    own_name = annotation(loading.store(), entry.key).name
    return own_name or f"{describe(entry.spec)} · seed {entry.spec.demonstrations.seed} · {entry.key[:6]}"


def _usable(varied: Variation, values: Sequence[Any]) -> list[Any]:
    """The values that mean something here, each once, numbers in their order."""
    found = []
    for value in values:
        try:
            found.append(varied.taken(str(value)))
        except ValueError:
            continue
    return _ordered(dict.fromkeys(found))


def _ordered(values: Iterable[Any]) -> list[Any]:
    return _in_order(list(values)[:MOST_MEMBERS])


def default_values(varied: Variation) -> list[Any]:
    """The values of A and B, and of the runs like them that the cache holds."""
    _, like = base()
    sides = [_plain(condition_specs().a), _plain(condition_specs().b)]
    found = [varied.of(side) for side in sides if _plain(varied.put(like, varied.of(side))) == side]
    for entry in loading.store().summaries():
        value = varied.of(entry.spec)
        if is_like(entry.spec, like, varied):
            found.append(value)
    return _ordered(dict.fromkeys(found))


def left_out() -> tuple[list[str], int]:
    """What the set does not show: recorded conditions like its own by what they are called, and how many other runs of
    the same items differ in something else as well.
    """
    if page_state()["vary"] == CHOSEN:
        return [], 0
    varied, (_, like), chosen = VARIATIONS[page_state()["vary"]], base(), page_state()["values"]
    of_items = [entry.spec for entry in loading.store().summaries() if _of_same_items(entry.spec, like)]
    alike = [varied.of(spec) for spec in of_items if is_like(spec, like, varied)]
    missing = _in_order(value for value in dict.fromkeys(alike) if value not in chosen)
    return [varied.named(value) for value in missing], len(of_items) - len(alike)


def _of_same_items(one: RunSpec, other: RunSpec) -> bool:
    return (one.task, one.n_items, one.seed) == (other.task, other.n_items, other.seed)


def _in_order(values: Iterable[Any]) -> list[Any]:
    kept = list(values)
    return sorted(kept) if all(isinstance(value, int) for value in kept) else kept


def is_like(recorded: RunSpec, asked: RunSpec, varied: Variation) -> bool:
    """Whether a recorded, resolved spec differs from one that was asked for in the varied thing alone."""
    if not _of_same_items(recorded, asked):
        return False  # most runs of a full cache, told without resolving anything
    try:
        return loading.resolved(varied.put(asked, varied.of(recorded))).spec == recorded
    except UserError:
        return False


def members() -> list[Member]:
    """The conditions of the set, in order."""
    if page_state()["vary"] == CHOSEN:
        entries = {entry.key: entry for entry in loading.store().summaries()}
        runs = [entries[key] for key in page_state()["runs"] if key in entries]
        names = [run_name(entry) for entry in runs]
        # Two runs may have one name; each is a condition.
        return [
            _chosen(entry, name if names.count(name) == 1 else f"{name} · {entry.key[:6]}")
            for entry, name in zip(runs, names, strict=True)
        ]
    varied, letters = (
        VARIATIONS[page_state()["vary"]],
        {_plain(condition_specs().b): "B: ", _plain(condition_specs().a): "A: "},
    )
    specs = {value: varied.put(base()[1], value) for value in page_state()["values"]}
    return [_member(f"{letters.get(_plain(spec), '')}{varied.named(value)}", spec) for value, spec in specs.items()]


def _member(label: str, spec: RunSpec) -> Member:
    one = loading.found(spec)
    return Member(label, spec, one.resolved, one.recording, one.problem)


def _chosen(entry: Summary, label: str) -> Member:
    """A recorded run as it is, wherever it was made; it is never run again from what it says of itself."""
    try:
        return Member(label, entry.spec, None, loading.recording(entry.key))
    except UserError as error:
        return Member(label, entry.spec, None, None, str(error))
