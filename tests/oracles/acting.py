"""The slow way to act: eager attention, one full prompt at a time, every change a plain hook of its own."""

from contextlib import ExitStack, contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from iclviz.capture.pooling import blocks_of

PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj")
"""What output projections of attention are called."""
ATTENTIONS = ("self_attn", "attn", "attention", "self_attention")
MLPS = ("mlp", "ffn", "block_sparse_moe")
NAME = "slow"


def rows_of(prompt, place, n_tokens, n_own):
    """Positions of a text of n_tokens, the first n_own of which are the prompt's."""
    if place == "last":
        return list(range(n_own - 1, n_tokens))
    if place == "response":
        return list(range(n_own, n_tokens))
    if place == "query":
        return list(range(prompt.query_start, n_own))
    if place == "all":
        return list(range(n_tokens))
    if ":" in place:
        kind, number = place.split(":")
        named = [m for m in prompt.marks if m.name.split(":")[0] == kind and number in ("*", m.name.split(":")[1])]
        return sorted({i for mark in named for i in range(mark.start, mark.end) if i < n_own})
    roles = prompt.roles()
    return [i for i in range(n_tokens) if (roles[i] if i < n_own else "response") == place]


@contextmanager
def acting_slowly(model, prompt, n_tokens, n_own, interventions, n_layers, donors=None):
    """Forward passes over one text inside are changed; the attention that does so is called "slow".

    donors: intervention -> the prompts whose values stand in, of which the mean is taken.
    """
    blocks = blocks_of(model, n_layers)
    donated = {
        (one, layer): [(donor, _plainly(model, donor, blocks[layer - 1], one.of)) for donor in whose]
        for one, whose in (donors or {}).items()
        if one.kind != "function_vector"
        for layer in one.layers or range(1, n_layers + 1)
    }
    with ExitStack() as stack:
        _register(prompt, n_tokens, n_own, [one for one in interventions if one.kind in ("knock_out", "scale")])
        for one in interventions:
            if one.kind == "function_vector":
                stack.enter_context(_adding(model, blocks, one, prompt, n_own, donors[one]))
            elif one in (donors or {}):
                for layer in one.layers or range(1, n_layers + 1):
                    stack.enter_context(_replacing(blocks[layer - 1], one, prompt, n_own, donated[one, layer]))
            elif one.kind == "ablate":
                rows = rows_of(prompt, one.rows, n_tokens, n_own)
                for layer in one.layers or range(1, n_layers + 1):
                    stack.enter_context(_ablated(blocks[layer - 1], one, rows))
        yield


def _likes(prompt, n_own, donor, place):
    """Pairs of positions that are alike in a prompt and its donor."""
    if place == "last":
        return [(n_own - 1, len(donor) - (len(prompt) - (n_own - 1)))]
    if place == "query":
        n = min(len(prompt) - prompt.query_start, len(donor) - donor.query_start)
        return [(len(prompt) - back, len(donor) - back) for back in range(1, n + 1) if len(prompt) - back < n_own]
    named = {mark.name: mark for mark in donor.marks}
    kind, number = place.split(":")
    pairs = []
    for mark in prompt.marks:
        if mark.name.split(":")[0] == kind and number in ("*", mark.name.split(":")[1]):
            other = named.get(mark.name)
            if other is not None and len(other) == len(mark):
                pairs += [(mark.start + i, other.start + i) for i in range(len(mark)) if mark.start + i < n_own]
    return pairs


@contextmanager
def _adding(model, blocks, one, prompt, n_own, whose):
    """What heads write in the mean over donors is added after blocks, at the last prompt token."""
    vector = 0
    for layer, head in one.written:
        attention = _child(blocks[layer - 1], ATTENTIONS)
        projection = _child(attention, PROJECTIONS)
        entering = [_plainly(model, donor, blocks[layer - 1], "head") for donor in whose]
        positions = [_likes(prompt, n_own, donor, "last")[0][1] for donor in whose]
        mean = sum(values[at] for values, at in zip(entering, positions, strict=True)) / len(entering)
        width = len(mean) // _n_heads(attention)
        weight = projection.weight if isinstance(projection, torch.nn.Linear) else projection.weight.T
        rows = slice(head * width, (head + 1) * width)
        vector = vector + weight[:, rows] @ mean[rows]

    def after(_, args, output):
        first = (output[0] if isinstance(output, tuple) else output).clone()
        first[:, n_own - 1] += vector
        return (first, *output[1:]) if isinstance(output, tuple) else first

    with ExitStack() as stack:
        for layer in one.layers:
            stack.callback(blocks[layer - 1].register_forward_hook(after).remove)
        yield


def _watched(block, of):
    """The module at which a part is, and whether it is its input that counts."""
    if of == "head":
        return _child(_child(block, ATTENTIONS), PROJECTIONS), True
    if of in ("block", "state"):
        return block, False
    return _child(block, ATTENTIONS if of == "attention" else MLPS), False


def _plainly(model, donor, block, of):
    """(T, d) what a part holds in a donor's prompt; of a block what it adds."""
    module, is_input = _watched(block, of)
    found = []

    def take(_, args, kwargs, output):
        entering = args[0] if args else kwargs["hidden_states"]
        first = output[0] if isinstance(output, tuple) else output
        found.append(entering[0] if is_input else first[0] - entering[0] if of == "block" else first[0])

    handle = module.register_forward_hook(take, with_kwargs=True)
    set_before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        model(input_ids=torch.tensor([donor.ids]), use_cache=False)
    model.set_attn_implementation(set_before)
    handle.remove()
    return found[0]


@contextmanager
def _replacing(block, one, prompt, n_own, donated):
    module, is_input = _watched(block, one.of)
    by_position = {}
    for donor, values in donated:
        for at, there in _likes(prompt, n_own, donor, one.rows):
            by_position.setdefault(at, []).append(values[there])
    heads = None if one.of != "head" else one.heads

    def put(values, base=None):
        changed = values.clone()
        for at, several in by_position.items():
            new = sum(several) / len(several)
            if heads is not None:
                width = changed.shape[-1] // _n_heads(_child(block, ATTENTIONS))
                for head in heads:
                    changed[:, at, head * width : (head + 1) * width] = new[head * width : (head + 1) * width]
            else:
                changed[:, at] = new if base is None else base[:, at] + new
        return changed

    def before(_, args):
        return (put(args[0]), *args[1:])

    def after(_, args, kwargs, output):
        first = output[0] if isinstance(output, tuple) else output
        entering = args[0] if args else kwargs["hidden_states"]
        new = put(first, entering if one.of == "block" else None)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = (
        module.register_forward_pre_hook(before) if is_input else module.register_forward_hook(after, with_kwargs=True)
    )
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _ablated(block, one, rows):
    if one.of == "head":
        attention = _child(block, ATTENTIONS)
        handle = _child(attention, PROJECTIONS).register_forward_pre_hook(
            lambda module, args: (_without_heads(args[0], _n_heads(attention), one.heads, rows), *args[1:])
        )
    elif one.of == "block":
        handle = block.register_forward_hook(
            lambda module, args, kwargs, output: _replaced(output, rows, args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )
    else:
        module = _child(block, ATTENTIONS if one.of == "attention" else MLPS)
        handle = module.register_forward_hook(lambda module, args, output: _replaced(output, rows, None))
    try:
        yield
    finally:
        handle.remove()


def _child(module, names):
    return next(child for name, child in module.named_children() if name in names)


def _n_heads(attention):
    config = getattr(attention, "config", None)
    return next(
        getattr(where, name)
        for where in (attention, config)
        for name in ("num_heads", "num_attention_heads", "n_head")
        if getattr(where, name, None) is not None
    )


def _without_heads(entering, n_heads, heads, rows):
    changed = entering.clone().reshape(*entering.shape[:2], n_heads, -1)
    for row in rows:
        for head in range(n_heads) if heads is None else heads:
            changed[:, row, head] = 0
    return changed.reshape(entering.shape)


def _replaced(output, rows, by):
    first = (output[0] if isinstance(output, tuple) else output).clone()
    for row in rows:
        first[:, row] = 0 if by is None else by[:, row]
    return (first, *output[1:]) if isinstance(output, tuple) else first


def _register(prompt, n_tokens, n_own, cuts):
    places = {name: rows_of(prompt, name, n_tokens, n_own) for one in cuts for name in (one.rows, one.to)}

    def cells(kind, module, n_heads):
        """Each head, row and column that an intervention of a kind acts on, and that intervention."""
        for one in cuts:
            if one.kind == kind and (one.layers is None or module.layer_idx + 1 in one.layers):
                heads = range(n_heads) if one.heads is None else one.heads
                before = [(row, column) for row in places[one.rows] for column in places[one.to] if column < row]
                yield from ((one, head, *cell) for head in heads for cell in before)

    def attend(module, query, key, value, attention_mask, scaling=None, softcap=None, s_aux=None, **options):
        n_heads = query.shape[1]
        repeats = n_heads // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
        scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        scores = scores + attention_mask[..., : key.shape[2]]
        for _, head, row, column in cells("knock_out", module, n_heads):
            scores[:, head, row, column] = -torch.inf
        sinks = scores[..., :0] if s_aux is None else s_aux.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.softmax(torch.cat([scores, sinks], -1), -1)[..., : scores.shape[-1]]
        for one, head, row, column in cells("scale", module, n_heads):
            weights[:, head, row, column] *= torch.exp(torch.tensor(one.by))
        return (weights @ value).transpose(1, 2).contiguous(), weights

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)
