"""How far the plan of a run is from what it takes: memory and time of the demo model and of random models of other
shapes and architectures, and the predictions for models that are too large to measure here.

Memory is by how much a process's peak grows above what it had with all libraries loaded and warm, each model and
workload in a process of its own. Time is the median of repeated runs, with as many response tokens as were foretold;
the machine is measured anew in each process, as a plan does.

`python -m benchmarks.planning` prints the tables; `--write docs/planning.md` puts them there.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.models.demo import ensure_demo_model
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.models.tokenizing import load_tokenizer
from iclviz.planning.devices import this_machine
from iclviz.planning.dry_run import counted
from iclviz.planning.memory import memory
from iclviz.planning.reading import reading
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
    values = dict(MODELS[name])
    return CONFIG_MAPPING[values.pop("model_type")](**values, bos_token_id=0, eos_token_id=1, pad_token_id=1)


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


def capture(engine: Engine, prompts: Sequence[TokenizedPrompt], spec: RunSpec) -> dict[str, float]:
    """The seconds of each stage."""
    kept = asked([(spec, item) for item in range(len(prompts))])
    forced = [[5 + place % 7 for place in range(NEW_TOKENS)] for _ in prompts]
    start = time.perf_counter()
    found = engine.capture(prompts, kept, Decoding(NEW_TOKENS, forced=forced), SETTINGS)
    return {**found.seconds, "total": time.perf_counter() - start}


def measure(name: str, workload: str, rounds: int) -> dict[str, Any]:
    """What a run takes, and what was predicted, in this process."""
    prompts, spec = prompts_of(workload), spec_of(workload)
    tiny = {"vocab_size": 49152, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    warm = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**tiny, num_hidden_layers=2))
    capture(Engine(warm, "interface", 2), prompts[:2], spec)
    del warm
    counts = counted(config_of(name))
    read = reading(prompts, NEW_TOKENS, SETTINGS)
    devices = [this_machine(counts.width)]
    foretold = memory(counts, read, spec)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident("VmRSS")
    engine = engine_of(name)
    runs = [capture(engine, prompts, spec)]
    grown = resident("VmHWM") - before
    for _ in range(rounds):  # other work on this machine comes and goes
        this_machine.cache_clear()
        devices.append(this_machine(counts.width))
        runs.append(capture(engine, prompts, spec))
    foretold_seconds = [asdict(seconds(counts, read, device)) for device in devices]
    device = devices[-1]
    return {
        "parameters": counts.parameters,
        "memory": grown,
        "memory_foretold": foretold.total,
        "memory_parts": asdict(foretold),
        "seconds": {stage: median(one[stage] for one in runs[1:] or runs) for stage in runs[0]},
        "seconds_foretold": {stage: median(one[stage] for one in foretold_seconds) for stage in foretold_seconds[0]},
        "tokens": [read.tokens, read.read],
        "device": {"rates": dict(device.rates), "stream": device.stream, "launch": device.launch,
                   "attention": device.attention, "bandwidth": device.bandwidth},
    }  # fmt: skip


def resident(name: str) -> int:
    """Bytes of this process's memory, now or at its peak (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def measured(name: str, workload: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.planning", "--measure", name, workload, "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.rounds)))
        return
    for workload in WORKLOADS:
        for name in (DEMO, *MODELS):
            found = measured(name, workload, arguments.rounds)
            m, s = found["memory"], found["seconds"]
            f = found["seconds_foretold"]
            print(
                workload,
                "|",
                name,
                f"mem {m / 1e6:.0f} {found['memory_foretold'] / 1e6:.0f} {found['memory_foretold'] / m - 1:+.0%}",
                {k: round(v / 1e6) for k, v in found["memory_parts"].items()},
                f"time {s['total']:.2f} {sum(f.values()):.2f} {sum(f.values()) / s['total'] - 1:+.0%}",
                {k: (round(s[k], 2), round(f[k], 2)) for k in f},
                found["tokens"],
                found["device"],
                flush=True,
            )


if __name__ == "__main__":
    main()
