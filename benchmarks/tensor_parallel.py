"""How far what several processes record of one model is from what one process does with the whole model:
`python -m benchmarks.tensor_parallel`.

Tiny random models of the architectures in `tests/capture/models.py`, shared by two processes, and the demo model, whose
9 heads and 3 key heads are shared by three; float32, over gloo on CPUs. Differences are the largest of everything that
is recorded, before it is rounded for the disk. For the rest transformers has no plan of tensor parallelism. The last
line is what rounding alone does: one process that reads the demo model's prompts in other shapes, beside itself.
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iclviz.capture.decoding import Decoding, joined, plan_prompts
from iclviz.capture.hugging_face import HuggingFaceModel
from iclviz.capture.plan import PlanSettings
from iclviz.capture.tensor_parallel import SharedModel
from iclviz.errors import ModelError
from iclviz.jobs.taking_part import take_part
from iclviz.models.configuration import model_facts
from iclviz.models.loading import load, quietly, ready_tokenizer
from iclviz.models.locating import locate
from iclviz.models.presets import DEMO_MODEL
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import asked
from iclviz.resolve import build, resolve, tokenized
from iclviz.spec import POOLINGS, Demonstrations, RunSpec
from tests.capture.models import SETTINGS, family, marked, tiny

KINDS = {"attention": "attention", "embeddings": "states", "candidates": "candidates", "trajectory": "trajectory"}
"""What is recorded -> the column."""

DECODING = Decoding(6)
N_ITEMS = 32


def prompts_of(name: str) -> list[TokenizedPrompt]:
    if name != DEMO_MODEL:
        return [marked(prompt) for prompt in family()]
    run = resolve(RunSpec(name, "reading_comprehension", Demonstrations("correct", 4), N_ITEMS))
    return tokenized(run, build(run), ready_tokenizer(run.located), model_facts(run.located))


def captured(name: str, folder: str, shared: bool, sharing: bool = True) -> tuple[list[Any], float]:
    """The batches, and the seconds that they took; shared: by all processes; sharing: whether text is read once."""
    located = locate(folder)
    model = SharedModel(located, "float32", {}, None) if shared else HuggingFaceModel(load(located, "float32"))
    ready = model.ready([(30, 6)])
    settings = PlanSettings(4096, torch.get_num_threads(), sharing, pass_tokens=0)
    prompts = prompts_of(name)
    spec = RunSpec("model", "task", poolings=POOLINGS, attention_items=(0,), record=("trajectory",))
    plan, kept = plan_prompts(prompts, DECODING, settings), asked([(spec, 0)] * len(prompts))
    start = time.perf_counter()
    how = (lambda: False, frozenset(), lambda tokens: None, ())
    batches = list(ready.captures(prompts, plan, kept, DECODING, *how))
    return batches, time.perf_counter() - start


def leaves(taken: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Every array in what a recorder took of a prompt."""
    if isinstance(taken, dict):
        taken = list(taken.values())
    elif hasattr(taken, "logprobs"):  # of the trajectory, without the rank, which is a whole number
        taken = [taken.logprobs, taken.entropy, taken.divergence]
    if isinstance(taken, list):
        for one in taken:
            yield from leaves(one)
    else:
        yield np.asarray(taken, float)


def differences(batches: list[Any], whole: list[Any]) -> str:
    """The largest by column; of states as a share of the largest state."""
    ours, theirs = joined(batches), joined(whole)
    assert ours.response_ids == theirs.response_ids
    found = dict.fromkeys(KINDS.values(), 0.0)
    for taken, right in zip(ours.taken, theirs.taken, strict=True):
        for kind, column in KINDS.items():
            for one, other in zip(leaves(taken[kind]), leaves(right[kind]), strict=True):
                largest = np.nanmax(np.abs(other), initial=1e-9) if kind == "embeddings" else 1.0
                found[column] = max(found[column], float(np.nanmax(np.abs(one - other), initial=0.0) / largest))
    return " | ".join(f"{one:.0e}" for one in found.values())


def together(table: Path) -> None:
    """In every process: what each model's prompts leave, or why it is not shared."""
    take_part()
    found: dict[str, Any] = {}
    for name, folder in pickle.loads(table.read_bytes()).items():
        try:
            found[name] = captured(name, folder, shared=True)
        except ModelError as error:
            found[name] = str(error)
    table.with_suffix(".found").write_bytes(pickle.dumps(found))


def shared_by(n: int, folders: dict[str, str], place: Path) -> dict[str, Any]:
    """What n processes leave of models, name -> folder."""
    table = place / f"{n}.table"
    table.write_bytes(pickle.dumps(folders))
    launch = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    subprocess.run([*launch, "-m", "benchmarks.tensor_parallel", "--together", str(table)], check=True)
    found: dict[str, Any] = pickle.loads(table.with_suffix(".found").read_bytes())
    return found


def saved(name: str, place: Path) -> str:
    """The folder of a tiny model, with a tokenizer."""
    folder = str(place / name)
    with quietly():
        tiny(name).save_pretrained(folder)
        ready_tokenizer(locate(DEMO_MODEL)).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--together", type=Path, help=argparse.SUPPRESS)
    asked_for = parser.parse_args()
    if asked_for.together:
        together(asked_for.together)
        return
    print("| model | processes | " + " | ".join(KINDS.values()) + " | seconds, of one process |")
    print("| --- | --- |" + " --- |" * (len(KINDS) + 1))
    without = []
    with tempfile.TemporaryDirectory() as place:
        of_n = {2: {name: saved(name, Path(place)) for name in SETTINGS}, 3: {DEMO_MODEL: DEMO_MODEL}}
        for n, folders in of_n.items():
            for name, found in shared_by(n, folders, Path(place)).items():
                if isinstance(found, str):
                    without.append(name)
                    continue
                whole, alone = captured(name, folders[name], shared=False)
                print(f"| {name} | {n} | {differences(found[0], whole)} | {found[1]:.1f}, {alone:.1f} |", flush=True)
    each, alone = captured(DEMO_MODEL, DEMO_MODEL, shared=False, sharing=False)
    print(f"| {DEMO_MODEL}, each prompt by itself | 1 | {differences(each, whole)} | {alone:.1f} |")
    print(f"Not shared: {', '.join(without)}.")


if __name__ == "__main__":
    main()
