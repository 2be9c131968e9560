"""Where interventions act in prompts: the tokens of a place, and what of prompts may be read once for several of them.

Needs no torch, so that a plan can be made before a model is there.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iclviz.errors import SpecError
from iclviz.intervening import MARK, RANDOM, Intervention, LabelAsked, Need, Target, place_words
from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]
N_FOLDS = 4
"""Of groups, where something is fitted on other items than it is used on."""
SHIFT = 32
"""Bits of a token id."""


def members(prompt: TokenizedPrompt, place: str, n_own: int) -> tuple[Array, bool]:
    """(n_own,) boolean, which of a prompt's first tokens a place holds, and whether it holds those after them.

    n_own: as many tokens of the prompt as are read; the last of them reads the answer out.
    """
    inside = np.zeros(n_own, dtype=bool)
    if place == "last":
        inside[-1:] = True
    elif place == "query":
        inside[prompt.query_start :] = True
    elif place == "all":
        inside[:] = True
    elif drawn := RANDOM.fullmatch(place):
        inside[:] = _drawn(prompt, int(drawn[1]), drawn[2])[:n_own]
    elif found := MARK.fullmatch(place):
        for mark in prompt.marks:
            if _is_meant(mark.name, found):
                inside[mark.start : mark.end] = True
    else:
        inside[:] = np.array(prompt.roles())[:n_own] == place
    return inside, place in ("last", "response", "all")


def _drawn(prompt: TokenizedPrompt, draw: int, place: str) -> Array:
    """(T,) boolean, as many tokens as a place holds, drawn from those that it does not hold, special ones and the last
    apart; all of these where they are fewer. One prompt and draw always give the same.
    """
    held = members(prompt, place, len(prompt))[0]
    others = np.flatnonzero(~held & (np.array(prompt.roles()) != "special"))[:-1]
    chosen = np.random.default_rng([draw, *prompt.ids]).permutation(others)[: int(held.sum())]
    inside = np.zeros(len(prompt), dtype=bool)
    inside[chosen] = True
    return inside


Done = Sequence[Sequence[Intervention]]
"""The interventions of each prompt, in their order."""


@dataclass(frozen=True, eq=False)
class Donors:
    """Whose values stand in for those of prompts.

    Attributes
    ----------
    prompts: every donor.
    of: prompt and what is done to it -> places of its donors among these.
    labels: label -> place of a donor -> what it is, as numbers.
    targets: prompt and where a label is moved to -> what that is, as numbers; NaN where there is nothing.
    """

    prompts: Sequence[TokenizedPrompt] = ()
    of: Mapping[tuple[int, Intervention], tuple[int, ...]] = field(default_factory=dict)
    labels: Mapping[LabelAsked, Mapping[int, tuple[float, ...]]] = field(default_factory=dict)
    targets: Mapping[tuple[int, Target], tuple[float, ...]] = field(default_factory=dict)

    def only(self, prompt: int) -> "Donors":
        """Those of one prompt, which is then the only one."""
        of = {(0, one): own for (index, one), own in self.of.items() if index == prompt}
        used = sorted({place for own in of.values() for place in own})
        places = {place: number for number, place in enumerate(used)}
        fewer = {entry: tuple(places[place] for place in own) for entry, own in of.items()}
        labels = {
            label: {places[place]: what for place, what in values.items() if place in places}
            for label, values in self.labels.items()
        }
        targets = {(0, target): to for (index, target), to in self.targets.items() if index == prompt}
        return Donors([self.prompts[place] for place in used], fewer, labels, targets)


def matched(prompt: TokenizedPrompt, n_own: int, donor: TokenizedPrompt, place: str) -> dict[int, int]:
    """Position of a token of a place, among the first n_own of a prompt -> that of its like in a donor.

    The last prompt token and the query are matched from the donor's end, a mark with that of its name where both are
    equally long, and so is a role; what has no like is left out.

    n_own: fewer than the prompt has where a candidate changes its last tokens.
    """
    if place in ("last", "query"):
        back = min(len(prompt) - prompt.query_start, len(donor) - donor.query_start)
        pairs = ((len(prompt) - one, len(donor) - one) for one in range(1, back + 1))
        return {at: there for at, there in pairs if at < n_own and (place == "query" or at == n_own - 1)}
    if (found := MARK.fullmatch(place)) is None:
        ours, of_donor = (np.flatnonzero(members(one, place, len(one))[0]).tolist() for one in (prompt, donor))
        return {
            at: there for at, there in zip(ours, of_donor, strict=False) if at < n_own and len(ours) == len(of_donor)
        }
    theirs = {mark.name: mark for mark in donor.marks}
    pairs_of_marks = [(mark, theirs.get(mark.name)) for mark in prompt.marks if _is_meant(mark.name, found)]
    return {
        mark.start + offset: other.start + offset
        for mark, other in pairs_of_marks
        if other is not None and len(other) == len(mark)
        for offset in range(len(mark))
        if mark.start + offset < n_own
    }


def _is_meant(name: str, found: "re.Match[str]") -> bool:
    kind, _, number = name.partition(":")
    return kind == found[1] and found[2] in ("*", number)


def donors_of(
    done: Sequence[Intervention],
    prompts: Sequence[TokenizedPrompt],
    groups: Sequence[int],
    against: Callable[[Intervention], Sequence[TokenizedPrompt]],
    labelled: Callable[[LabelAsked], Sequence[tuple[float, ...]]] = lambda label: (),
    targeted: Callable[[Target], Sequence[tuple[float, ...]]] = lambda target: (),
) -> Donors:
    """The donors of what is done to each of n prompts, that is the same for all.

    Parameters
    ----------
    groups: (n,) the group of each item; donors are of other groups.
    against: the prompts of the same items under the demonstrations that an intervention names, one list for equal ones.
    labelled: what each item is by a label, as numbers; targeted: what it is moved to.

    Raises
    ------
    SpecError: an item's donors have the very same values at the place, for all items, so that nothing could change.
    """
    every, of = list(prompts), dict[tuple[int, Intervention], tuple[int, ...]]()
    labels: dict[LabelAsked, dict[int, tuple[float, ...]]] = {}
    begins: dict[int, int] = {}
    for one in done:
        if one.needs is None:
            continue
        begin = 0
        if one.against is not None:
            others = against(one)
            begin = begins.setdefault(id(others), len(every))
            every += others if begin == len(every) else ()
        items = _WHOSE[one.needs](groups, getattr(one, "draw", 0))
        places = [tuple(begin + item for item in own) for own in items]
        if one.labels is None:
            _check_they_differ(one, prompts, [[every[place] for place in own] for own in places])
        else:
            labels[one.labels] = dict(enumerate(labelled(one.labels)))
        of |= {(index, one): own for index, own in enumerate(places)}
    wanted = dict.fromkeys(one.target for one in done if one.target is not None)
    targets = {(index, target): to for target in wanted for index, to in enumerate(targeted(target))}
    return Donors(every, of, labels, targets)


def derangement(groups: Sequence[int], draw: int) -> list[int]:
    """For each of n items another one of another group, each once; where one group has more than half of the items,
    some more often, and where there is but one group, other items of it.
    """
    rng, n = np.random.default_rng([draw, len(groups)]), len(groups)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    turns, sizes = rng.permutation(int(codes.max()) + 1), np.bincount(codes)
    order = np.lexsort((rng.random(n), turns[codes]))
    shift = int(sizes.max()) if len(sizes) > 1 and 2 * sizes.max() <= n else 0
    found = np.empty(n, dtype=int)
    found[order] = np.roll(order, -(shift or 1))
    for item in np.flatnonzero(codes[found] == codes) if len(sizes) > 1 else ():
        found[item] = rng.choice(np.flatnonzero(codes != codes[item]))
    return [int(one) for one in found]


def _of_other_groups(groups: Sequence[int]) -> list[tuple[int, ...]]:
    """For each of n items those of other groups; every item where there is but one group."""
    everyone = tuple(range(len(groups)))
    return [tuple(other for other in everyone if groups[other] != own) or everyone for own in groups]


def folds_of(groups: Sequence[int]) -> list[int]:
    """(n,) the fold of each item: groups, drawn and then dealt from the largest on, stay whole."""
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(codes)
    drawn = np.random.default_rng(0).permutation(len(sizes))
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    load, fold = np.zeros(N_FOLDS, dtype=int), np.zeros(len(sizes), dtype=int)
    for group in order:
        fold[group] = int(load.argmin())
        load[fold[group]] += sizes[group]
    return [int(one) for one in fold[codes]]


def halves_of(groups: Sequence[int]) -> list[bool]:
    """(n,) whether an item is of the first half of the groups, as they are drawn; of one group, of its items."""
    units = np.unique(groups, return_inverse=True)[1] if len(set(groups)) > 1 else np.arange(len(groups))
    n_units = int(units.max()) + 1
    return [bool(one) for one in (np.random.default_rng(0).permutation(n_units) < n_units // 2)[units]]


_WHOSE: Mapping[Need, Callable[[Sequence[int], int], list[tuple[int, ...]]]] = {
    "same": lambda groups, draw: [(item,) for item in range(len(groups))],
    "another": lambda groups, draw: [(donor,) for donor in derangement(groups, draw)],
    "all": lambda groups, draw: _of_other_groups(groups),
    "folds": lambda groups, draw: _of_other_groups(folds_of(groups)),
}
"""Need -> the donors of each of n items, of their groups and the number of a draw."""


def _check_they_differ(
    one: Intervention, prompts: Sequence[TokenizedPrompt], donors: Sequence[Sequence[TokenizedPrompt]]
) -> None:
    for prompt, own in zip(prompts, donors, strict=True):
        for donor in own:
            pairs = matched(prompt, len(prompt), donor, one.rows)
            if any(prompt.ids[: at + 1] != donor.ids[: there + 1] for at, there in pairs.items()):
                return
    raise SpecError(
        f"Nothing would change: {one.sentence()}. All items have the same text up to there, or no place that matches.",
        "Set it to zero, take other demonstrations as donors, or act at the query or the last prompt token.",
    )


def reading_as(
    done: Done, prompts: Sequence[TokenizedPrompt], donors: Donors | None = None
) -> Callable[[int], list[int]] | None:
    """A prompt's tokens but the last as numbers that two prompts share only where what is done to them is the same;
    None where nothing is done. Tokens before the first that is acted on are read once, whatever is done after them.
    """
    if not any(done):
        return None
    numbers: dict[Any, int] = {}

    def read_as(index: int) -> list[int]:
        prompt = prompts[index]
        ids = list(prompt.ids[:-1])
        acts: dict[int, list[Any]] = {}
        for place, one in enumerate(done[index]):
            inside = members(prompt, one.rows, len(prompt))[0][:-1]
            columns = None if one.columns is None else members(prompt, one.columns, len(prompt))[0]
            for at in np.flatnonzero(inside).tolist():
                seen = None if columns is None else columns[: at + 1].tobytes()
                whose = donors.of.get((index, one)) if donors else None
                to = donors.targets.get((index, one.target)) if donors and one.target else None
                acts.setdefault(at, []).append((place, one, seen, whose, to))
        for at, what in acts.items():
            ids[at] += numbers.setdefault(tuple(what), len(numbers) + 1) << SHIFT
        return ids

    return read_as


def check_sites(interventions: Sequence[Intervention], prompts: Sequence[TokenizedPrompt]) -> None:
    """Refuse what would be done nowhere.

    Raises
    ------
    SpecError: no prompt has a place where an intervention acts.
    """
    for one in interventions:
        for place in (one.rows, one.columns):
            if place is not None and not any(_has(prompt, place) for prompt in prompts):
                raise SpecError(
                    f"Nothing is done by this: {one.sentence()}. No prompt has {place_words(place)}.",
                    "Take another place, or other demonstrations.",
                )


def _has(prompt: TokenizedPrompt, place: str) -> bool:
    inside, after = members(prompt, place, len(prompt))
    return after or bool(inside.any())
