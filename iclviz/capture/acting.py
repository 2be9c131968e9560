"""Interventions at work: what of each forward pass is changed, where, and how many places were.

Attention is changed inside the registered function, heads are what it hands to the output projection, and the rest are
outputs of modules. A pass may read tokens that several prompts share: what is done to them has to be the same for all,
so that tokens at which it differs are never shared (`sites.reading_as`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.capture.sites import Donors, matched, members
from iclviz.errors import SpecError
from iclviz.intervening import At, Intervention, Part, first_block
from iclviz.models.ranks import ALONE, Ranks
from iclviz.prompts import TokenizedPrompt

Array = NDArray[Any]

IN_ATTENTION: frozenset[Part] = frozenset({"scores", "weights", "heads"})
PROJECTION_NAMES = ("o_proj", "c_proj", "out_proj", "dense", "out_lin", "wo")
"""What libraries call the projection that heads' outputs enter."""
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


@dataclass(frozen=True)
class Keeping(Intervention):
    """Changes nothing: the values of a part at a place are kept, for others to be given them.

    of: the part.
    """

    kind = "keeping"
    of: Part = "state"

    @classmethod
    def of_place(cls, place: str, part: Part, layers: tuple[int, ...] | None) -> "Keeping":
        """What has to be kept for something that acts at a place."""
        # A candidate may change the last tokens, so that another one of the query's reads the answer out.
        return cls(of=part, rows="query" if place == "last" else place, layers=layers)

    @property
    def part(self) -> Part:
        """As `of` says."""
        return self.of


Likes = tuple[tuple[int, int], ...]
"""Donors, each with the position that is matched with a token."""


class DonorValues:
    """What donors' prompts hold: by part, block, donor and position; of all heads, whoever computes them."""

    def __init__(self, donors: Donors, blocks: Sequence[torch.nn.Module], ranks: Ranks = ALONE) -> None:
        self.donors, self._blocks, self._ranks = donors, blocks, ranks
        self._kept: dict[tuple[Part, int, int, int], torch.Tensor] = {}
        self._likes: dict[tuple[int, int, str, Sequence[int]], dict[int, Likes]] = {}
        self._means: dict[tuple[Part, int, Likes], torch.Tensor] = {}
        self._fits: dict[tuple[Intervention, Likes], torch.Tensor] = {}
        self._places: dict[tuple[str, tuple[int, ...]], Likes] = {}
        self._written: dict[tuple[tuple[tuple[int, int], ...], Likes], torch.Tensor] = {}

    def wanted(self) -> list[Keeping]:
        """What has to be kept of the donors."""
        return list(dict.fromkeys(Keeping.of_place(one.rows, *one.read) for _, one in self.donors.of))

    def keep(self, part: Part, layer: int, donors: Sequence[int], position: int, value: torch.Tensor) -> None:
        """Keep a value that some donors' prompts share."""
        for donor in donors:
            self._kept[part, layer, donor, position] = value

    def likes(self, prompt: TokenizedPrompt, n_own: int, place: str, donors: Sequence[int]) -> Mapping[int, Likes]:
        """Position of a prompt's token in a place -> donors, each with the position that is matched with it."""
        known = (id(prompt), n_own, place, donors)
        if known not in self._likes:
            found: dict[int, list[tuple[int, int]]] = {}
            for donor in donors:
                for at, there in matched(prompt, n_own, self.donors.prompts[donor], place).items():
                    found.setdefault(at, []).append((donor, there))
            self._likes[known] = {at: tuple(pairs) for at, pairs in found.items()}
        return self._likes[known]

    def mean(self, part: Part, layer: int, likes: Likes) -> torch.Tensor:
        """The mean of the values of some donors, each at its position."""
        if len(likes) == 1:
            return self._kept[part, layer, *likes[0]]
        if (part, layer, likes) not in self._means:
            values = [self._kept[part, layer, donor, position] for donor, position in likes]
            self._means[part, layer, likes] = torch.stack(values).mean(dim=0)
        return self._means[part, layer, likes]

    def fit(self, one: Intervention, layer: int, likes: Likes) -> torch.Tensor:
        """What an intervention is fitted to be in a block on the values of donors, each at its position."""
        up_to = _up_to(one.as_fitted, layer)
        if (up_to, likes) not in self._fits:
            values = [self._kept[one.part, layer, donor, position] for donor, position in likes]
            self._fits[up_to, likes] = self._fitted(one, values, likes)
        return self._fits[up_to, likes]

    def _fitted(self, one: Intervention, values: Sequence[torch.Tensor], likes: Likes) -> torch.Tensor:
        assert one.labels is not None
        labels, states = self.donors.labels[one.labels], torch.stack(list(values))
        numbers = torch.tensor([labels[donor] for donor, _ in likes], device=states.device)
        return one.fitted(states.double(), numbers.double()).to(states.dtype)

    def everywhere(self, place: str, donors: Sequence[int]) -> Likes:
        """Donors, each with every position of a place."""
        known = (place, tuple(donors))
        if known not in self._places:
            prompts = self.donors.prompts
            self._places[known] = tuple(
                (donor, int(at))
                for donor in donors
                for at in np.flatnonzero(members(prompts[donor], place, len(prompts[donor]))[0])
            )
        return self._places[known]

    def in_turn(self) -> list[tuple[Intervention, tuple[int, ...]]]:
        """What is fitted in several blocks, as far as each but the lowest, with its donors; the lowest come first."""
        several = {
            (one, donors) for (_, one), donors in self.donors.of.items() if one.labels and len(one.layers or ()) > 1
        }
        return [
            (_up_to(one, layer), donors) for one, donors in sorted(several, key=str) for layer in (one.layers or ())[1:]
        ]

    def fit_in_turn(self, one: Intervention, donors: Sequence[int], kept: "DonorValues") -> None:
        """Fit the last block on what donors hold there while those below are changed; kept: by their places in order.

        One donor holds other values there for other donors beside it, on which the blocks below were fitted.
        """
        likes, places = self.everywhere(one.rows, donors), {donor: place for place, donor in enumerate(donors)}
        layer = (one.layers or (0,))[-1]
        values = [kept._kept[one.part, layer, places[donor], at] for donor, at in likes]
        self._fits[one, likes] = self._fitted(one, values, likes)

    def for_donors(self, one: Intervention, donors: Sequence[int]) -> "DonorValues":
        """The same values, for donors themselves as prompts to which something is done."""
        found = copy(self)
        found.donors = replace(self.donors, of={(place, one): tuple(donors) for place in range(len(donors))})
        return found

    def written(self, heads: tuple[tuple[int, int], ...], likes: Likes) -> torch.Tensor:
        """(d,) what some heads (block, head) together add to the stream in the mean over donors, without biases."""
        known = (heads, likes)
        if known not in self._written:
            self._written[known] = torch.stack(
                [self._project(layer, head, self.mean("heads", layer, likes)) for layer, head in heads]
            ).sum(dim=0)
        return self._written[known]

    def _project(self, layer: int, head: int, values: torch.Tensor) -> torch.Tensor:
        """What one head of values (H, D) adds to the stream."""
        if head >= len(values):
            raise SpecError(f"There is no head {head}: the model has {len(values)}.", "Count heads from 0.")
        projection = output_projection(self._blocks[layer - 1])
        alone = torch.zeros_like(values)
        alone[head] = values[head]
        both: torch.Tensor = projection(self._ranks.own(torch.stack([alone, torch.zeros_like(alone)])).flatten(1))
        return both[0] - both[1]


def _up_to(one: Intervention, layer: int) -> Intervention:
    """An intervention in the blocks up to one."""
    return replace(one, layers=tuple(own for own in one.layers or () if own <= layer))


class Acting:
    """What is done to a model while it reads the prompts of one capture, each with interventions of its own.

    Attributes
    ----------
    kinds: every different intervention, with its place among those of a prompt, in the order in which they act.
    counts: of each of these, the places where it acted.
    """

    def __init__(
        self,
        done: Sequence[Sequence[Intervention]],
        prompts: Sequence[TokenizedPrompt],
        blocks: Sequence[torch.nn.Module],
        values: DonorValues | None = None,
        keeps: DonorValues | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """done: the interventions of each prompt, in their order; values: what donors' prompts hold; keeps: where what
        is kept of these prompts goes; ranks: the processes that share the model.

        Raises
        ------
        SpecError: a block or a part that the model does not have.
        """
        self.prompts, self._blocks, self.values, self.keeps = prompts, blocks, values, keeps
        self._ranks = ranks
        placed = {(place, one) for each in done for place, one in enumerate(each)}
        self.kinds = sorted(placed, key=lambda entry: (entry[0], str(entry[1])))
        numbers = {entry: number for number, entry in enumerate(self.kinds)}
        self._of = [[numbers[entry] for entry in enumerate(each)] for each in done]
        self._has = np.zeros((len(self.kinds), len(prompts)), dtype=bool)
        for prompt, own in enumerate(self._of):
            self._has[own, prompt] = True
        self.counts = [Counts(np.zeros(len(prompts), int), np.zeros(len(prompts), int)) for _ in self.kinds]
        for _, one in self.kinds:
            beyond = [layer for layer in one.layers or () if layer > len(blocks)]
            if beyond:
                raise SpecError(
                    f"There is no block {beyond[0]}: the model has {len(blocks)}.", f"Take blocks 1 to {len(blocks)}."
                )
        parts = {one.part for _, one in self.kinds} - IN_ATTENTION
        self._modules = {part: self._of_blocks(part) for part in parts}

    def _of_blocks(self, part: Part) -> list[torch.nn.Module]:
        if part in ("block", "state"):
            return list(self._blocks)
        return [attention_of(block) if part == "attention" else mlp_of(block) for block in self._blocks]

    @property
    def acts_in_attention(self) -> bool:
        """Whether anything is changed inside the registered attention function."""
        return any(one.part in IN_ATTENTION for _, one in self.kinds)

    def first_token(self, prompt: int) -> int:
        """The position of a prompt's first token that is acted on, that of its last one at most."""
        text = self.prompts[prompt]
        inside = [members(text, self.kinds[number][1].rows, len(text))[0] for number in self._of[prompt]]
        return min((int(one.argmax()) if one.any() else len(text) - 1 for one in inside), default=len(text) - 1)

    def first_block(self, prompt: int) -> int:
        """The block, from 1, before which nothing is done to a prompt."""
        return first_block([self.kinds[number][1] for number in self._of[prompt]])

    def counted(self, prompt: int) -> tuple[Array, Array]:
        """(interventions,) of a prompt: the places where each acted, and those whose value changed."""
        own = [self.counts[number] for number in self._of[prompt]]
        acted, changed = [one.acted[prompt] for one in own], [one.changed[prompt] for one in own]
        return np.array(acted, dtype=np.int32), np.array(changed, dtype=np.int32)

    @contextmanager
    def at_work(
        self,
        owners: Sequence[Sequence[int]],
        mask: torch.Tensor,
        width: int,
        n_own: Sequence[int],
        counted: Mapping[int, int] | None = None,
    ) -> Iterator["AttentionEdits | None"]:
        """One forward pass inside is changed; gives what the attention function has to know.

        Parameters
        ----------
        owners: for each of B rows the prompts that it is read for.
        mask: (B, K) one where a column holds a token, the last `width` of them those that are read.
        n_own: as many tokens of each row's first prompt stand as they are in it.
        counted: row -> of how many of its first tokens places are counted; None = all tokens of all rows.
        """
        if not self.kinds:
            yield None
            return
        here = _Pass(self.prompts, owners, mask, width, n_own, counted, self.values)
        changes = [
            _Change(one, here.where(one, self._has[number, here.first]), here, self.counts[number], self.keeps)
            for number, (_, one) in enumerate(self.kinds)
            if self._has[number, here.first].any()
        ]
        changes = [change for change in changes if change.acts]
        outputs: dict[tuple[Part, int], list[_Change]] = {}
        for change in changes:
            for layer in change.layers(len(self._blocks)) if change.part not in IN_ATTENTION else ():
                outputs.setdefault((change.part, layer), []).append(change)
        with ExitStack() as hooks:
            for (part, layer), some in outputs.items():
                hooks.enter_context(_changing(self._modules[part][layer - 1], part, layer, some))
            inside = [change for change in changes if change.part in IN_ATTENTION]
            yield AttentionEdits(inside, self._ranks) if inside else None


class _Pass:
    """The rows of one forward pass, and where the places of their prompts lie in it."""

    def __init__(
        self,
        prompts: Sequence[TokenizedPrompt],
        owners: Sequence[Sequence[int]],
        mask: torch.Tensor,
        width: int,
        n_own: Sequence[int],
        counted: Mapping[int, int] | None,
        values: DonorValues | None,
    ) -> None:
        self._prompts, self._width, self._n_own, self.values = prompts, width, n_own, values
        self.first = [own[0] for own in owners]
        self.index = torch.tensor(self.first, device=mask.device)
        self.owners = owners
        limits = [width if counted is None else counted.get(row, 0) for row in range(len(owners))]
        self.n_counted = torch.tensor(limits, device=mask.device)
        self._valid, self._position = mask.bool(), (mask.cumsum(1) - 1).clamp(min=0)
        self._places: dict[str, torch.Tensor] = {}

    def likes(self, row: int, one: Intervention) -> Mapping[int, Likes]:
        """Position of a row's prompt -> donors, each with the position that is matched with it."""
        assert self.values is not None
        prompt = self.first[row]
        donors = self.values.donors.of.get((prompt, one), ())
        return self.values.likes(self._prompts[prompt], self._n_own[row], one.rows, donors)

    def donors_everywhere(self, row: int, one: Intervention) -> Likes:
        """A row's donors, each with every position of the place."""
        assert self.values is not None
        return self.values.everywhere(one.rows, self.values.donors.of[self.first[row], one])

    def position(self, batch: torch.Tensor, query: torch.Tensor) -> list[tuple[int, int]]:
        """Row and position of each of some tokens that are read; query: their places among those of their rows."""
        places = self._position[:, -self._width :].to(batch.device)[batch, query]
        return list(zip(batch.tolist(), places.tolist(), strict=True))

    def where(self, one: Intervention, has: Array) -> _Rows:
        """Where an intervention acts; has: (B,) whether it is done to a row."""
        own = torch.from_numpy(has).to(self._valid.device)[:, None]
        columns = None if one.columns is None else self._holding(one.columns)
        is_matched = one.needs is not None and one.labels is None
        rows = self._having_likes(one, has) if is_matched else self._holding(one.rows)
        return _Rows(rows[:, -self._width :] & own, columns)

    def _having_likes(self, one: Intervention, has: Array) -> torch.Tensor:
        """(B, K) whether a column holds a token that is matched with one of a donor."""
        tables = np.zeros((len(self.first), int(self._position.max()) + 1), dtype=bool)
        for row in np.flatnonzero(has).tolist():
            tables[row, [at for at in self.likes(row, one) if at < tables.shape[1]]] = True
        return torch.from_numpy(tables).to(self._valid.device).gather(1, self._position) & self._valid

    def _holding(self, place: str) -> torch.Tensor:
        """(B, K) whether a column holds a token of a place."""
        if place not in self._places:
            most = max(int(self._position.max()) + 1, *self._n_own)
            tables = np.zeros((len(self.first), most), dtype=bool)
            for row, (prompt, own) in enumerate(zip(self.first, self._n_own, strict=True)):
                inside, after = members(self._prompts[prompt], place, own)
                tables[row, :own], tables[row, own:] = inside, after
            held = torch.from_numpy(tables).to(self._valid.device)
            self._places[place] = held.gather(1, self._position) & self._valid
        return self._places[place]


@dataclass(frozen=True, eq=False)
class _Change:
    """One intervention in one forward pass."""

    intervention: Intervention
    where: _Rows
    here: _Pass
    counts: Counts
    keeps: DonorValues | None = None

    @property
    def part(self) -> Part:
        """What of a block is changed."""
        return self.intervention.part

    @property
    def acts(self) -> bool:
        """Whether any row is changed."""
        return bool(self.where.rows.any())

    def layers(self, n_blocks: int) -> Sequence[int]:
        """The blocks in which it acts."""
        return range(1, n_blocks + 1) if self.intervention.layers is None else self.intervention.layers

    def write(
        self, values: torch.Tensor, layer: int, rows: slice = slice(None), base: torch.Tensor | None = None
    ) -> None:
        """Change the rows that are acted on of values (B, q, ...), rows being which of the pass's they are; what is
        changed is what they have beyond the base.
        """
        batch, query = self._acted_on(rows, values.device)
        if not len(batch):
            return
        before = values[batch, query]
        query = query + (rows.start or 0)
        if isinstance(self.intervention, Keeping):
            self._keep(batch, query, before if base is None else before - base[batch, query], layer)
            return
        columns = None if self.where.columns is None else self._columns(batch, query).to(values.device)
        donor = None if self.intervention.needs is None else self._donor(batch, query, layer).to(before)
        target = None if self._targets is None else self._targets.to(values)[batch]
        at = At(layer, self.here.index.to(values.device)[batch], columns, donor, target)
        if base is None:
            after = self._on_heads(before, at)
        else:
            entered = base[batch, query - (rows.start or 0)]
            after = entered + self._on_heads(before - entered, at)
        after = after.to(values.dtype)
        self._count(batch, query, before, after)
        values[batch, query - (rows.start or 0)] = after

    def _acted_on(self, rows: slice, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Row and query of each token that is changed; an item whose label has nowhere to go is left alone."""
        where = self.where.rows[:, rows].to(device)
        if self._targets is not None:
            where = where & self._targets.isfinite().all(dim=1).to(device)[:, None]
        batch, query = where.nonzero(as_tuple=True)
        return batch, query

    @cached_property
    def _targets(self) -> torch.Tensor | None:
        """(B, c) what the labels of rows are moved to, NaN where there is nothing or the row is not acted on."""
        if self.intervention.target is None:
            return None
        assert self.here.values is not None
        known = self.here.values.donors.targets
        found = [known.get((prompt, self.intervention.target), ()) for prompt in self.here.first]
        nothing = (math.nan,) * max(map(len, found))
        return torch.tensor([to or nothing for to in found], dtype=torch.float64)

    def _keep(self, batch: torch.Tensor, query: torch.Tensor, values: torch.Tensor, layer: int) -> None:
        assert self.keeps is not None
        for (row, position), value in zip(self.here.position(batch, query), values.clone(), strict=True):
            self.keeps.keep(self.part, layer, self.here.owners[row], position, value)

    def _donor(self, batch: torch.Tensor, query: torch.Tensor, layer: int) -> torch.Tensor:
        """(n, ...) what donors hold at the places that are changed."""
        held = self.here.values
        assert held is not None
        places = self.here.position(batch, query)
        if self.intervention.labels is not None:
            likes = [self.here.donors_everywhere(row, self.intervention) for row, _ in places]
        else:
            likes = [self.here.likes(row, self.intervention)[at] for row, at in places]
        return torch.stack([self.intervention.donated(held, layer, one) for one in likes])

    def _on_heads(self, before: torch.Tensor, at: At) -> torch.Tensor:
        heads = self.intervention.heads
        if heads is None:
            return self.intervention.change(before, at)
        chosen = list(heads)
        if chosen and chosen[-1] >= before.shape[1]:
            raise SpecError(f"There is no head {chosen[-1]}: the model has {before.shape[1]}.", "Count heads from 0.")
        after = before.clone()
        own = at if at.donor is None else replace(at, donor=at.donor[:, chosen])
        after[:, chosen] = self.intervention.change(before[:, chosen], own).to(after.dtype)
        return after

    def _columns(self, batch: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
        """(n, 1, K) the keys, of which each row keeps its own."""
        assert self.where.columns is not None
        columns = self.where.columns[batch.to(self.where.columns.device)].clone()
        own = columns.shape[1] - self.where.rows.shape[1] + query.to(columns.device)
        columns[torch.arange(len(columns), device=columns.device), own] = False
        return columns[:, None]

    def _count(self, batch: torch.Tensor, query: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> None:
        n_rows, counts = len(self.here.first), query < self.here.n_counted.to(query.device)[batch]
        differs = (before != after).flatten(1).any(1)
        changed = torch.bincount(batch[counts & differs], minlength=n_rows).tolist()
        for row, acted in enumerate(torch.bincount(batch[counts], minlength=n_rows).tolist()):
            if acted and (prompts := list(self.here.owners[row])):
                self.counts.acted[prompts] += acted
                self.counts.changed[prompts] += changed[row]


@dataclass(frozen=True, eq=False)
class AttentionEdits:
    """What is changed inside the attention of one forward pass."""

    changes: Sequence[_Change]
    ranks: Ranks

    def of(self, layer: int) -> "LayerEdits | None":
        """What is changed in one block, counted from 0; None where nothing is."""
        here = [one for one in self.changes if one.intervention.layers is None or layer + 1 in one.intervention.layers]
        return LayerEdits(layer + 1, here, self.ranks) if here else None


@dataclass(frozen=True, eq=False)
class LayerEdits:
    """What is changed inside the attention of one block."""

    layer: int
    changes: Sequence[_Change]
    ranks: Ranks

    def apply(self, part: Part, values: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Values (B, H, q, X) of a part with what acts on it, rows being those of the pass's. Each of several processes
        has its own heads' and changes all heads', since heads are numbered, and counted together, over all of them.
        """
        here = [change for change in self.changes if change.part == part]
        if not here:
            return values
        changed = self.ranks.whole(values).transpose(1, 2).clone()
        for change in here:
            change.write(changed, self.layer, rows)
        return self.ranks.own(changed.transpose(1, 2))


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


def output_projection(block: torch.nn.Module) -> torch.nn.Module:
    """The module by which a block's heads are projected into the stream.

    Raises
    ------
    SpecError: it cannot be told.
    """
    attention = attention_of(block)
    found = [part for name, part in attention.named_modules() if name.rpartition(".")[2] in PROJECTION_NAMES]
    if len(found) != 1:
        raise SpecError(
            f"The output projection of {type(attention).__name__} cannot be told, so what a head adds to the stream "
            "is not known.",
            "Patch heads instead.",
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
def _changing(module: torch.nn.Module, part: Part, layer: int, changes: Sequence[_Change]) -> Iterator[None]:
    """The output of a module, or what it adds to its input, is changed in the forward passes inside."""

    def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        first = (output[0] if isinstance(output, tuple) else output).clone()
        entering = (args[0] if args else kwargs["hidden_states"]) if part == "block" else None
        for change in changes:
            change.write(first, layer, base=entering)
        return (first, *output[1:]) if isinstance(output, tuple) else first

    # Before whoever reads what leaves the module.
    handle = module.register_forward_hook(hook, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()
