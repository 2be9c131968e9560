"""A comparison as one ZIP file: `iclviz export` in a process of its own, its progress, and the file when it is there.

Images take about a minute, which no page waits for. The process ends with the dashboard: it holds its standard input.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from iclviz.jobs.starting import Process
from iclviz.recording import Recording
from iclviz.ui.plain_text import lines_as_text

REFRESH_SECONDS = 1.0
MOST_KEPT = 4
"""Files that are kept for whoever comes back to them."""

NAME = "comparison.zip"
HELP = (
    "Figures for the screen and for a paper, their numbers, tables of items, the recordings, the methods paragraph and "
    "a script that draws the figures again."
)


class Making:
    """The making of one ZIP file in a folder of its own, which goes when this does."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._folder = TemporaryDirectory(prefix="iclviz-", ignore_cleanup_errors=True)
        self.file, self._told, self._problem = (Path(self._folder.name, name) for name in (NAME, "told", "problem"))
        command = [sys.executable, "-m", "iclviz", "export", *keys, "--to", str(self.file), "--json"]
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


@st.cache_resource(show_spinner=False)
def _makings() -> dict[tuple[str, ...], Making]:
    """Keys of recordings -> the ZIP file of them that was asked for last; shared by all sessions."""
    return {}


def comparison_button(recordings: Mapping[str, Recording]) -> None:
    """A button that makes one ZIP file of some recordings, label -> recording; its progress, and then the file."""
    if not recordings:
        return
    keys = tuple(dict.fromkeys(one.key for one in recordings.values()))
    making = _makings().get(keys)
    if making is not None and making.is_running:
        _watch(keys, making)
    elif making is not None and not making.problem:
        st.download_button(
            "Download the ZIP file",
            making.file.read_bytes,
            file_name=NAME,
            mime="application/zip",
            on_click="ignore",
            icon=":material/download:",
            help=HELP,
        )
    else:
        if making is not None:
            st.error(lines_as_text(making.problem))
        st.button("Save this comparison (ZIP)", on_click=_make, args=(keys,), icon=":material/folder_zip:", help=HELP)


def _make(keys: tuple[str, ...]) -> None:
    makings = _makings()
    makings[keys] = Making(keys)
    ended = [one for one, making in list(makings.items()) if not making.is_running]
    for one in ended[:-MOST_KEPT]:
        makings.pop(one, None)


@st.fragment(run_every=REFRESH_SECONDS)
def _watch(keys: tuple[str, ...], making: Making) -> None:
    if not making.is_running:
        st.rerun()
    share, words = making.progress
    st.progress(share, text=words)
    st.button("Stop", on_click=_stop, args=(keys,), help="Stop making the ZIP file.")


def _stop(keys: tuple[str, ...]) -> None:
    _makings().pop(keys).stop()
