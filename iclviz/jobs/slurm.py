"""A study on a Slurm cluster: job arrays, written and submitted by submitit.

1. One element of the array is one group of runs that are read together, with the maps of these runs. What is recorded
   is in none, so submitting again goes on.
2. The cache folder, or the storage that `$ICLVIZ_STORAGE` names, is shared by all nodes: recordings, maps and finished
   pieces appear there whole or not at all, and locks lie beside them.
3. SQLite databases are not safe on every network file system, so an element keeps its tables in a folder of its own
   node; whoever looks into the cache lists anew what has no row in its index. What was known of the models' files where
   it was submitted goes with it, so that weights are not digested anew on every node.
4. An element that is preempted or runs out of time is put back into Slurm's queue by submitit, and goes on with the
   pieces that are finished.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iclviz.errors import UserError
from iclviz.jobs.alone import held_alone
from iclviz.jobs.executors.in_process import InProcess
from iclviz.jobs.queue import Queue, Wanted
from iclviz.mapping import MapSpec, as_mapped
from iclviz.models.devices import device_kind
from iclviz.resolve import check_before, check_model_ready, run_together
from iclviz.spec import RunSpec
from iclviz.storage.folder import FolderStorage
from iclviz.storage.named import storage_address, storage_at
from iclviz.store import GROUPS, Store
from iclviz.studies import StudyState

FOLDER = "slurm"
CACHE = "ICLVIZ_CACHE"
COMMANDS = ("sbatch", "srun")
"""What submitit starts."""


@dataclass(frozen=True)
class Settings:
    """What each element of an array asks Slurm for.

    Attributes
    ----------
    partition: None is the cluster's own choice.
    gpus, minutes: of an element, minutes at the most; it is put back into the queue where they do not suffice.
    parallel: elements at the same time.
    more: further parameters of sbatch, such as account or constraint.
    """

    partition: str | None = None
    gpus: int = 1
    minutes: int = 240
    parallel: int = 8
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("gpus", 0), ("minutes", 1), ("parallel", 1)):
            value = getattr(self, name)
            if value < least:
                raise UserError(f"{name} = {value} is too few.", f"Take {least} or more.")

    def to_submitit(self, name: str) -> dict[str, Any]:
        """The same as submitit calls it; name: of the jobs."""
        found = {
            "name": name,
            "timeout_min": self.minutes,
            "gpus_per_node": self.gpus,
            "slurm_array_parallelism": self.parallel,
            "slurm_additional_parameters": dict(self.more),
        }
        return {**found, "slurm_partition": self.partition} if self.partition else found


@dataclass(frozen=True)
class Element:
    """One element of an array: runs that are read together and their maps, as plain values; called, it makes what is
    not there, and gives the maps that could not be made, with the reason.

    Attributes
    ----------
    folder: of the cache that all nodes share; storage: where recordings lie, "" for there.
    runs: key -> resolved spec; maps: key -> spec; run_of: map -> its run.
    facts: what is remembered of the models' files.
    """

    folder: str
    storage: str
    runs: Mapping[str, Mapping[str, Any]]
    maps: Mapping[str, Mapping[str, Any]]
    run_of: Mapping[str, str]
    facts: Mapping[str, Any]

    def __call__(self) -> list[str]:
        """Make what is not there.

        Raises
        ------
        UserError: a run could not be made.
        """
        with tempfile.TemporaryDirectory(prefix="iclviz-") as own, _as_cache(self.folder):
            storage = storage_at(self.storage, Path(own), GROUPS)
            store = Store(own, storage or FolderStorage(Path(self.folder), GROUPS, is_shared=True))
            store.memo.update(self.facts)
            queue = Queue(store)
            problems = _made(queue, {key: RunSpec.from_dict(dict(spec)) for key, spec in self.runs.items()})
            maps = {key: MapSpec.from_dict(spec) for key, spec in self.maps.items() if self.run_of[key] in store}
            left_out = _made(queue, maps)
        for line in left_out:
            print(f"left out {line}", flush=True)
        if problems:
            raise UserError("; ".join(problems))
        return left_out

    def checkpoint(self) -> Any:
        """What submitit puts back into the queue when time is up."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@contextmanager
def _as_cache(folder: str) -> Iterator[None]:
    """Files of own tasks are looked for in the shared folder."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE]
        else:
            os.environ[CACHE] = before


def _made(queue: Queue, wanted: Mapping[str, Wanted]) -> list[str]:
    """Compute what is not there and nobody else computes; why some could not be made."""
    missing = {key: spec for key, spec in wanted.items() if not queue.store.holds(key)}
    with held_alone(queue.store, missing, 0.0) as own:
        InProcess(queue).submit(own)
    jobs = [queue.get(key) for key in missing]
    return [f"{job.key}: {job.error}" for job in jobs if job is not None and job.state == "failed"]


def array_of(state: StudyState, store: Store) -> list[Element]:
    """What is left of a study, an element for each group of runs that are read together.

    Raises
    ------
    UserError: a run cannot be, or its model is not on this disk.
    """
    maps: dict[str, dict[str, MapSpec]] = {}
    for one in state.maps:
        if not store.has_map(one.key):
            run = one.run.resolved
            maps.setdefault(run.key, {})[one.key] = MapSpec(as_mapped(run.spec), one.of)
    missing = {run.key for run in state.missing}
    check_before(state.missing, store.memo)
    wanted = [one.resolved for one in state.cells if one.resolved.key in missing | maps.keys()]
    for run in wanted:
        check_model_ready(run)
    names = list(store.memo) if wanted else []
    facts = {name: value for name in names if (value := store.memo.get(name)) is not None}
    found = []
    for group in run_together(wanted):
        own = [(key, spec, run.key) for run in group for key, spec in maps.get(run.key, {}).items()]
        found.append(
            Element(
                str(store.folder),
                storage_address(),
                {run.key: run.spec.to_dict() for run in group if run.key in missing},
                {key: spec.to_dict() for key, spec, _ in own},
                {key: run for key, _, run in own},
                facts,
            )
        )
    return found


def advice(state: StudyState, settings: Settings) -> str:
    """What to think of before a study is submitted from a node without a GPU; "" for nothing."""
    on_gpus = settings.gpus > 0 and device_kind({}) == "cpu"
    if not on_gpus or all(cell.spec.dtype for cell in state.study.cells):
        return ""
    return (
        "Weights will be float32, since this node has no GPU and a run is settled where it is asked for; for GPUs give "
        "each task of the study dtype: bfloat16."
    )


def submit(
    elements: Sequence[Element], state: StudyState, store: Store, settings: Settings, cluster: str = "slurm"
) -> list[Any]:
    """Submit an array; submitit's jobs, one for each element. cluster: submitit's name of where they run.

    Raises
    ------
    UserError: submitit or Slurm is missing, or Slurm refuses the jobs.
    """
    try:
        import submitit
    except ImportError as error:
        raise UserError("Submitting to Slurm needs submitit.", "Install it: pip install iclviz[slurm].") from error
    missing = [one for one in COMMANDS if cluster == "slurm" and shutil.which(one) is None]
    if missing:
        raise UserError(f"There is no Slurm here: {missing[0]} was not found.", "Submit from a node of the cluster.")
    executor = submitit.AutoExecutor(folder_of(state, store) / "%j", cluster=cluster)
    executor.update_parameters(**settings.to_submitit(f"iclviz-{state.study.name}"))
    try:
        return list(executor.submit_array(list(elements)))
    except submitit.core.utils.FailedJobError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"Slurm did not take the jobs ({reason}).", "Change the partition, GPUs or minutes.") from error


def folder_of(state: StudyState, store: Store) -> Path:
    """Where submitit keeps the jobs and logs of a study."""
    return store.folder / FOLDER / state.study.name
