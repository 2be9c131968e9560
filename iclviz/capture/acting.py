"""Interventions at work: what of each forward pass is changed, where, and how many places were.

Attention is changed inside the registered function, heads are what it hands to the output projection, and the rest are
outputs of modules. A pass may read tokens that several prompts share: what is done to them has to be the same for all,
so that tokens at which it differs are never shared (`Acting.read_as`).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.errors import SpecError
from iclviz.intervening import MARK, At, Intervention, Part
from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]

IN_ATTENTION: frozenset[Part] = frozenset({"scores", "weights", "heads"})
MLP_NAMES = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe")
"""What libraries call the MLP of a block."""


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
    elif found := MARK.fullmatch(place):
        for mark in prompt.marks:
            kind, _, number = mark.name.partition(":")
            if kind == found[1] and found[2] in ("*", number):
                inside[mark.start : mark.end] = True
    else:
        inside[:] = np.array(prompt.roles())[:n_own] == place
    return inside, place in ("last", "response", "all")


@dataclass(eq=False)
class Counts:
    """Of each prompt, the places at which an intervention acted, and those whose value changed."""

    acted: Array
    changed: Array


@dataclass(frozen=True, eq=False)
class _Rows:
    """Where one intervention acts in one forward pass.

    Attributes
    ----------
    rows: (B, t) whether a token is changed.
    columns: (B, K) whether a key is one of those that attention is changed to; None where that is none's business.
    """

    rows: torch.Tensor
    columns: torch.Tensor | None


class Acting:
    """Interventions on the prompts of one capture."""

    def __init__(
        self,
        interventions: Sequence[Intervention],
        prompts: Sequence[TokenizedPrompt],
        blocks: Sequence[torch.nn.Module],
    ) -> None:
        """Raises
        ------
        SpecError: a block or a part that the model does not have.
        """
        self.interventions, self.prompts, self._blocks = tuple(interventions), prompts, blocks
        self.counts = [Counts(np.zeros(len(prompts), int), np.zeros(len(prompts), int)) for _ in interventions]
        for one in self.interventions:
            beyond = [layer for layer in one.layers or () if layer > len(blocks)]
            if beyond:
                raise SpecError(
                    f"There is no block {beyond[0]}: the model has {len(blocks)}.", f"Take blocks 1 to {len(blocks)}."
                )
        self._modules = {
            part: self._of_blocks(part) for part in {one.part for one in self.interventions} - IN_ATTENTION
        }

    def _of_blocks(self, part: Part) -> list[torch.nn.Module]:
        if part in ("block", "state"):
            return list(self._blocks)
        return [attention_of(block) if part == "attention" else mlp_of(block) for block in self._blocks]

    @property
    def acts_in_attention(self) -> bool:
        """Whether anything is changed inside the registered attention function."""
        return any(one.part in IN_ATTENTION for one in self.interventions)

    def read_as(self, index: int) -> list[int]:
        """A prompt's tokens but the last as numbers that two prompts share only where both are read alike."""
        prompt = self.prompts[index]
        ids = np.array(prompt.ids[:-1], dtype=np.int64)
        base = 1
        for one in self.interventions:
            for place in filter(None, (one.rows, one.columns)):
                ids += (base << 32) * members(prompt, place, len(prompt))[0][:-1]
                base <<= 1
        return [int(token) for token in ids]

    @contextmanager
    def at_work(
        self, prompts: Sequence[int], mask: torch.Tensor, width: int, n_own: Sequence[int], counts: bool = True
    ) -> Iterator["AttentionEdits | None"]:
        """One forward pass inside is changed; gives what the attention function has to know.

        Parameters
        ----------
        prompts: B prompts, one of each row.
        mask: (B, K) one where a column holds a token, the last `width` of them those that are read.
        n_own: tokens of each prompt that stand as they are in its row.
        counts: whether places are counted: tokens of candidate answers are not.
        """
        where = [self._where(one, prompts, mask, width, n_own) for one in self.interventions]
        index = torch.tensor(prompts, device=mask.device)
        counted = self.counts if counts else None
        edits = AttentionEdits(self.interventions, where, index, counted) if self.acts_in_attention else None
        with ExitStack() as hooks:
            for number, one in reversed(list(enumerate(self.interventions))):  # each goes before those that are there
                if one.part not in IN_ATTENTION:
                    change = _Change(one, where[number], index, counted[number] if counted else None)
                    for layer in one.layers or range(1, len(self._blocks) + 1):
                        module = self._modules[one.part][layer - 1]
                        hooks.enter_context(_changing(module, one.part, layer, change))
            yield edits

    def _where(
        self, one: Intervention, prompts: Sequence[int], mask: torch.Tensor, width: int, n_own: Sequence[int]
    ) -> _Rows:
        valid = mask.bool()
        position = (mask.cumsum(1) - 1).clamp(min=0)

        def holding(place: str) -> torch.Tensor:
            most = int(position.max()) + 1
            tables = np.zeros((len(prompts), max(most, *n_own)), dtype=bool)
            for row, (prompt, own) in enumerate(zip(prompts, n_own, strict=True)):
                inside, after = members(self.prompts[prompt], place, own)
                tables[row, :own], tables[row, own:] = inside, after
            return torch.from_numpy(tables).to(mask.device).gather(1, position) & valid

        columns = None if one.columns is None else holding(one.columns)
        return _Rows(holding(one.rows)[:, -width:], columns)


@dataclass(frozen=True, eq=False)
class _Change:
    """One intervention in one forward pass."""

    intervention: Intervention
    where: _Rows
    prompts: torch.Tensor
    counts: Counts | None

    def of(self, values: torch.Tensor, layer: int, rows: slice = slice(None)) -> torch.Tensor:
        """Values (B, q, ...) with those of the rows that are acted on changed; rows: which of the pass's they are."""
        acted = self.where.rows[:, rows].to(values.device)
        batch, query = acted.nonzero(as_tuple=True)
        if not len(batch):
            return values
        before = values[batch, query]
        columns = None if self.where.columns is None else self._columns(batch, query, rows).to(values.device)
        after = self._on_heads(before, At(layer, self.prompts.to(values.device)[batch], columns))
        self._count(batch, before, after)
        changed = values.clone()
        changed[batch, query] = after.to(values.dtype)
        return changed

    def _on_heads(self, before: torch.Tensor, at: At) -> torch.Tensor:
        heads = self.intervention.heads
        if heads is None:
            return self.intervention.change(before, at)
        chosen = list(heads)
        if chosen and chosen[-1] >= before.shape[1]:
            raise SpecError(f"There is no head {chosen[-1]}: the model has {before.shape[1]}.", "Count heads from 0.")
        after = before.clone()
        after[:, chosen] = self.intervention.change(before[:, chosen], at)
        return after

    def _columns(self, batch: torch.Tensor, query: torch.Tensor, rows: slice) -> torch.Tensor:
        """(n, 1, K) the keys, of which each row keeps its own."""
        assert self.where.columns is not None
        columns = self.where.columns[batch.to(self.where.columns.device)].clone()
        n_keys, width = columns.shape[1], self.where.rows.shape[1]
        own = n_keys - width + (rows.start or 0) + query.to(columns.device)
        columns[torch.arange(len(columns), device=columns.device), own] = False
        return columns[:, None]

    def _count(self, batch: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> None:
        if self.counts is None:
            return
        changed = (before != after).flatten(1).any(1)
        for row in batch.unique().tolist():
            prompt, mine = int(self.prompts[row]), batch == row
            self.counts.acted[prompt] += int(mine.sum())
            self.counts.changed[prompt] += int((changed & mine).sum())


@dataclass(frozen=True, eq=False)
class AttentionEdits:
    """What is changed inside the attention of one forward pass."""

    interventions: Sequence[Intervention]
    where: Sequence[_Rows]
    prompts: torch.Tensor
    counts: Sequence[Counts] | None

    def of(self, layer: int) -> "LayerEdits | None":
        """What is changed in one block, counted from 0; None where nothing is."""
        here = [
            _Change(one, self.where[number], self.prompts, self.counts[number] if self.counts else None)
            for number, one in enumerate(self.interventions)
            if one.part in IN_ATTENTION and (one.layers is None or layer + 1 in one.layers)
        ]
        return LayerEdits(layer + 1, here) if here else None


@dataclass(frozen=True, eq=False)
class LayerEdits:
    """What is changed inside the attention of one block."""

    layer: int
    changes: Sequence[_Change]

    def apply(self, part: Part, values: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Values (B, H, q, X) of a part with what acts on it, rows being those of the pass's."""
        for change in self.changes:
            if change.intervention.part == part:
                values = change.of(values.transpose(1, 2), self.layer, rows).transpose(1, 2)
        return values


def attention_of(block: torch.nn.Module) -> torch.nn.Module:
    """The module of a block that holds its attention.

    Raises
    ------
    SpecError: it cannot be told.
    """
    found = [child for child in block.children() if any(hasattr(part, "layer_idx") for part in child.modules())]
    if len(found) != 1:
        raise SpecError(
            f"{type(block).__name__} has {len(found)} parts that could be its attention, so it cannot be changed.",
            "Act on heads, or on the whole block.",
        )
    return found[0]


def mlp_of(block: torch.nn.Module) -> torch.nn.Module:
    """The module of a block that is its MLP, or its experts.

    Raises
    ------
    SpecError: it has none of its own.
    """
    found = [child for name, child in block.named_children() if name in MLP_NAMES]
    if len(found) != 1:
        raise SpecError(
            f"{type(block).__name__} keeps its MLP in no module of its own, so it cannot be changed.",
            "Act on heads, on the attention, or on the whole block.",
        )
    return found[0]


@contextmanager
def _changing(module: torch.nn.Module, part: Part, layer: int, change: _Change) -> Iterator[None]:
    """The output of a module, or what it adds to its input, is changed in the forward passes inside."""

    def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        if part == "block":
            entering = args[0] if args else kwargs["hidden_states"]
            acted = change.where.rows[..., None].to(first.device)
            changed = torch.where(acted, entering + change.of(first - entering, layer), first)
        else:
            changed = change.of(first, layer)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    # Before whoever reads what leaves the module.
    handle = module.register_forward_hook(hook, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()
