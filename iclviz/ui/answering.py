"""Answers to questions as pages need them: from this process's memory, from disk, or awaited from the analyst.

`slot()` marks the part of a page that needs answers: where one is not there yet, the part shows how far it is instead,
the rest of the page goes on, and the page is drawn anew when the answer has come.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import streamlit as st
from cachetools import LRUCache

from iclviz.answers import Answers
from iclviz.errors import AnalysisError, UserError
from iclviz.jobs.asked import Asked
from iclviz.jobs.starting import ensure_analyst
from iclviz.jobs.table import Progress
from iclviz.places import cache_folder
from iclviz.questions.question import Question
from iclviz.store import Store
from iclviz.ui.plain_text import lines_as_text

T = TypeVar("T")
Name = TypeVar("Name")

MEMORY_BYTES = 128 * 2**20
REFRESH_SECONDS = 0.25
AWAITED_HEIGHT = 420
"""That of most figures, so that little moves when one comes."""


class Waiting(Exception):
    """Some answers are not there yet."""

    def __init__(self, questions: Sequence[Question[Any]]) -> None:
        self.questions = questions
        super().__init__(f"{len(questions)} answers are awaited")


class Memory:
    """Answers that this process has read, shared by all sessions, up to a number of bytes."""

    def __init__(self) -> None:
        self._answers: LRUCache[str, Any] = LRUCache(MEMORY_BYTES, size)
        self._lock = Lock()

    def get(self, name: str) -> Any:
        """The answer, None where it is not held."""
        with self._lock:
            return self._answers.get(name)

    def put(self, name: str, answer: Any) -> None:
        """Hold an answer, unless it is larger than all that is held."""
        with self._lock:
            if size(answer) <= MEMORY_BYTES:
                self._answers[name] = answer


def size(answer: Any) -> int:
    """About how many bytes an answer takes."""
    if isinstance(answer, np.ndarray):
        return int(answer.nbytes)
    if isinstance(answer, Mapping):
        return sum(size(part) for part in answer.values())
    if is_dataclass(answer):
        return sum(size(getattr(answer, field.name)) for field in fields(answer))
    return 64


@st.cache_resource(show_spinner=False)
def _of_cache(folder: str) -> tuple[Memory, Answers, Asked]:
    store = Store(folder)
    return Memory(), Answers(store), Asked(store)


def answers(questions: Mapping[Name, Question[T]]) -> dict[Name, T]:
    """The answers, under the names of their questions.

    Raises
    ------
    Waiting: some are not there yet; they are asked for.
    AnalysisError: the recordings cannot answer one.
    UserError: one could not be computed.
    """
    found = {name: _found(question) for name, question in questions.items()}
    missing = {name: question for name, question in questions.items() if found[name] is None}
    if missing:
        _ask(list(missing.values()))
        found |= {name: _found(question) for name, question in missing.items()}
    if left := [question for name, question in missing.items() if found[name] is None]:
        raise Waiting(left)
    return found  # type: ignore[return-value]


def answer(question: Question[T]) -> T:
    """The answer to one question; raises as `answers`."""
    return answers({"": question})[""]


def answers_there_are(questions: Mapping[Name, Question[T]]) -> dict[Name, T]:
    """The answers to those questions that the recordings can answer, under the names of the questions.

    Raises
    ------
    Waiting: some are not there yet; all are asked for.
    UserError: one could not be computed.
    """
    found: dict[Name, T] = {}
    awaited: list[Question[Any]] = []
    for name, question in questions.items():
        try:
            found[name] = answer(question)
        except Waiting as waiting:
            awaited += waiting.questions
        except AnalysisError:
            continue  # its own page says why
    if awaited:
        raise Waiting(awaited)
    return found


def _found(question: Question[T]) -> T | None:
    memory, kept, _ = _of_cache(str(cache_folder()))
    found: T | None = memory.get(question.digest)
    if found is None and (found := kept.get(question)) is not None:
        memory.put(question.digest, found)
    return found


def asker() -> str:
    """What tells this session from others that ask: sessions take turns."""
    return str(st.session_state.setdefault("asker", uuid.uuid4().hex))


def _ask(questions: Sequence[Question[Any]]) -> None:
    asked = _of_cache(str(cache_folder()))[2]
    for question in questions:
        job = asked.get(question.digest)
        if job and job.state == "failed":
            asked.drop(job.key)
            raise UserError(job.error or "This could not be computed.", "Reload the page to try again.")
        asked.submit(question, question.digest, asker=asker())
        st.session_state.setdefault("awaited", set()).add(question.digest)
    ensure_analyst(asked)


def prepare(question: Question[Any]) -> None:
    """Ask for an answer that the next page is likely to need, without waiting for it; that page tells of a failure."""
    _, kept, asked = _of_cache(str(cache_folder()))
    job = asked.get(question.digest)
    if question not in kept and not (job and job.state == "failed"):
        _ask([question])


@contextmanager
def only_what_is_shown() -> Iterator[None]:
    """A whole page: what this session asked for before and the page does not ask for again is not computed."""
    before = st.session_state.pop("awaited", set())
    try:
        yield
    finally:
        for digest in before - st.session_state.get("awaited", set()):
            _of_cache(str(cache_folder()))[2].drop(digest)


@contextmanager
def slot() -> Iterator[None]:
    """A part of a page that needs answers; what stands in it until they are there says how far they are, and where the
    recordings cannot give them it says why.
    """
    try:
        yield
    except Waiting as waiting:
        _watch(waiting.questions)
    except AnalysisError as error:
        st.info(lines_as_text(str(error)))
    except UserError as error:  # a damaged recording, a full disk: the rest of the page goes on
        st.error(lines_as_text(str(error)))


def _watch(questions: Sequence[Question[Any]]) -> None:
    _, kept, asked = _of_cache(str(cache_folder()))

    @st.fragment(run_every=REFRESH_SECONDS)
    def watch() -> None:
        ensure_analyst(asked)
        left = [question for question in questions if question not in kept]
        jobs = [asked.get(question.digest) for question in left]
        if not left or any(job is None or job.state == "failed" for job in jobs):
            st.rerun()
        done = len(questions) - len(left)
        progress = next((job.progress for job in jobs if job and job.state == "running"), Progress())
        stage = "Waiting for its turn" if progress.stage == Progress().stage else progress.stage.capitalize()
        share = progress.items_done / progress.items_total if progress.items_total else 0.0
        place = st.container(
            border=True, height=AWAITED_HEIGHT, vertical_alignment="center", key=f"awaited-{questions[0].digest[:12]}"
        )
        with place:
            st.progress((done + min(share, 1.0)) / len(questions), text=f"{stage} …")

    watch()
