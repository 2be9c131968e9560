"""What a study would take, before it is run: jobs, what prompts share, tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.plan import PlanSettings, tokens_read
from iclviz.capture.sites import reading_as
from iclviz.models.tokenizing import load_tokenizer
from iclviz.resolve import Resolved, build, run_facts, run_together, tokenized
from iclviz.store import Store
from iclviz.studies import StudyState, map_keys

TOKEN_BUDGET = 16_384
"""Of tokens whose keys and values are held together, as of a machine with some gigabytes to spare."""


@dataclass(frozen=True)
class PlannedGroup:
    """Runs that are read together.

    Attributes
    ----------
    model, task: of all of them.
    n_runs, n_items: runs that are not there yet, and their prompts.
    tokens: of all prompts; read: as many are read, since what prompts share is read once.
    """

    model: str
    task: str
    n_runs: int
    n_items: int
    tokens: int
    read: int


@dataclass(frozen=True)
class StudyPlan:
    """What is left to do of a study.

    Attributes
    ----------
    groups: of runs that are read together.
    n_there: runs that are recorded.
    n_maps, n_maps_there: maps and traces, and how many are made.
    """

    groups: tuple[PlannedGroup, ...]
    n_there: int
    n_maps: int
    n_maps_there: int

    @property
    def n_missing(self) -> int:
        """Runs that are not there."""
        return sum(one.n_runs for one in self.groups)


def planned(state: StudyState, store: Store) -> StudyPlan:
    """What is left to do.

    Raises
    ------
    UserError: a run cannot be, or its model is not on this disk.
    """
    groups = tuple(_planned(group, store) for group in run_together(state.missing))
    maps = map_keys(state.study, store)
    return StudyPlan(groups, state.n_there, len(maps), sum(map(store.has_map, maps)))


def _planned(group: Sequence[Resolved], store: Store) -> PlannedGroup:
    tokenizer, facts = load_tokenizer(group[0].located, store.memo), run_facts(group[0])
    prompts = [prompt for run in group for prompt in tokenized(run, build(run), tokenizer, facts)]
    done = [run.spec.interventions for run in group for _ in range(run.spec.n_items)]
    decoding = Decoding(max(run.spec.max_new_tokens or 1 for run in group))
    plan = plan_prompts(prompts, decoding, PlanSettings(TOKEN_BUDGET, 1), reading_as(done, prompts))
    tasks = dict.fromkeys(run.task.title for run in group)
    whole = sum(map(len, prompts))
    return PlannedGroup(
        group[0].spec.model, ", ".join(tasks), len(group), len(prompts), whole, tokens_read(plan) + len(prompts)
    )
