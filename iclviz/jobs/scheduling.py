"""The scheduler: one process for a cache, which hands the queue's jobs to workers on a Ray cluster.

What belongs together goes to one worker, as it would to the worker of one machine, so recordings are the same wherever
they are made. The scheduler holds the jobs' leases; killed, it leaves them free, its workers end with it, and the next
one hands the jobs out again, which go on from what is finished in the shared storage.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from iclviz.errors import StoreError, UserError
from iclviz.jobs.executors.ray import address
from iclviz.jobs.queue import Order, Queue
from iclviz.jobs.ray_workers import (
    BUSY,
    Brought,
    Hired,
    LostError,
    Needs,
    State,
    connect,
    most_workers,
    needs_of,
    wait_for_one,
)
from iclviz.jobs.starting import SCHEDULER
from iclviz.jobs.stopping import stop_on_termination, work_until_idle
from iclviz.jobs.table import Progress
from iclviz.mapping import MapSpec
from iclviz.spec import RunSpec
from iclviz.storage.shared import LEASE_SECONDS
from iclviz.store import Store
from iclviz.tasks.task_files import tasks_folder
from iclviz.whereabouts import known

POLL_SECONDS = 0.3
RETRY_SECONDS = 10.0
"""How long to wait before a cluster that is not there, or a job that another computes, is asked for again."""

MOST_IDLE_SECONDS = 60.0
"""How long a worker without work keeps its share of the cluster."""

log = logging.getLogger(__name__)


def schedule(
    store: Store,
    idle_exit: float | None = None,
    once: bool = False,
    tidy: Callable[[Store], object] = lambda store: None,
) -> None:
    """Hand out jobs until told to stop; as `worker.work`.

    Raises
    ------
    UserError: another scheduler serves this cache.
    """
    queue = Queue(store)
    stop_on_termination()
    with queue.worker_lease(SCHEDULER) as mine:
        if not mine:
            raise UserError(f"Another scheduler serves {store.folder}.", "One is enough; it hands out every job.")
        tidy(store)
        scheduler = Scheduler(queue)
        try:
            work_until_idle(scheduler.step, 0.0 if once else idle_exit, POLL_SECONDS)
        finally:
            scheduler.close()


@dataclass
class Handed:
    """Jobs that a worker computes.

    done_before: key -> items that were done when the worker got the job.
    """

    jobs: dict[str, Order]
    worker: Hired
    leases: ExitStack
    done_before: dict[str, int]


@dataclass
class Idle:
    """A worker without work, the model that it holds, and since when."""

    worker: Hired
    model: str
    since: float = field(default_factory=time.monotonic)


class Scheduler:
    """Hands out jobs, and takes notice of what becomes of them."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._handed: list[Handed] = []
        self._idle: list[Idle] = []
        self._later: dict[str, float] = {}
        self._is_connected, self._ask_again = False, 0.0

    def step(self) -> bool:
        """Look at everything once; whether anything is under way."""
        if not self._connected():
            return False
        for handed in list(self._handed):
            self._look_at(handed)
        self._hand_out()
        self._dismiss_idle()
        if self._handed:
            wait_for_one([handed.worker for handed in self._handed], POLL_SECONDS)
        return bool(self._handed)

    def close(self) -> None:
        """Put back what is under way, and give everything back."""
        for handed in self._handed:
            for key in handed.jobs:
                self._queue.change(key, state="queued")
            handed.worker.dismiss()
            handed.leases.close()
        for idle in self._idle:
            idle.worker.dismiss()
        self._handed, self._idle = [], []

    def _connected(self) -> bool:
        """Whether the cluster is there; while it is not, jobs that wait say so."""
        if not self._is_connected and time.monotonic() >= self._ask_again and self._queue.is_waiting():
            try:
                connect(address())
                self._is_connected = True
                log.info("connected to %s", address())
            except UserError as error:
                log.warning("%s", error)
                self._ask_again = time.monotonic() + RETRY_SECONDS
                for job in self._queue.in_turn():
                    self._queue.change(job.key, progress=Progress(str(error), 0, job.spec.n_items))
        return self._is_connected

    # What is under way.

    def _look_at(self, handed: Handed) -> None:
        try:
            ended = handed.worker.ended()
        except LostError as error:
            log.warning("a worker is lost: %s", error)
            self._lost(handed)
        except UserError as error:
            log.error("%s", error)
            self._end(handed, dict.fromkeys(handed.jobs, ("failed", str(error))), keeps=False)
        else:
            if ended is None:
                self._tell(handed)
            else:
                self._end(handed, ended, keeps=True)

    def _tell(self, handed: Handed) -> None:
        """Pass on how far jobs are, and who asked for their end."""
        for key, progress in handed.worker.progress().items():
            self._queue.change(key, progress=progress)
        for key in handed.jobs:
            job = self._queue.get(key)
            if job is not None and job.cancel_requested:
                handed.worker.stop(key)

    def _end(self, handed: Handed, ended: Mapping[str, State], keeps: bool) -> None:
        for key, (state, error) in ended.items():
            if error == BUSY:
                self._later[key] = time.monotonic() + RETRY_SECONDS
                self._queue.change(key, state="queued")
            elif state == "done":
                with suppress(StoreError):  # what is listed late is listed when somebody looks
                    self._list(key)
                self._queue.finish(key, "done")
            elif state in ("failed", "cancelled"):
                self._queue.finish(key, state, error)  # type: ignore[arg-type]
            else:
                self._queue.change(key, state="queued")
        self._handed.remove(handed)
        handed.leases.close()
        if keeps:
            self._idle.append(Idle(handed.worker, _model(next(iter(handed.jobs.values())))))
        else:
            handed.worker.dismiss()

    def _list(self, key: str) -> None:
        if key in self._queue.store:
            self._queue.store.summary(key)

    def _lost(self, handed: Handed) -> None:
        """Take jobs back from a worker that is gone; one that ends its workers again and again without getting on
        fails.
        """
        for key, before in handed.done_before.items():
            job = self._queue.get(key)
            if job is None:
                continue
            if self._queue.store.holds(key):
                self._queue.finish(key, "done")
            elif job.progress.items_done > before:
                self._queue.change(key, state="queued", ends=0)
            else:
                self._queue.taken_up(job)
        self._handed.remove(handed)
        handed.worker.dismiss()
        handed.leases.close()

    # What waits.

    def _hand_out(self) -> None:
        while jobs := self._next():
            needs = needs_of(_run(jobs[0]))
            worker = self._worker(needs, _model(jobs[0]))
            if worker is None:
                return
            leases = ExitStack()
            leased = [job for job in jobs if leases.enter_context(self._queue.lease(job.key))]
            taken = [job for job in map(self._queue.taken_up, leased) if job is not None]
            if not taken:
                leases.close()
                self._idle.append(Idle(worker, _model(jobs[0])))
                continue
            for job in taken:
                self._queue.start(job.key)
                self._queue.change(job.key, progress=Progress("waiting for a worker", 0, job.spec.n_items))
            worker.compute({job.key: job.spec for job in taken}, self._brought(taken))
            log.info("handed out %s", ", ".join(job.key for job in taken))
            before = {job.key: job.progress.items_done for job in taken}
            self._handed.append(Handed({job.key: job for job in taken}, worker, leases, before))

    def _next(self) -> list[Order]:
        now = time.monotonic()
        self._later = {key: until for key, until in self._later.items() if until > now}
        return self._queue.next_sweep(frozenset(self._later))

    def _worker(self, needs: Needs, model: str) -> Hired | None:
        """An idle worker that fits, best with the model loaded, else a new one; None where there is no room."""
        fitting = [one for one in self._idle if one.worker.needs == needs]
        if fitting:
            best = max(fitting, key=lambda one: one.model == model)
            self._idle.remove(best)
            return best.worker
        if len(self._handed) + len(self._idle) >= most_workers(needs):
            if not self._idle:
                return None
            self._idle.pop(0).worker.dismiss()
        return Hired(needs, 2 * LEASE_SECONDS)

    def _brought(self, jobs: Sequence[Order]) -> Brought:
        folder, memo = tasks_folder(), self._queue.store.memo
        tasks = {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
        return Brought(tasks, tuple(row for model in dict.fromkeys(map(_model, jobs)) for row in known(model, memo)))

    def _dismiss_idle(self) -> None:
        for one in list(self._idle):
            if time.monotonic() - one.since > MOST_IDLE_SECONDS:
                self._idle.remove(one)
                one.worker.dismiss()


def _run(job: Order) -> RunSpec:
    return job.spec.run if isinstance(job.spec, MapSpec) else job.spec


def _model(job: Order) -> str:
    return _run(job).model
