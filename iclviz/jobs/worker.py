"""The worker: one process for a cache and a device, which takes jobs from the queue and keeps the model loaded.

It holds a lock for as long as it lives, and takes it before it loads torch, so that nobody starts a second one
meanwhile. Asked to stop by a signal, it puts its job back; killed, it leaves a job whose lease is free, and the next
worker goes on from the last finished batch.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from iclviz.errors import UserError
from iclviz.jobs.queue import Queue
from iclviz.jobs.stopping import stop_on_termination, work_until_idle
from iclviz.spec import canonical_json
from iclviz.store import Store

if TYPE_CHECKING:
    from iclviz.jobs.computing import ModelKeeper

POLL_SECONDS = 0.3

log = logging.getLogger(__name__)


def work(
    store: Store,
    device: str,
    idle_exit: float | None = None,
    once: bool = False,
    tidy: Callable[[Store], object] = lambda store: None,
) -> None:
    """Take jobs until told to stop.

    Parameters
    ----------
    device: which device this worker stands for, the lock's name.
    idle_exit: end after so many seconds without a job; None is never.
    once: end as soon as the queue is empty.
    tidy: makes room in the cache before the first job.

    Raises
    ------
    UserError: another worker has this cache's device.
    """
    queue = Queue(store)
    stop_on_termination()
    with queue.worker_lease(device) as mine:
        if not mine:
            raise UserError(f"Another worker runs {device} for {store.folder}.", "One is enough; it takes every job.")
        tidy(store)
        log.info("worker ready: %s, %s", device, store.folder)
        _take_jobs(queue, 0.0 if once else idle_exit)


def _take_jobs(queue: Queue, idle_exit: float | None) -> None:
    from iclviz.jobs.computing import ModelKeeper

    keeper = ModelKeeper()
    given_up: set[str] = set()
    work_until_idle(lambda: _take_some(queue, keeper, given_up), idle_exit, POLL_SECONDS)


def _take_some(queue: Queue, keeper: "ModelKeeper", given_up: set[str]) -> bool:
    """Compute the next job, with those behind it that belong to the same sweep, if nobody else takes it first.

    given_up: keys of jobs that broke; on a full disk the queue cannot be told, and they would come again for ever.
    """
    from iclviz.jobs.running import do_jobs

    with ExitStack() as leases:
        leased = [job for job in queue.next_sweep(frozenset(given_up)) if leases.enter_context(queue.lease(job.key))]
        if not leased:
            return False
        jobs = [job for job in map(queue.taken_up, leased) if job is not None]
        for job in jobs:
            log.info("job %s: %s", job.key, canonical_json(job.spec.to_dict()))
        try:
            do_jobs(jobs, queue, keeper)
        except Exception:
            log.exception("failed: %s", ", ".join(job.key for job in jobs))
            given_up.update(job.key for job in jobs)
    return True
