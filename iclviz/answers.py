"""Answers on disk: each question's result in a file, those that were not read for longest making room for new ones."""

import io
import logging
from typing import Any, TypeVar

from iclviz.disk import writing
from iclviz.formats import NewerError
from iclviz.questions.codec import decode, encode
from iclviz.questions.question import Question, Refusal
from iclviz.rows import DamagedRowError, Rows
from iclviz.store import Store

T = TypeVar("T")

MOST_BYTES = 4 * 2**30

log = logging.getLogger(__name__)


class Answers:
    """The answers of one cache folder."""

    def __init__(self, store: Store) -> None:
        self._folder = store.folder / "answers"
        with writing(store.folder):
            self._files = Rows(self._folder, eviction_policy="least-recently-used", size_limit=MOST_BYTES)

    def __contains__(self, question: Question[Any]) -> bool:
        return question.digest in self._files

    def get(self, question: Question[T]) -> T | None:
        """The answer, None where there is none yet; a damaged one is dropped, so that it is computed again.

        Raises
        ------
        AnalysisError: the recordings cannot answer it.
        NewerError: the answer is of a newer format.
        StoreError: the cache cannot be written: reading notes what was read last.
        """
        try:
            with writing(self._folder):
                file = self._files.read(question.digest, as_file=True)
            if file is None:
                return None
            with file:
                answer = decode(file.read())
        except (DamagedRowError, ValueError) as error:
            log.warning("answer %s: %s; it is computed again", question.digest, error)
            self.drop(question.digest)
            return None
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer  # type: ignore[no-any-return]

    def put(self, question: Question[T], answer: T | Refusal) -> None:
        """Keep an answer.

        Raises
        ------
        StoreError: the cache cannot be written.
        """
        with writing(self._folder):
            self._files.write_file(question.digest, io.BytesIO(encode(answer)))

    def drop(self, digest: str) -> None:
        """Forget an answer."""
        with writing(self._folder):
            del self._files[digest]

    def damaged(self) -> dict[str, str]:
        """The digests of answers whose files do not hold what was written, with what is wrong."""
        wrong = {}
        for digest in self._files:
            try:
                with self._files.read(digest, as_file=True) as file:
                    decode(file.read())
            except NewerError as error:
                wrong[digest] = str(error)
            except (AttributeError, ValueError) as error:
                wrong[digest] = f"The answer {digest} is damaged ({error})."
        return wrong
