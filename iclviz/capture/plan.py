"""The batch plan: which token ranges one forward pass reads, and which prompts are decoded together. A function of
token ids and a few settings, which are kept with the job, so that a resumed job, or the same job on another machine,
computes in the same shapes and gives the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from iclviz.capture.prefixes import Node, trie, without_short

PASS_TOKENS = 40
"""What one more pass over the weights costs, in tokens that could be read instead (measured on two CPU cores)."""

PATH_COST = 1.1
"""Cost of a token that goes on from another token range, beside one that begins a prompt (measured likewise)."""

LEAST_LENGTHS = (1, 4, 8, 16, 32, 2**31)
"""Token ranges shorter than one of these are not shared; which one, the foretold cost decides."""

USUAL_STEPS = 8
"""Decoding steps that are foretold at most: responses are mostly shorter than their limit."""

PASS_SHARE = 0.25
"""Share of the token budget that one pass may read, padding included: more is no faster and takes memory."""

LEAST_SHARE = 0.25
"""Share of the token budget that a group may have, however much is held before it."""

LIKE = 0.75
"""Rows of one pass have at least this share of the tokens of its longest."""


@dataclass(frozen=True)
class PlanSettings:
    """What a plan is made with.

    Attributes
    ----------
    token_budget: tokens, padding aside, whose keys and values are held at the same time.
    threads: CPU threads to use.
    sharing: whether token ranges that prompts share are read once; otherwise each prompt runs alone.
    pass_tokens: what a forward pass costs beside its tokens, in tokens; with 0 everything shared is read once.
    """

    token_budget: int
    threads: int
    sharing: bool = True
    pass_tokens: int = PASS_TOKENS

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Row:
    """A range of tokens that is read in one row of a pass.

    Attributes
    ----------
    start, end: token positions, half-open.
    prompts: indices of the prompts that it is read for.
    parent: the token range before it, None where it begins its prompts.
    """

    start: int
    end: int
    prompts: tuple[int, ...]
    parent: "Row | None"

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def path(self) -> tuple["Row", ...]:
        """The token ranges from the beginning of the prompts to this one."""
        return (*(self.parent.path if self.parent else ()), self)


@dataclass(frozen=True, eq=False)
class Leaf:
    """A prompt whose tokens but the last are read; last: the token range that ends it, None where there was none."""

    prompt: int
    last: Row | None

    @property
    def path(self) -> tuple[Row, ...]:
        """The token ranges that make up the prompt."""
        return self.last.path if self.last else ()


@dataclass(frozen=True, eq=False)
class Group:
    """Passes whose token ranges are held together, the prompts that are then decoded together, and the groups that go
    on from the same token ranges, one after another.
    """

    passes: tuple[tuple[Row, ...], ...]
    leaves: tuple[Leaf, ...]
    children: tuple["Group", ...] = ()

    @cached_property
    def prompts(self) -> frozenset[int]:
        """Every prompt of the group and of those below."""
        below = (child.prompts for child in self.children)
        return frozenset(leaf.prompt for leaf in self.leaves).union(*below)

    def walk(self) -> Iterator["Group"]:
        """The group and all below, in the order in which they run."""
        yield self
        for child in self.children:
            yield from child.walk()


def plan_batches(texts: Sequence[Sequence[int]], settings: PlanSettings, new_tokens: int = 0) -> tuple[Group, ...]:
    """The groups of a run.

    Parameters
    ----------
    texts: the tokens of each prompt that are read before decoding.
    new_tokens: tokens that decoding adds to each prompt.
    """
    if not settings.sharing:
        alone = (Node(0, len(text), (index,)) for index, text in enumerate(texts))
        return tuple(_group([(node, None)]) for node in alone)
    forest = trie(texts)
    if settings.pass_tokens == 0:
        return _plan(forest, settings, new_tokens)
    plans = (_plan(without_short(forest, least), settings, new_tokens) for least in LEAST_LENGTHS)
    return min(plans, key=lambda plan: _cost(plan, settings.pass_tokens, new_tokens))


def _plan(forest: Iterable[Node], settings: PlanSettings, new_tokens: int) -> tuple[Group, ...]:
    groups = _groups([(node, None) for node in forest], settings.token_budget, 0, new_tokens)
    return tuple(_cut(group, int(settings.token_budget * PASS_SHARE)) for group in groups)


def _cut(group: Group, most: int) -> Group:
    """The group with passes of at most so many tokens, or of one row."""
    passes = []
    for rows in group.passes:
        step = max(1, most // max(len(row) for row in rows))
        passes += [rows[start : start + step] for start in range(0, len(rows), step)]
    return Group(tuple(passes), group.leaves, tuple(_cut(child, most) for child in group.children))


def _cost(plan: Sequence[Group], pass_tokens: int, new_tokens: int) -> int:
    """Tokens that are read, padding included, and what the passes cost."""
    total, steps = 0, min(new_tokens, USUAL_STEPS)
    for group in (each for root in plan for each in root.walk()):
        total += sum(pass_tokens + _reading_cost(rows) for rows in group.passes)
        total += steps * (pass_tokens + len(group.leaves)) if group.leaves else 0
    return total


def _reading_cost(rows: Sequence[Row]) -> int:
    read = len(rows) * max(len(row) for row in rows)
    return int(read * PATH_COST) if any(row.parent for row in rows) else read


_Placed = tuple[Node, Row | None]
"""A node of the trie, and the token range that it goes on from."""


def _groups(nodes: Sequence[_Placed], budget: int, live: int, new_tokens: int) -> Iterator[Group]:
    """Nodes with all below them, as many in a group as the budget allows; a node that is too large is read by itself,
    and what goes on from it is in groups of its own. live: tokens that are held before.
    """
    room = max(budget - live, int(budget * LEAST_SHARE))
    sizes = {id(node): _size(node, new_tokens) for node, _ in nodes}
    waiting: list[_Placed] = []
    used = 0
    for node, parent in sorted(nodes, key=lambda placed: (-len(placed[0]), placed[0].prompts[0])):
        size = sizes[id(node)]
        if node.children and size > room:
            row = Row(node.start, node.end, node.prompts, parent)
            below = [(child, row) for child in node.children]
            yield Group(((row,),), (), tuple(_groups(below, budget, live + len(node), new_tokens)))
            continue
        if waiting and used + size > room:
            yield _group(waiting)
            waiting, used = [], 0
        waiting.append((node, parent))
        used += size
    if waiting:
        yield _group(waiting)


def _size(node: Node, new_tokens: int) -> int:
    """Tokens that a node holds, with all below it and what decoding adds."""
    below = sum(_size(child, new_tokens) for child in node.children)
    return len(node) + (below if node.children else new_tokens + 1)


def _group(nodes: Sequence[_Placed]) -> Group:
    """Shared token ranges first, the shortest of those that can be read first, so that longer ones wait for each other;
    then what each prompt has of its own.
    """
    passes: list[tuple[Row, ...]] = []
    places: dict[Row | None, int] = {}
    own: list[_Placed] = []
    ready = list(nodes)
    while ready:
        own += [placed for placed in ready if not placed[0].children]
        ready = sorted((placed for placed in ready if placed[0].children), key=_by_length)
        now = _side_by_side([placed for placed in ready if len(placed[0]) * LIKE <= len(ready[0][0])], places)
        ready = ready[len(now) :]
        rows = _add_pass(now, passes, places)
        ready += [(child, row) for (node, _), row in zip(now, rows, strict=True) for child in node.children]
    leaves = [Leaf(node.prompts[0], parent) for node, parent in own if not len(node)]
    for alike in _alike([placed for placed in own if len(placed[0])]):
        rows = _add_pass(_side_by_side(alike, places), passes, places)
        leaves += [Leaf(row.prompts[0], row) for row in rows]
    return Group(tuple(passes), tuple(leaves))


def _by_length(placed: _Placed) -> tuple[int, int]:
    return len(placed[0]), placed[0].prompts[0]


def _side_by_side(nodes: Sequence[_Placed], places: Mapping[Row | None, int]) -> list[_Placed]:
    """Nodes in the order in which their parents were read, so that keys of parents can be used where they lie."""
    return sorted(nodes, key=lambda placed: (places.get(placed[1], -1), placed[0].prompts[0]))


def _add_pass(
    nodes: Sequence[_Placed], passes: list[tuple[Row, ...]], places: dict[Row | None, int]
) -> tuple[Row, ...]:
    rows = tuple(Row(node.start, node.end, node.prompts, parent) for node, parent in nodes)
    places.update(zip(rows, range(len(places), len(places) + len(rows)), strict=True))
    if rows:
        passes.append(rows)
    return rows


def _alike(nodes: Sequence[_Placed]) -> Iterator[list[_Placed]]:
    """Nodes of like length together, from the longest to the shortest."""
    some: list[_Placed] = []
    for placed in sorted(nodes, key=_by_length, reverse=True):
        if some and len(placed[0]) < LIKE * len(some[0][0]):
            yield some
            some = []
        some.append(placed)
    if some:
        yield some


def tokens_read(plan: Sequence[Group], done: frozenset[int] = frozenset()) -> int:
    """Tokens that the passes of a plan read, padding aside; without groups of which every prompt is done."""
    left = [group for root in plan for group in root.walk() if not group.prompts <= done]
    return sum(len(row) for group in left for rows in group.passes for row in rows)
