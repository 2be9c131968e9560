"""How fast acting on a model is, beside the ways in which the same numbers are got otherwise, on the demo model.

Reading comprehension with eight demonstrations; all in one process, interleaved. Three maps, of each of which the
log-probability of the right answer's first token is read:

    heads    every head ablated at the last prompt token
    roles    attention knocked out from the query to each role in each block
    patch    the last prompt token's state after each block set to that with shuffled demonstrations

The ways: ours, all sites and items together; nnsight, a trace for each site and item, and TransformerLens,
run_with_hooks for each, as their documentation shows them. Those of others are measured on a part and scaled, which is
marked. The roofline is what the rows that have to be read take at the speed of the same model's own linear maps on as
many rows, from the block on in which each head acts. `make acting` runs it in an environment that has all of them;
`--alone` leaves the others out.
"""

import argparse
import time
from collections.abc import Callable
from functools import cached_property
from statistics import median
from typing import Any

import numpy as np
import torch

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.hugging_face import HuggingFaceModel
from iclviz.capture.plan import tokens_read
from iclviz.capture.pooling import blocks_of, reading_states
from iclviz.capture.sites import Donors, reading_as
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.knock_out import KnockOut
from iclviz.interventions.patch import Patch
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
        data, tokenizer = of.data(n_items, 0, options), self.loaded.tokenizer
        self.prompts, self.others = (
            [tokenize(render(one, "plain", tokenizer), tokenizer) for one in of.prompts(data, shown, options)]
            for shown in (Demonstrations("correct", 8), Demonstrations("shuffled", 8))
        )
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

    def patched(self) -> np.ndarray:
        """(blocks, n)."""
        sites = [[Patch(shown="shuffled", k=8, layers=(layer,))] for layer in range(1, self.n_layers + 1)]
        n = len(self.prompts)
        of = {(index, site[0]): (index,) for site in sites for index in range(n)}
        return candidate_logprobs(self.ready, self.prompts, sites, self.settings, Donors(self.others, of))[..., 0]

    def places(self, role: str, item: int) -> list[int]:
        """Positions of a role in a prompt."""
        return [at for at, one in enumerate(self.prompts[item].roles()) if one == role]

    @property
    def traced(self) -> Any:
        """Nnsight's model."""
        from nnsight import LanguageModel

        if self._nnsight is None:
            self._nnsight = LanguageModel(
                str(self.folder), dtype=torch.float32, dispatch=True, attn_implementation="eager"
            )
        return self._nnsight

    @property
    def bridged(self) -> Any:
        """TransformerLens's model."""
        from transformer_lens.model_bridge import TransformerBridge

        if self._bridge is None:
            self._bridge = TransformerBridge.boot_transformers(str(self.folder), device="cpu", dtype=torch.float32)
        return self._bridge

    def _answer(self, logits: torch.Tensor, item: int) -> float:
        return float(torch.log_softmax(logits.float(), -1)[self.answers[item]])

    def nnsight_heads(self, site: int, item: int) -> float:
        """The right answer's first token, one head ablated at the last prompt token."""
        (layer, head), model = self.heads[site], self.traced
        width = model.model.layers[0].self_attn.o_proj.in_features // self.n_heads
        with torch.inference_mode(), model.trace(torch.tensor([self.prompts[item].ids])):
            entering = model.model.layers[layer - 1].self_attn.o_proj.input
            entering[:, -1, head * width : (head + 1) * width] = 0
            logits = model.lm_head.output[0, -1].save()
        return self._answer(logits, item)

    def nnsight_roles(self, site: int, item: int) -> float:
        """One role cut off from the query in one block."""
        role, layer = ROLES[site // self.n_layers], site % self.n_layers
        cut, model = self._cut(role, item), self.traced
        with torch.inference_mode(), model.trace(torch.tensor([self.prompts[item].ids])):
            attend = model.model.layers[layer].self_attn.source.attention_interface_1
            given, named = attend.inputs
            mask = given[4].masked_fill(cut[None, None], -torch.inf)
            attend.inputs = ((*given[:4], mask, *given[5:]), named)
            logits = model.lm_head.output[0, -1].save()
        return self._answer(logits, item)

    def _cut(self, role: str, item: int) -> torch.Tensor:
        """(T, T) where a query's token must not look."""
        prompt = self.prompts[item]
        cut = torch.zeros(len(prompt), len(prompt), dtype=torch.bool)
        cut[prompt.query_start :, self.places(role, item)] = True
        return cut.fill_diagonal_(False)

    def nnsight_patch(self, site: int, item: int) -> float:
        """One block's state at the last prompt token set to the other prompt's."""
        model, donor = self.traced, self.donor_states[item][site]
        with torch.inference_mode(), model.trace(torch.tensor([self.prompts[item].ids])):
            model.model.layers[site].output[:, -1] = donor
            logits = model.lm_head.output[0, -1].save()
        return self._answer(logits, item)

    def _run_hooked(self, item: int, name: str, hook: Callable[[torch.Tensor, object], torch.Tensor]) -> float:
        with torch.inference_mode():
            logits = self.bridged.run_with_hooks(torch.tensor([self.prompts[item].ids]), fwd_hooks=[(name, hook)])
        return self._answer(logits[0, -1], item)

    def lens_heads(self, site: int, item: int) -> float:
        """As of nnsight."""
        layer, head = self.heads[site]

        def ablate(z: torch.Tensor, hook: object) -> torch.Tensor:
            z = z.clone()
            if z.ndim == 3:
                width = z.shape[-1] // self.n_heads
                z[:, -1, head * width : (head + 1) * width] = 0
            else:
                z[:, -1, head] = 0
            return z

        return self._run_hooked(item, f"blocks.{layer - 1}.attn.hook_z", ablate)

    def lens_roles(self, site: int, item: int) -> float:
        """As of nnsight."""
        role, layer = ROLES[site // self.n_layers], site % self.n_layers
        cut = self._cut(role, item)
        return self._run_hooked(
            item, f"blocks.{layer}.attn.hook_attn_scores", lambda scores, hook: scores.masked_fill(cut, -torch.inf)
        )

    def lens_patch(self, site: int, item: int) -> float:
        """As of nnsight."""
        donor = self.donor_states[item][site]

        def put(state: torch.Tensor, hook: object) -> torch.Tensor:
            state = state.clone()
            state[:, -1] = donor
            return state

        return self._run_hooked(item, f"blocks.{site}.hook_out", put)

    @cached_property
    def donor_states(self) -> list[list[torch.Tensor]]:
        """(n, L) the last prompt token's state after each block under the other demonstrations."""
        states = []
        for prompt in self.others:
            kept: list[torch.Tensor] = []
            with (
                torch.inference_mode(),
                reading_states(
                    blocks_of(self.loaded.model, self.n_layers),
                    lambda layer, hidden, kept=kept: kept.append(hidden[0, -1]),
                ),
            ):
                self.loaded.model(input_ids=torch.tensor([prompt.ids]), use_cache=False)
            states.append(kept[1:])
        return states

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


def compare(
    title: str, ours: Callable[[], np.ndarray], n_sites: int, n: int, ways: dict[str, Any], n_measured: int
) -> None:
    """Print one map's times and differences, each way in turn."""
    some = [(place, place % n) for place in np.linspace(0, n_sites - 1, n_measured).astype(int).tolist()]
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *ways)}
    worst = dict.fromkeys(ways, 0.0)
    for turn in range(2):
        start = time.perf_counter()
        found = ours()
        seconds["ours"].append(time.perf_counter() - start)
        for name, way in ways.items():
            way(0, 0)
            start = time.perf_counter()
            values = [way(*one) for one in some[turn::2]]
            seconds[name].append((time.perf_counter() - start) / len(values) * n_sites * n)
            apart = [abs(value - found[one]) for value, one in zip(values, some[turn::2], strict=True)]
            worst[name] = max(worst[name], *apart)
    own = min(seconds["ours"])
    print(f"{title}: {n_sites} sites, {n} items; ours {own:.1f} s")
    for name in ways:
        scaled = min(seconds[name])
        print(
            f"    {name:<16} {scaled:9.0f} s, scaled from {n_measured} of {n_sites * n:,}; "
            f"{scaled / own:.0f} times ours; differs by {worst[name]:.1e}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--part", type=int, default=12, help="heads of others' ways that are measured")
    parser.add_argument("--alone", action="store_true", help="without the other libraries")
    given = parser.parse_args()
    bench = Bench(given.items)
    n = len(bench.prompts)
    for title, ours, n_sites, others in (
        ("heads", bench.ours, len(bench.heads), (bench.nnsight_heads, bench.lens_heads)),
        ("roles", bench.roles, len(ROLES) * bench.n_layers, (bench.nnsight_roles, bench.lens_roles)),
        ("patch", bench.patched, bench.n_layers, (bench.nnsight_patch, bench.lens_patch)),
    ):
        ways = {} if given.alone else dict(zip(("nnsight", "TransformerLens"), others, strict=True))
        compare(title, ours, n_sites, n, ways, given.part)
    print(f"roofline of the heads {bench.roofline():.1f} s")
    run = measured(bench.plain_run)
    n_roles = len(ROLES) * bench.n_layers
    done = [[KnockOut(to=role, rows="query", layers=(1,))] for role in ROLES for _ in bench.prompts]
    copies = bench.prompts * len(ROLES)
    again = tokens_read(plan_prompts(copies, Decoding(0), bench.settings, reading_as(done, copies)))
    once = tokens_read(plan_prompts(bench.prompts, Decoding(0), bench.settings))
    print(f"a run            {run:9.1f} s   {once} tokens read before the last one")
    print(f"{n_roles} sites from the query: {again} tokens read for {len(ROLES)} of them")


if __name__ == "__main__":
    main()
