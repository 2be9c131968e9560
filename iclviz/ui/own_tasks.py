"""The user's own task in the browser: a file is uploaded, checked and kept, and can then be chosen like any task.

What is shown of a file is text, never Markdown or HTML.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from iclviz.errors import UserError
from iclviz.places import checkout
from iclviz.tasks import OwnTask, task
from iclviz.tasks.own_rows import TaskFile
from iclviz.tasks.task_files import FORMS, MOST_BYTES, SCHEMA, keep, kept, parse, read
from iclviz.ui.choice import SIDES, choices, choose
from iclviz.ui.plain import lines_as_text

EXAMPLES = (checkout() or Path(__file__).parents[1] / "dashboard") / "docs" / "examples"

MOST_MEGABYTES = MOST_BYTES // 10**6

WHAT = (
    "A JSON, JSONL or CSV file, one row a query: `query`, `answer`, and as you like `label:NAME`, `group`, `relevant` "
    "and `irrelevant` text, `candidates`, `use`. Labels become hypotheses and probes, groups their units, relevant and "
    "irrelevant text the attention ratio. `docs/own-tasks.md` explains every field."
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
        _take(uploaded.name, uploaded.getvalue())
    for one in kept():
        if one.file is None:
            st.warning(lines_as_text(one.problem))


def _download_title(path: Path) -> str:
    return "JSON Schema" if path == SCHEMA else f"Example as {path.suffix[1:].upper()}"


def _take(name: str, data: bytes) -> None:
    """Check and keep a file, and offer its task."""
    try:
        file = read(keep(parse(data, name)))
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return
    st.success(lines_as_text("\n".join(summary(file))))
    st.button("Use for A and B", on_click=use, args=(file.task_name,), type="primary")


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
        "own, so give such rows one group, or leave one out."
    ]


def _parts(file: TaskFile) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    return [row.relevant for row in file.queries], [row.irrelevant for row in file.queries]


def use(name: str) -> None:
    """Choose a task for A and B, with no more items and demonstrations than it has; for a button."""
    of = task(name)
    assert isinstance(of, OwnTask)
    choose({**{f"{side}_task": name for side in SIDES}, **_fitting(of, choices())})


def _fitting(of: OwnTask, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen numbers, lowered to what a task has."""
    items = min(chosen["items"], len(of.file.queries))
    most = of.most_demonstrations(items)
    return {"items": items, **{f"{side}_k": min(chosen[f"{side}_k"], most) for side in SIDES}}
