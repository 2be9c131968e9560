"""Tiny random models of several architectures, and prompts of random tokens with every role."""

import numpy as np
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from iclviz.prompts import TokenizedPrompt
from iclviz.spans import Span

VOCABULARY, LAYERS, HEADS = 200, 3, 4
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

BUILDERS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**OLD_SHAPE, n_embd=32, n_positions=256)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=7)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, sliding_window=8)),
    "bloom": lambda: BloomForCausalLM(BloomConfig(**OLD_SHAPE, hidden_size=32)),
}
"""bloom never calls a registered attention function, gemma2 wants soft-capping: only eager decoding can record them."""


def tiny(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BUILDERS[name]().eval()


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
