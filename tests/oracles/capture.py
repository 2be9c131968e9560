"""The slow way to record: eager attention, one prompt at a time, full matrices, forced tokens."""

from dataclasses import dataclass

import numpy as np
import torch

from iclviz.capture.pooling import blocks_of
from iclviz.spans import ROLES


@dataclass
class SlowRecord:
    """One prompt: pooling -> (L + 1, d); last_row (L, H, S); rows (tokens, L, H, S); token_rows (1 + tokens, L, H, T)
    of the last prompt token and the response.
    """

    embeddings: dict
    last_row: np.ndarray
    rows: np.ndarray
    token_rows: np.ndarray


def set_eagerly(model, name):
    """Also where the library says that a model cannot be switched: it looks the name up whenever it runs."""
    if model._can_set_attn_implementation():
        model.set_attn_implementation(name)
    else:
        model.config._attn_implementation = name


def record_slowly(model, prompt, response_ids, n_layers, implementation="eager"):
    """Everything about one prompt and a given response, from one forward pass with full attention matrices."""
    before = model.config._attn_implementation
    set_eagerly(model, implementation)
    blocks, entered, left = blocks_of(model, n_layers), [], []
    hooks = [
        block.register_forward_pre_hook(
            lambda module, args, kwargs: entered.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
        )
        for block in blocks
    ]
    hooks.append(
        blocks[-1].register_forward_hook(
            lambda module, args, output: left.append(output[0] if isinstance(output, tuple) else output)
        )
    )
    try:
        with torch.no_grad():
            ids = torch.tensor([prompt.ids + list(response_ids)])
            output = model(input_ids=ids, output_attentions=True, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
        set_eagerly(model, before)
    hidden = torch.stack([*entered, *left])[:, 0].float().numpy()
    attention = torch.stack(output.attentions)[:, 0].float().numpy()
    roles = np.array(prompt.roles() + ["response"] * len(response_ids))
    n = len(prompt.ids)
    content = np.flatnonzero(roles[:n] != "special")
    query = content[content >= prompt.query_start]
    embeddings = {
        "query_mean": hidden[:, query].mean(1),
        "query_max": hidden[:, query].max(1),
        "last": hidden[:, n - 1],
        "mean": hidden[:, content].mean(1),
        "max": hidden[:, content].max(1),
    }
    for role in ROLES:
        own = np.flatnonzero(roles[:n] == role)
        if len(own):
            embeddings[f"{role}_mean"] = hidden[:, own].mean(1)
    mass = np.stack([attention[:, :, :, roles == role].sum(-1) for role in ROLES], axis=-1)
    if any(name.endswith("sinks") for name, _ in model.named_parameters()):
        mass[..., ROLES.index("special")] += 1 - mass.sum(-1)
    per_row = mass.transpose(2, 0, 1, 3)
    token_rows = attention.transpose(2, 0, 1, 3)[n - 1 :]
    return SlowRecord(embeddings, per_row[n - 1], per_row[n:], token_rows)


def candidate_logprob_slowly(model, whole_ids, n_shared):
    """Sum of the log-probabilities of the tokens from `n_shared` on."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([whole_ids]), use_cache=False).logits[0].float()
    logprobs = torch.log_softmax(logits, -1)
    return sum(float(logprobs[i - 1, whole_ids[i]]) for i in range(n_shared, len(whole_ids)))
