"""A model's passes on torch's meta device: tensors have shapes there and no numbers, so a model of any size is run in a
second, and every operation of its own code is seen.

1. Parameters are those of the model as it would be loaded, tied ones once.
2. A pass over tokens is run twice, over few tokens and over twice as many. What an operation multiplies and moves, and
   what is alive at the most, grows evenly with the tokens; the two passes give what it is for none and for each more.
3. Attention over keys is left out of the passes, since it grows with the context too: its heads' sizes are kept.

A multiplication with its addition counts as two operations.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any
from weakref import finalize

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedConfig,
)

from iclviz.capture.attention import set_attention
from iclviz.capture.budget import bytes_per_token
from iclviz.errors import ModelError

Array = NDArray[np.float64]
NAME = "iclviz_dry_run"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FEW_TOKENS = 64
"""Tokens of the shorter of the two passes: more than any expert is chosen among, so that a share of them shows."""
FEW_KEYS = 16


@dataclass(frozen=True)
class Heads:
    """The attention of one block.

    Attributes
    ----------
    queries: H, query heads; keys: G, key heads, fewer where queries are grouped.
    key_size, value_size: numbers of a key and of a value.
    """

    queries: int
    keys: int
    key_size: int
    value_size: int

    @property
    def kept(self) -> int:
        """Numbers that a token leaves in the cache."""
        return self.keys * (self.key_size + self.value_size)

    @property
    def flops(self) -> int:
        """Operations for each pair of a query and a key: scores, and values weighted."""
        return 2 * self.queries * (self.key_size + self.value_size)


@dataclass(frozen=True, eq=False)
class Operations:
    """What a pass over n tokens does: O kinds of operations, each done `times`.

    Attributes
    ----------
    calls: of torch by Python, those included that only look at numbers otherwise.
    times: (O,) how often.
    is_product: (O,) whether it multiplies matrices.
    flops: (O,) for each token.
    weights: (O,) bytes of parameters that are read, however many tokens there are.
    moved: (O,) other bytes that are read and written, for each token.
    used: (O,) share of the parameters that one token reads: less than 1 for experts.
    """

    calls: int
    times: Array
    is_product: NDArray[np.bool_]
    flops: Array
    weights: Array
    moved: Array
    used: Array

    @property
    def flops_per_token(self) -> float:
        """Operations in all matrix products of one token."""
        return float((self.times * self.flops * self.is_product).sum())

    def weights_read(self, tokens: int) -> Array:
        """(O,) bytes of parameters that so many tokens read: of experts those that some token chooses."""
        return self.weights * (1 - (1 - self.used) ** tokens)


@dataclass(frozen=True, eq=False)
class ModelCounts:
    """A model by its numbers.

    Attributes
    ----------
    architecture: its class.
    dtype: of its weights.
    parameters: all of them, tied ones once; active: without those of experts that a token is not given to.
    packable: those of linear layers in blocks, which 8 and 4 bit weights pack.
    vocabulary: V, entries of the output layer; width: d.
    blocks: the attention of each of the L blocks.
    pass_: what reading tokens does, attention over keys and the output layer apart.
    held: bytes alive at the most while one token is read, beside parameters, keys and values.
    budgeted: bytes of one token by which the engine makes its token budget.
    """

    architecture: str
    dtype: str
    parameters: int
    active: int
    packable: int
    vocabulary: int
    width: int
    blocks: tuple[Heads, ...]
    pass_: Operations
    held: float
    budgeted: int

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return int(DTYPES[self.dtype].itemsize)

    @property
    def n_layers(self) -> int:
        """L."""
        return len(self.blocks)

    @property
    def n_heads(self) -> int:
        """H, the most of a block."""
        return max(block.queries for block in self.blocks)

    @property
    def weight_bytes(self) -> int:
        """Of all parameters in their type."""
        return self.parameters * self.itemsize

    @property
    def key_bytes(self) -> int:
        """Keys and values of one token, in all blocks."""
        return self.itemsize * sum(block.kept for block in self.blocks)

    @property
    def pair_flops(self) -> int:
        """Operations of attention for each query and key, in all blocks."""
        return sum(block.flops for block in self.blocks)

    @property
    def head_flops(self) -> int:
        """Operations of the output layer for each token of which logits are wanted."""
        return 2 * self.vocabulary * self.width

    def token_flops(self, context: int) -> float:
        """Operations of one token after so many, with logits: those of a decoding step."""
        return self.pass_.flops_per_token + self.head_flops + self.pair_flops * (context + 1)


def counted(config: PreTrainedConfig, dtype: str = "float32", trusted: bool = False) -> ModelCounts:
    """Count a model of that configuration.

    Parameters
    ----------
    dtype: of the weights, a name in `DTYPES`.
    trusted: whether code that comes with the model may be run.

    Raises
    ------
    ModelError: no causal model can be made of it, or its code cannot run without numbers.
    """
    name = next(iter(config.architectures or ()), type(config).__name__)
    try:
        model = _built(config, DTYPES[dtype], trusted)
        with _attention_apart(model) as seen:
            few = _traced(model, FEW_TOKENS)
            if not seen:  # its own attention is among the operations: of few keys it is next to nothing
                few = _traced(model, FEW_KEYS)
            many = _traced(model, 2 * few.tokens)
            blocks = dict(seen) or _heads_of_cache(model, config)
    except Exception as error:  # the model's own code, whatever it is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"The architecture {name} cannot be planned from its configuration ({reason}).",
            "Its run works all the same where `iclviz run` takes the model.",
        ) from error
    operations = _operations(few, many, DTYPES[dtype].itemsize, own_attention=not seen)
    head = model.get_output_embeddings()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    unused = float((operations.times * operations.weights * (1 - operations.used)).sum()) / DTYPES[dtype].itemsize
    return ModelCounts(
        architecture=type(model).__name__,
        dtype=dtype,
        parameters=parameters,
        active=round(parameters - unused),
        packable=_packable(model, head),
        vocabulary=head.weight.shape[0],
        width=head.weight.shape[1],
        blocks=tuple(blocks[layer] for layer in sorted(blocks)),
        pass_=operations,
        held=(many.peak - few.peak) / few.tokens,
        budgeted=bytes_per_token(model),
    )


def _built(config: PreTrainedConfig, dtype: torch.dtype, trusted: bool) -> Any:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=trusted)
    return model.eval()


def _packable(model: Any, head: Any) -> int:
    linear = (part for part in model.modules() if isinstance(part, torch.nn.Linear) and part is not head)
    return sum(part.weight.numel() for part in linear)


@contextmanager
def _attention_apart(model: Any) -> Iterator[dict[int, Heads]]:
    """Inside, attention over keys gives its output's shape alone; the heads of each block are put into what is given.

    Models that never ask for a registered function run their own, whose matrices are small for few tokens.
    """
    seen: dict[int, Heads] = {}

    def attend(module: Any, query: Any, key: Any, value: Any, *args: Any, **options: Any) -> tuple[Any, None]:
        seen[int(module.layer_idx)] = Heads(query.shape[1], key.shape[1], key.shape[3], value.shape[3])
        batch, heads, length, _ = query.shape
        return query.new_empty(batch, length, heads, value.shape[3]), None

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *args, **options: None)
    before = model.config._attn_implementation
    set_attention(model, NAME if model._can_set_attn_implementation() else "eager")
    try:
        yield seen
    finally:
        set_attention(model, before)


class _Tracing(TorchDispatchMode):  # type: ignore[misc]
    """Sees every operation, and how many bytes are alive."""

    def __init__(self, weights: Mapping[int, int]) -> None:
        """weights: address of a parameter's storage -> its bytes."""
        super().__init__()
        self.rows: list[tuple[float, ...]] = []
        self.calls = self.peak = self._alive = 0
        self._weights, self._known = weights, dict.fromkeys(weights, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """One operation."""
        name, self.calls = func.overloadpacket.__name__, self.calls + 1
        output = _grouped(*args[:2]) if name == EXPERTS else func(*args, **(kwargs or {}))
        inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        made = [one for one in tree_leaves(output) if isinstance(one, torch.Tensor)]
        for one in made:
            self._keep(one.untyped_storage())
        if func.is_view:
            return output
        flops = _product(name, args)
        read = [one for one in inputs if one.untyped_storage()._cdata in self._weights]
        weights = 0 if name == "embedding" else sum(_size(one) for one in read)
        moved = sum(_size(one) for one in inputs if one not in _Identical(read)) + sum(map(_size, made))
        self.rows.append((float(flops > 0), flops, weights, moved, float(name == EXPERTS)))
        return output

    def _keep(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self._alive += storage.nbytes()
        self.peak = max(self.peak, self._alive)
        finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._alive -= self._known.pop(key, 0)


class _Identical:
    """Tensors told apart by what they are: `==` of tensors compares numbers."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self._ids = {id(one) for one in tensors}

    def __contains__(self, tensor: torch.Tensor) -> bool:
        return id(tensor) in self._ids


def _size(tensor: torch.Tensor) -> int:
    """Bytes that are read or written of a tensor; of an expanded one what there is of it."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    return int(prod(sizes) * tensor.element_size())


def _grouped(rows: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
    """The shape of a product of rows (n, a), sorted by expert, with experts (E, a, b); torch's has bfloat16 alone."""
    return rows.new_empty(rows.shape[0], experts.shape[-1])


EXPERTS = "_grouped_mm"
PRODUCTS = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1, EXPERTS: 0}
"""Operation -> place of the first of the two matrices among its arguments."""


def _product(name: str, args: Any) -> float:
    """Operations of a matrix product, 0 of anything else."""
    if name not in PRODUCTS:
        return 0.0
    first, second = args[PRODUCTS[name] : PRODUCTS[name] + 2]
    return 2.0 * int(first.numel()) * int(second.shape[-1])


@dataclass(frozen=True, eq=False)
class _Trace:
    """What a pass over so many tokens did: (O, 5) rows of whether it multiplies matrices, operations, bytes of
    parameters, other bytes, whether it is of experts; the bytes that were alive at the most; and its calls of torch.
    """

    rows: Array
    tokens: int
    peak: int
    calls: int


def _traced(model: Any, tokens: int) -> _Trace:
    weights = {one.untyped_storage()._cdata: one.untyped_storage().nbytes() for one in model.parameters()}
    weights |= {one.untyped_storage()._cdata: 0 for one in model.buffers()}
    tracing = _Tracing(weights)
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    with torch.no_grad(), tracing:  # inference mode would hide what compound operations are made of
        model.base_model(input_ids=ids, position_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return _Trace(np.array(tracing.rows), tokens, tracing.peak, tracing.calls)


def _heads_of_cache(model: Any, config: PreTrainedConfig) -> dict[int, Heads]:
    """The heads of a model that never called the registered function, by what it leaves in a cache."""
    ids, cache = torch.zeros(1, 1, dtype=torch.long, device="meta"), DynamicCache()
    with torch.no_grad():
        model.base_model(
            input_ids=ids, position_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, use_cache=True
        )
    queries = config.get_text_config(decoder=True).num_attention_heads
    shapes = {layer: (one.keys.shape, one.values.shape) for layer, one in enumerate(cache.layers)}
    return {layer: Heads(queries, keys[1], keys[3], values[3]) for layer, (keys, values) in shapes.items()}


def _operations(few: _Trace, many: _Trace, itemsize: int, own_attention: bool) -> Operations:
    """What grows with the tokens between two passes, the same kinds of operations joined.

    own_attention: whether products without parameters are those of attention, which is counted by its heads.
    """
    growth = (many.rows[:, [1, 3]] - few.rows[:, [1, 3]]) / (many.tokens - few.tokens)
    is_product, weights, is_of_experts = few.rows[:, 0], few.rows[:, 2], few.rows[:, 4] > 0
    growth[:, 0] *= ~(own_attention & (is_product > 0) & (weights == 0))
    # A token multiplies a parameter that it reads once: what it multiplies less is of experts it is not given to.
    used = np.ones(len(few.rows))
    used[is_of_experts] = growth[is_of_experts, 0] / 2 * itemsize / weights[is_of_experts]
    kinds = Counter(map(tuple, np.column_stack([is_product, growth[:, 0], weights, growth[:, 1], used]).tolist()))
    rows = np.array(list(kinds), dtype=float).reshape(-1, 5)
    return Operations(
        calls=few.calls,
        times=np.array(list(kinds.values()), dtype=float),
        is_product=rows[:, 0] > 0,
        flops=rows[:, 1],
        weights=rows[:, 2],
        moved=rows[:, 3],
        used=rows[:, 4],
    )
