"""A comparison or a study as one file: a command in a process of its own, its progress, and the file when it is there.

Images take a while, which no page waits for; what they show is computed while somebody still reads. The process ends
with the dashboard: it holds its standard input.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from iclviz.jobs.starting import Process
from iclviz.recording import Recording
from iclviz.reporting.recipes import foretold_questions
from iclviz.ui.answering import prepare
from iclviz.ui.plain_text import lines_as_text

REFRESH_SECONDS = 1.0
READ_SECONDS = 8.0
"""How long a page is read before what its files show is computed."""
MOST_KEPT = 4
"""Files that are kept for whoever comes back to them."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: the command that writes it, its name and media type, its buttons and what it is for."""

    command: str
    name: str
    mime: str
    button: str
    ready: str
    icon: str
    about: str


KINDS = (
    Kind(
        "export",
        "comparison.zip",
        "application/zip",
        "Save this comparison (ZIP)",
        "Download the ZIP file",
        "folder_zip",
        "Figures for the screen and for a paper, their numbers, tables of items, the recordings, the methods paragraph "
        "and a script that draws the figures again.",
    ),
    Kind(
        "report",
        "report.html",
        "text/html",
        "Save a report (HTML)",
        "Download the report",
        "article",
        "One page to read and to send on: what was found, figures with hover and zoom, all items, methods. It needs no "
        "network.",
    ),
)


STUDY = Kind(
    "study",
    "study.zip",
    "application/zip",
    "Save the study (ZIP)",
    "Download the study",
    "folder_zip",
    "One page of all of it, figures with their tables, every run with its key and score, the comparison that was "
    "meant, methods, and a notebook. The command line's --with-recordings adds the recordings.",
)


class Making:
    """The making of one file in a folder of its own, which goes when this does."""

    def __init__(self, arguments: Sequence[str], kind: Kind = KINDS[0]) -> None:
        """arguments: of the command, such as the keys of recordings."""
        self._folder = TemporaryDirectory(prefix="iclviz-", ignore_cleanup_errors=True)
        self.file, self._told, self._problem = (
            Path(self._folder.name, name) for name in (kind.name, "told", "problem")
        )
        command = [sys.executable, "-m", "iclviz", kind.command, *arguments, "--to", str(self.file), "--json"]
        with self._told.open("wb") as progress_file, self._problem.open("wb") as problem:
            self._process: Process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=progress_file, stderr=problem, start_new_session=True
            )

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    @property
    def problem(self) -> str:
        """What went wrong, in the command's own words; nothing where nothing did."""
        if self._process.poll() in (None, 0):
            return ""
        return self._problem.read_text(errors="replace").strip() or "The export ended without a word."

    @property
    def progress(self) -> tuple[float, str]:
        """How much is done, as a share and in words."""
        lines = self._told.read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        if not whole:
            return 0.0, "Reading the recordings …"
        done, total = whole[-1]["items_done"], max(whole[-1]["items_total"], 1)
        return min(done / total, 1.0), f"{whole[-1]['stage'].capitalize()}: {done} of {total} …"

    def stop(self) -> None:
        """End it as its user would."""
        self._process.terminate()
        self._process.wait()


Asked = tuple[str, tuple[str, ...], str]
"""The command of a file, its arguments, and what tells their content from what it was before."""


@st.cache_resource(show_spinner=False)
def _makings() -> dict[Asked, Making]:
    """What was asked for -> its last making; shared by all sessions."""
    return {}


def comparison_buttons(recordings: Mapping[str, Recording]) -> None:
    """A button for each kind of file of some recordings, label -> recording; its progress, and then the file."""
    if not recordings:
        return
    keys = tuple(dict.fromkeys(one.key for one in recordings.values()))
    _prepare(dict(recordings), keys)
    file_buttons(KINDS, keys)


def file_buttons(kinds: Sequence[Kind], arguments: tuple[str, ...], content: str = "") -> None:
    """A button for each kind of file that commands with these arguments make; its progress, and then the file.

    content: what tells what is in the files from what was in them before.
    """
    every: list[tuple[Kind, Asked]] = [(kind, (kind.command, arguments, content)) for kind in kinds]
    with st.container(horizontal=True):
        under_way = [asked for kind, asked in every if not _offered(kind, asked)]
    for asked in under_way:
        _watch(asked, _makings()[asked])
    for _, asked in every:
        making = _makings().get(asked)
        if making is not None and making.problem:
            st.error(lines_as_text(making.problem))


@st.fragment(run_every=READ_SECONDS)
def _prepare(recordings: Mapping[str, Recording], keys: tuple[str, ...]) -> None:
    """Have what the files show computed once somebody has read for a while: who passes by needs none of it."""
    since = st.session_state.setdefault("read since", {}).setdefault(keys, time.monotonic())
    if time.monotonic() - since >= READ_SECONDS:
        for question in foretold_questions(recordings):
            prepare(question)


def _offered(kind: Kind, asked: Asked) -> bool:
    """A kind's button, or its file; False where it is being made."""
    making = _makings().get(asked)
    if making is not None and making.is_running:
        return False
    if making is not None and not making.problem:
        st.download_button(
            kind.ready,
            making.file.read_bytes,
            file_name=kind.name,
            mime=kind.mime,
            on_click="ignore",
            icon=":material/download:",
            help=kind.about,
        )
    else:
        icon = f":material/{kind.icon}:"
        st.button(kind.button, on_click=_make, args=(kind, asked), icon=icon, help=kind.about)
    return True


def _make(kind: Kind, asked: Asked) -> None:
    makings = _makings()
    makings[asked] = Making(asked[1], kind)
    ended = [one for one, making in list(makings.items()) if not making.is_running]
    for one in ended[:-MOST_KEPT]:
        makings.pop(one, None)


@st.fragment(run_every=REFRESH_SECONDS)
def _watch(asked: Asked, making: Making) -> None:
    if not making.is_running:
        st.rerun()
    share, words = making.progress
    st.progress(share, text=words)
    st.button("Stop", key=f"stop-{asked[0]}", on_click=_stop, args=(asked,), help="Stop making the file.")


def _stop(asked: Asked) -> None:
    _makings().pop(asked).stop()
