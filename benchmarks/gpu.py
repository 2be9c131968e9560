"""A check of recording on a GPU, in one command: `python benchmarks/gpu.py`, with a model's name, folder or hub id.

It loads the model on the first GPU in each type, lets the probe choose how attention is recorded, records a sweep of
linear regression, and prints: the way, the token budget that the card's memory gave, speed with and without recording,
peak memory, and how far pooled states and attention are from those of the CPU in float32 (of a model that fits there).
Then it takes away memory until a batch has to be halved, and checks that the results stay the same.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from iclviz.capture.budget import bytes_per_token, free_memory, token_budget
from iclviz.capture.choosing import choose_way
from iclviz.capture.decoding import Captured, Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.models.loading import LoadedModel, load
from iclviz.models.locating import locate
from iclviz.models.presets import DEMO_MODEL
from iclviz.prompts import TokenizedPrompt, render, tokenize
from iclviz.recorders import asked
from iclviz.spec import DEFAULT_POOLINGS, Demonstrations, RunSpec
from iclviz.tasks import task

NEW = 6
LARGEST_ON_CPU = 3e9
"""Parameters up to which the comparison with the CPU is made."""


def prompts_of(loaded: LoadedModel, n_items: int) -> list[TokenizedPrompt]:
    of = task("linear_regression")
    options = of.resolve_options({}, "plain")
    data = of.data(n_items, 0, options)
    asked = [prompt for k in (2, 8, 16) for prompt in of.prompts(data, Demonstrations("correct", k), options)]
    return [tokenize(render(prompt, "plain"), loaded.tokenizer) for prompt in asked]


def engine_of(loaded: LoadedModel) -> Engine:
    way = choose_way(loaded.model, loaded.facts.n_layers, loaded.device).way
    return Engine(loaded.model, way, loaded.facts.n_layers, loaded.device)


def record(engine: Engine, prompts: Sequence[TokenizedPrompt], budget: int, recording: bool = True) -> Captured:
    forced = [[5 + step for step in range(NEW)] for _ in prompts]
    settings = PlanSettings(budget, torch.get_num_threads())
    spec = RunSpec("model", "task", poolings=DEFAULT_POOLINGS)
    kept = asked([(spec, item) for item in range(len(prompts))]) if recording else {}
    return engine.capture(prompts, kept, Decoding(NEW, forced=forced), settings)


def timed(engine: Engine, prompts: Sequence[TokenizedPrompt], budget: int, recording: bool) -> float:
    record(engine, prompts, budget, recording)
    start = time.perf_counter()
    record(engine, prompts, budget, recording)
    return time.perf_counter() - start


def difference(one: Captured, other: Captured) -> tuple[float, float]:
    """The largest of pooled states, relative to the largest state, and of attention mass."""
    pairs = list(zip(one.taken, other.taken, strict=True))
    states = max(
        np.abs(a["embeddings"][name] - b["embeddings"][name]).max() / np.abs(b["embeddings"][name]).max()
        for name in DEFAULT_POOLINGS
        for a, b in pairs
    )
    return float(states), max(float(np.abs(a["attention"][0] - b["attention"][0]).max()) for a, b in pairs)


def check(name: str, dtype: str, n_items: int, exact: Captured | None) -> None:
    loaded = load(locate(name), dtype, device="cuda")
    engine, prompts = engine_of(loaded), prompts_of(loaded, n_items)
    budget = token_budget(loaded.model)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    captured = record(engine, prompts, budget)
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    on, off = timed(engine, prompts, budget, True), timed(engine, prompts, budget, False)
    tokens = sum(map(len, prompts)) + NEW * len(prompts)
    print(
        f"{dtype}: attention recorded by {engine.way}; budget {budget:,} tokens of {bytes_per_token(loaded.model):,} B"
    )
    print(f"  {len(prompts)} prompts in {on:.2f} s ({tokens / on:,.0f} tokens/s); recording costs {on / off:.3f} x")
    print(f"  peak {peak:,.0f} MiB above the weights")
    if exact is not None:
        states, mass = difference(captured, exact)
        print(f"  beside the CPU in float32: states differ by {states:.1e}, attention mass by {mass:.1e}")
    halved = with_little_memory(engine, prompts, budget)
    states, mass = difference(halved, captured)
    print(f"  with little memory left: states differ by {states:.1e}, attention mass by {mass:.1e}")


def with_little_memory(engine: Engine, prompts: Sequence[TokenizedPrompt], budget: int) -> Captured:
    """The same with a card that is nearly full, so that batches have to be halved."""
    torch.cuda.empty_cache()
    ballast = torch.empty(max(free_memory(engine.device) - 2**28, 0), dtype=torch.uint8, device=engine.device)
    try:
        return record(engine, prompts, budget)
    finally:
        del ballast
        torch.cuda.empty_cache()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEMO_MODEL, help="a preset's name, hub id, folder or .gguf file")
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "float16"])
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("No GPU that torch can use is here: an NVIDIA card, its driver and a CUDA build of torch are needed.")
        return 1
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    on_cpu = load(locate(arguments.model), "float32", device="cpu")
    exact = None
    if sum(parameter.numel() for parameter in on_cpu.model.parameters()) < LARGEST_ON_CPU:
        exact = record(engine_of(on_cpu), prompts_of(on_cpu, arguments.items), 8192)
    for dtype in arguments.dtypes:
        check(arguments.model, dtype, arguments.items, exact)
    return 0


if __name__ == "__main__":
    sys.exit(main())
