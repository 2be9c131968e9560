"""Whose values stand in for those of a run's items: other items, or the same ones under other demonstrations."""

from collections.abc import Sequence

import numpy as np

from iclviz.capture.sites import Donors, donors_of
from iclviz.errors import SpecError
from iclviz.intervening import Intervention
from iclviz.models.configuration import ModelFacts
from iclviz.prompts import TokenizedPrompt, Tokenizer
from iclviz.resolve import Built, Resolved, build, resolve, tokenized
from iclviz.spec import Demonstrations
from iclviz.store import Store


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
    known: dict[Demonstrations, list[TokenizedPrompt]] = {}

    def against(one: Intervention) -> list[TokenizedPrompt]:
        shown = Demonstrations(**(one.against or {})).canonical()
        if shown not in known:
            other = resolve(run.spec.with_(demonstrations=shown, interventions=()), store.memo)
            known[shown] = tokenized(other, _same_items(other, built), tokenizer, facts)
        return known[shown]

    return donors_of(list(dict.fromkeys(done)), prompts, groups_of(built), against)


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
    before = 0
    for donors, n in zip(each, n_prompts, strict=True):
        for (index, one), own in donors.of.items():
            of[before + index, one] = tuple(len(prompts) + place for place in own)
        prompts += donors.prompts
        before += n
    return Donors(prompts, of) if of else None
