"""What a run really reads: its batch plan, with every token that prompts share once, as the engine walks it.

1. `passes` read prompt tokens but the last, in rows of one width; what rows go on from is held.
2. Prompts that end together are decoded together, one token of each in a step.
3. Candidate answers are then read on the same cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.engine import tails_of
from iclviz.capture.plan import USUAL_STEPS, BatchRow, Group, Leaf, PlanSettings, tokens_read
from iclviz.prompts import TokenizedPrompt

MOST_OWN = 64
"""Own columns that a batch has room for when its decoding begins, at the most."""


@dataclass(frozen=True)
class Pass:
    """One forward pass over B rows of t columns each, that see `before` columns of prefixes; `held` columns of other
    passes are in memory meanwhile. logits: whether the output layer runs, over all of its tokens.
    """

    rows: int
    width: int
    before: int
    held: int
    logits: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that are computed, padding included."""
        return self.rows * self.width

    @property
    def columns(self) -> int:
        """Columns that a query may see."""
        return self.before + self.width


@dataclass(frozen=True)
class Decoded:
    """B prompts that are decoded together.

    Attributes
    ----------
    rows: B; steps: the last prompt token's included.
    room: own columns of a row.
    prefixes: passes that rows go on from.
    before: columns of prefixes, of which a row sees `seen` in the mean; `keys` are in memory, each read once however
        many rows see it.
    held: columns that are in memory.
    """

    rows: int
    steps: int
    room: int
    prefixes: int
    before: int
    seen: float
    keys: int
    held: int


@dataclass(frozen=True)
class Reading:
    """All of a run.

    Attributes
    ----------
    n_prompts: n; tokens: of all prompts; read: those that passes and first steps read; shared: those of them that are
        read for several prompts at once; longest: tokens of a prompt.
    steps: decoding steps of a prompt, the last prompt token's included.
    is_estimated: whether the tokens are estimates, for want of the model's tokenizer.
    """

    n_prompts: int
    tokens: int
    read: int
    shared: int
    longest: int
    steps: int
    passes: tuple[Pass, ...]
    decoded: tuple[Decoded, ...]
    candidates: tuple[Pass, ...]
    most_candidates: int = 0
    is_estimated: bool = False

    @property
    def own_tokens(self) -> float:
        """Tokens that a prompt has to itself, with what it writes."""
        return (self.read - self.shared) / self.n_prompts + self.steps


@dataclass
class _Walk:
    """Columns of each pass that is held, by the rows that it read."""

    prompts: Sequence[TokenizedPrompt]
    steps: int
    limit: int
    passes: list[Pass] = field(default_factory=list)
    decoded: list[Decoded] = field(default_factory=list)
    candidates: list[Pass] = field(default_factory=list)

    def under(self, group: Group, held: dict[int, int], of_row: dict[BatchRow, tuple[int, int]]) -> None:
        """held: pass -> rows times columns; of_row: row -> its pass and that pass's columns."""
        held, of_row = dict(held), dict(of_row)
        for rows in group.passes:
            width, number = max(map(len, rows)), len(self.passes)
            before = _before([row.path[:-1] for row in rows], of_row)
            self.passes.append(Pass(len(rows), width, before, sum(held.values())))
            held[number] = len(rows) * width
            of_row |= dict.fromkeys(rows, (number, width))
        if group.leaves:
            self._decode(group.leaves, held, of_row)
        for child in group.children:
            self.under(child, held, of_row)

    def _decode(self, leaves: Sequence[Leaf], held: dict[int, int], of_row: dict[BatchRow, tuple[int, int]]) -> None:
        before, holds = _before([leaf.path for leaf in leaves], of_row), sum(held.values())
        passes = len({of_row[row] for leaf in leaves for row in leaf.path})
        seen = sum(len(row) for leaf in leaves for row in leaf.path) / len(leaves)
        keys = sum(map(len, {row for leaf in leaves for row in leaf.path}))
        room = min(self.limit + 1, MOST_OWN)
        self.decoded.append(Decoded(len(leaves), self.steps, room, passes, before, seen, keys, holds))
        read = [_readings(self.prompts[leaf.prompt]) for leaf in leaves]
        for number in range(max(map(len, read))):
            width = max(len(one[number][1]) if number < len(one) else 1 for one in read)
            self.candidates.append(Pass(len(leaves), width, before, holds, logits=True))


def _before(paths: Sequence[Sequence[BatchRow]], of_row: dict[BatchRow, tuple[int, int]]) -> int:
    """Columns of all passes from which some row goes on."""
    return sum(dict(of_row[row] for path in paths for row in path).values())


def _readings(prompt: TokenizedPrompt) -> list[tuple[int, tuple[int, ...]]]:
    """What is read for the candidates of a prompt; those that differ in the last token alone are read together."""
    return list(dict.fromkeys(tail.reading for tail in tails_of(prompt) if tail and tail.is_read))


def _rows(plan: Sequence[Group]) -> list[BatchRow]:
    """Every row of a plan's passes."""
    return [row for root in plan for group in root.walk() for rows in group.passes for row in rows]


def reading(
    prompts: Sequence[TokenizedPrompt],
    max_new_tokens: int,
    settings: PlanSettings,
    read_as: Callable[[int], Sequence[int]] | None = None,
    usual_steps: int = USUAL_STEPS,
    is_estimated: bool = False,
) -> Reading:
    """What is read for prompts; responses are foretold to have `usual_steps` tokens where they may have more."""
    plan = plan_prompts(prompts, Decoding(max_new_tokens), settings, read_as)
    steps = min(usual_steps, max_new_tokens) + 1
    walk = _Walk(prompts, steps, max_new_tokens)
    for group in plan:
        walk.under(group, {}, {})
    return Reading(
        n_prompts=len(prompts),
        tokens=sum(map(len, prompts)),
        read=tokens_read(plan) + len(prompts),
        shared=sum(len(row) for row in _rows(plan) if len(row.prompts) > 1),
        longest=max(map(len, prompts)),
        steps=steps,
        passes=tuple(walk.passes),
        decoded=tuple(walk.decoded),
        candidates=tuple(walk.candidates),
        most_candidates=max(len(prompt.candidates) for prompt in prompts),
        is_estimated=is_estimated,
    )
