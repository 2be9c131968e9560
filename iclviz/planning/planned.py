"""A run's plan: what it reads, what that takes on this machine, and where else its model fits."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from iclviz.capture.budget import budget_of, named_budget
from iclviz.capture.plan import PlanSettings
from iclviz.errors import ModelError
from iclviz.limits import check_possible
from iclviz.mapping import Grid
from iclviz.models.configuration import model_facts
from iclviz.models.locating import LocatedModel, fetch_configuration, locate_configuration
from iclviz.models.seen import FOLDER
from iclviz.planning.configurations import counts_of, packed
from iclviz.planning.devices import DEVICES, THIS, Device, device, this_machine
from iclviz.planning.dry_run import DTYPES, ModelCounts
from iclviz.planning.fitting import Fit, fit
from iclviz.planning.mapping import MapCost, map_cost
from iclviz.planning.memory import Memory, memory
from iclviz.planning.reading import Reading, reading
from iclviz.planning.roofline import Seconds, seconds
from iclviz.planning.tokenizers import own_tokenizer, pieces_tokenizer
from iclviz.prompts import TokenizedPrompt
from iclviz.resolve import Resolved, build, resolve_unread, tokenized
from iclviz.spec import RunSpec
from iclviz.store import Store
from iclviz.whereabouts import known

GPU_BUDGET = 65536


@dataclass(frozen=True)
class OnDevice:
    """A run on one kind of device: how its model fits there, and the seconds where it does without main memory."""

    fit: Fit
    seconds: Seconds | None


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes
    ----------
    spec: with every default filled in.
    counts: of the model, in the type of weights that the run has on this machine.
    stored: bytes of weights as they lie in a `.gguf` file, None for others.
    reading, memory, seconds: of the run on this machine.
    map: what a map of the run takes beside it, None where none was asked for.
    devices: the same run elsewhere.
    """

    spec: RunSpec
    counts: ModelCounts
    stored: int | None
    reading: Reading
    memory: Memory
    machine: Device
    seconds: Seconds
    map: MapCost | None
    devices: tuple[OnDevice, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values; passes are left out."""
        read = {name: value for name, value in asdict(self.reading).items() if not isinstance(value, tuple)}
        return {
            "spec": self.spec.to_dict(),
            "model": _numbers(self.counts),
            "stored": self.stored,
            "reading": read,
            "memory": {**asdict(self.memory), "total": self.memory.total},
            "seconds": _stages(self.seconds),
            "map": asdict(self.map) if self.map else None,
            "devices": [
                {**asdict(one.fit), "seconds": _stages(one.seconds) if one.seconds else None} for one in self.devices
            ],
        }


def _stages(of: Seconds) -> dict[str, float]:
    return {**asdict(of), "total": of.total}


def _numbers(counts: ModelCounts) -> dict[str, Any]:
    return {
        "architecture": counts.architecture,
        "dtype": counts.dtype,
        "parameters": counts.parameters,
        "active_parameters": counts.active,
        "weight_bytes": counts.weight_bytes,
        "key_bytes_per_token": counts.key_bytes,
        "flops_per_token": counts.pass_.flops_per_token,
        "output_layer_flops": counts.head_flops,
        "attention_flops_per_pair": counts.pair_flops,
        "activation_bytes_per_token": counts.held,
    }


def planned(spec: RunSpec, grid: Grid | None = None, on: str | None = None) -> Plan:
    """The plan of a run, and of a map beside it; on: the name of one device, None for all that are known.

    Raises
    ------
    UserError: the run cannot be, its model's configuration cannot be found, or no device has that name.
    """
    located = fetch_configuration(_located(spec.model))
    run = resolve_unread(spec, located)
    trusted = bool(run.spec.model_options.get("trust_remote_code", False))
    wanted = [on] if on else [*DEVICES]
    for name in wanted:
        device(name)
    prompts, is_estimated = _prompts(run, trusted)
    assert run.spec.dtype is not None
    counts = counts_of(located, run.spec.dtype, trusted)
    machine = this_machine(counts.width)
    limit = run.spec.max_new_tokens or 1
    settings = engine_settings(counts, machine)
    read = reading(prompts, limit, settings, is_estimated=is_estimated)
    facts = model_facts(located, trusted)
    on_gpu = counts_of(located, spec.dtype or _gpu_dtype(located, facts.dtype), trusted)
    in_parallel = reading(prompts, limit, PlanSettings(GPU_BUDGET, 1), is_estimated=is_estimated)
    elsewhere = [_on(on_gpu, in_parallel, device(name, counts.width)) for name in wanted if device(name).name != THIS]
    found = packed(located)
    return Plan(
        spec=run.spec,
        counts=counts,
        stored=found.size if found else None,
        reading=read,
        memory=memory(counts, read, run.spec),
        machine=machine,
        seconds=seconds(counts, read, machine),
        map=map_cost(grid, run, prompts, read, counts, facts, settings, machine) if grid else None,
        devices=(_on(counts, read, machine), *elsewhere),
    )


def _located(model: str) -> LocatedModel:
    """Where a model's configuration is; one's own model is also known by its folder's name, as specs have it."""
    try:
        return locate_configuration(model)
    except ModelError:
        seen = known(model.removeprefix(FOLDER), Store().memo)
        if not seen:
            raise
        return locate_configuration(seen[0][0])


def _on(counts: ModelCounts, read: Reading, where: Device) -> OnDevice:
    found = fit(counts, read, where)
    return OnDevice(found, seconds(counts, read, where) if found.how in ("whole", "split") else None)


def engine_settings(counts: ModelCounts, machine: Device) -> PlanSettings:
    """Those of a batch plan as the engine will make them, as far as the memory of the moment is that of then."""
    kind = "cuda" if machine.kind == "cuda" else "cpu"
    budget = named_budget() or budget_of(max(machine.memory - counts.weight_bytes, 1), counts.budgeted, kind)
    return PlanSettings(budget, torch.get_num_threads())


def _gpu_dtype(located: LocatedModel, stored: str) -> str:
    """What a GPU holds weights in unless it is asked otherwise."""
    wanted = located.preset.dtype if located.preset else stored
    return wanted if wanted in DTYPES and wanted != "float32" else "bfloat16"


def _prompts(run: Resolved, trusted: bool) -> tuple[list[TokenizedPrompt], bool]:
    """The run's prompts, and whether their tokens are estimated for want of a tokenizer."""
    own = own_tokenizer(run.located, Store().memo, trusted)
    facts = None if own is None else model_facts(run.located, trusted)
    check_possible(run, own, facts)
    built = build(run)
    if own is not None:
        return tokenized(run, built, own, facts), False
    texts = [text for prompt in built.prompts for text in (prompt.text, *prompt.candidates, prompt.ending)]
    return tokenized(run, built, pieces_tokenizer(texts), None), True
