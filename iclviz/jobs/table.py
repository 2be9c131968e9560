"""Jobs on disk: work that was asked for, with its state, whoever asked and wherever it is done.

A job is data: its work and how it stands. Its id is the key of what it makes, so two askers of one thing share a job.
Askers take turns: nobody waits for all that another one asked for.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from filelock import FileLock, Timeout

from iclviz.errors import StoreError
from iclviz.store import Store, open_cache, writing

State = Literal["queued", "running", "done", "failed", "cancelled"]

LOCK_WAIT = 2.0
"""Seconds to wait for a lock that somebody may be holding only to look at it."""


class Work(Protocol):
    """What can be asked for: data that goes to JSON and comes back."""

    @property
    def n_items(self) -> int:
        """How many items are worked on."""

    def to_dict(self) -> dict[str, Any]:
        """The work as plain JSON values."""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The work that `to_dict` wrote."""


W = TypeVar("W", bound=Work)


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    stage: "loading the model", "running", ...
    items_done, items_total: items recorded, or steps of an analysis.
    tokens_per_second: tokens read and written per second so far, None before the first batch.
    seconds_left: estimate, None before the first batch.
    """

    stage: str = "waiting"
    items_done: int = 0
    items_total: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None


Report = Callable[[Progress], None]
"""Told how far a job is."""


@dataclass(frozen=True)
class Job(Generic[W]):
    """Work that was asked for, by whom, and how it stands; times are seconds since the epoch."""

    key: str
    spec: W
    state: State = "queued"
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    progress: Progress = field(default_factory=Progress)
    error: str | None = None
    cancel_requested: bool = False
    asker: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the job still waits or runs."""
        return self.state in ("queued", "running")

    def to_dict(self) -> dict[str, Any]:
        """The job as plain JSON values."""
        return {**self.__dict__, "spec": self.spec.to_dict(), "progress": asdict(self.progress)}


class JobTable(Generic[W]):
    """The jobs of one kind in a cache folder.

    Attributes
    ----------
    name: the table's folder in the cache; work: the kind of work in it.
    """

    name: str
    work: type[W]

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.folder / self.name
        with writing(store.folder):
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            self._jobs = open_cache(self.folder)

    def jobs(self) -> list[Job[W]]:
        """Every job, oldest first."""
        found = (self.get(str(key)) for key in list(self._jobs))
        return sorted((job for job in found if job), key=lambda job: job.created)

    def get(self, key: str) -> Job[W] | None:
        """The job of that key."""
        values = self._jobs.get(key)
        if not values:
            return None
        spec, progress = self.work.from_dict(values["spec"]), Progress(**values["progress"])
        return Job(**{**values, "spec": spec, "progress": progress})

    def submit(self, spec: W, key: str, mine: bool = False, asker: str = "") -> Job[W]:
        """Ask for work; a job of the same key that waits or runs is returned as it is, any other is asked for anew.

        mine: the caller does the work, so whatever an open job says was left by a process that is gone.
        asker: who asks; askers take turns.
        """
        with writing(self.store.folder), self._jobs.transact():
            known = self.get(key)
            if known and known.is_open and not mine and not self._is_abandoned(known):
                return known
            job = Job(key, spec, created=time.time(), progress=Progress(items_total=spec.n_items), asker=asker)
            self._jobs[key] = job.to_dict()
            return job

    def _is_abandoned(self, job: Job[W]) -> bool:
        """Whether an open job will never be done."""
        return False

    def change(self, key: str, **changes: Any) -> Job[W] | None:
        """Change fields of a job."""
        with writing(self.store.folder), self._jobs.transact():
            job = self.get(key)
            if job is None:
                return None
            job = replace(job, **changes)
            self._jobs[key] = job.to_dict()
            return job

    def start(self, key: str) -> Job[W] | None:
        """Mark a job as running."""
        return self.change(key, state="running", started=time.time(), finished=None, error=None)

    def finish(self, key: str, state: State, error: str | None = None) -> Job[W] | None:
        """Mark a job as ended."""
        return self.change(key, state=state, finished=time.time(), error=error, cancel_requested=False)

    def remove(self, key: str) -> None:
        """Forget a job that has ended."""
        job = self.get(key)
        if job and not job.is_open:
            self._jobs.delete(key)

    def in_turn(self) -> list[Job[W]]:
        """The open jobs in the order in which they are done: those of the asker who was served longest ago first, each
        asker's the oldest first.
        """
        jobs = self.jobs()
        served = {job.asker: 0.0 for job in jobs if job.is_open}
        for job in jobs:
            if job.asker in served:
                served[job.asker] = max(served[job.asker], job.started or 0.0)
        turns = {asker: turn for turn, asker in enumerate(sorted(served, key=served.__getitem__))}
        return sorted((job for job in jobs if job.is_open), key=lambda job: (turns[job.asker], job.created))

    @contextmanager
    def worker_lease(self, device: str) -> Iterator[bool]:
        """Be the one worker of this table for a device; False where another is."""
        with held(FileLock(self._worker_lock(device), timeout=LOCK_WAIT), self.store.folder) as mine:
            yield mine

    def worker_lives(self, device: str) -> bool:
        """Whether a worker holds this table's device."""
        with held(FileLock(self._worker_lock(device), timeout=0), self.store.folder) as free:
            return not free

    def _worker_lock(self, device: str) -> Path:
        return self.folder / "locks" / f"worker-{device}.lock"


@contextmanager
def held(lock: FileLock, folder: Path) -> Iterator[bool]:
    """Hold a lock; False where somebody else does.

    Raises
    ------
    StoreError: the cache folder cannot be written.
    """
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StoreError(
            f"The cache folder {folder} cannot be written ({error.strerror}).",
            "Allow writing, or set ICLVIZ_CACHE to another folder.",
        ) from error
    try:
        yield True
    finally:
        lock.release()
