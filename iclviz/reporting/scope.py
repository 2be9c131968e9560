"""What statements are limited to: the demonstration sets that were run."""

from collections.abc import Iterable

from iclviz.recording import Recording
from iclviz.spec import Demonstrations

ENOUGH_SEEDS = 5
"""Demonstration seeds from which a statement is about in-context learning and not about these sets."""

WITHOUT = "without demonstrations"


def demonstration_scope(recordings: Iterable[Recording]) -> str:
    """What every statement about these conditions is limited to, "" where none of them shows demonstrations.

    One demonstration set says nothing of others, so figures end with this.
    """
    shown = [recording.spec.demonstrations.canonical() for recording in recordings]
    sets = list(dict.fromkeys(one for one in shown if one.k))
    if not sets:
        return ""
    seeds = ", ".join(str(seed) for seed in sorted({one.seed for one in sets}))
    if len(sets) == 1:
        return f"for this demonstration set only (seed {seeds}{sets[0].order_words})"
    if any(one.order for one in sets):
        drawn = "; ".join(dict.fromkeys(f"seed {one.seed}{one.order_words}" for one in sets))
        return f"for these demonstration sets only ({drawn})"
    return f"for these demonstration sets only (one seed each: {seeds})"


def seeds_scope(n_seeds: int) -> str:
    """What statements over several demonstration seeds are limited to."""
    if n_seeds >= ENOUGH_SEEDS:
        return f"over {n_seeds} demonstration seeds"
    return f"for these {n_seeds} demonstration sets"


def scope(n_seeds: int, a: Demonstrations, b: Demonstrations) -> str:
    """What every statement about A and B over so many demonstration seeds is limited to."""
    shows_nothing = not any(one.canonical().k for one in (a, b))
    if shows_nothing and n_seeds < ENOUGH_SEEDS:
        return WITHOUT
    return seeds_scope(n_seeds) if n_seeds > 1 else "for this demonstration set"
