"""How fast recording is, beside the ways in which the same data are got otherwise, on the demo model.

All ways run in one process, interleaved, with the same tokens forced; a figure is a median. The ways:

    ours       iclviz's engine, recording hidden states and attention
    ours, off  the same engine recording nothing
    a          Hugging Face generate, then one eager forward pass with all hidden states and attention matrices
    b          nnsight: generate, then a trace that saves the output of every block and every attention matrix
    c          TransformerLens: generate, then run_with_cache
    d          Hugging Face generate with sdpa, recording nothing

`python benchmarks/capture.py --quick` prints the first row; without it, every table of docs/performance.md. `make
benchmark` runs it in an environment of its own, which has b and c.
"""

import argparse
import cProfile
import importlib.util
import json
import pstats
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from iclviz.capture.budget import MOST_TOKENS
from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings, tokens_read
from iclviz.models.demo import ensure_demo_model
from iclviz.models.loading import LoadedModel, load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import TokenizedPrompt, render, tokenize
from iclviz.recorders import asked
from iclviz.spec import DEFAULT_POOLINGS, Demonstrations, RunSpec
from iclviz.tasks import task

BATCH = 16
"""Prompts of one batch of ways a and d, sorted by length."""

SETTINGS = PlanSettings(MOST_TOKENS["cpu"], torch.get_num_threads())
MEMORY_LENGTHS = (512, 1024, 2048, 4096)
GROWTH = (32, 64, 128, 256)
TABLES = ("speed", "profile", "growth", "memory")


@dataclass(frozen=True)
class Workload:
    """Prompts, and the response that is forced for each.

    Attributes
    ----------
    runs: one list of prompts for each condition; only a sweep has several.
    new: tokens of each response.
    asked: the largest share of way d's time, and how many times faster than a, b and c, that ours should be.
    """

    name: str
    runs: tuple[tuple[TokenizedPrompt, ...], ...]
    new: int
    asked: dict[str, float]

    @property
    def prompts(self) -> list[TokenizedPrompt]:
        return [prompt for run in self.runs for prompt in run]


class Bench:
    """The model, the ways, and what is measured of the machine."""

    def __init__(self, with_peers: bool) -> None:
        self.folder = ensure_demo_model()
        self.loaded: LoadedModel = load(LocatedModel("demo", "folder", self.folder), "float32", device="cpu")
        self.model = self.loaded.model
        self.engine = Engine(self.model, "interface", self.loaded.facts.n_layers)
        self.peers = Peers(self.folder) if with_peers else None
        self.gemm_rate, self.copy_rate = gemm_rate(), copy_rate()

    def prompts(self, name: str, k: int, n_items: int, **options: Any) -> tuple[TokenizedPrompt, ...]:
        of = task(name)
        chosen = of.resolve_options(options, "plain")
        asked = of.prompts(of.data(n_items, 0, chosen), Demonstrations("correct", k), chosen)
        tokenized = (tokenize(render(prompt, "plain"), self.loaded.tokenizer) for prompt in asked)
        return tuple(replace(prompt, candidates=[]) for prompt in tokenized)

    def reading(self, n_items: int = 32) -> Workload:
        prompts = self.prompts("reading_comprehension", 8, n_items, statements=7, position="first")
        asked = {"a": 15, "b": 15, "c": 20, "d": 0.25}
        return Workload(f"reading comprehension, {n_items} items", (prompts,), 8, asked)

    def workloads(self) -> list[Workload]:
        line = "linear_regression"
        lines = self.prompts(line, 16, 64, points="per_line")
        sweep = tuple(self.prompts(line, k, 32) for k in (1, 2, 4, 8, 16))
        return [
            self.reading(),
            Workload(
                "linear regression, 16 points a line, 64 queries", (lines,), 5, {"a": 8, "b": 8, "c": 8, "d": 0.6}
            ),
            Workload("sweep k = 1, 2, 4, 8, 16, 32 items", sweep, 5, {"d": 0.8, "five runs": 0.8}),
            Workload("nothing shared, k = 16, 32 items", sweep[-1:], 5, {"d": 1.1}),
        ]

    # The ways; each gives its seconds

    def ours(self, work: Workload, prompts: Sequence[TokenizedPrompt], recording: bool = True) -> float:
        forced = [forced_response(work.new) for _ in prompts]
        spec = RunSpec("demo", "task", poolings=DEFAULT_POOLINGS)
        kept = asked([(spec, item) for item in range(len(prompts))]) if recording else {}
        start = time.perf_counter()
        self.engine.capture(prompts, kept, Decoding(work.new, forced=forced), SETTINGS)
        return time.perf_counter() - start

    def five_runs(self, work: Workload) -> float:
        return sum(self.ours(work, run) for run in work.runs)

    def plain(self, work: Workload) -> float:
        """Way d: each run by itself, as a user would."""
        return sum(self._generate(batch, work.new)[1] for run in work.runs for batch in batches(run))

    def second_pass(self, work: Workload) -> float:
        """Way a on the first batch of each run; its time is scaled to all prompts."""
        total = 0.0
        for run in work.runs:
            batch = batches(run)[0]
            tokens, seconds = self._generate(batch, work.new)
            self.model.set_attn_implementation("eager")
            start = time.perf_counter()
            mask = torch.tensor([[0] * pad_of(batch, prompt) + [1] * (len(prompt) + work.new) for prompt in batch])
            with torch.inference_mode():
                output = self.model(tokens, attention_mask=mask, output_hidden_states=True, output_attentions=True)
            assert len(output.attentions) == self.loaded.facts.n_layers
            total += (seconds + time.perf_counter() - start) * len(run) / len(batch)
            self.model.set_attn_implementation("sdpa")
        return total

    def _generate(self, batch: Sequence[TokenizedPrompt], new: int) -> tuple[torch.Tensor, float]:
        ids = torch.tensor([[0] * pad_of(batch, prompt) + prompt.ids for prompt in batch])
        mask = torch.tensor([[0] * pad_of(batch, prompt) + [1] * len(prompt) for prompt in batch])
        forcing = LogitsProcessorList([Forced(forced_response(new), ids.shape[1])])
        start = time.perf_counter()
        tokens = self.model.generate(
            ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False, logits_processor=forcing
        )
        return tokens, time.perf_counter() - start

    def ways(self, work: Workload) -> dict[str, Callable[[], float]]:
        ways: dict[str, Callable[[], float]] = {
            "ours": lambda: self.ours(work, work.prompts),
            "ours, off": lambda: self.ours(work, work.prompts, recording=False),
            "d": lambda: self.plain(work),
        }
        if "five runs" in work.asked:
            ways["five runs"] = lambda: self.five_runs(work)
        if "a" in work.asked:
            ways["a"] = lambda: self.second_pass(work)
        if "a" in work.asked and self.peers is not None:
            peers = self.peers
            ways["b"] = lambda: scaled(peers.nnsight, work)
            ways["c"] = lambda: scaled(peers.transformer_lens, work)
        return ways

    # What the machine could do at best

    def roofline(self, work: Workload) -> tuple[float, float]:
        """Seconds of the work's matrix multiplications at the measured rate; and with each pass over the weights at
        least as long as copying them takes.
        """
        decoding = Decoding(work.new, forced=[forced_response(work.new) for _ in work.prompts])
        plan = plan_prompts(work.prompts, decoding, SETTINGS)
        groups = [group for root in plan for group in root.walk()]
        passes = [(sum(len(row) for row in rows), len(rows)) for group in groups for rows in group.passes]
        decoded = [len(group.leaves) for group in groups if group.leaves]
        passes += [(n_rows, n_rows) for n_rows in decoded for _ in range(work.new + 1)]
        matrices, head = self._matrix_weights()
        flops = [2 * (tokens * matrices + rows * head) for tokens, rows in passes]
        weights = 4 * (matrices + head)
        at_best = sum(max(one / self.gemm_rate, weights / self.copy_rate) for one in flops)
        return sum(flops) / self.gemm_rate, at_best

    def _matrix_weights(self) -> tuple[int, int]:
        inner = sum(p.numel() for name, p in self.model.named_parameters() if p.dim() == 2 and ".layers." in name)
        return inner, self.model.get_output_embeddings().weight.numel()


class Forced(LogitsProcessor):
    """Lets each step choose nothing but the forced token."""

    def __init__(self, response: list[int], start: int) -> None:
        self.response, self.start = response, start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        chosen = self.response[input_ids.shape[1] - self.start]
        return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([chosen]), 0.0)


class Peers:
    """The two libraries, each as its documentation uses it: one prompt at a time."""

    prompts = 4
    """Prompts that are run; the time is scaled to all."""

    def __init__(self, folder: Path) -> None:
        from nnsight import LanguageModel
        from transformer_lens.model_bridge import TransformerBridge

        self._nnsight = LanguageModel(str(folder), dtype=torch.float32, attn_implementation="eager", dispatch=True)
        self._bridge = TransformerBridge.boot_transformers(str(folder), device="cpu", dtype=torch.float32)

    def nnsight(self, prompt: TokenizedPrompt, new: int) -> None:
        model = self._nnsight
        ids = torch.tensor([prompt.ids])
        forcing = LogitsProcessorList([Forced(forced_response(new), len(prompt))])
        options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "logits_processor": forcing}
        with torch.inference_mode(), model.generate(ids, **options):
            tokens = model.generator.output.save()
        with torch.inference_mode(), model.trace(tokens):
            saved = [].save()
            for block in model.model.layers:
                saved.append(block.self_attn.output[1].save())
                saved.append(block.output.save())
        assert len(saved) == 2 * len(self._nnsight.model.layers)

    def transformer_lens(self, prompt: TokenizedPrompt, new: int) -> None:
        ids = torch.tensor([prompt.ids])
        with torch.inference_mode():
            self._bridge.generate(ids, max_new_tokens=new, do_sample=False, stop_at_eos=False, verbose=False)
            tokens = torch.tensor([prompt.ids + forced_response(new)])
            _, cache = self._bridge.run_with_cache(tokens)
        assert "blocks.0.attn.hook_pattern" in cache


def forced_response(new: int) -> list[int]:
    return [1000 + step for step in range(new)]


def batches(prompts: Sequence[TokenizedPrompt]) -> list[list[TokenizedPrompt]]:
    ordered = sorted(prompts, key=len, reverse=True)
    return [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]


def pad_of(batch: Sequence[TokenizedPrompt], prompt: TokenizedPrompt) -> int:
    return max(len(other) for other in batch) - len(prompt)


def scaled(run: Callable[[TokenizedPrompt, int], None], work: Workload) -> float:
    some = work.prompts[:: max(1, len(work.prompts) // Peers.prompts)][: Peers.prompts]
    start = time.perf_counter()
    for prompt in some:
        run(prompt, work.new)
    return (time.perf_counter() - start) * len(work.prompts) / len(some)


def gemm_rate() -> float:
    """FLOP/s of the larger of the model's matrix multiplications, at the best of some tries."""
    a, b = torch.randn(1024, 576), torch.randn(1536, 576)
    return 2 * 1024 * 576 * 1536 / best(lambda: torch.nn.functional.linear(a, b))


def copy_rate() -> float:
    """Bytes read per second while copying."""
    source = torch.zeros(2**26)
    target = torch.empty_like(source)
    return source.nbytes / best(lambda: target.copy_(source))


def best(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


# Tables


def speed(bench: Bench, works: Sequence[Workload], rounds: int) -> None:
    print(
        f"\nSeconds, medians of {rounds} rounds, ours beside each other way. a, d: batches of {BATCH}, a of one batch,"
    )
    print(f"scaled; b, c: one prompt at a time, of {Peers.prompts}, scaled; ours: {SETTINGS.token_budget} tokens.\n")
    print("| workload | way | seconds | beside ours | asked |\n| --- | --- | --- | --- | --- |")
    for work in works:
        ways = bench.ways(work)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for way in schedule(list(ways), rounds):
            taken[way].append(ways[way]())
        seconds = {way: median(times) for way, times in taken.items()}
        for way, time_taken in seconds.items():
            print(f"| {work.name} | {way} | {time_taken:.2f} | {beside(way, seconds, work)} |", flush=True)
        describe(bench, work, seconds["ours"])


def schedule(ways: list[str], rounds: int) -> list[str]:
    """Every round starts with another way; before each of the slower ones both of ours run, each first in turn."""
    ours, others = ways[:2], ways[2:]
    order: list[str] = []
    for number in range(rounds * len(others)):
        turn, place = divmod(number, len(others))
        order += ours[:: -1 if number % 2 else 1]
        order.append(others[(place + turn) % len(others)])
    return order


def beside(way: str, seconds: dict[str, float], work: Workload) -> str:
    ours = seconds["ours"]
    if way == "ours":
        return "1 | "
    if way == "ours, off":
        return f"recording costs {ours / seconds[way]:.3f} x | at most 1.05 x"
    wanted = work.asked.get(way)
    if way in ("d", "five runs"):
        return f"ours takes {ours / seconds[way]:.2f} of it | at most {wanted}"
    return f"ours is {seconds[way] / ours:.1f} x faster | at least {wanted} x"


def describe(bench: Bench, work: Workload, ours: float) -> None:
    prompts = work.prompts
    texts = [prompt.ids[:-1] for prompt in prompts]
    decoding = Decoding(work.new, forced=[forced_response(work.new) for _ in prompts])
    read = tokens_read(plan_prompts(prompts, decoding, SETTINGS))
    strict = tokens_read(plan_prompts(prompts, decoding, replace(SETTINGS, pass_tokens=0)))
    distinct = len({tuple(text[: end + 1]) for text in texts for end in range(len(text))})
    flops, at_best = bench.roofline(work)
    print(f"|  | tokens of all prompts | {sum(map(len, texts))} |  |  |")
    print(f"|  | read, of {distinct} that differ | {read} ({strict} where passes cost nothing) |  |  |")
    print(f"|  | roofline: multiplications | {flops:.2f} | ours takes {ours / flops:.2f} of it |  |")
    print(
        f"|  | roofline: and reading weights | {at_best:.2f} | ours takes {ours / at_best:.2f} of it |  |", flush=True
    )


def profile(bench: Bench) -> None:
    """What the time of the first workload goes to."""
    work = bench.reading()
    with cProfile.Profile() as seen:
        bench.ours(work, work.prompts)
    calls = pstats.Stats(seen).get_stats_profile().func_profiles
    total = sum(call.tottime for call in calls.values())
    print("\n| calls | share of the time |\n| --- | --- |")
    for name, call in sorted(calls.items(), key=lambda entry: -entry[1].tottime)[:8]:
        print(f"| `{name.split('.')[-1].strip('<>{} ')}` | {call.tottime / total:.1%} |")


def growth(bench: Bench, rounds: int) -> None:
    print("\n| items | seconds | seconds an item |\n| --- | --- | --- |")
    works = {n: bench.reading(n) for n in GROWTH}
    for n, work in works.items():
        seconds = median(bench.ours(work, work.prompts) for _ in range(rounds))
        print(f"| {n} | {seconds:.2f} | {seconds / n:.3f} |", flush=True)


def memory(bench: Bench) -> None:
    """Each way and length in a process of its own, which says by how much its peak is above the loaded weights."""
    print("\n| prompt tokens | ours, MB | a, MB | ours / a |\n| --- | --- | --- | --- |")
    facts = bench.loaded.facts
    for length in MEMORY_LENGTHS:
        ours = peak("ours", length)
        matrices = 4 * facts.n_layers * facts.n_heads * length**2 / 1e6
        available = 0.8 * int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0]) / 1e3
        other = peak("a", length) if 1.5 * matrices < available else None
        shown = f"{matrices:,.0f} (computed: its attention matrices alone)" if other is None else f"{other:,.0f}"
        print(f"| {length:,} | {ours:,.0f} | {shown} | {ours / (other or matrices):.3f} |", flush=True)


def peak(way: str, length: int) -> float:
    command = [sys.executable, __file__, "--peak", way, str(length)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def print_peak(way: str, length: int) -> None:
    bench = Bench(with_peers=False)
    text = (bench.prompts("linear_regression", 16, 64)[0].ids * 50)[:length]
    half = length // 2
    spans = [replace(bench.reading(2).prompts[0].spans[0], start=0, end=half)]
    spans.append(replace(spans[0], role="question", start=half, end=length))
    prompt = TokenizedPrompt(text, [""] * length, spans, half, [])
    work = Workload("memory", ((prompt,),), 4, {})
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    if way == "ours":
        bench.ours(work, work.prompts)
    else:
        bench.second_pass(work)
    print(json.dumps(resident("VmHWM") - before))


def resident(name: str) -> float:
    """Megabytes of this process's memory, now or at its peak (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the first workload")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which tables to print")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that the medians are taken over")
    parser.add_argument("--peak", nargs=2, metavar=("WAY", "LENGTH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak[0], int(arguments.peak[1]))
        return
    with_peers = all(importlib.util.find_spec(name) for name in ("nnsight", "transformer_lens"))
    if not with_peers:
        print("Ways b and c are left out: nnsight and TransformerLens are not in this environment (make benchmark).")
    bench = Bench(with_peers)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32;", end=" ")
    print(f"GEMM {bench.gemm_rate / 1e9:.0f} GFLOP/s, copying {bench.copy_rate / 1e9:.1f} GB/s")
    if "speed" in arguments.tables:
        works = bench.workloads()
        for run in bench.ways(works[0]).values():
            run()
        speed(bench, works[:1] if arguments.quick else works, arguments.rounds)
    if "profile" in arguments.tables and not arguments.quick:
        profile(bench)
    if "growth" in arguments.tables and not arguments.quick:
        growth(bench, arguments.rounds)
    if "memory" in arguments.tables and not arguments.quick:
        memory(bench)


if __name__ == "__main__":
    main()
