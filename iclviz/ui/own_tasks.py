"""The user's own task in the browser: a file is uploaded, checked and kept, and can then be chosen like any task.

What is shown of a file is text, never Markdown or HTML.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from iclviz.errors import UserError
from iclviz.places import checkout
from iclviz.tasks import OwnTask, task
from iclviz.tasks.listing import Listed, forget, listed
from iclviz.tasks.own_rows import TaskFile
from iclviz.tasks.task_files import FORMS, MOST_BYTES, SCHEMA, keep, parse, shortened, tasks_folder
from iclviz.ui.link_fields import SIDES
from iclviz.ui.page_state import page_state, set_state
from iclviz.ui.plain_text import as_text, lines_as_text

EXAMPLES = (checkout() or Path(__file__).parents[1] / "dashboard") / "docs" / "examples"

MOST_MEGABYTES = MOST_BYTES // 10**6

WHAT = (
    "A JSON, JSONL or CSV file, one row a query: `query`, `answer`, and, if you like, `label:NAME`, `group`, "
    "`relevant` and `irrelevant` text, `candidates`, `use`. Labels become hypotheses and probes, groups their units, "
    "relevant and irrelevant text the attention ratio. `docs/own-tasks.md` explains every field."
)


def section() -> None:
    """Examples to start from, the upload, and what was read of it."""
    st.markdown(WHAT)
    with st.container(horizontal=True):
        for path in (*(EXAMPLES / f"own_task{ending}" for ending in FORMS), SCHEMA):
            if path.is_file():
                st.download_button(_download_title(path), path.read_bytes(), path.name, key=f"download-{path.name}")
    uploaded = st.file_uploader(
        "Task file", [ending[1:] for ending in FORMS], key="own-task", max_upload_size=MOST_MEGABYTES
    )
    if uploaded is not None:
        _take(uploaded)
    _kept_tasks()


def _kept_tasks() -> None:
    """The tasks that are kept, each with a button that removes it, and the files there that are none."""
    found = listed()
    for place, one in enumerate(found):
        if one.problem:
            st.warning(lines_as_text(one.problem))
            if not one.is_newer:
                st.button("Remove the file", key=f"remove-task-{place}", on_click=_forget, args=(one,))
    there = {one.name: one for one in found if not one.problem}
    if there:
        with st.expander(f"Kept tasks ({len(there)})"):
            name = st.selectbox("Task to remove", list(there), format_func=lambda name: plain_title(there[name]))
            st.button("Remove this task", on_click=_forget, args=(there[name],), help="Its recordings stay.")
    if problem := st.session_state.pop("task_problem", None):
        st.error(lines_as_text(problem))


def plain_title(one: Listed) -> str:
    """What tells a kept task from others."""
    return f"{one.title} ({one.digest[:6]})"


def _forget(one: Listed) -> None:
    try:
        forget(one)
    except UserError as error:
        st.session_state["task_problem"] = str(error)


def _download_title(path: Path) -> str:
    return "JSON Schema" if path == SCHEMA else f"Example as {path.suffix[1:].upper()}"


@dataclass(frozen=True)
class Taken:
    """What became of an uploaded file: its task and what was read of it, or why there is none."""

    task_name: str = ""
    sentences: tuple[str, ...] = ()
    problem: str = ""


def _take(uploaded: Any) -> None:
    """Check and keep a file, and offer its task."""
    found = _taken(uploaded.file_id, str(tasks_folder()), uploaded)
    if found.problem:
        st.error(lines_as_text(found.problem))
        return
    st.success(lines_as_text("\n".join(found.sentences)))
    with suppress(UserError):  # it may have been removed meanwhile
        the_task = task(found.task_name)
        assert isinstance(the_task, OwnTask)
        if told := told_changes(the_task, page_state()):
            st.info(as_text(f"With this task {told}."))
    st.button("Use for A and B", on_click=use, args=(found.task_name,), type="primary")


@st.cache_resource(show_spinner="Reading the file …", max_entries=64)
def _taken(file_id: str, folder: str, _uploaded: Any) -> Taken:
    """Read once for each upload, however often the page is drawn."""
    try:
        file = parse(_uploaded.getvalue(), _uploaded.name)
        keep(file)
    except UserError as error:
        return Taken(problem=str(error))
    told = shortened(_uploaded.name, file)
    return Taken(file.task_name, (*summary(file), *([told] if told else [])))


def summary(file: TaskFile) -> list[str]:
    """What was read of a file, in sentences."""
    labels = [f"{name} ({kind})" for name, kind in file.labels.items()]
    grouped = sum(bool(row.sources) for row in file.queries)
    relevant, irrelevant = (sum(bool(part) for part in parts) for parts in _parts(file))
    return [
        f"Read: {len(file.queries)} queries, {len(file.marked)} rows for demonstrations, scored by {file.scoring}.",
        f"Labels: {', '.join(labels)}." if labels else "No labels: the answers are the label.",
        f"{grouped} queries have groups." if grouped else "No groups: every query is a unit of its own.",
        f"{relevant} queries have relevant text, {irrelevant} have irrelevant text.",
        *copies(file),
        *map(str, file.spellings.twice[:MOST_COPIES]),
    ]


MOST_COPIES = 3


def copies(file: TaskFile) -> list[str]:
    """A sentence on queries that are nearly the same text, where there are some."""
    if not file.doubles:
        return []
    named = "; ".join(f"{one} and {other}" for one, other in file.doubles[:MOST_COPIES])
    more = f" and {len(file.doubles) - MOST_COPIES} more" if len(file.doubles) > MOST_COPIES else ""
    return [
        f"{len(file.doubles)} queries are nearly the text of another ({named}{more}): each counts as an item of its "
        "own, so give such rows one unit, or leave one out."
    ]


def _parts(file: TaskFile) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    return [row.relevant for row in file.queries], [row.irrelevant for row in file.queries]


def use(name: str) -> None:
    """Choose a task for A and B, with no more items and demonstrations than it has; for a button."""
    the_task = task(name)
    assert isinstance(the_task, OwnTask)
    set_state({**{f"{side}_task": name for side in SIDES}, **_fitting(the_task, page_state())})


def offer_fit() -> None:
    """What does not fit the chosen task, and a button that lowers items and k to what it has."""
    chosen = page_state()
    try:
        the_task = task(chosen["a_task"])
    except UserError:  # its condition says so
        return
    if chosen["a_task"] != chosen["b_task"] or not isinstance(the_task, OwnTask):
        return
    fitting = _fitting(the_task, chosen)
    if all(value == chosen[name] for name, value in fitting.items()):
        return
    most = the_task.most_demonstrations(min(chosen["items"], len(the_task.file.queries)))
    st.warning(f"With {chosen['items']} items {most} rows are left to show as demonstrations.")
    ks = " and ".join(dict.fromkeys(f"k = {fitting[f'{side}_k']}" for side in SIDES if chosen[f"{side}_k"]))
    st.button(f"Take {fitting['items']} items and {ks}", on_click=set_state, args=(fitting,), type="primary")


def _fitting(the_task: OwnTask, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen numbers, lowered to what a task has: the items first, so that rows are left to show."""
    wanted = max(chosen[f"{side}_k"] for side in SIDES)
    items = min(chosen["items"], len(the_task.file.queries))
    enough = (n for n in range(items, FEWEST_ITEMS - 1, -1) if the_task.most_demonstrations(n) >= wanted)
    items = next(enough, items)
    most = the_task.most_demonstrations(items)
    return {"items": items, **{f"{side}_k": min(chosen[f"{side}_k"], most) for side in SIDES}}


def told_changes(the_task: OwnTask, chosen: Mapping[str, Any]) -> str:
    """What of the chosen numbers would change with a task and why, to go on after "With this task"; "" for nothing."""
    fitting = _fitting(the_task, chosen)
    words = {"items": "items", "a_k": "k in A", "b_k": "k in B"}
    changed = [
        f"{words[name]} would be {value} instead of {chosen[name]}"
        for name, value in fitting.items()
        if value != chosen[name]
    ]
    if not changed:
        return ""
    most = the_task.most_demonstrations(fitting["items"])
    return (
        f"{' and '.join(changed)}: it has {len(the_task.file.queries)} queries, and {fitting['items']} items leave "
        f"{most} rows to show"
    )


FEWEST_ITEMS = 8
"""Fewer are not proposed, however many demonstrations are wanted."""
