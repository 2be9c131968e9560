"""Answers on disk: each question's result in a file, those that were not read for longest making room for new ones."""

import io
from pathlib import Path
from typing import Any, TypeVar

from diskcache import Cache

from iclviz.questions.codec import decode, encode
from iclviz.questions.question import Question, Refusal
from iclviz.store import PlainJSONDisk, Store, writing

T = TypeVar("T")

MOST_BYTES = 4 * 2**30


class Answers:
    """The answers of one cache folder."""

    def __init__(self, store: Store) -> None:
        with writing(store.folder):
            options = {"eviction_policy": "least-recently-used", "size_limit": MOST_BYTES, "timeout": 60}
            self._files = Cache(str(store.folder / "answers"), disk=PlainJSONDisk, **options)

    def __contains__(self, question: Question[Any]) -> bool:
        return question.digest in self._files

    def get(self, question: Question[T]) -> T | None:
        """The answer, None where there is none yet.

        Raises
        ------
        AnalysisError: the recordings cannot answer it.
        """
        file = self._files.get(question.digest, read=True)
        if file is None:
            return None
        with file:
            answer = decode(Path(file.name))
        if isinstance(answer, Refusal):
            raise answer.error()
        return answer  # type: ignore[no-any-return]

    def put(self, question: Question[T], answer: T | Refusal) -> None:
        """Keep an answer.

        Raises
        ------
        StoreError: the cache cannot be written.
        """
        with writing(Path(self._files.directory)):
            self._files.set(question.digest, io.BytesIO(encode(answer)), read=True)
