"""How far the plan of a run is from what it takes: memory and time of the demo model and of random models of other
shapes and architectures, and the predictions for models that are too large to measure here.

Memory is by how much a process's peak grows above what it had with all libraries loaded and warm, each model and
workload in a process of its own. Time is the median of repeated runs with as many response tokens as were foretold, in
seconds of the processor, on one thread: seconds of the clock would be those of whatever else runs here too. The machine
is measured between the runs.

`OMP_NUM_THREADS=1 python -m benchmarks.planning` prints the tables; `--write docs/planning.md` puts them there.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.capture.budget import MOST_TOKENS
from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.models.demo import ensure_demo_model
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.models.tokenizing import load_tokenizer
from iclviz.planning.devices import DEVICES, Device, this_machine
from iclviz.planning.dry_run import ModelCounts, counted
from iclviz.planning.fitting import fit
from iclviz.planning.memory import memory
from iclviz.planning.reading import Reading, reading
from iclviz.planning.roofline import seconds
from iclviz.prompts import TokenizedPrompt, render, tokenize
from iclviz.recorders import asked
from iclviz.spec import DEFAULT_POOLINGS, Demonstrations, RunSpec
from iclviz.tasks import task

DEMO = "demo model"
SETTINGS = PlanSettings(4096, torch.get_num_threads())
NEW_TOKENS = 8
ASKED = {"memory": 15, "time": 35}
"""Per cent that a prediction may be off."""

MODELS: dict[str, dict[str, Any]] = {
    "llama, grouped keys": {
        "model_type": "llama", "vocab_size": 49152, "hidden_size": 768, "intermediate_size": 2048,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12},
    "gemma2": {
        "model_type": "gemma2", "vocab_size": 64000, "hidden_size": 512, "intermediate_size": 2048,
        "num_hidden_layers": 10, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 128,
        "sliding_window": 128,
    },
    "qwen3, wide heads": {
        "model_type": "qwen3", "vocab_size": 49152, "hidden_size": 640, "intermediate_size": 1792,
        "num_hidden_layers": 14, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 128,
    },
    "qwen3_moe, 2 of 8 experts": {
        "model_type": "qwen3_moe", "vocab_size": 49152, "hidden_size": 512, "intermediate_size": 1024,
        "moe_intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2,
        "head_dim": 64, "num_experts": 8, "num_experts_per_tok": 2,
    },
    "olmo2": {
        "model_type": "olmo2", "vocab_size": 49152, "hidden_size": 1024, "intermediate_size": 2816,
        "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 16,
    },
}  # fmt: skip
"""Name -> configuration of a random model."""

WORKLOADS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "shared text": ("reading_comprehension", 8, 32, {"statements": 7, "position": "first"}),
    "own points": ("linear_regression", 16, 16, {}),
}
"""Name -> task, k, items, options."""


def config_of(name: str) -> Any:
    if name == DEMO:
        return CONFIG_MAPPING["llama"].from_pretrained(ensure_demo_model())
    return _made({**MODELS[name], "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1})


def spec_of(workload: str) -> RunSpec:
    name, k, n_items, options = WORKLOADS[workload]
    return RunSpec("demo", name, Demonstrations("correct", k), n_items, task_options=options, poolings=DEFAULT_POOLINGS)


def prompts_of(workload: str) -> list[TokenizedPrompt]:
    """The demo tokenizer's, whatever the model: every vocabulary is as large."""
    spec = spec_of(workload)
    of = task(spec.task)
    options = of.resolve_options(spec.task_options, "plain")
    texts = of.prompts(of.data(spec.n_items, 0, options), spec.demonstrations, options)
    tokenizer = load_tokenizer(LocatedModel("demo", "folder", ensure_demo_model()))
    return [tokenize(render(text, "plain", tokenizer, "start"), tokenizer) for text in texts]


# Measured


def engine_of(name: str) -> Engine:
    config = config_of(name)
    if name == DEMO:
        model = load(LocatedModel("demo", "folder", ensure_demo_model()), "float32", device="cpu").model
    else:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
    return Engine(model, "interface", config.get_text_config().num_hidden_layers)


def capture(engine: Engine, prompts: Sequence[TokenizedPrompt], spec: RunSpec) -> float:
    """Its seconds of the processor."""
    kept = asked([(spec, item) for item in range(len(prompts))])
    forced = [[5 + place % 7 for place in range(NEW_TOKENS)] for _ in prompts]
    start = time.process_time()
    engine.capture(prompts, kept, Decoding(NEW_TOKENS, forced=forced), SETTINGS)
    return time.process_time() - start


def measure(name: str, workload: str, rounds: int) -> dict[str, Any]:
    """What a run takes, and what was predicted, in this process."""
    prompts, spec = prompts_of(workload), spec_of(workload)
    tiny = {"vocab_size": 49152, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    warm = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**tiny, num_hidden_layers=2))
    capture(Engine(warm, "interface", 2), prompts[:2], spec)
    del warm
    counts = counted(config_of(name))
    read = reading(prompts, NEW_TOKENS, SETTINGS)
    foretold = memory(counts, read, spec)
    this_machine(counts.width)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    engine = engine_of(name)
    runs, devices = [capture(engine, prompts, spec)], []
    grown = resident("VmHWM") - before
    for _ in range(rounds - 1):
        devices.append(measured_anew(counts.width))
        runs.append(capture(engine, prompts, spec))
    devices.append(measured_anew(counts.width))
    return {
        "parameters": counts.parameters,
        "memory": grown,
        "memory_foretold": foretold.total,
        "seconds": median(runs),
        "seconds_foretold": median(seconds(counts, read, device).total for device in devices),
    }


def measured_anew(width: int) -> Device:
    """The machine as it is now: other work on it comes and goes."""
    this_machine.cache_clear()
    return this_machine(width)


def resident(name: str) -> int:
    """Bytes of this process's memory, now or at its peak (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def measured(name: str, workload: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.planning", "--measure", name, workload, "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def off(foretold: float, found: float) -> float:
    """Per cent."""
    return 100 * (foretold / found - 1)


def measured_table(rounds: int) -> str:
    rows = [
        "| workload | model | parameters | memory, MB | foretold | off | time, s | foretold | off |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    worst = {"memory": 0.0, "time": 0.0}
    for workload in WORKLOADS:
        for name in (DEMO, *MODELS):
            of = measured(name, workload, rounds)
            taken, expected = of["seconds"], of["seconds_foretold"]
            errors = {"memory": off(of["memory_foretold"], of["memory"]), "time": off(expected, taken)}
            worst = {what: max(worst[what], abs(errors[what])) for what in worst}
            rows.append(
                f"| {workload} | {name} | {of['parameters']:,} | {of['memory'] / 1e6:,.0f} | "
                f"{of['memory_foretold'] / 1e6:,.0f} | {errors['memory']:+.0f} % | {taken:.1f} | {expected:.1f} | "
                f"{errors['time']:+.0f} % |"
            )
            print(rows[-1], flush=True)
    said = ", ".join(f"{what} {worst[what]:.0f} % (asked: {ASKED[what]} %)" for what in worst)
    return "\n".join([*rows, "", f"Farthest off: {said}."])


# Foretold alone

LARGE: dict[str, dict[str, Any]] = {
    "Llama 2 70B": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 8192, "intermediate_size": 28672,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
    },
    "Vicuna 13B v1.3": {
        "model_type": "llama", "vocab_size": 32000, "hidden_size": 5120, "intermediate_size": 13824,
        "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40,
    },
    "Llama 3.1 8B": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    },
    "Llama 3.1 70B": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
    },
    "Mistral 7B v0.3": {
        "model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "sliding_window": None,
    },
    "Qwen3 8B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    },
    "Qwen3 32B": {
        "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 5120, "intermediate_size": 25600,
        "num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
    },
    "Qwen3 30B-A3B": {
        "model_type": "qwen3_moe", "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144,
        "moe_intermediate_size": 768, "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8,
    },
    "Gemma 3 27B, text": {
        "model_type": "gemma3_text", "vocab_size": 262208, "hidden_size": 5376, "intermediate_size": 21504,
        "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128,
        "sliding_window": 1024,
    },
    "Mixtral 8x7B": {
        "model_type": "mixtral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
        "num_experts_per_tok": 2,
    },
    "gpt-oss 20B": {
        "model_type": "gpt_oss", "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880,
        "num_hidden_layers": 24, "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64,
        "num_local_experts": 32, "num_experts_per_tok": 4,
    },
    "OLMo 2 7B": {
        "model_type": "olmo2", "vocab_size": 100352, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    },
}  # fmt: skip
"""Name -> the values of its published config.json that decide its size."""

CARDS = ("A100", "H100", "L40S", "RTX 4090")


def foretold_table() -> str:
    """Of the first workload, in bfloat16."""
    prompts = prompts_of("shared text")
    read = reading(prompts, NEW_TOKENS, PlanSettings(MOST_TOKENS["cuda"], 1))
    rows = [
        "| model | parameters, 1e9 | for a token | weights, GB | keys and values of a token, kB | GFLOP a token | "
        + " | ".join(CARDS) + " |",
        "|" + " --- |" * (6 + len(CARDS)),
    ]  # fmt: skip
    for name, values in LARGE.items():
        counts = counted(_made(values), "bfloat16")
        cells = [_on(counts, read, card) for card in CARDS]
        rows.append(
            f"| {name} | {counts.parameters / 1e9:.2f} | {counts.active / 1e9:.2f} | {counts.weight_bytes / 1e9:.1f} | "
            f"{counts.key_bytes / 1e3:.1f} | {counts.token_flops(0) / 1e9:.1f} | {' | '.join(cells)} |"
        )
        print(rows[-1], flush=True)
    return "\n".join(rows)


def _on(counts: ModelCounts, read: Reading, card: str) -> str:
    """How a model fits on a card, and the seconds where it does in its type."""
    found = fit(counts, read, DEVICES[card])
    packs = f"{found.bits.removesuffix('bit')} bit" if found.bits else ""
    ways = {"whole": "whole", "split": f"{found.n_devices} cards", "packed": "", "offloaded": "main memory too"}
    took = f", {seconds(counts, read, DEVICES[card]).total:.1f} s" if found.how in ("whole", "split") else ""
    return " or ".join(way for way in (f"{ways[found.how]}{took}", packs) if way)


def _made(values: dict[str, Any]) -> Any:
    values = dict(values)
    return CONFIG_MAPPING[values.pop("model_type")](**values)


def write(path: Path, tables: dict[str, str]) -> None:
    """Put each table between its marks."""
    text = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of which medians are taken")
    parser.add_argument("--write", type=Path, help="put the tables into this file")
    parser.add_argument("--foretold", action="store_true", help="only the models that are not measured")
    parser.add_argument("--measure", nargs=2, metavar=("MODEL", "WORKLOAD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.rounds)))
        return
    tables = {"foretold": foretold_table()}
    if not arguments.foretold:
        tables["measured"] = measured_table(arguments.rounds)
    if arguments.write:
        write(arguments.write, tables)


if __name__ == "__main__":
    main()
