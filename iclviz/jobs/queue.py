"""The queue on disk: one job for each run that was asked for, whoever asked, wherever it is computed.

A job is data: its spec and its state. Its id is its recording's key, so two jobs of one spec are one. Whoever computes
a job holds its lease, a lock that the operating system lets go when the process ends: a job that says "running" and
whose lease is free was left by a crash, and is taken up again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from iclviz.errors import StoreError
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store, open_cache, writing

State = Literal["queued", "running", "done", "failed", "cancelled"]

LOCK_WAIT = 2.0
"""Seconds to wait for a lock that somebody may be holding only to look at it."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes
    ----------
    stage: "loading the model", "running", ...
    items_done, items_total: items recorded.
    tokens_per_second: tokens read and written per second so far, None before the first batch.
    seconds_left: estimate, None before the first batch.
    """

    stage: str = "waiting"
    items_done: int = 0
    items_total: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None


Report = Callable[[Progress], None]
"""Told how far a run is."""


@dataclass(frozen=True)
class Job:
    """A run that was asked for, and how it stands; times are seconds since the epoch."""

    key: str
    spec: RunSpec
    state: State = "queued"
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    progress: Progress = field(default_factory=Progress)
    error: str | None = None
    cancel_requested: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the job still waits or runs."""
        return self.state in ("queued", "running")

    def to_dict(self) -> dict[str, Any]:
        """The job as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        """The job that `to_dict` wrote."""
        spec = RunSpec.from_dict(values["spec"])
        return cls(**{**values, "spec": spec, "progress": Progress(**values["progress"])})


class Queue:
    """The jobs of one cache folder."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.folder / "queue"
        with writing(store.folder):
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
            self._jobs = open_cache(self.folder)

    def jobs(self) -> list[Job]:
        """Every job, oldest first."""
        found = (self.get(str(key)) for key in list(self._jobs))
        return sorted((job for job in found if job), key=lambda job: job.created)

    def get(self, key: str) -> Job | None:
        """The job of that key."""
        values = self._jobs.get(key)
        return Job.from_dict(values) if values else None

    def submit(self, spec: RunSpec, key: str, mine: bool = False) -> Job:
        """Ask for a run; a job of the same key that waits or runs is returned as it is, any other is asked for anew.

        mine: the caller holds the lease, so whatever an open job says was left by a process that is gone.
        """
        with writing(self.store.folder), self._jobs.transact():
            known = self.get(key)
            if known and known.is_open and not mine and not self._left_while_stopping(known):
                return known
            job = Job(key, spec, created=time.time(), progress=Progress(items_total=spec.n_items))
            self._jobs[key] = job.to_dict()
            return job

    def _left_while_stopping(self, job: Job) -> bool:
        return job.cancel_requested and not self.is_leased(job.key)

    def change(self, key: str, **changes: Any) -> Job | None:
        """Change fields of a job."""
        with writing(self.store.folder), self._jobs.transact():
            job = self.get(key)
            if job is None:
                return None
            job = replace(job, **changes)
            self._jobs[key] = job.to_dict()
            return job

    def start(self, key: str) -> Job | None:
        """Mark a job as running."""
        return self.change(key, state="running", started=time.time(), finished=None, error=None)

    def finish(self, key: str, state: State, error: str | None = None) -> Job | None:
        """Mark a job as ended."""
        return self.change(key, state=state, finished=time.time(), error=error, cancel_requested=False)

    def cancel(self, key: str) -> None:
        """End a waiting job, or ask whoever runs it to stop; finished batches stay, so it can go on later."""
        job = self.get(key)
        if job and job.is_open:
            with self.lease(key) as mine:
                if mine:
                    self.finish(key, "cancelled")
                else:
                    self.change(key, cancel_requested=True)

    def remove(self, key: str) -> None:
        """Forget a job that has ended, and the batches that it finished."""
        job = self.get(key)
        if job and not job.is_open:
            self._jobs.delete(key)
            self.store.forget_unfinished(key)

    def next_sweep(self, but: frozenset[str] = frozenset()) -> list[Job]:
        """The oldest job that nobody computes, waiting or left running by a process that is gone, and those asked for
        right after it that differ in their demonstrations alone: their prompts have much in common.
        """
        waiting = [job for job in self.jobs() if job.is_open and job.key not in but and not self.is_leased(job.key)]
        return list(takewhile(lambda job: _but_demonstrations(job) == _but_demonstrations(waiting[0]), waiting))

    @contextmanager
    def lease(self, key: str) -> Iterator[bool]:
        """Hold a job while computing it; False where another process holds it."""
        lock = FileLock(self.folder / "locks" / f"{key}.lock", timeout=0)
        with _held(lock, self.store.folder) as mine:
            yield mine

    def is_leased(self, key: str) -> bool:
        """Whether somebody is computing the job now."""
        with self.lease(key) as free:
            return not free

    @contextmanager
    def worker_lease(self, device: str) -> Iterator[bool]:
        """Be the one worker of this cache for a device; False where another is."""
        with _held(FileLock(self._worker_lock(device), timeout=LOCK_WAIT), self.store.folder) as mine:
            yield mine

    def worker_lives(self, device: str) -> bool:
        """Whether a worker holds this cache's device."""
        with _held(FileLock(self._worker_lock(device), timeout=0), self.store.folder) as free:
            return not free

    def _worker_lock(self, device: str) -> Path:
        return self.folder / "locks" / f"worker-{device}.lock"


def _but_demonstrations(job: Job) -> RunSpec:
    return job.spec.with_(demonstrations=Demonstrations())


@contextmanager
def _held(lock: FileLock, folder: Path) -> Iterator[bool]:
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
