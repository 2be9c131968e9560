"""Where interventions act in prompts: the tokens of a place, and what of prompts may be read once for several of them.

Needs no torch, so that a plan can be made before a model is there.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iclviz.errors import SpecError
from iclviz.intervening import MARK, RANDOM, Intervention, place_words
from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]
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
            kind, _, number = mark.name.partition(":")
            if kind == found[1] and found[2] in ("*", number):
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


def reading_as(done: Done, prompts: Sequence[TokenizedPrompt]) -> Callable[[int], list[int]] | None:
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
                acts.setdefault(at, []).append((place, one, seen))
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
