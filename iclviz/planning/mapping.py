"""What a map costs beside its run: every item under every site, with the text before the first act read once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.capture.plan import PlanSettings
from iclviz.capture.sites import reading_as
from iclviz.intervening import first_block
from iclviz.jobs.map_computing import shape_of
from iclviz.mapping import Grid, Site, sites_of
from iclviz.models.configuration import ModelFacts
from iclviz.planning.devices import Device
from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.memory import map_bytes
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
    """

    title: str
    sites: int
    rows: int
    read: int
    seconds: float
    disk: int


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
    rows = len(every) * len(prompts)
    some = prompts[: max(1, min(len(prompts), MOST_PLANNED // len(every)))]
    tried = every[:: max(1, len(every) * len(some) // MOST_PLANNED)]
    copies, done = [prompt for _ in tried for prompt in some], [site for site in tried for _ in some]
    found = reading(copies, grid.responses, settings, reading_as(done, copies), grid.responses)
    scale = rows / len(copies)
    taken, once = seconds(counts, found, device), seconds(counts, plain, device)
    written = taken.decode if grid.responses else 0.0
    blocks = 1.0 if grid.responses else float(np.mean([_blocks_run(site, counts.n_layers) for site in tried]))
    sizes = [len(axis.values) for axis in axes]
    n_controls = len(controls[0]) if controls else 0
    return MapCost(
        title=grid.title,
        sites=sizes[0] * sizes[1],
        rows=rows + len(prompts),
        read=round(found.read * scale) + plain.read,
        seconds=once.prefill + once.candidates + scale * (blocks * (taken.prefill + taken.candidates) + written),
        disk=map_bytes(sizes, grid.n_draws, n_controls, len(prompts), plain.most_candidates),
    )


def _blocks_run(site: Site, n_layers: int) -> float:
    """Share of the blocks that are computed where something is done: those from the first that is acted on."""
    return (n_layers + 1 - first_block(site)) / n_layers
