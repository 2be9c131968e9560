"""How fast acting on a model is, beside the ways in which the same numbers are got otherwise, on the demo model.

Reading comprehension with eight demonstrations; all in one process, interleaved. Every head is ablated at the last
prompt token, and the log-probability of the right answer's first token is read. The ways:

    ours             all heads of all blocks, all items, together
    nnsight          a trace for each head and item, as its documentation shows an ablation
    TransformerLens  run_with_hooks for each head and item, as its documentation shows one

Those of others are measured on a part and scaled, which is marked. The roofline is what the rows that have to be read
take at the speed of the same model's own linear maps on as many rows, from the block on in which each acts. `make
acting` runs it in an environment that has all of them; `--alone` leaves the others out.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.hugging_face import HuggingFaceModel
from iclviz.capture.plan import tokens_read
from iclviz.capture.pooling import blocks_of
from iclviz.capture.sites import reading_as
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.knock_out import KnockOut
from iclviz.models.demo import ensure_demo_model
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import render, tokenize
from iclviz.spec import Demonstrations
from iclviz.tasks import task

TOLERANCE = 1e-4
ROLES = ("relevant", "irrelevant", "question", "demonstration", "special")


class Bench:
    """The model, its prompts and the ways."""

    def __init__(self, n_items: int) -> None:
        self.folder = ensure_demo_model()
        self.loaded = load(LocatedModel("demo", "folder", self.folder), "float32", device="cpu")
        of = task("reading_comprehension")
        options = of.resolve_options({}, "plain")
        asked = of.prompts(of.data(n_items, 0, options), Demonstrations("correct", 8), options)
        tokenizer = self.loaded.tokenizer
        self.prompts = [tokenize(render(prompt, "plain", tokenizer), tokenizer) for prompt in asked]
        self.ready = HuggingFaceModel(self.loaded).ready([(len(prompt), 1) for prompt in self.prompts])
        self.settings = self.ready.settings()
        self.n_layers, config = self.loaded.facts.n_layers, self.loaded.model.config
        self.n_heads = config.num_attention_heads
        self.heads = [(layer, head) for layer in range(1, self.n_layers + 1) for head in range(self.n_heads)]
        self.answers = [prompt.candidates[0][len(prompt)] for prompt in self.prompts]
        self._bridge = self._nnsight = None

    def ours(self) -> np.ndarray:
        """(heads, n)."""
        sites = [[Ablate(layers=(layer,), heads=(head,))] for layer, head in self.heads]
        return candidate_logprobs(self.ready, self.prompts, sites, self.settings)[..., 0]

    def roles(self) -> np.ndarray:
        """(roles x blocks, n)."""
        sites = [
            [KnockOut(to=role, rows="query", layers=(layer,))]
            for role in ROLES
            for layer in range(1, self.n_layers + 1)
        ]
        return candidate_logprobs(self.ready, self.prompts, sites, self.settings)[..., 0]

    def plain_run(self) -> np.ndarray:
        """The run as it is, candidates scored."""
        return candidate_logprobs(self.ready, self.prompts, [[]], self.settings)[..., 0]

    def nnsight(self, layer: int, head: int, item: int) -> float:
        """The right answer's first token, one head ablated at the last prompt token."""
        from nnsight import LanguageModel

        if self._nnsight is None:
            self._nnsight = LanguageModel(str(self.folder), dtype=torch.float32, dispatch=True)
        model = self._nnsight
        width = model.model.layers[0].self_attn.o_proj.in_features // self.n_heads
        with torch.inference_mode(), model.trace(torch.tensor([self.prompts[item].ids])):
            entering = model.model.layers[layer - 1].self_attn.o_proj.input
            entering[:, -1, head * width : (head + 1) * width] = 0
            logits = model.lm_head.output[0, -1].save()
        return float(torch.log_softmax(logits.float(), -1)[self.answers[item]])

    def transformer_lens(self, layer: int, head: int, item: int) -> float:
        """The same."""
        from transformer_lens.model_bridge import TransformerBridge

        if self._bridge is None:
            self._bridge = TransformerBridge.boot_transformers(str(self.folder), device="cpu", dtype=torch.float32)

        def ablate(z: torch.Tensor, hook: object) -> torch.Tensor:
            z = z.clone()
            if z.ndim == 3:
                width = z.shape[-1] // self.n_heads
                z[:, -1, head * width : (head + 1) * width] = 0
            else:
                z[:, -1, head] = 0
            return z

        with torch.inference_mode():
            logits = self._bridge.run_with_hooks(
                torch.tensor([self.prompts[item].ids]), fwd_hooks=[(f"blocks.{layer - 1}.attn.hook_z", ablate)]
            )
        return float(torch.log_softmax(logits[0, -1].float(), -1)[self.answers[item]])

    def roofline(self) -> float:
        """Seconds for the rows that have to be read, at the speed of the model's own linear maps on as many rows."""
        rows = len(self.prompts) * self.n_heads
        block = blocks_of(self.loaded.model, self.n_layers)[0]
        maps = [part for part in block.modules() if isinstance(part, torch.nn.Linear)]
        of_block = sum(measured(lambda part=part: part(torch.randn(rows, part.in_features))) for part in maps)
        head = self.loaded.model.get_output_embeddings()
        of_head = measured(lambda: head(torch.randn(rows, head.in_features)))
        read = measured(self.plain_run)
        return read + sum((self.n_layers - layer + 1) * of_block + of_head for layer in range(1, self.n_layers + 1))


def measured(run: Callable[[], object], times: int = 3) -> float:
    """Median seconds, after one that does not count."""
    with torch.inference_mode():
        run()
        found = []
        for _ in range(times):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return median(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--part", type=int, default=12, help="heads of others' ways that are measured")
    parser.add_argument("--alone", action="store_true", help="without the other libraries")
    given = parser.parse_args()
    bench = Bench(given.items)
    n_sites, n = len(bench.heads), len(bench.prompts)
    seconds: dict[str, list[float]] = {"ours": [], "nnsight": [], "TransformerLens": []}
    ways = {} if given.alone else {"nnsight": bench.nnsight, "TransformerLens": bench.transformer_lens}
    some = [(place, place % n) for place in np.linspace(0, n_sites - 1, given.part).astype(int).tolist()]
    worst = dict.fromkeys(ways, 0.0)
    for turn in range(2):
        start = time.perf_counter()
        found = bench.ours()
        seconds["ours"].append(time.perf_counter() - start)
        for name, way in ways.items():
            way(*bench.heads[0], 0)
            start = time.perf_counter()
            values = [way(*bench.heads[place], item) for place, item in some[turn::2]]
            seconds[name].append((time.perf_counter() - start) / len(values) * n_sites * n)
            differences = [
                abs(value - found[place, item]) for value, (place, item) in zip(values, some[turn::2], strict=True)
            ]
            worst[name] = max(worst[name], *differences)
    ours, roofline = min(seconds["ours"]), bench.roofline()
    print(f"{n_sites} heads ablated at the last prompt token, {n} items of {len(bench.prompts[0])} tokens")
    print(f"ours             {ours:9.1f} s   {ours / roofline:.2f} of the roofline ({roofline:.1f} s)")
    for name in ways:
        scaled = min(seconds[name])
        print(f"{name:<16} {scaled:9.0f} s   {scaled / ours:.0f} times ours; differs by {worst[name]:.1e}")
    if ways:
        print(f"The others were measured on {given.part} of {n_sites * n} heads and items, and scaled.")
    run, roles = measured(bench.plain_run), measured(bench.roles, 1)
    n_roles = len(ROLES) * bench.n_layers
    done = [[KnockOut(to=role, rows="query", layers=(1,))] for role in ROLES for _ in bench.prompts]
    copies = bench.prompts * len(ROLES)
    again = tokens_read(plan_prompts(copies, Decoding(0), bench.settings, reading_as(done, copies)))
    once = tokens_read(plan_prompts(bench.prompts, Decoding(0), bench.settings))
    print(f"a run            {run:9.1f} s   {once} tokens read before the last one")
    print(f"roles x blocks   {roles:9.1f} s   {n_roles} sites from the query: {n_roles * run / roles:.1f} times faster")
    print(f"                             than as many runs; {again} tokens read for {len(ROLES)} of them")


if __name__ == "__main__":
    main()
