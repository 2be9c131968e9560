"""A plan in words."""

from collections.abc import Iterator

from iclviz.planning.of_study import Cost, StudyPlan
from iclviz.planning.planned import OnDevice, Plan

UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size(n_bytes: float) -> str:
    """Bytes as people say them."""
    unit, name = next(((unit, name) for unit, name in UNITS if n_bytes >= unit), (1.0, "bytes"))
    return f"{n_bytes / unit:.3g} {name}" if n_bytes < 999 * unit else f"{n_bytes / unit:,.0f} {name}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.2g} h"


def lines(plan: Plan) -> list[str]:
    """The model, what is read, memory, disk and time, a line each."""
    counts, read, memory, taken = plan.counts, plan.reading, plan.memory, plan.seconds
    about = "about " if read.is_estimated else ""
    experts = f", {counts.active:,} of them for a token" if counts.active != counts.parameters else ""
    found = [
        f"model    {counts.architecture}: {counts.parameters:,} parameters{experts}; {size(counts.weight_bytes)} in "
        f"{counts.dtype}, {size(counts.key_bytes)} of keys and values a token",
        f"reads    {about}{read.read:,} of {read.tokens:,} tokens, as prompts share the others; the longest has "
        f"{read.longest:,}",
        f"memory   {size(memory.total)}: weights {size(memory.weights)}, keys and values {size(memory.caches)}, "
        f"activations {size(memory.activations)}, recording {size(memory.recording)}",
        f"disk     {size(memory.disk)}",
        f"time     about {duration(taken.total)} on this machine: prompts {duration(taken.prefill)}, responses "
        f"{duration(taken.decode)}, candidates {duration(taken.candidates)}",
    ]
    if plan.stored is not None:
        found.insert(1, f"file     {size(plan.stored)} of packed weights, which a run unpacks")
    if plan.map is not None:
        of = plan.map
        found.append(
            f"map      {of.title}: {of.sites:,} sites, {of.read:,} tokens; about {duration(of.seconds)} and "
            f"{size(of.disk)} of disk{''.join(f'; not in it: {one}' for one in of.unforetold)}"
        )
    return found


def row(one: OnDevice) -> tuple[str, str, str]:
    """A device, seconds there, and how the model fits."""
    return one.fit.device, duration(one.seconds.total) if one.seconds else "", one.fit.sentence


def study_rows(plan: StudyPlan) -> Iterator[tuple[str, ...]]:
    """What is left of a study, a row for each group of runs and each kind of maps: model, what, how many, prompts,
    tokens, those that are read, memory, disk, time.
    """
    for one in plan.groups:
        taken = _taken(one.cost)
        yield one.model, one.task, f"{one.n_runs:,}", f"{one.n_items:,}", f"{one.tokens:,}", f"{one.read:,}", *taken
    for each in plan.maps:
        yield each.model, each.title, f"{each.n_maps:,}", "", "", f"{each.read:,}", *_taken(each.cost)


def _taken(cost: Cost | None) -> tuple[str, str, str]:
    return ("?", "?", "?") if cost is None else (size(cost.memory), size(cost.disk), duration(cost.seconds))


def study_lines(plan: StudyPlan) -> Iterator[str]:
    """What is left of a study in all, by model, and what is not foretold, a line each."""
    yield f"runs     {plan.n_missing:,} to do, {plan.n_there:,} recorded"
    yield f"maps     {plan.n_maps - plan.n_maps_there:,} to do, {plan.n_maps_there:,} made"
    for model, cost in plan.models.items():
        memory, disk, taken = _taken(cost)
        yield f"takes    {model}: about {memory} of memory, {disk} of disk and {taken} on this machine"
    total = sum(cost.disk for cost in plan.models.values())
    yield f"disk     {size(total)} of {size(plan.free)} that are free{'' if total < plan.free else ': too little'}"
    for line in plan.unforetold:
        yield f"not foretold: {line}"
