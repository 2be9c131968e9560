"""From what was asked for to what will run: defaults filled in, the key made, the prompts built and checked.

Needs no torch, so pages can say before anything is queued whether a run exists, what it will read and whether it fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from iclviz import versions
from iclviz.errors import ModelError, SpecError
from iclviz.keys import Origin, key_of
from iclviz.models.devices import device_kind
from iclviz.models.identity import Tell, identity
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.options import check_options, check_trust
from iclviz.prompts import Prompt, RenderedPrompt, TokenizedPrompt, Tokenizer, count_tokens, render, tokenize
from iclviz.spec import DEFAULT_POOLINGS, TEMPLATE, Demonstrations, RunSpec
from iclviz.tasks import Task, TaskData, task


@dataclass(frozen=True)
class Resolved:
    """A spec with every default filled in, its key and what that covers, its task and where its model lies."""

    spec: RunSpec
    key: str
    task: Task
    located: LocatedModel
    origin: Origin


@dataclass(frozen=True)
class Built:
    """The items of a run and their prompts; n items."""

    data: TaskData
    prompts: Sequence[Prompt]


def resolve(spec: RunSpec, memo: Any = None, tell: Tell | None = None) -> Resolved:
    """The run that a spec asks for.

    memo: remembers the identity of local files between calls.
    tell: told how far reading the model's files is, where they are large and not remembered.

    Raises
    ------
    SpecError: an unknown task, demonstration kind or option, or a value that does not fit.
    TaskFileError: the task's file is not there, or something in it is wrong.
    ModelError: the model is not there, or its files are damaged.
    """
    check_trust(spec.model, spec.model_options)
    of = task(spec.task)
    demonstrations = of.check_demonstrations(spec.demonstrations)
    located = locate(spec.model)
    style = spec.prompt_style or (located.preset.prompt_style if located.preset else "plain")
    # Another way of writing the same path is the same run, also for a worker that starts in another folder.
    local = located.preset is None and located.kind != "hub"
    full = replace(
        spec,
        model=str(located.path) if local else spec.model,
        task=of.name,
        demonstrations=demonstrations,
        task_options=of.resolve_options(spec.task_options, style),
        prompt_style=style,
        dtype=spec.dtype or _default_dtype(spec, located),
        max_new_tokens=spec.max_new_tokens or of.max_new_tokens[style],
        poolings=spec.poolings or DEFAULT_POOLINGS,
        model_options=check_options(spec.model_options),
        first_token=spec.first_token or "start",
        template={**TEMPLATE, **spec.template} if style == "chat" else {},
    )
    numbers = {"task": of.version, "prompts": versions.PROMPTS, "capture": versions.CAPTURE}
    origin = Origin(of.identity, identity(located, memo, tell), local, numbers)
    return Resolved(full, key_of(full, origin), of, located, origin)


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
    resolved: Resolved, built: Built, tokenizer: Tokenizer, context_length: int | None
) -> list[TokenizedPrompt]:
    """The run's prompts as token ids and spans, checked against what the model can read.

    Raises
    ------
    SpecError: the longest prompt and its response do not fit the model's context; says what does.
    """
    texts = rendered(resolved, built.prompts, tokenizer)
    by_length = sorted(range(len(texts)), key=lambda index: -len(texts[index].text))
    tokens = count_tokens(texts[by_length[0]], tokenizer)
    _check_length(resolved, built, by_length[0], tokens, tokenizer, context_length)
    prompts = [tokenize(text, tokenizer) for text in texts]
    longest = max(range(len(prompts)), key=lambda index: len(prompts[index]))
    _check_length(resolved, built, longest, len(prompts[longest]), tokenizer, context_length)
    return prompts


def _check_length(
    resolved: Resolved, built: Built, index: int, tokens: int, tokenizer: Tokenizer, context_length: int | None
) -> None:
    """Refuse a run whose item `index` with so many prompt tokens does not fit."""
    spec, response = resolved.spec, resolved.spec.max_new_tokens or 0
    if context_length is None or tokens + response <= context_length:
        return
    k = spec.demonstrations.k
    problem = f"k = {k} needs {tokens + response:,} tokens; {spec.model} reads {context_length:,}."
    fits = _largest_k(resolved, built.data, index, tokenizer, context_length)
    if fits >= 0 and tokens > response:
        raise SpecError(problem, f"Take k <= {fits}.")
    asked = f"A prompt of {tokens:,} tokens and {response:,} new ones"
    problem = f"{asked} are more than {spec.model} reads: {context_length:,}."
    fewer = context_length - tokens
    raise SpecError(problem, f"Take max_new_tokens <= {fewer}." if fewer > 0 else "Take shorter items.")


def _largest_k(resolved: Resolved, data: TaskData, index: int, tokenizer: Tokenizer, limit: int) -> int:
    """The largest k whose prompt of one item fits, -1 if none; by bisection, since nested sets grow with k."""
    spec = resolved.spec

    def needs(k: int) -> int:
        shown = replace(spec.demonstrations, k=k) if k else Demonstrations("none", 0)
        prompt = resolved.task.prompt(data, index, shown, spec.task_options)
        return count_tokens(rendered(resolved, [prompt], tokenizer)[0], tokenizer) + (spec.max_new_tokens or 0)

    low, high = -1, spec.demonstrations.k
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needs(middle) <= limit else (low, middle)
    return low


def check_model_ready(resolved: Resolved) -> None:
    """Refuse a model that would have to be fetched first.

    Raises
    ------
    ModelError: the model is not on this disk.
    """
    if resolved.located.notice:
        raise ModelError(resolved.located.notice)
