"""Interventions at work: what of each forward pass is changed, where, and how many places were.

Attention is changed inside the registered function, heads are what it hands to the output projection, and the rest are
outputs of modules. A pass may read tokens that several prompts share: what is done to them has to be the same for all,
so that tokens at which it differs are never shared (`sites.read_as`).
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.capture.sites import members
from iclviz.errors import SpecError
from iclviz.intervening import At, Intervention, Part
from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]

IN_ATTENTION: frozenset[Part] = frozenset({"scores", "weights", "heads"})
MLP_NAMES = ("mlp", "feed_forward", "ffn", "block_sparse_moe", "moe")
"""What libraries call the MLP of a block."""


@dataclass(eq=False)
class Counts:
    """Of each prompt, the places at which an intervention acted, and those whose value changed; (n,) each."""

    acted: Array
    changed: Array

    def copy(self) -> "Counts":
        """The numbers as they are now."""
        return Counts(self.acted.copy(), self.changed.copy())


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

    @contextmanager
    def at_work(
        self,
        owners: Sequence[Sequence[int]],
        mask: torch.Tensor,
        width: int,
        n_own: Sequence[int],
        counted: Collection[int] | None = None,
    ) -> Iterator["AttentionEdits | None"]:
        """One forward pass inside is changed; gives what the attention function has to know.

        Parameters
        ----------
        owners: for each of B rows the prompts that it is read for.
        mask: (B, K) one where a column holds a token, the last `width` of them those that are read.
        n_own: as many tokens of each row's first prompt stand as they are in it.
        counted: rows of which places are counted; None = all.
        """
        first = [prompts[0] for prompts in owners]
        where = [self._where(one, first, mask, width, n_own) for one in self.interventions]
        rows = _Owners(
            [prompts if counted is None or row in counted else () for row, prompts in enumerate(owners)],
            torch.tensor(first, device=mask.device),
        )
        edits = AttentionEdits(self.interventions, where, rows, self.counts) if self.acts_in_attention else None
        with ExitStack() as hooks:
            for number, one in reversed(list(enumerate(self.interventions))):  # each goes before those that are there
                if one.part not in IN_ATTENTION:
                    change = _Change(one, where[number], rows, self.counts[number])
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
class _Owners:
    """Whose the B rows of a pass are: the prompts of each of which places are counted, and (B,) the first one."""

    prompts: Sequence[Sequence[int]]
    first: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Change:
    """One intervention in one forward pass."""

    intervention: Intervention
    where: _Rows
    owners: _Owners
    counts: Counts

    def of(self, values: torch.Tensor, layer: int, rows: slice = slice(None)) -> torch.Tensor:
        """Values (B, q, ...) with those of the rows that are acted on changed; rows: which of the pass's they are."""
        acted = self.where.rows[:, rows].to(values.device)
        batch, query = acted.nonzero(as_tuple=True)
        if not len(batch):
            return values
        before = values[batch, query]
        columns = None if self.where.columns is None else self._columns(batch, query, rows).to(values.device)
        after = self._on_heads(before, At(layer, self.owners.first.to(values.device)[batch], columns))
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
        changed = (before != after).flatten(1).any(1)
        for row in batch.unique().tolist():
            prompts, mine = list(self.owners.prompts[row]), batch == row
            self.counts.acted[prompts] += int(mine.sum())
            self.counts.changed[prompts] += int((changed & mine).sum())


@dataclass(frozen=True, eq=False)
class AttentionEdits:
    """What is changed inside the attention of one forward pass."""

    interventions: Sequence[Intervention]
    where: Sequence[_Rows]
    owners: _Owners
    counts: Sequence[Counts]

    def of(self, layer: int) -> "LayerEdits | None":
        """What is changed in one block, counted from 0; None where nothing is."""
        here = [
            _Change(one, self.where[number], self.owners, self.counts[number])
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
