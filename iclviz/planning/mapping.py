"""What a map costs beside its run: every item under every site, with the text before the first act read once.

Where items are read under other demonstrations, each site is counted as one more reading of the run's own prompts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from iclviz.capture.plan import PlanSettings
from iclviz.capture.sites import reading_as
from iclviz.intervening import first_block
from iclviz.jobs.map_computing import shape_of
from iclviz.mapping import Axis, Grid, Site, sites_of
from iclviz.models.configuration import ModelFacts
from iclviz.planning.devices import Device
from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.memory import held_bytes, map_bytes
from iclviz.planning.reading import Reading, reading
from iclviz.planning.roofline import seconds
from iclviz.prompts import TokenizedPrompt
from iclviz.resolve import Resolved

MOST_PLANNED = 4000
"""Rows of which a batch plan is made; of larger maps fewer items are planned, and the rest counted as they are."""


@dataclass(frozen=True)
class MapCost:
    """What a map takes.

    Attributes
    ----------
    title: of the map; sites: of its grid.
    rows: items times what is done at sites and controls.
    read: tokens of which some block is computed.
    seconds: of reading; disk: bytes of its arrays.
    memory: bytes at its worst moment.
    unforetold: what it takes beside all this, in a few words each.
    """

    title: str
    sites: int
    rows: int
    read: int
    seconds: float
    disk: int
    memory: int
    unforetold: tuple[str, ...] = ()


def map_cost(
    grid: Grid,
    run: Resolved,
    prompts: Sequence[TokenizedPrompt],
    plain: Reading,
    counts: ModelCounts,
    facts: ModelFacts,
    settings: PlanSettings,
    device: Device,
) -> MapCost:
    """The cost of a map of a run; plain: what the run itself reads.

    Raises
    ------
    SpecError: the run has nothing to act on.
    """
    axes, sites, controls = sites_of(grid, shape_of(run, facts, prompts))
    every: list[Site] = [*sites, *(site for of_site in controls for site in of_site)]
    sizes = [len(axis.values) for axis in axes]
    n_controls = len(controls[0]) if controls else 0
    if _shows_others(grid, axes, run):
        taken = _under_others(grid, len(every), plain, counts, device)
    else:
        taken = _under_acts(grid, every, prompts, plain, counts, settings, device)
    disk = map_bytes(sizes, grid.n_draws, n_controls, len(prompts), plain.most_candidates)
    return MapCost(
        title=grid.title,
        sites=sizes[0] * sizes[1],
        rows=(len(every) + 1) * len(prompts),
        read=taken.read,
        seconds=taken.seconds,
        disk=disk,
        memory=taken.memory + disk,
        unforetold=tuple(_unforetold(grid, every, run)),
    )


def _shows_others(grid: Grid, axes: Sequence[Axis], run: Resolved) -> bool:
    """Whether items are read under demonstrations that the run does not show."""
    own = run.spec.demonstrations
    first, second = (axis.values for axis in axes)
    return any(grid.demonstrations_at(*at, own) for at in product(first, second))


@dataclass(frozen=True)
class _Taken:
    """What reading at every site takes: tokens, seconds, bytes in memory."""

    read: int
    seconds: float
    memory: int


def _under_others(grid: Grid, n_sites: int, plain: Reading, counts: ModelCounts, device: Device) -> _Taken:
    """Where what is read differs from site to site."""
    once = seconds(counts, plain, device)
    each = once.prefill + once.candidates + (once.decode if grid.responses else 0.0)
    return _Taken((n_sites + 1) * plain.read, (n_sites + 1) * each, held_bytes(counts, plain))


def _under_acts(
    grid: Grid,
    every: Sequence[Site],
    prompts: Sequence[TokenizedPrompt],
    plain: Reading,
    counts: ModelCounts,
    settings: PlanSettings,
    device: Device,
) -> _Taken:
    """Where the run's own prompts are read at every site."""
    some = prompts[: max(1, min(len(prompts), MOST_PLANNED // len(every)))]
    tried = every[:: max(1, len(every) * len(some) // MOST_PLANNED)]
    copies, done = [prompt for _ in tried for prompt in some], [site for site in tried for _ in some]
    found = reading(copies, grid.responses, settings, reading_as(done, copies), grid.responses)
    scale = len(every) * len(prompts) / len(copies)
    taken, once = seconds(counts, found, device), seconds(counts, plain, device)
    written = taken.decode if grid.responses else 0.0
    blocks = 1.0 if grid.responses else float(np.mean([_blocks_run(site, counts.n_layers) for site in tried]))
    work = once.prefill + once.candidates + scale * (blocks * (taken.prefill + taken.candidates) + written)
    return _Taken(round(found.read * scale) + plain.read, work, held_bytes(counts, found))


def _unforetold(grid: Grid, every: Sequence[Site], run: Resolved) -> Iterator[str]:
    if any(one.needs for site in every for one in site):
        yield "the texts whose values are put in place"
    prior = grid.prior(run.spec)
    if prior is not None:
        yield f"the map {prior.grid} before it"


def _blocks_run(site: Site, n_layers: int) -> float:
    """Share of the blocks that are computed where something is done: those from the first that is acted on."""
    return (n_layers + 1 - first_block(site)) / n_layers
