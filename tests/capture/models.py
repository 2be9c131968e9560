"""Tiny random models of several architectures, and prompts of random tokens with every role."""

from dataclasses import replace

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.prompts import TokenizedPrompt
from iclviz.spans import Mark, Span

VOCABULARY, LAYERS, HEADS = 200, 3, 4
WINDOWS = {"sliding_window": 5, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
OLD_SHAPE = {"vocab_size": VOCABULARY, "n_layer": LAYERS, "n_head": HEADS, "bos_token_id": 0, "eos_token_id": 1}

SETTINGS = {
    "llama": SHAPE,
    "mistral": {**SHAPE, "sliding_window": 7},
    "qwen2": SHAPE,
    "qwen3": {**SHAPE, "head_dim": 8},
    "gemma2": {**SHAPE, "head_dim": 8, "sliding_window": 8},
    "gemma3_text": {**SHAPE, **WINDOWS, "head_dim": 8},
    "phi3": SHAPE,
    "gpt2": {**OLD_SHAPE, "n_embd": 32, "n_positions": 256},
    "gpt_neox": {**SHAPE, "hidden_act": "gelu"},
    "opt": {**SHAPE, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "falcon": {**SHAPE, "alibi": False},
    "falcon_alibi": {**SHAPE, "model_type": "falcon", "alibi": True},
    "bloom": {**OLD_SHAPE, "hidden_size": 32},
    "stablelm": SHAPE,
    "olmo2": SHAPE,
    "granite": {**SHAPE, "attention_multiplier": 0.4},
    "mixtral": {**SHAPE, "num_local_experts": 3, "num_experts_per_tok": 2},
    "qwen3_moe": {**SHAPE, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gpt_oss": {**SHAPE, **WINDOWS, "head_dim": 8, "num_local_experts": 3, "num_experts_per_tok": 2},
    "gptj": {**OLD_SHAPE, "n_embd": 32, "rotary_dim": 4},
    "mpt": {**OLD_SHAPE, "n_layers": LAYERS, "n_heads": HEADS, "d_model": 32},
}
"""Settings of tiny models by the name of their architecture."""


def tiny(name):
    """A random model of an architecture whose norms, biases and sinks are random too."""
    settings = dict(SETTINGS[name])
    config = CONFIG_MAPPING[settings.pop("model_type", name)](**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model


def random_prompt(rng, length):
    """A prompt whose candidates follow it, one of them changing its last token."""
    ids = rng.integers(2, VOCABULARY, length).tolist()
    if length < 6:
        spans = [Span("relevant", 0, 1), Span("question", 1, length)]
        query_start = 0
    else:
        cuts = [0, *sorted(rng.choice(np.arange(1, length), 4, replace=False).tolist()), length]
        roles = ("special", "demonstration", "relevant", "irrelevant", "question")
        spans = [Span(role, a, b) for role, a, b in zip(roles, cuts, cuts[1:], strict=False)]
        query_start = cuts[2]
    candidates = [[*ids, 5, 6, 7], [*ids[:-1], (ids[-1] + 1) % VOCABULARY, 3]]
    return TokenizedPrompt(ids, [""] * length, spans, query_start, candidates)


def random_prompts(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [random_prompt(rng, length) for length in lengths]


def going_on(prompt, length, seed):
    """A prompt that begins with another's tokens, with borders of its own."""
    longer = random_prompt(np.random.default_rng(seed), len(prompt) + length)
    ids = prompt.ids + longer.ids[len(prompt) :]
    candidates = [[*ids, 5, 6, 7], [*ids[:-2], (ids[-2] + 1) % VOCABULARY, 3]]
    return TokenizedPrompt(ids, [""] * len(ids), longer.spans, longer.query_start, candidates)


def family():
    """Prompts that share prefixes of several depths, the same prompt twice, one that ends where others go on, and
    prompts of one token.
    """
    lines = random_prompts((12, 30, 8))
    ways = [(0, 3), (0, 5), (1, 1), (1, 9), (0, 5), (2, 4), (2, 2), (1, 4)]
    queries = [going_on(lines[line], length, seed) for seed, (line, length) in enumerate(ways)]
    deeper = [going_on(queries[1], 4, 20), going_on(queries[1], 7, 21)]
    return [*queries, *deeper, queries[0], lines[1], *random_prompts((1, 1, 2))]


def marked(prompt, n_demonstrations=3):
    """The prompt with demonstrations laid over its tokens, each with its last token but one as its answer; of the last
    one no answer is known.
    """
    size = max(2, (len(prompt) - 1) // (n_demonstrations + 1))
    marks = []
    for number, start in enumerate(range(0, size * n_demonstrations, size)):
        if start + size < len(prompt):
            marks.append(Mark(f"demonstration:{number}", start, start + size))
            if number + 1 < n_demonstrations:
                marks.append(Mark(f"answer:{number}", start + size - 2, start + size - 1))
    return replace(prompt, marks=marks)
