"""Workers on a Ray cluster: each is an actor in a placement group of its own, with the processors its model needs.

Runs and maps go there as data and recordings lie in the shared storage, where the worker also leaves what it has
finished; so one that is lost with its node takes nothing along but the batch that it was reading.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from iclviz import __version__, whereabouts
from iclviz.errors import Cancelled, UserError
from iclviz.jobs.alone import held_alone
from iclviz.jobs.executors.in_process import InProcess
from iclviz.jobs.executors.ray import check_reachable, unreachable
from iclviz.jobs.queue import Queue, Wanted
from iclviz.jobs.table import Progress
from iclviz.spec import RunSpec
from iclviz.storage.named import PATIENCE_SETTING
from iclviz.storage.named import SETTING as STORAGE_SETTING
from iclviz.store import Store

WORKERS_SETTING, CPUS_SETTING, GPUS_SETTING = "ICLVIZ_RAY_WORKERS", "ICLVIZ_RAY_CPUS", "ICLVIZ_RAY_GPUS"
PASSED_ON = (STORAGE_SETTING, PATIENCE_SETTING, "ICLVIZ_TOKEN_BUDGET", "ICLVIZ_EXTENSIONS")
"""Settings that a worker has as whoever asks has them; the rest is its node's."""

MOST_CPUS = 4
BUSY = "another process computes this"
State = tuple[str, str | None]
"""How a job ended, and why it failed."""


@dataclass(frozen=True)
class Brought:
    """What jobs need of the machine where they are asked for.

    Attributes
    ----------
    tasks: files of tasks of one's own, by name.
    models: (path, identity) of the folders where models of one's own were seen, the last seen first; a node that shares
        the folder finds them there.
    """

    tasks: Mapping[str, bytes]
    models: tuple[tuple[str, str], ...]

    def unpack(self, store: Store) -> None:
        """Keep it in a node's cache."""
        for name, content in self.tasks.items():
            place = store.folder / "tasks" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        for path, identity in reversed(self.models):
            if Path(path).exists():
                whereabouts.remember(Path(path), identity, store.memo)


class RayWorker:
    """The actor: computes jobs with a cache folder of its node, which its workers share, and the shared storage."""

    def __init__(self, lease_wait: float) -> None:
        """lease_wait: seconds to wait for another machine that computes the same, or did before it was lost."""
        folder = Path(tempfile.gettempdir()) / f"iclviz-worker-{os.getuid()}"
        os.environ["ICLVIZ_CACHE"] = str(folder)
        self._store, self._wait = Store(folder), lease_wait
        self._queue = Queue(self._store)
        self._progress: dict[str, Progress] = {}

    def compute(self, written: Mapping[str, Mapping[str, Any]], brought: Brought, release: str) -> dict[str, State]:
        """How each job ended, by key.

        Parameters
        ----------
        written: key -> what is asked for, as plain JSON values.
        release: of iclviz, where the job was asked for.
        """
        if __version__ != release:
            raise UserError(f"The cluster has iclviz {__version__}, jobs are asked for with {release}.", "Update it.")
        self._progress = {}
        jobs = {key: Queue.work_of(dict(values)) for key, values in written.items()}
        brought.unpack(self._store)
        with held_alone(self._store, jobs, self._wait) as own:
            with suppress(Cancelled):
                InProcess(self._queue).submit(own, tell=self._progress.__setitem__)
            return {key: self._ended(key) if key in own else ("queued", BUSY) for key in jobs}

    def _ended(self, key: str) -> State:
        """How a job ended; a copy of what it made goes from this node, since it lies in the storage."""
        if self._store.holds(key):
            for copy in self._store.storage.copies():
                if copy.name == key:
                    shutil.rmtree(copy, ignore_errors=True)
            return "done", None
        job = self._queue.get(key)
        return ("cancelled", None) if job is None else (job.state, job.error)

    def progress(self) -> dict[str, Progress]:
        """How far the jobs are that it computes."""
        return dict(self._progress)

    def stop(self, key: str) -> None:
        """Ask for the end of a job; what is finished of it stays."""
        self._queue.cancel(key)


@dataclass(frozen=True)
class Needs:
    """What a worker has: processors, and graphics processors, all on one node."""

    cpus: int
    gpus: int


class Hired:
    """A worker of the cluster, seen from whoever hands out jobs."""

    def __init__(self, needs: Needs, lease_wait: float) -> None:
        self.needs = needs
        bundle = {"CPU": needs.cpus, **({"GPU": needs.gpus} if needs.gpus else {})}
        self._group = placement_group([bundle], strategy="STRICT_PACK")
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(needs.cpus)}
        settings = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        self._actor = (
            ray.remote(RayWorker)
            .options(
                num_cpus=needs.cpus,
                num_gpus=needs.gpus,
                max_concurrency=3,
                scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, 0),
                runtime_env={"env_vars": {"TOKENIZERS_PARALLELISM": "false", **threads, **settings}},
            )
            .remote(lease_wait)
        )
        self._answer: Any = None
        self._asked: Any = None

    def compute(self, jobs: Mapping[str, Wanted], brought: Brought) -> None:
        """Hand it jobs."""
        written = {key: spec.to_dict() for key, spec in jobs.items()}
        self._answer = self._actor.compute.remote(written, brought, __version__)

    def ended(self) -> dict[str, State] | None:
        """How the jobs ended that it was handed; None while it computes.

        Raises
        ------
        LostError: the worker is gone, as with its node.
        """
        ready, _ = ray.wait([self._answer], timeout=0)
        if not ready:
            return None
        try:
            found: dict[str, State] = ray.get(self._answer)
        except RayError as error:
            if isinstance(error, RayTaskError):
                reason = _first_line(error)
                raise UserError(f"The worker failed ({reason}).", "Its log on the cluster says more.") from error
            raise LostError(_first_line(error)) from error
        self._answer = None
        return found

    def progress(self) -> dict[str, Progress]:
        """How far its jobs are, as it said last; asks again without waiting."""
        found: dict[str, Progress] = {}
        if self._asked is not None and ray.wait([self._asked], timeout=0)[0]:
            with suppress(RayError):
                found = ray.get(self._asked)
            self._asked = None
        if self._asked is None:
            self._asked = self._actor.progress.remote()
        return found

    def stop(self, key: str) -> None:
        """Ask for the end of a job."""
        self._actor.stop.remote(key)

    @property
    def answer(self) -> Any:
        """What stands for how the jobs will end."""
        return self._answer

    def dismiss(self) -> None:
        """Give back what it has of the cluster."""
        with suppress(Exception):
            ray.kill(self._actor)
        with suppress(Exception):
            remove_placement_group(self._group)


def wait_for_one(workers: Sequence[Hired], seconds: float) -> None:
    """Until one of some workers has ended, or so many seconds are over."""
    ray.wait([worker.answer for worker in workers], timeout=seconds)


class LostError(Exception):
    """A worker is gone."""


def connect(address: str) -> None:
    """Connect this process to a cluster.

    Raises
    ------
    UserError: none can be reached there.
    """
    check_reachable(address)
    try:
        with _signals_kept():
            ray.init(address=address, namespace="iclviz", log_to_driver=False, ignore_reinit_error=True)
    except Exception as error:
        raise unreachable(address, _first_line(error)) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets a handler of its own for SIGTERM, by which this process would not put back what is under way."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # only the main thread may
            signal.signal(signal.SIGTERM, before)


def needs_of(spec: RunSpec) -> Needs:
    """What a worker for a run has to have: what the settings say, else one graphics processor where the cluster has
    any, and as many as a node has where the run is to be split over several.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most_gpus = int(max((node.get("GPU", 0) for node in nodes), default=0))
    most_cpus = int(max((node.get("CPU", 1) for node in nodes), default=1))
    split = spec.model_options.get("device_map") is not None
    on_cpu = str(spec.model_options.get("device", "")).startswith("cpu")
    gpus = 0 if on_cpu else _number(GPUS_SETTING, most_gpus if split else min(1, most_gpus))
    return Needs(_number(CPUS_SETTING, 1 if gpus else max(1, min(MOST_CPUS, most_cpus))), gpus)


def most_workers(needs: Needs) -> int:
    """How many workers with such needs the cluster has room for, or the setting says; at least one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = [
        min(node.get("CPU", 0) // needs.cpus, node.get("GPU", 0) // needs.gpus if needs.gpus else float("inf"))
        for node in nodes
    ]
    return _number(WORKERS_SETTING, max(1, int(sum(fitting))))


def _number(setting: str, usual: int) -> int:
    named = os.environ.get(setting, "").strip()
    if not named:
        return usual
    if not named.isdecimal():
        raise UserError(f"{setting} = {named!r} is no number.", f"Set it to {usual}, or leave it out.")
    return int(named)


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
