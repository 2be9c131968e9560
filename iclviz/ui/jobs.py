"""The queue in the browser: buttons that ask for runs, progress that reads the queue every second and ends with it."""

import time

import streamlit as st

from iclviz.errors import UserError
from iclviz.jobs.executors import executor
from iclviz.jobs.queue import Queue, Run
from iclviz.resolve import Resolved, check_model_ready
from iclviz.terminal import note
from iclviz.ui import loading
from iclviz.ui.answering import asker
from iclviz.ui.page_state import describe
from iclviz.ui.plain_text import as_text, lines_as_text

REFRESH_SECONDS = 1.0
SHOWN_ENDED = 6

ICONS = {
    "queued": ":material/schedule:",
    "running": ":material/progress_activity:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}


def ask_for(runs: list[Resolved]) -> None:
    """Ask for runs that are not in the cache; a problem is said on the next run."""
    queue = loading.queue()
    try:
        missing = [resolved for resolved in runs if resolved.key not in queue.store]
        for resolved in missing:
            check_model_ready(resolved)
            loading.check(resolved)
        if missing:
            executor(queue).submit({resolved.key: resolved.spec for resolved in missing}, asker())
    except (UserError, OSError) as error:
        st.session_state["job_problem"] = str(error)


def run_button(label: str, runs: list[Resolved], primary: bool = True) -> None:
    """A button that asks for the runs that are missing; disabled where all of their jobs already wait or run."""
    queue = loading.queue()
    missing = [run for run in runs if run.key not in queue.store]
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


def progress(everything: bool = False, where: str = "") -> None:
    """Open jobs with their progress; `everything` also lists the last that ended. When one ends the page reruns.

    where: tells apart several on one page.
    """
    open_now = [job.key for job in loading.queue().jobs() if job.is_open]
    _watch(open_now, everything, where, run_every=REFRESH_SECONDS if open_now else None)


def _watch(open_before: list[str], everything: bool, where: str, run_every: float | None) -> None:
    @st.fragment(run_every=run_every)
    def watch() -> None:
        queue = loading.queue()
        if queue.is_waiting() and not executor(queue).alive():
            executor(queue).submit({})
        jobs = queue.jobs()
        if [job.key for job in jobs if job.is_open] != open_before:
            st.rerun()
        for job in jobs:
            if job.is_open:
                _open_job(job, queue, where)
        for place, one in enumerate(queue.ailing() if everything else ()):
            st.warning(as_text(one.problem))
            if not one.is_newer:
                st.button("Remove", key=f"remove-job-{place}", on_click=one.remove)
        if everything:
            _ended_jobs(sorted((job for job in jobs if not job.is_open), key=lambda job: -(job.finished or 0)), queue)

    watch()


def _open_job(job: Run, queue: Queue, where: str) -> None:
    line, button = st.columns([6, 1], vertical_alignment="center")
    share = _share(job)
    state = "waiting for its turn" if job.state == "queued" else note(job.progress)
    counted = f"{job.progress.items_done} of {job.progress.items_total} items"
    line.progress(min(share, 1.0), text=f"{as_text(_name(job))} — {counted} · {state}")
    if job.cancel_requested:
        button.caption("Stopping …")
    else:
        button.button("Cancel", key=f"cancel-{job.key}{where}", on_click=executor(queue).cancel, args=(job.key,))


def _share(job: Run) -> float:
    """How much is done: of the items, or of the foretold time, since a batch of items ends at once."""
    of_items = job.progress.items_done / max(job.progress.items_total, 1)
    if job.started is None or job.progress.seconds_left is None:
        return of_items
    gone = time.time() - job.started
    return max(of_items, gone / max(gone + job.progress.seconds_left, 1.0))


def _name(job: Run) -> str:
    return f"{describe(job.spec)}, seed {job.spec.demonstrations.seed}"


def _ended_jobs(jobs: list[Run], queue: Queue) -> None:
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


def _wrong_jobs(jobs: list[Run], queue: Queue) -> None:
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


def _time(job: Run) -> str:
    return time.strftime("%H:%M", time.localtime(job.finished or job.created))


def _clear(jobs: list[Run], queue: Queue) -> None:
    for job in jobs:
        queue.remove(job.key)


def _again(job: Run, queue: Queue) -> None:
    try:
        executor(queue).submit({job.key: job.spec}, asker())
    except (UserError, OSError) as error:
        st.session_state["job_problem"] = str(error)
