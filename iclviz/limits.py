"""Whether a run can be: items and demonstrations that its task has, and tokens that its model reads and knows.

It is asked of the longest item before any prompt is made, which takes no time whatever k is: demonstrations are added
until the prompt is too long or has all of them. It is asked of every prompt again when they are there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iclviz.errors import SpecError
from iclviz.models.configuration import ModelFacts
from iclviz.prompts import RenderedPrompt, TokenizedPrompt, Tokenizer, count_tokens, render, tokenize
from iclviz.spec import Demonstrations, RunSpec
from iclviz.tasks import Task, TaskData
from iclviz.tasks.base import Item

if TYPE_CHECKING:
    from iclviz.resolve import Resolved

MOST_TOKENS = 2**25
"""Of all prompts of one run: more would take gigabytes before the model has read any."""

TRIED_ITEMS = 1000
"""Items that are drawn at most to try one: a task also makes n x n hypotheses of them."""

FIRST_K, UNCOUNTED_K = 16, 1024
"""The k that is tried first, and the largest where there is no tokenizer to count with."""


@dataclass(frozen=True)
class Size:
    """Tokens of an item's prompt, of the most of its response, and of prompt and longest candidate together."""

    prompt: int
    response: int
    with_candidate: int

    @property
    def whole(self) -> int:
        """Positions that the item takes."""
        return max(self.prompt + self.response, self.with_candidate)

    @classmethod
    def of_rendered(cls, text: RenderedPrompt, tokenizer: Tokenizer, response: int) -> "Size":
        """The size of a prompt that has no tokens yet; of its candidates the longest text counts."""
        prompt = count_tokens(text, tokenizer)
        longest = max(text.candidates, key=len, default="")
        return cls(prompt, response, count_tokens(text, tokenizer, longest) if longest else prompt)

    @classmethod
    def of_tokens(cls, prompt: TokenizedPrompt, response: int) -> "Size":
        """The size of a prompt."""
        return cls(len(prompt), response, max(map(len, prompt.candidates), default=0))


def check_possible(resolved: "Resolved", tokenizer: Tokenizer | None, facts: ModelFacts | None) -> None:
    """Refuse a run that cannot be, by its longest item and before any prompt is made.

    Parameters
    ----------
    tokenizer, facts: None where the model is not on this disk yet: then only what the task has is asked.

    Raises
    ------
    SpecError: the task has not so many items or demonstrations, or they do not fit; says what does. Or the model does
        not know a token.
    """
    spec, the_task = resolved.spec, resolved.task
    the_task.check_items(spec.n_items, spec.task_options)
    data = the_task.data(min(spec.n_items, TRIED_ITEMS), spec.seed, spec.task_options)
    index = _longest(data, tokenizer) if tokenizer else 0
    k, most = 0, spec.demonstrations.k if tokenizer else min(spec.demonstrations.k, UNCOUNTED_K)
    while True:
        text = _rendered(spec, the_task, data, index, k, tokenizer)
        if tokenizer is not None:
            size = Size.of_rendered(text, tokenizer, spec.max_new_tokens or 1)
            _Room(resolved, data, tokenizer, facts).check(index, size, k)
        if k == most:
            break
        k = most if most <= 4 * max(k, FIRST_K) else max(2 * k, FIRST_K)
    if tokenizer is not None and facts is not None:
        _check_known(spec.model, data.items[index].id, tokenize(text, tokenizer), tokenizer, facts.vocab)


def _longest(data: TaskData, tokenizer: Tokenizer) -> int:
    """The item whose query and longest candidate have the most tokens."""

    def tokens(item: Item) -> int:
        text = "".join(segment.text for segment in item.query) + max(item.candidates, key=len, default="")
        return len(tokenizer(text)["input_ids"])

    return max(range(len(data.items)), key=lambda index: tokens(data.items[index]))


def check_longest(
    resolved: "Resolved",
    data: TaskData,
    texts: Sequence[RenderedPrompt],
    tokenizer: Tokenizer,
    facts: ModelFacts | None,
) -> None:
    """Refuse a run whose longest text does not fit, before all are tokenised; raises as `check_possible`."""
    index = max(
        range(len(texts)), key=lambda one: len(texts[one].text) + max(map(len, texts[one].candidates), default=0)
    )
    size = Size.of_rendered(texts[index], tokenizer, resolved.spec.max_new_tokens or 1)
    _Room(resolved, data, tokenizer, facts).check(index, size, resolved.spec.demonstrations.k)


def check_prompts(
    resolved: "Resolved",
    data: TaskData,
    prompts: Sequence[TokenizedPrompt],
    tokenizer: Tokenizer,
    facts: ModelFacts | None,
) -> None:
    """Refuse a run with a prompt or a candidate that the model cannot read; raises as `check_possible`."""
    sizes = [Size.of_tokens(prompt, resolved.spec.max_new_tokens or 1) for prompt in prompts]
    index = max(range(len(sizes)), key=lambda one: sizes[one].whole)
    _Room(resolved, data, tokenizer, facts).check(index, sizes[index], resolved.spec.demonstrations.k)
    if facts is not None:
        for item, prompt in zip(data.items, prompts, strict=True):
            _check_known(resolved.spec.model, item.id, prompt, tokenizer, facts.vocab)


def _check_known(model: str, item: str, prompt: TokenizedPrompt, tokenizer: Tokenizer, vocab: int) -> None:
    """Refuse token ids for which the model has no embedding."""
    largest = max(max(ids) for ids in (prompt.ids, *prompt.candidates))
    if largest >= vocab:
        text = tokenizer.decode([largest])
        raise SpecError(
            f"Item {item!r} has the token {text!r} with the id {largest:,}, and {model} knows the ids below {vocab:,}: "
            "the tokenizer is not the model's.",
            "Put the tokenizer that the model was trained with into its folder, or leave such tokens out.",
        )


@dataclass(frozen=True)
class _Room:
    """The positions that one item may take, and what is said of one that takes more."""

    resolved: "Resolved"
    data: TaskData
    tokenizer: Tokenizer
    facts: ModelFacts | None

    @property
    def held(self) -> int:
        """Tokens of each item that a run of so many items may hold."""
        return MOST_TOKENS // self.resolved.spec.n_items

    @property
    def most(self) -> int:
        """Positions of one item."""
        context = self.facts.context_length if self.facts else None
        return self.held if context is None else min(context, self.held)

    def check(self, index: int, size: Size, k: int) -> None:
        """Refuse a run whose item `index` has that size with k demonstrations, all of them or the first."""
        if size.whole <= self.most:
            return
        spec = self.resolved.spec
        more = "" if k == spec.demonstrations.k else "more than "
        problem = f"k = {spec.demonstrations.k:,} needs {more}{size.whole:,} tokens; {self._limit()}."
        fits = largest(lambda k: self._size(index, k).whole, self.most, k, size.whole)
        if fits >= 0 and size.prompt > size.response:
            raise SpecError(problem, f"Take k <= {fits}.")
        raise SpecError(*self._without_k(size))

    def _limit(self) -> str:
        spec = self.resolved.spec
        if self.most < self.held:
            return f"{spec.model} reads {self.most:,}"
        return f"a run of {spec.n_items:,} items holds {self.held:,} of each"

    def _without_k(self, size: Size) -> tuple[str, str]:
        """What is wrong where no k would help, and what to do."""
        left = self.most - size.prompt
        if size.prompt + size.response <= self.most:
            asked = (
                f"A prompt of {size.prompt:,} tokens and a candidate answer of {size.with_candidate - size.prompt:,}"
            )
            remedy = "Take shorter answers."
        else:
            asked = f"A prompt of {size.prompt:,} tokens and {size.response:,} new ones"
            remedy = f"Take max_new_tokens <= {left}." if left > 0 else "Take shorter items."
        if self.most == self.held:
            return f"{asked} are too many: {self._limit()}.", "Take fewer items, or shorter ones."
        return f"{asked} are more than {self.resolved.spec.model} reads: {self.most:,}.", remedy

    def _size(self, index: int, k: int) -> Size:
        spec = self.resolved.spec
        text = _rendered(spec, self.resolved.task, self.data, index, k, self.tokenizer)
        return Size.of_rendered(text, self.tokenizer, spec.max_new_tokens or 1)


def largest(size: Callable[[int], int], most: int, above: int, size_above: int) -> int:
    """The largest number whose size is at most so much, below one whose size is more; -1 if none. Sizes grow.

    They grow about evenly, so it is looked for where a straight line has it, and every third time in the middle.
    """
    low, high, sizes = 0, above, {0: size(0) if above else size_above, above: size_above}
    if sizes[0] > most:
        return -1
    turn = 0
    while high - low > 1:
        turn += 1
        share = 0.5 if turn % 3 == 0 else (most - sizes[low]) / (sizes[high] - sizes[low])
        middle = low + min(max(int(share * (high - low)), 1), high - low - 1)
        sizes[middle] = size(middle)
        low, high = (middle, high) if sizes[middle] <= most else (low, middle)
    return low


def _rendered(
    spec: RunSpec, the_task: Task, data: TaskData, index: int, k: int, tokenizer: Tokenizer | None
) -> RenderedPrompt:
    """One item's text with the first k demonstrations; in their order where they are all.

    Raises
    ------
    SpecError: the task does not have so many as the spec asks for.
    """
    order = spec.demonstrations.order if k == spec.demonstrations.k else 0
    shown = replace(spec.demonstrations, k=k, order=order) if k else Demonstrations("none", 0)
    try:
        prompt = the_task.prompt(data, index, shown, spec.task_options)
    except SpecError:
        prompt = the_task.prompt(
            data, index, spec.demonstrations, spec.task_options
        )  # says it of the k that was asked for
    style, first_token = spec.prompt_style, spec.first_token
    assert style is not None
    assert first_token is not None
    return render(prompt, style if tokenizer else "plain", tokenizer, first_token, spec.template)
