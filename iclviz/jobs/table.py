"""Jobs on disk: work that was asked for, with its state, whoever asked and wherever it is done.

A job is data: its work and how it stands. Its id is the key of what it makes, so two askers of one thing share a job.
Askers take turns: nobody waits for all that another one asked for.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, get_args

from iclviz import schemas
from iclviz.disk import writing
from iclviz.errors import UserError
from iclviz.formats import Format, NewerError
from iclviz.recorded import LAST_SECOND
from iclviz.rows import DamagedRowError, Rows
from iclviz.schemas import MisfitError
from iclviz.storage.folder import FolderStorage
from iclviz.store import Ailing, Store

State = Literal["queued", "running", "done", "failed", "cancelled"]

FORMAT = Format("job")
MOST_ENDED = 1000
"""Jobs that have ended and are still listed."""

MOST_ENDS = 3
"""How often a job may end the process that does it."""

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
    tokens_per_second: tokens read and written per second so far, None before the first were.
    seconds_left: estimate, None before the first tokens were read.
    tokens_done, tokens_total: tokens read and written, of so many as are foretold; 0 where none are.
    """

    stage: str = "waiting"
    items_done: int = 0
    items_total: int = 0
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    tokens_done: int = 0
    tokens_total: int = 0

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1: of the tokens, or of the items where no tokens are foretold."""
        done, total = (
            (self.tokens_done, self.tokens_total) if self.tokens_total else (self.items_done, self.items_total)
        )
        return min(done / max(total, 1), 1.0)

    @classmethod
    def of_files(cls, done: int, total: int) -> "Progress":
        """How far a model's files are read, all of which tell it from others; in bytes."""
        return cls(f"reading the model's files, {done / 1e9:.1f} of {total / 1e9:.1f} GB")


Report = Callable[[Progress], None]
"""Receives how far a job is."""


@dataclass(frozen=True)
class Job(Generic[W]):
    """Work that was asked for, by whom, and how it stands; times are seconds since the epoch.

    ends: how many processes ended while they did it.
    """

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
    ends: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the job still waits or runs."""
        return self.state in ("queued", "running")

    def to_dict(self) -> dict[str, Any]:
        """The job as plain JSON values."""
        return {**self.__dict__, "spec": self.spec.to_dict(), "progress": asdict(self.progress)}


_SECOND = schemas.number(0, LAST_SECOND)
SCHEMA = schemas.fields(
    {
        "key": schemas.text(128, 1),
        "spec": schemas.table_of(schemas.plain()),
        "state": schemas.one_of(*get_args(State)),
        "created": _SECOND,
        "started": schemas.maybe(_SECOND),
        "finished": schemas.maybe(_SECOND),
        "progress": schemas.fields(
            {
                "stage": schemas.text(1000),
                "items_done": schemas.whole(0, 2**31),
                "items_total": schemas.whole(0, 2**31),
                "tokens_per_second": schemas.maybe(schemas.number(0)),
                "seconds_left": schemas.maybe(schemas.number(0)),
            },
            {"tokens_done": schemas.whole(0, 2**53), "tokens_total": schemas.whole(0, 2**53)},
        ),
        "error": schemas.maybe(schemas.text()),
        "cancel_requested": schemas.flag,
        "asker": schemas.text(1000),
    },
    {"ends": schemas.whole(0, 1000)},
)
UNREADABLE = (DamagedRowError, ValueError, UserError, TypeError, KeyError, AttributeError)
"""What reading a row raises that is no job."""


@dataclass(frozen=True)
class Listing(Generic[W]):
    """The jobs of a table as they once were: all, oldest first, those that wait or run, and rows that are none."""

    version: Any
    jobs: list[Job[W]]
    open: list[Job[W]]
    ailing: list[Ailing]


class JobTable(Generic[W]):
    """The jobs of one kind in a cache folder.

    Attributes
    ----------
    name: the table's folder in the cache; doer: who does it.
    """

    name: str
    doer: str

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.folder / self.name
        with writing(store.folder):
            self._jobs = Rows(self.folder)
        self._known: Listing[W] | None = None
        self._read_at: dict[str, tuple[float, Job[W]]] = {}

    @staticmethod
    def work_of(values: dict[str, Any]) -> Any:
        """The work that these plain JSON values say.

        Raises
        ------
        MisfitError, UserError: they say none.
        """
        raise NotImplementedError

    def jobs(self) -> list[Job[W]]:
        """Every job, oldest first."""
        return list(self._listing().jobs)

    def ailing(self) -> list[Ailing]:
        """Rows that are no jobs, or jobs of a newer format."""
        return list(self._listing().ailing)

    def _listing(self) -> Listing[W]:
        """Read again only when somebody has written, and then those rows alone that were."""
        version = self._jobs.version()
        if self._known is None or self._known.version != version:
            self._known = self._listed(version)
        return self._known

    def _listed(self, version: Any) -> Listing[W]:
        jobs, ailing = [], []
        written, before = self._jobs.written(), self._read_at
        self._read_at = {}
        for key, at in written.items():
            try:
                job = before[key][1] if key in before and before[key][0] == at else self._read(key)
                if job is not None:
                    jobs.append(job)
                    self._read_at[key] = at, job
            except UNREADABLE as error:
                ailing.append(self._ailing(key, error))
        jobs.sort(key=lambda job: job.created)
        return Listing(version, jobs, [job for job in jobs if job.is_open], ailing)

    def _ailing(self, key: str, error: Exception) -> Ailing:
        is_newer = isinstance(error, NewerError)
        problem = str(error) if is_newer else f"The job {key} is damaged ({error})."
        return Ailing("job", key, problem, is_newer, lambda: self._jobs.pop(key, None))

    def is_waiting(self) -> bool:
        """Whether any job waits or runs."""
        return bool(self._listing().open)

    def get(self, key: str) -> Job[W] | None:
        """The job of that key; None also where its row cannot be read."""
        try:
            return self._read(key)
        except UNREADABLE:
            return None

    def _read(self, key: str) -> Job[W] | None:
        values = self._jobs.read(key)
        if values is None:
            return None
        values = FORMAT.current(values, key)
        SCHEMA(values)
        if values["key"] != key:
            raise MisfitError("it has another job's key")
        spec, progress = self.work_of(values["spec"]), Progress(**values["progress"])
        return Job(**{**values, "spec": spec, "progress": progress})

    def _write(self, job: Job[W]) -> Job[W]:
        self._jobs[job.key] = FORMAT.numbered(job.to_dict())
        return job

    def submit(self, spec: W, key: str, mine: bool = False, asker: str = "") -> Job[W]:
        """Ask for work; a job of the same key that waits or runs is returned as it is, any other is asked for anew.

        mine: the caller does the work, so whatever an open job says was left by a process that is gone.
        asker: who asks; askers take turns.
        """
        (job,) = self.submit_all({key: spec}, mine, asker)
        return job

    def submit_all(self, wanted: Mapping[str, W], mine: bool = False, asker: str = "") -> list[Job[W]]:
        """`submit` for many, key -> work, at once."""
        with writing(self.store.folder), self._jobs.transact():
            jobs = [self._submitted(key, spec, mine, asker) for key, spec in wanted.items()]
        self._jobs.settle()
        return jobs

    def _submitted(self, key: str, spec: W, mine: bool, asker: str) -> Job[W]:
        known = self._known_or_none(key)
        if known and known.is_open and not mine and not self._is_abandoned(known):
            return known
        progress = Progress(items_total=spec.n_items)
        return self._write(Job(key, spec, created=time.time(), progress=progress, asker=asker))

    def _known_or_none(self, key: str) -> Job[W] | None:
        """As `get`, but a job of a newer format is not written over."""
        try:
            return self._read(key)
        except NewerError:
            raise
        except UNREADABLE:
            return None

    def _is_abandoned(self, job: Job[W]) -> bool:
        """Whether an open job will never be done."""
        return False

    def change(self, key: str, **changes: Any) -> Job[W] | None:
        """Change fields of a job."""
        with writing(self.store.folder), self._jobs.transact():
            job = self.get(key)
            if job is None:
                return None
            return self._write(replace(job, **changes))

    def start(self, key: str) -> Job[W] | None:
        """Mark a job as running."""
        return self.change(key, state="running", started=time.time(), finished=None, error=None)

    def finish(self, key: str, state: State, error: str | None = None) -> Job[W] | None:
        """Mark a job as ended; of those that ended the oldest are forgotten when there are too many."""
        ended = self.change(key, state=state, finished=time.time(), error=error, cancel_requested=False)
        waiting = len(self._known.open) if self._known else 0
        if len(self._jobs) - waiting > 1.1 * MOST_ENDED:
            self.forget_ended(MOST_ENDED)
        self._jobs.settle()
        return ended

    def forget_ended(self, most: int) -> int:
        """Forget all but so many of the jobs that ended, the oldest first; how many."""
        ended = [job for job in self.jobs() if not job.is_open]
        surplus = ended[: max(len(ended) - most, 0)]
        for job in surplus:
            self._forget(job.key)
        return len(surplus)

    def taken_up(self, job: Job[W]) -> Job[W] | None:
        """A job that is next, None where it has ended too many processes and therefore failed.

        One that says "running" was left by a process that is gone; whoever asks is the only one that could do it now.
        """
        if job.state != "running":
            return job
        if job.ends + 1 < MOST_ENDS:
            return self.change(job.key, state="queued", ends=job.ends + 1)
        often, log = f"ended its {self.doer} {MOST_ENDS} times", self.store.folder / f"{self.doer}.log"
        reason = f"This {often}, most often for want of memory. Ask for less at once; the end of {log.name} in the "
        self.finish(job.key, "failed", f"{reason}cache folder may say more.")
        return None

    def remove(self, key: str) -> None:
        """Forget a job that has ended."""
        job = self.get(key)
        if job and not job.is_open:
            self._forget(key)

    def _forget(self, key: str) -> None:
        with suppress(sqlite3.Error, KeyError):
            del self._jobs[key]

    def in_turn(self) -> list[Job[W]]:
        """The open jobs in the order in which they are done: those of the asker who was served longest ago first, each
        asker's the oldest first.
        """
        found = self._listing()
        if not found.open:
            return []
        served = {job.asker: 0.0 for job in found.open}
        for job in found.jobs:
            if job.asker in served:
                served[job.asker] = max(served[job.asker], job.started or 0.0)
        turns = {asker: turn for turn, asker in enumerate(sorted(served, key=served.__getitem__))}
        return sorted(found.open, key=lambda job: (turns[job.asker], job.created))

    @contextmanager
    def worker_lease(self, device: str) -> Iterator[bool]:
        """Be the one worker of this table for a device; False where another is."""
        with self._lock(f"worker-{device}", LOCK_WAIT) as mine:
            yield mine

    def worker_lives(self, device: str) -> bool:
        """Whether a worker holds this table's device."""
        with self._lock(f"worker-{device}") as free:
            return not free

    def _lock(self, name: str, wait: float = 0.0) -> AbstractContextManager[bool]:
        return FolderStorage(self.store.folder).lock(f"{self.name}/locks/{name}", wait)
