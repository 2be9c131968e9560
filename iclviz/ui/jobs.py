"""The queue in the browser: buttons that ask for runs, progress that reads the queue every second and ends with it,
what became of those that ended.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import streamlit as st

from iclviz.errors import NO_NAMES, UserError
from iclviz.jobs.executors import executor
from iclviz.jobs.queue import Order, Queue
from iclviz.mapping import MapSpec
from iclviz.resolve import Resolved, ResolvedMap, check_model_ready
from iclviz.terminal import note
from iclviz.ui import loading
from iclviz.ui.answering import asker
from iclviz.ui.page_state import describe
from iclviz.ui.plain_text import as_text, lines_as_text

REFRESH_SECONDS = 1.0
SHOWN_ENDED = 6
AT_WORK = "A or B was in the queue"
OPEN_AT_START = "open_jobs"
MOST_SHOWN = 0.99
"""A bar is full when its job is done, and tokens are foretold only nearly."""

ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


def ask_for(wanted: Sequence[Resolved | ResolvedMap]) -> None:
    """Ask for runs and maps that are not in the cache; a problem is said on the next run."""
    queue = loading.queue()
    try:
        missing = [resolved for resolved in wanted if not queue.store.holds(resolved.key)]
        for resolved in missing:
            run = resolved.run if isinstance(resolved, ResolvedMap) else resolved
            check_model_ready(run)
            loading.check(run)
        if missing:
            executor(queue).submit({resolved.key: resolved.spec for resolved in missing}, asker())
    except (UserError, OSError) as error:
        st.session_state["job_problem"] = str(error)


def run_button(label: str, runs: Sequence[Resolved | ResolvedMap], primary: bool = True) -> None:
    """A button that asks for the runs and maps that are missing; disabled where their jobs all wait or run already."""
    queue = loading.queue()
    missing = [run for run in runs if not queue.store.holds(run.key)]
    waiting = all((job := queue.get(run.key)) is not None and job.is_open for run in missing)
    st.button(
        label,
        on_click=ask_for,
        args=(runs,),
        type="primary" if primary else "secondary",
        icon=":material/play_arrow:",
        disabled=waiting,
        help=f"Runs are computed {executor(queue).where}.",
    )
    problem = st.session_state.pop("job_problem", None)
    if problem:
        st.error(lines_as_text(problem))


def note_open() -> None:
    """Remember which jobs are open before a page looks at anything: one that ends while the page is drawn would
    otherwise leave what was drawn before as it is, with nothing left to watch.
    """
    with suppress(UserError, OSError):
        st.session_state[OPEN_AT_START] = _open_keys()


def _open_keys() -> list[str]:
    return [job.key for job in loading.queue().jobs() if job.is_open]


def is_open(run: Resolved | None) -> bool:
    """Whether a run waits in the queue or is computed."""
    job = loading.queue().get(run.key) if run else None
    return job is not None and job.is_open


def progress(
    where: str = "", named: Mapping[str, str] = NO_NAMES, own: Sequence[Resolved | ResolvedMap] | None = None
) -> None:
    """Open jobs with their progress, read again every second; when one ends the page reruns.

    where: tells apart several on one page.
    named: key -> Markdown that a job is called by here; these jobs come first.
    own: what has a bar here, and all else is counted in a line; None = every job has one.
    """
    before = st.session_state.get(OPEN_AT_START)
    before = _open_keys() if before is None else before
    keys = None if own is None else {one.key for one in own}
    _watch(before, where, named, keys, run_every=REFRESH_SECONDS if before else None)


def _watch(
    open_before: list[str], where: str, named: Mapping[str, str], own: set[str] | None, run_every: float | None
) -> None:
    @st.fragment(run_every=run_every)
    def watch() -> None:
        queue = loading.queue()
        if queue.is_waiting() and not executor(queue).alive():
            executor(queue).submit({})
        jobs = [job for job in queue.jobs() if job.is_open]
        if [job.key for job in jobs] != open_before:
            st.rerun()
        shown = [job for job in jobs if own is None or job.key in own]
        for job in sorted(shown, key=lambda job: job.key not in named):
            _open_job(job, queue, where, named.get(job.key) or as_text(_name(job)))
        if others := len(jobs) - len(shown):
            st.caption(f"{others} other job{'s' if others > 1 else ''} in the queue, on the page Run.")

    watch()


def tell_when_done(at_work: bool, all_recorded: bool) -> None:
    """Say that A and B are there, once, wherever on the page somebody reads.

    at_work: whether one of them is in the queue.
    """
    if st.session_state.get(AT_WORK) and not at_work and all_recorded:
        st.toast("A and B are recorded: read the Summary.", icon=ICONS["done"], duration="long")
    st.session_state[AT_WORK] = at_work


def ended() -> None:
    """The last jobs that ended, and rows of the queue that cannot be read."""
    queue = loading.queue()
    for place, one in enumerate(queue.ailing()):
        st.warning(as_text(one.problem))
        if not one.is_newer:
            st.button("Remove", key=f"remove-job-{place}", on_click=one.remove)
    closed = (job for job in queue.jobs() if not job.is_open)
    _ended_jobs(sorted(closed, key=lambda job: -(job.finished or 0)), queue)


def _open_job(job: Order, queue: Queue, where: str, called: str) -> None:
    line, button = st.columns([6, 1], vertical_alignment="center")
    line.progress(min(job.progress.share, MOST_SHOWN), text=f"{called} — {_state(job)}")
    if job.cancel_requested:
        button.caption("Stopping …")
    else:
        button.button("Cancel", key=f"cancel-{job.key}{where}", on_click=executor(queue).cancel, args=(job.key,))


def _state(job: Order) -> str:
    """What is done of a job and what is being done, with how long it has taken where nothing tells how long it will."""
    gone = f"{max(time.time() - (job.started or job.created), 0):.0f} s"
    if job.state == "queued":
        return f"waiting for its turn, {gone}"
    if not job.progress.tokens_total:
        return f"{job.progress.stage}, {gone}"
    items = f"{job.progress.items_done} of {job.progress.items_total} items kept"
    return f"{note(job.progress)} · {items}" if job.progress.items_done else note(job.progress)


def _name(job: Order) -> str:
    if isinstance(job.spec, MapSpec):
        return f"{job.spec.grid.title}: {describe(job.spec.run)}, seed {job.spec.run.demonstrations.seed}"
    return f"{describe(job.spec)}, seed {job.spec.demonstrations.seed}"


def _ended_jobs(jobs: list[Order], queue: Queue) -> None:
    """What went wrong, each with its reason; what went well, folded."""
    wrong = [job for job in jobs if job.state != "done"]
    own = [job for job in wrong if job.asker in ("", asker())]
    _wrong_jobs(own, queue)
    if others := [job for job in wrong if job not in own]:
        with st.expander(f"{len(others)} that were asked for elsewhere failed or were cancelled", icon=ICONS["failed"]):
            _wrong_jobs(others, queue)
    done = [job for job in jobs if job.state == "done"]
    if done:
        many = f"{len(done)} runs" if len(done) > 1 else "1 run"
        with st.expander(f"{many} done, the last at {_time(done[0])}", icon=ICONS["done"]):
            st.markdown("  \n".join(f"{as_text(_name(job))} — {_time(job)}" for job in done))
            st.button("Clear", on_click=_clear, args=(done, queue), help="The runs stay; this list is emptied.")


def _wrong_jobs(jobs: list[Order], queue: Queue) -> None:
    """Each with its reason, what is kept of it, and what can be done."""
    for job in jobs[:SHOWN_ENDED]:
        line, button = st.columns([5, 2], vertical_alignment="center")
        line.markdown(f"{ICONS[job.state]} {as_text(_name(job))} — {job.state}, {_time(job)}")
        if job.error:
            line.error(lines_as_text(job.error))
        if job.state == "cancelled" and job.progress.items_done:
            line.caption(
                f"{job.progress.items_done} of {job.progress.items_total} items are kept; a new try goes on from there."
            )
        with button.container(horizontal=True, gap="xsmall"):
            st.button("Try again", key=f"again-{job.key}", on_click=_again, args=(job, queue))
            st.button("Dismiss", key=f"dismiss-{job.key}", on_click=queue.remove, args=(job.key,), type="tertiary")


def _time(job: Order) -> str:
    return time.strftime("%H:%M", time.localtime(job.finished or job.created))


def _clear(jobs: list[Order], queue: Queue) -> None:
    for job in jobs:
        queue.remove(job.key)


def _again(job: Order, queue: Queue) -> None:
    try:
        executor(queue).submit({job.key: job.spec}, asker())
    except (UserError, OSError) as error:
        st.session_state["job_problem"] = str(error)
