"""Whether the answer trajectory is what other libraries read: each layer's logits at the last prompt token of the demo
model, beside those that nnsight and TransformerLens make of their own states, norm and head.

`make benchmark` runs it in an environment that has both; it prints the largest difference and fails above `TOLERANCE`.
"""

import sys

import numpy as np
import torch

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.recorders.trajectory import RECORDER
from iclviz.models.demo import ensure_demo_model
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import Prompt, render, tokenize
from iclviz.spans import Segment

TOLERANCE = 1e-4
TEXT = "The Eiffel Tower is in the city of"
ANSWERS = (" Paris", " London", " Rome")


def nnsight_logits(folder: str, ids: list[int]) -> torch.Tensor:
    """(L + 1, V)."""
    from nnsight import LanguageModel

    model = LanguageModel(folder, dtype=torch.float32, attn_implementation="eager", dispatch=True)
    with torch.inference_mode(), model.trace(torch.tensor([ids])):
        found = [].save()
        found.append(model.lm_head(model.model.norm(model.model.layers[0].input))[0, -1].save())
        for block in model.model.layers:
            output = block.output[0] if isinstance(block.output, tuple) else block.output
            found.append(model.lm_head(model.model.norm(output)).reshape(1, len(ids), -1)[0, -1].save())
    return torch.stack(list(found))


def transformer_lens_logits(folder: str, ids: list[int], n_layers: int) -> torch.Tensor:
    """(L + 1, V)."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    with torch.inference_mode():
        _, cache = bridge.run_with_cache(torch.tensor([ids]))
        names = ["blocks.0.hook_resid_pre", *(f"blocks.{block}.hook_resid_post" for block in range(n_layers))]
        states = [cache[name] for name in names]
        return torch.stack([bridge.unembed(bridge.ln_final(one))[0, -1] for one in states])


def main() -> None:
    """Compare all layers, and exit with 1 where they differ."""
    folder = ensure_demo_model()
    loaded = load(LocatedModel("demo", "folder", folder), "float32", device="cpu")
    n_layers = loaded.facts.n_layers
    query = (Segment("question", TEXT),)
    prompt = tokenize(render(Prompt((), query, ANSWERS), "plain", loaded.tokenizer), loaded.tokenizer)
    engine = Engine(loaded.model, "interface", n_layers)
    ours = engine.capture([prompt], {RECORDER: {0: True}}, Decoding(1)).taken[0][RECORDER.name]
    tokens = [ids[len(prompt)] for ids in prompt.candidates]
    others = {
        "nnsight": nnsight_logits(str(folder), prompt.ids),
        "TransformerLens": transformer_lens_logits(str(folder), prompt.ids, n_layers),
    }
    worst = 0.0
    for name, logits in others.items():
        logprobs = torch.log_softmax(logits.float(), -1)
        answers = np.abs(logprobs[:, tokens].numpy() - ours.logprobs).max()
        entropy = np.abs(-(logprobs.exp() * logprobs).sum(-1).numpy() - ours.entropy).max()
        ranks = (logits > logits[:, tokens[:1]]).sum(-1).numpy() + 1
        print(
            f"{name}: log-probabilities differ by {answers:.1e}, entropies by {entropy:.1e}, at {n_layers + 1} layers;"
        )
        print(f"  the right answer has the same rank at {int((ranks == ours.rank).sum())} of them")
        worst = max(worst, float(answers), float(entropy))
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
