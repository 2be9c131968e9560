"""What a run that waits for a click will take, in a line; a process beside the page foretells it."""

import json
import os
import subprocess
import sys
import threading
from typing import Any

import streamlit as st

from iclviz.jobs.starting import Process
from iclviz.places import cache_folder
from iclviz.resolve import Resolved
from iclviz.spec import canonical_json
from iclviz.ui.conditions import Condition, badge
from iclviz.ui.plain_text import as_text

REFRESH_SECONDS = 1.0
COMMAND = [sys.executable, "-m", "iclviz.planning"]


class Planner:
    """The process that plans runs, started when it is first asked, and what it answered: spec as JSON -> answer."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Any]] = {}
        self._asked: list[str] = []
        self._process: Process | None = None
        self._lock = threading.Lock()

    def answer(self, spec: str) -> dict[str, Any] | None:
        """The answer to a spec, None where it is not there yet: it is asked for then."""
        with self._lock:
            if spec not in self._answers and spec not in self._asked:
                self._ask(spec)
            return self._answers.get(spec)

    def _ask(self, spec: str) -> None:
        if self._process is None or self._process.poll() is not None:
            self._asked.clear()
            environment = {**os.environ, "ICLVIZ_CACHE": str(cache_folder())}
            self._process = subprocess.Popen(
                COMMAND, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        assert self._process.stdin is not None
        self._asked.append(spec)
        self._process.stdin.write(f"{spec}\n".encode())
        self._process.stdin.flush()

    def _read(self, process: Process) -> None:
        """Keep what the process answers, in the order of asking; what it leaves unanswered has no answer."""
        assert process.stdout is not None
        for line in process.stdout:
            with self._lock:
                self._answers[self._asked.pop(0)] = json.loads(line)
        with self._lock:
            if process is self._process:
                self._answers |= {spec: {"problem": "This could not be foretold."} for spec in self._asked}
                self._asked.clear()


@st.cache_resource(show_spinner=False)
def planner() -> Planner:
    """The one of this page process."""
    return Planner()


def foretell(waiting: list[Condition]) -> None:
    """A line under the buttons: about how long each run takes, and how much memory and disk; the rest is folded."""
    runs = {one.side: one.resolved for one in waiting if one.resolved is not None}
    if runs:
        _watch(runs, None if all(_answer(run) for run in runs.values()) else REFRESH_SECONDS)


def _answer(run: Resolved) -> dict[str, Any] | None:
    try:
        return planner().answer(canonical_json(run.spec.to_dict()))
    except OSError:  # the process ended while it was asked
        return None


def _watch(runs: dict[Any, Resolved], run_every: float | None) -> None:
    @st.fragment(run_every=run_every)
    def watch() -> None:
        answers = {side: _answer(run) for side, run in runs.items()}
        if run_every is not None and all(answers.values()):
            st.rerun()
        known = {side: one for side, one in answers.items() if one and "problem" not in one}
        if not known:
            return
        st.caption(" · ".join(f"{badge(side)} {line(one)}" for side, one in known.items()) + ", on this machine")
        with st.expander("What that rests on"):
            for side, one in known.items():
                st.markdown(badge(side))
                st.text("\n".join(one["lines"]))

    watch()


def line(plan: dict[str, Any]) -> str:
    """Time, memory and disk of a plan in a few words."""
    seconds, memory = plan["seconds"]["total"], plan["memory"]
    took = (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
    return as_text(f"about {took}, {memory['total'] / 1e9:.1f} GB of memory, {memory['disk'] / 1e6:.0f} MB of disk")
