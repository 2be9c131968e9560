"""Models built by hand, the smallest that do something: whatever is measured of them is known without running them.

A state is a row of one-hot parts: the token, the token before it, what will be said, and the position. Norms are made
linear by an epsilon that outweighs every state, so that weights can be written down; GPT-2's also subtracts the mean,
which is 0 since each state stands there twice, once with the other sign. Each model is saved as an ordinary folder.
"""

import json
import math

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ("<unk>", "<s>", "</s>")
NAMES, COLOURS = ("ann", "bob", "cat", "dan"), ("red", "blue", "green", "grey", "pink", "black")
CUES = {"light": ("sun", "day", "lamp"), "dark": ("moon", "night", "cave")}
WORDS = (*SPECIAL, ",", *NAMES, *COLOURS)
CUE_WORDS = (*SPECIAL, ",", *NAMES, *CUES, *(word for of_class in CUES.values() for word in of_class))

POSITIONS = 32
EPSILON = 1e6
HARD = 300.0
"""Difference of scores that leaves one weight of exactly 1 in float32."""

MATCH = 9.0
"""How many times the weight of another token a token has that the induction head looks for."""

LOGIT = 10.0
"""The logit of a token that all attention goes to."""


class Layout:
    """Where the parts of a state are; both halves of it hold them, the second with the other sign where it is told."""

    def __init__(self, n_words: int, positions: int = 0) -> None:
        self.token = slice(0, n_words)
        self.before = slice(n_words, 2 * n_words)
        self.said = slice(2 * n_words, 3 * n_words)
        self.position = slice(3 * n_words, 3 * n_words + positions)
        self.size = 3 * n_words + positions


def save(model, words, folder):
    """The model and a tokenizer of whole words as an ordinary folder."""
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


# GPT-2


def empty_gpt2(words, n_layers, n_heads=2):
    """A model that is all zeros but for norms that do nothing."""
    size = Layout(len(words), POSITIONS).size
    config = GPT2Config(
        vocab_size=len(words), n_positions=POSITIONS, n_embd=2 * size, n_layer=n_layers, n_head=n_heads, n_inner=4,
        layer_norm_epsilon=EPSILON, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(math.sqrt(EPSILON) if ".ln_" in name and name.endswith("weight") else 0)
    return model


def twice(weights):
    """Columns that write to a state (X, size), for both of its halves."""
    return torch.cat([weights, -weights], dim=1)


def embed(model, layout):
    """Tokens and positions as one-hot parts."""
    token, place = (torch.zeros(rows, layout.size) for rows in (model.config.vocab_size, POSITIONS))
    token[:, layout.token] = torch.eye(model.config.vocab_size)
    place[:, layout.position] = torch.eye(POSITIONS)
    model.transformer.wte.weight.copy_(twice(token))
    model.transformer.wpe.weight.copy_(twice(place))


def gpt2_head(model, layout, block, head, query, key, value, into):
    """Write one head: query and key (size, X), value (size, Y), and where the Y numbers go.

    Scores are those of query times key, without the division by the root of a head's size.
    """
    attention = model.transformer.h[block - 1].attn
    width, d_head = model.config.n_embd, model.config.n_embd // model.config.n_head
    for part, weights in enumerate((query * math.sqrt(d_head), key, value)):
        start = part * width + head * d_head
        attention.c_attn.weight[: layout.size, start : start + weights.shape[1]] = weights
    out = torch.zeros(value.shape[1], layout.size)
    out[:, into] = torch.eye(value.shape[1])
    attention.c_proj.weight[head * d_head : head * d_head + value.shape[1]] = twice(out)


def part(layout, place, factor=1.0):
    """(size, X) what reads one part of a state."""
    weights = torch.zeros(layout.size, place.stop - place.start)
    weights[place] = factor * torch.eye(place.stop - place.start)
    return weights


def read_out(model, layout, factor):
    """Logits are the part of a state that is to be said."""
    head = torch.zeros(model.config.vocab_size, model.config.hidden_size)
    head[:, layout.said] = factor * torch.eye(model.config.vocab_size)
    model.lm_head.weight.copy_(head)


def induction_gpt2(folder):
    """Block 1, head 0: each token looks at the one before it alone, and notes it. Block 2, head 0: a token looks at
    those that came after it before, each with `MATCH` times the weight of another, and says what it sees. Heads 1 look
    everywhere alike.
    """
    model, layout = empty_gpt2(WORDS, 2), Layout(len(WORDS), POSITIONS)
    with torch.no_grad():
        embed(model, layout)
        before = part(layout, layout.position, HARD)[:, :-1]
        shifted = torch.cat([torch.zeros(layout.size, 1), before], dim=1)  # the key at j answers the query at j + 1
        gpt2_head(
            model, layout, 1, 0, part(layout, layout.position), shifted, part(layout, layout.token), layout.before
        )
        match = part(layout, layout.before, math.log(MATCH))
        gpt2_head(model, layout, 2, 0, part(layout, layout.token), match, part(layout, layout.token), layout.said)
        read_out(model, layout, LOGIT)
    return save(model, WORDS, folder)


READ_LAYER = 2
"""From this layer on the last token's state tells the class."""

MOVED = 4.0
"""How much of the class's direction the head moves."""


def direction_gpt2(folder):
    """Block 2, head 0: the last token looks at the first word after the start alone, and takes its class as one
    direction (the first of the part "before": plus for light, minus for dark). Block 3: the MLP reads that direction
    and says the class. Before block 2 the state of the last token knows nothing of the class.
    """
    model, layout = empty_gpt2(CUE_WORDS, 3), Layout(len(CUE_WORDS), POSITIONS)
    with torch.no_grad():
        embed(model, layout)
        everywhere = torch.zeros(layout.size, 1)
        everywhere[layout.position] = HARD
        first = torch.zeros(layout.size, 1)
        first[layout.position.start + 1] = 1
        value = torch.zeros(layout.size, 1)
        for sign, name in ((1, "light"), (-1, "dark")):
            for word in CUES[name]:
                value[CUE_WORDS.index(word)] = sign * MOVED
        direction = slice(layout.before.start, layout.before.start + 1)
        gpt2_head(model, layout, 2, 0, everywhere, first, value, direction)
        mlp = model.transformer.h[2].mlp
        for neuron, (sign, name) in enumerate(((1, "light"), (-1, "dark"))):
            mlp.c_fc.weight[direction, neuron] = sign
            said = torch.zeros(1, layout.size)
            said[0, layout.said.start + CUE_WORDS.index(name)] = 1
            mlp.c_proj.weight[neuron] = twice(said)[0]
        read_out(model, layout, LOGIT / MOVED)
    return save(model, CUE_WORDS, folder)


def constant_gpt2(folder):
    """All zeros: every state, every logit; attention is alike on all that a token can see."""
    return save(empty_gpt2(WORDS, 2), WORDS, folder)


# Llama

FIRST_STILL = 16
"""The first pair of a head's dimensions that positions hardly turn."""


def induction_llama(folder):
    """The same circuit with rotary positions and two query heads to a key head: block 1, head 0 and block 2, head 2;
    all other heads look everywhere alike.

    A head of 36 pairs of dimensions turns pair f by 10 ** (-0.375 f) for each position: the first four find the token
    before, those from `FIRST_STILL` on hold what a token is, whatever its place.
    """
    words, pairs = len(WORDS), FIRST_STILL + len(WORDS)
    layout = Layout(words)
    config = LlamaConfig(
        vocab_size=words, hidden_size=layout.size + 2, intermediate_size=4, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=2 * pairs, max_position_embeddings=POSITIONS, rms_norm_eps=EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": 10 ** (0.375 * pairs)},
        tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    scale, always = math.sqrt(2 * pairs), layout.size
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(math.sqrt(EPSILON) if "norm" in name else 0)
        model.model.embed_tokens.weight[:, layout.token] = torch.eye(words)
        model.model.embed_tokens.weight[:, always] = 1
        first, second = (block.self_attn for block in model.model.layers)
        for pair in range(4):  # the query is turned back by one position, so that it meets the key before it
            turn = 10 ** (-0.375 * pair)
            first.q_proj.weight[pair, always] = 2 * HARD * scale * math.cos(turn)
            first.q_proj.weight[pairs + pair, always] = -2 * HARD * scale * math.sin(turn)
            first.k_proj.weight[pair, always] = 1
        first.v_proj.weight[:words, layout.token] = torch.eye(words)
        first.o_proj.weight[layout.before, :words] = torch.eye(words)
        still = slice(FIRST_STILL, FIRST_STILL + words)
        query, key = 2 * 2 * pairs, 2 * pairs  # where the rows of query head 2 and of key head 1 begin
        second.q_proj.weight[query + still.start : query + still.stop, layout.token] = scale * torch.eye(words)
        second.k_proj.weight[key + still.start : key + still.stop, layout.before] = math.log(MATCH) * torch.eye(words)
        second.v_proj.weight[key : key + words, layout.token] = torch.eye(words)
        second.o_proj.weight[layout.said, query : query + words] = torch.eye(words)
        read_out(model, layout, LOGIT)
    return save(model, WORDS, folder)


# Tasks


def name_rows():
    """Two people with a colour each, then one of them: "ann red , bob blue , ann" asks for red. In every third row
    somebody else is asked for, whose colour the text does not hold.
    """
    rows = []
    for number in range(24):
        first, second, third = (NAMES[(number + step) % 4] for step in (0, 1 + number // 12, 3))
        one, other = COLOURS[number % 6], COLOURS[(number + 1 + number // 6) % 6]
        asked = third if number % 3 == 2 else first
        rows.append({
            "id": f"{number}", "query": f"{first} {one} , {second} {other} , {asked}", "answer": one,
            "candidates": [other], "relevant": f"{first} {one}", "irrelevant": f"{second} {other}",
        })  # fmt: skip
    return rows


def cue_rows():
    """A cue, two commas and a name: the class of the cue is asked for, each name with every cue."""
    return [
        {
            "id": f"{cue} {name}", "query": f"{cue} , , {name}", "answer": kind, "labels": {"kind": kind, "name": name},
            "candidates": [next(other for other in CUES if other != kind)], "relevant": cue,
        }
        for kind, cues in CUES.items() for cue in cues for name in NAMES
    ]  # fmt: skip


def task_file(rows, folder, name):
    """The path of a task file with these rows."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(rows))
    return str(path)


# What is known


def induction_weights(tokens, row):
    """(row + 1,) weights of the induction head of the token at a place: `MATCH` where it came before, else 1."""
    seen = torch.tensor([MATCH if place and tokens[place - 1] == tokens[row] else 1.0 for place in range(row + 1)])
    return seen / seen.sum()


def before_weights(tokens, row):
    """(row + 1,) weights of the head that looks at the token before."""
    return torch.nn.functional.one_hot(torch.tensor(max(row - 1, 0)), row + 1).float()


def even_weights(tokens, row):
    """(row + 1,) weights of a head that looks everywhere alike."""
    return torch.full((row + 1,), 1 / (row + 1))
