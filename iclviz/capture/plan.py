"""The batch plan: which rows one forward pass reads, and what follows it. A function of token ids and three settings,
which are kept with the job, so that a resumed job, or the same job on another machine, computes in the same shapes and
gives the same bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from iclviz.capture.prefixes import Node, trie, without_short

PASS_TOKENS = 40
"""What one more pass over the weights costs, in tokens that could be read instead (measured on two CPU cores)."""

LEAST_LENGTHS = (1, 4, 8, 16, 32, 2**31)
"""Stretches shorter than one of these are not shared; which one, the foretold cost decides."""

USUAL_STEPS = 8
"""Decoding steps that a foretold cost counts at most: responses are mostly shorter than their limit."""

END_SHARE = 0.25
"""Share of the token budget that is left for the prompts' own ends by the stretches that they share."""


@dataclass(frozen=True)
class PlanSettings:
    """What a plan is made with.

    Attributes
    ----------
    token_budget: tokens whose keys and values are held at the same time, padding included.
    threads: CPU threads to use.
    sharing: whether stretches that prompts share are read once; otherwise each prompt runs alone.
    pass_tokens: what a forward pass costs beside its tokens, in tokens; with 0 everything shared is read once.
    """

    token_budget: int
    threads: int
    sharing: bool = True
    pass_tokens: int = PASS_TOKENS

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Row:
    """One row of a batch.

    Attributes
    ----------
    start, end: token positions that it reads.
    prompts: indices of the prompts that it is read for.
    parent: its row in the batch before, None where it begins its prompts.
    """

    start: int
    end: int
    prompts: tuple[int, ...]
    parent: int | None

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Batch:
    """Rows of one forward pass, and the batches that go on from them; without any, each row is the end of a prompt."""

    rows: tuple[Row, ...]
    children: tuple["Batch", ...] = ()

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(len(row) for row in self.rows)

    @property
    def prompts(self) -> frozenset[int]:
        """Every prompt below."""
        return frozenset(prompt for row in self.rows for prompt in row.prompts)

    def walk(self) -> Iterator["Batch"]:
        """The batch and all below, in the order in which they run."""
        yield self
        for child in self.children:
            yield from child.walk()

    def halves(self) -> tuple["Batch", "Batch"]:
        """The first and the second half of the rows, each with what goes on from it."""
        middle = len(self.rows) // 2
        return self._part(range(middle)), self._part(range(middle, len(self.rows)))

    def _part(self, kept: Sequence[int]) -> "Batch":
        place = {row: number for number, row in enumerate(kept)}
        children = []
        for child in self.children:
            own = [number for number, row in enumerate(child.rows) if row.parent in place]
            if own:
                part = child._part(own)
                rows = [replace(row, parent=place[row.parent]) for row in part.rows if row.parent is not None]
                children.append(replace(part, rows=tuple(rows)))
        return Batch(tuple(self.rows[row] for row in kept), tuple(children))


def plan_batches(texts: Sequence[Sequence[int]], settings: PlanSettings, new_tokens: int = 0) -> tuple[Batch, ...]:
    """The batches of a run, walked depth-first: rows of like length, as many as the budget of live tokens allows.

    Parameters
    ----------
    texts: the tokens of each prompt that are read before decoding.
    new_tokens: tokens that decoding adds to each prompt.
    """
    if not settings.sharing:
        return tuple(Batch((Row(0, len(text), (index,), None),)) for index, text in enumerate(texts))
    forest = trie(texts)
    plans = (_plan(without_short(forest, least), settings, new_tokens) for least in LEAST_LENGTHS)
    return min(plans, key=lambda plan: _cost(plan, settings.pass_tokens, new_tokens))


def _plan(forest: Iterable[Node], settings: PlanSettings, new_tokens: int) -> tuple[Batch, ...]:
    return tuple(_batches([(node, None) for node in forest], settings.token_budget, 0, new_tokens))


def _cost(plan: Sequence[Batch], pass_tokens: int, new_tokens: int) -> int:
    """Tokens that are read, padding included, and what the passes cost."""
    total = 0
    for batch in (each for root in plan for each in root.walk()):
        steps = 0 if batch.children else min(new_tokens, USUAL_STEPS)
        passes = steps + (batch.width > 0)
        total += passes * pass_tokens + len(batch.rows) * (batch.width + steps)
    return total


def _batches(nodes: Sequence[tuple[Node, int | None]], budget: int, live: int, new_tokens: int) -> Iterator[Batch]:
    """nodes: each with its row in the batch before; live: tokens that the batches before hold."""
    least = int(budget * END_SHARE)
    ends = [entry for entry in nodes if not entry[0].children]
    for chunk in _chunks(ends, max(budget - live, least), new_tokens):
        yield Batch(tuple(Row(node.start, node.end, node.prompts, parent) for node, parent in chunk))
    inner = [entry for entry in nodes if entry[0].children]
    for chunk in _chunks(inner, max(budget - least - live, least), 0):
        rows = tuple(Row(node.start, node.end, node.prompts, parent) for node, parent in chunk)
        below = [(child, number) for number, (node, _) in enumerate(chunk) for child in node.children]
        held = live + len(rows) * max(len(row) for row in rows)
        yield Batch(rows, tuple(_batches(below, budget, held, new_tokens)))


def _chunks(
    nodes: Sequence[tuple[Node, int | None]], room: int, new_tokens: int
) -> Iterator[list[tuple[Node, int | None]]]:
    """Nodes from the longest to the shortest, cut where rows of the longest way down would pass the room.

    Shared stretches of one chunk have at least half the tokens of its longest. Rows that have nothing to read of their
    own are apart, they need no pass. Rows of one parent lie side by side.
    """
    ordered = sorted(nodes, key=lambda entry: (-len(entry[0]), -_reach(entry[0]), entry[0].prompts[0]))
    chunk: list[tuple[Node, int | None]] = []
    reach = 0
    for node, parent in ordered:
        longest = max(reach, _reach(node))
        full = (len(chunk) + 1) * (longest + new_tokens) > room
        least = len(chunk[0][0]) / 2 if chunk and node.children else min(len(chunk[0][0]), 1) if chunk else 0
        if chunk and (full or len(node) < least):
            yield sorted(chunk, key=_parent_first)
            chunk, longest = [], _reach(node)
        chunk.append((node, parent))
        reach = longest
    if chunk:
        yield sorted(chunk, key=_parent_first)


def _parent_first(entry: tuple[Node, int | None]) -> tuple[int, int]:
    node, parent = entry
    return (-1 if parent is None else parent, node.prompts[0])


def _reach(node: Node) -> int:
    """Tokens on the longest way from a node's start to the end of a prompt below it."""
    return len(node) + max((_reach(child) for child in node.children), default=0)
