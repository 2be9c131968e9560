"""Whose values stand in for those of a run's items: other items, or the same ones under other demonstrations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from iclviz.capture.sites import Donors, donors_of
from iclviz.errors import SpecError, unknown
from iclviz.intervening import Intervention, LabelAsked, Target
from iclviz.models.configuration import ModelFacts
from iclviz.prompts import TokenizedPrompt, Tokenizer
from iclviz.recording import Array
from iclviz.resolve import Built, Resolved, build, resolve, tokenized
from iclviz.spec import Demonstrations
from iclviz.store import Store
from iclviz.tasks.base import Item


def donors_for(
    run: Resolved,
    built: Built,
    prompts: Sequence[TokenizedPrompt],
    done: Sequence[Intervention],
    store: Store,
    tokenizer: Tokenizer,
    facts: ModelFacts | None,
) -> Donors:
    """The donors of what is done to the items of a run.

    Raises
    ------
    SpecError: there are none, or the same would stand in place of everything.
    """
    under = SameItems(run, built, store, tokenizer, facts)

    def against(one: Intervention) -> list[TokenizedPrompt]:
        return under.under(Demonstrations(**(one.against or {})))

    def labelled(label: LabelAsked) -> Sequence[tuple[float, ...]]:
        return label_numbers(built, label)

    def targeted(target: Target) -> Sequence[tuple[float, ...]]:
        return target_numbers(built, target)

    return donors_of(list(dict.fromkeys(done)), prompts, groups_of(built), against, labelled, targeted)


class SameItems:
    """The prompts of a run's items under any demonstrations, each made once."""

    def __init__(
        self, run: Resolved, built: Built, store: Store, tokenizer: Tokenizer, facts: ModelFacts | None
    ) -> None:
        self._run, self._built, self._store, self._tokenizer, self._facts = run, built, store, tokenizer, facts
        self._known: dict[Demonstrations, list[TokenizedPrompt]] = {}

    def under(self, shown: Demonstrations) -> list[TokenizedPrompt]:
        """N prompts, in the order of the items.

        Raises
        ------
        SpecError: there are none, or they are of other items.
        """
        shown = shown.canonical()
        if shown not in self._known:
            other = resolve(self._run.spec.with_(demonstrations=shown, interventions=()), self._store.memo)
            items = _same_items(other, self._built)
            self._known[shown] = tokenized(other, items, self._tokenizer, self._facts)
        return self._known[shown]


def label_numbers(built: Built, label: LabelAsked) -> list[tuple[float, ...]]:
    """What each item is by a label: a number, or which class it has, one column each, or whether it has one of them; or
    by a permutation of the label, between groups where it is one in each, else within them.

    Raises
    ------
    SpecError: no such label or class, or it is the same for all items.
    """
    if label.name not in built.data.labels:
        raise unknown(SpecError, "label", label.name, list(built.data.labels))
    values = np.asarray(built.data.labels[label.name])
    groups = np.unique(built.data.groups.get(label.name, np.arange(len(values))), return_inverse=True)[1]
    if len(set(values.tolist())) < 2:
        raise SpecError(f"The label {label.name} is the same for all items.", "Take another label.")
    if label.permuted is not None:
        values = values[_permuted(values, groups, np.random.default_rng(label.permuted))]
    if np.issubdtype(values.dtype, np.floating):
        return [(float(value),) for value in values]
    classes = np.unique(values)
    if not label.to:
        return [tuple((value == classes).astype(float).tolist()) for value in values]
    if label.to not in map(str, classes):
        raise unknown(SpecError, f"class of {label.name}", label.to, list(map(str, classes)))
    return [(float(str(value) == label.to),) for value in values]


def target_numbers(built: Built, target: Target) -> list[tuple[float, ...]]:
    """What each item's label is moved to, as `label_numbers` writes it; NaN where there is nothing to move it to.

    Raises
    ------
    SpecError: no such label or class, or none of its classes is what the answer is.
    """
    of_items = label_numbers(built, LabelAsked(target.label))
    values = np.asarray(built.data.labels[target.label])
    numbers = dict(zip(values.tolist(), of_items, strict=True))
    nothing = (math.nan,) * len(of_items[0])
    if target.to:
        named = next((own for own in numbers if str(own) == target.to), None)
        if named is None and not np.issubdtype(values.dtype, np.floating):
            raise unknown(SpecError, f"class of {target.label}", target.to, list(map(str, numbers)))
        moved = numbers[named] if named is not None else (_number(target.to),)
        return [nothing if own == named else moved for own in values.tolist()]
    if target.of_candidates:
        classes = class_of_answer(built, target.label)
        wanted = [classes.get(_other_candidate(item, target.draw) or "") for item in built.data.items]
    else:
        wanted = [_other_class(own, sorted(numbers), target.draw, place) for place, own in enumerate(values.tolist())]
    return [numbers.get(one, nothing) if one != own else nothing
            for one, own in zip(wanted, values.tolist(), strict=True)]  # fmt: skip


def class_of_answer(built: Built, label: str) -> dict[str, Any]:
    """Right answer, as its candidate is written -> the one class of a label whose items have it.

    Raises
    ------
    SpecError: some class has several right answers, so that nobody could say what to answer when it is moved.
    """
    found: dict[Any, set[str]] = {}
    for own, item in zip(np.asarray(built.data.labels[label]).tolist(), built.data.items, strict=True):
        found.setdefault(own, set()).add(item.candidates[0] if item.candidates else item.answer)
    several = next((own for own, answers in found.items() if len(answers) > 1), None)
    if several is not None:
        raise SpecError(
            f"Items whose {label} is {several!r} have different right answers, so that nobody can say what to answer "
            "when that label is moved.",
            "Take a label whose classes are the answers.",
        )
    return {next(iter(answers)): own for own, answers in found.items()}


def _other_candidate(item: Item, draw: int) -> str | None:
    """The candidate after the right one by a draw, going round the others."""
    others = item.candidates[1:]
    return others[draw % len(others)] if others else None


def _other_class(own: Any, classes: Sequence[Any], draw: int, place: int) -> Any:
    """One of the other classes, drawn for an item."""
    others = [one for one in classes if one != own]
    return others[int(np.random.default_rng([draw, place]).integers(len(others)))]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SpecError(f"to = {text} is no number, and this label is one.", "Give a number.") from error


def _permuted(values: Array, groups: Array, rng: np.random.Generator) -> Array:
    """(n,) the item whose label each item takes."""
    first = np.array([int(np.flatnonzero(groups == group)[0]) for group in range(int(groups.max()) + 1)])
    if (values == values[first[groups]]).all():
        return np.asarray(first[rng.permutation(len(first))][groups])
    taken = np.arange(len(values))
    for group in range(len(first)):
        own = np.flatnonzero(groups == group)
        taken[own] = rng.permutation(own)
    return taken


def _same_items(other: Resolved, built: Built) -> Built:
    """The other run's items.

    Raises
    ------
    SpecError: they are not those of this run.
    """
    theirs = build(other)
    if [item.id for item in theirs.data.items] != [item.id for item in built.data.items]:
        raise SpecError("Under those demonstrations the items are others.", "Take demonstrations of the same items.")
    return theirs


def groups_of(built: Built) -> Sequence[int]:
    """(n,) the coarsest group of each item; each its own where there are none."""
    groups = [np.unique(values, return_inverse=True)[1] for values in built.data.groups.values()]
    return min(groups, key=lambda codes: int(codes.max())).tolist() if groups else list(range(len(built.data.items)))


def together(each: Sequence[Donors], n_prompts: Sequence[int]) -> Donors | None:
    """The donors of several runs whose prompts are read as one list; None where there are none."""
    prompts: list[TokenizedPrompt] = []
    of: dict[tuple[int, Intervention], tuple[int, ...]] = {}
    labels: dict[LabelAsked, dict[int, tuple[float, ...]]] = {}
    targets: dict[tuple[int, Target], tuple[float, ...]] = {}
    before = 0
    for donors, n in zip(each, n_prompts, strict=True):
        for label, values in donors.labels.items():
            labels.setdefault(label, {}).update({len(prompts) + place: what for place, what in values.items()})
        for (index, one), own in donors.of.items():
            of[before + index, one] = tuple(len(prompts) + place for place in own)
        targets |= {(before + index, target): to for (index, target), to in donors.targets.items()}
        prompts += donors.prompts
        before += n
    return Donors(prompts, of, labels, targets) if of else None
