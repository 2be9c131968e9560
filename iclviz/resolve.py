"""From what was asked for to what will run: defaults filled in, the key made, the prompts built and checked.

Needs no torch, so pages can say before anything is queued whether a run exists, what it will read and whether it fits.
"""

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iclviz import versions
from iclviz.errors import ModelError
from iclviz.keys import Origin, key_of
from iclviz.limits import check_longest, check_possible, check_prompts
from iclviz.mapping import Grid, MapSpec, Tracer, as_mapped, map_key
from iclviz.models.configuration import ModelFacts, model_facts
from iclviz.models.devices import device_kind
from iclviz.models.identity import Tell
from iclviz.models.locating import LocatedModel
from iclviz.models.options import check_options, check_trust
from iclviz.models.seen import FoundModel, candidates, remember, the_model
from iclviz.models.tokenizing import load_tokenizer
from iclviz.prompts import Prompt, RenderedPrompt, TokenizedPrompt, Tokenizer, render, tokenize
from iclviz.recorders import check_record, optional
from iclviz.spec import DEFAULT_POOLINGS, TEMPLATE, RunSpec
from iclviz.store import Store
from iclviz.tasks import Task, TaskData, task


@dataclass(frozen=True)
class Resolved:
    """A spec with every default filled in, its key and what that covers, its task and where its model lies."""

    spec: RunSpec
    key: str
    task: Task
    located: LocatedModel
    origin: Origin

    def may_run_with(self, other: "Resolved") -> bool:
        """Whether one reading serves both: the same model's files, and equal specs in what changes the forward pass."""
        return self.origin.model == other.origin.model and self.spec.may_run_with(other.spec)

    def is_read_with(self, other: "Resolved") -> bool:
        """Whether one reading serves both, and reads much of their text once."""
        return self.may_run_with(other) and self.spec.is_read_with(other.spec)


@dataclass(frozen=True)
class ResolvedMap:
    """A map's spec with every default filled in, its key, and its run as far as the map depends on it."""

    spec: MapSpec
    key: str
    run: Resolved


@dataclass(frozen=True)
class Built:
    """The items of a run and their prompts; n items."""

    data: TaskData
    prompts: Sequence[Prompt]


def resolve(spec: RunSpec, memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None) -> Resolved:
    """The run that a spec asks for.

    memo: facts about files of this machine, remembered between calls; None = those of the cache.
    tell: receives how far reading the model's files is, where they are large and not remembered.

    Raises
    ------
    SpecError: an unknown task, demonstration kind, option or recorder, or a value that does not fit.
    TaskFileError: the task's file is not there, or something in it is wrong.
    ModelError: the model is not there, or its files are damaged.
    """
    return resolve_all([spec], memo, tell)[0]


def resolve_all(
    specs: Iterable[RunSpec], memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None
) -> list[Resolved]:
    """As `resolve` for many specs, in their order; each model is looked for once."""
    memo = Store().memo if memo is None else memo
    models: dict[str, FoundModel] = {}
    found = []
    for spec in specs:
        check_record(spec.record)
        the_task = task(spec.task)
        shown = the_task.check_demonstrations(spec.demonstrations)
        if spec.model not in models:
            models[spec.model] = the_model(spec.model, memo, tell)
        model = models[spec.model]
        found.append(_run(_filled(spec.with_(demonstrations=shown), the_task, model), the_task, model))
    for one in {(run.located, run.origin.model): run for run in found}.values():
        remember(FoundModel(one.located, one.origin.model), memo)
    return found


def resolve_unread(spec: RunSpec, located: LocatedModel) -> Resolved:
    """The run of a spec as far as it can be told from its model's configuration, whose weights need not be there; its
    key is of no recording.

    Raises
    ------
    As `resolve`.
    """
    check_record(spec.record)
    the_task, model = task(spec.task), FoundModel(located, "")
    spec = spec.with_(demonstrations=the_task.check_demonstrations(spec.demonstrations))
    return _run(_filled(spec, the_task, model), the_task, model)


def resolved_before(
    spec: RunSpec, key: str, memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None
) -> Resolved:
    """The run of a spec that was resolved before, with its model as it lies here now; nothing is filled in again.

    key: the run's; the result has another one where no model by the spec's name is that run's any more.

    Raises
    ------
    As `resolve`.
    """
    memo, the_task = Store().memo if memo is None else memo, task(spec.task)
    each = [_run(spec, the_task, model) for model in candidates(spec.model, memo, tell)]
    found = next((one for one in each if one.key == key), each[0])
    remember(FoundModel(found.located, found.origin.model), memo)
    return found


def resolve_map(spec: MapSpec, memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None) -> ResolvedMap:
    """The map that a spec asks for.

    Raises
    ------
    As `resolve`.
    """
    return _map_of(resolve(as_mapped(spec.run), memo, tell), spec.grid)


def resolved_map_before(
    spec: MapSpec, key: str, memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None
) -> ResolvedMap:
    """As `resolved_before`, of a map."""
    memo, the_task = Store().memo if memo is None else memo, task(spec.run.task)
    each = [_map_of(_run(spec.run, the_task, model), spec.grid) for model in candidates(spec.run.model, memo, tell)]
    return next((one for one in each if one.key == key), each[0])


def _map_of(run: Resolved, of: Grid | Tracer) -> ResolvedMap:
    return ResolvedMap(MapSpec(run.spec, of), map_key(run.spec, run.origin, of), run)


def _filled(spec: RunSpec, the_task: Task, model: FoundModel) -> RunSpec:
    """The spec with every default filled in."""
    located = model.located
    style = spec.prompt_style or (located.preset.prompt_style if located.preset else "plain")
    return replace(
        spec,
        model=model.name,
        task=the_task.name,
        task_options=the_task.resolve_options(spec.task_options, style),
        prompt_style=style,
        dtype=spec.dtype or _default_dtype(spec, located),
        max_new_tokens=spec.max_new_tokens or the_task.max_new_tokens[style],
        poolings=spec.poolings or DEFAULT_POOLINGS,
        model_options=check_options(spec.model_options),
        first_token=spec.first_token or "start",
        template={**TEMPLATE, **spec.template} if style == "chat" else {},
    )


def _run(spec: RunSpec, the_task: Task, model: FoundModel) -> Resolved:
    """The run of a spec without defaults, with a model."""
    check_trust(model.located, spec.model_options)
    numbers = {"task": the_task.version, "prompts": versions.PROMPTS, "capture": versions.CAPTURE}
    numbers |= {f"record.{name}": optional()[name].version for name in spec.record}
    numbers |= {f"intervention.{one.kind}": one.version for one in spec.interventions}
    origin = Origin(the_task.identity, model.identity, model.by_files, numbers)
    return Resolved(spec, key_of(spec, origin), the_task, model.located, origin)


def run_together(asked: Iterable[Resolved]) -> list[list[Resolved]]:
    """The runs, each key once, in groups of those that are best read together, in the order of asking."""
    groups: list[list[Resolved]] = []
    for resolved in {one.key: one for one in asked}.values():
        group = next((one for one in groups if one[0].is_read_with(resolved)), None)
        if group is None:
            groups.append([resolved])
        else:
            group.append(resolved)
    return groups


def _default_dtype(spec: RunSpec, located: LocatedModel) -> Any:
    if device_kind(spec.model_options) == "cpu":
        return "float32"
    return located.preset.dtype if located.preset else "bfloat16"


def build(resolved: Resolved) -> Built:
    """Items and prompts of a run, before any tokenizer.

    Raises
    ------
    SpecError: more items or demonstrations than the task's options allow.
    """
    spec = resolved.spec
    data = resolved.task.data(spec.n_items, spec.seed, spec.task_options)
    return Built(data, resolved.task.prompts(data, spec.demonstrations, spec.task_options))


def rendered(resolved: Resolved, prompts: Sequence[Prompt], tokenizer: Tokenizer | None) -> list[RenderedPrompt]:
    """The exact texts of a run; without a tokenizer, of the plain style alone and without what it puts before them."""
    style, first_token, template = resolved.spec.prompt_style, resolved.spec.first_token, resolved.spec.template
    assert style is not None
    assert first_token is not None
    return [render(prompt, style, tokenizer, first_token, template) for prompt in prompts]


def tokenized(
    resolved: Resolved, built: Built, tokenizer: Tokenizer, facts: ModelFacts | None
) -> list[TokenizedPrompt]:
    """The run's prompts as token ids and spans, checked against what the model can read.

    Raises
    ------
    SpecError: the longest prompt with its response or a candidate does not fit the model's context, and what does; or
        a token that the model does not know.
    """
    texts = rendered(resolved, built.prompts, tokenizer)
    check_longest(resolved, built.data, texts, tokenizer, facts)
    prompts = [tokenize(text, tokenizer) for text in texts]
    check_prompts(resolved, built.data, prompts, tokenizer, facts)
    return prompts


def check_before(asked: Sequence[Resolved], memo: Any = None) -> None:
    """Refuse runs that cannot be, before their prompts or jobs are made.

    memo: remembers the identity of local files between calls.

    Raises
    ------
    SpecError: a task has not so many items or demonstrations, or they do not fit the model; says what does.
    """
    known: dict[str, tuple[Tokenizer | None, ModelFacts | None]] = {}
    for resolved in asked:
        if resolved.origin.model not in known:
            known[resolved.origin.model] = _tokenizer_and_facts(resolved, memo)
        check_possible(resolved, *known[resolved.origin.model])


def run_facts(resolved: Resolved) -> ModelFacts:
    """The shape of a run's model.

    Raises
    ------
    ModelError: the model is not on this disk, or its configuration does not tell its shape.
    """
    return model_facts(resolved.located, bool(resolved.spec.model_options.get("trust_remote_code", False)))


def _tokenizer_and_facts(resolved: Resolved, memo: Any) -> tuple[Tokenizer | None, ModelFacts | None]:
    """Those of a model that is ready on this disk; why another is not is said when its run comes to it."""
    try:
        facts = run_facts(resolved)
        return load_tokenizer(resolved.located, memo), facts
    except ModelError:
        return None, None


def check_model_ready(resolved: Resolved) -> None:
    """Refuse a model that would have to be fetched first.

    Raises
    ------
    ModelError: the model is not on this disk.
    """
    if resolved.located.notice:
        raise ModelError(resolved.located.notice)
