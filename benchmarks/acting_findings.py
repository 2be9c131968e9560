"""What acting on the demo model shows on the three tasks: `python -m benchmarks.acting_findings` writes that part of
docs/findings.md; `make findings` runs it after the rest.

Sentences come from the same functions as the dashboard's pages. One demonstration seed; maps and traces that are in the
cache are taken from there.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import iclviz
from iclviz import analysis
from iclviz.analysis.effect_maps import has_controls, usual_outcome
from iclviz.errors import UserError
from iclviz.models.presets import DEMO_MODEL
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import (
    competence_sentence,
    label_and_control,
    map_sentence,
    order_sentence,
    share_sentence,
)
from iclviz.reporting.trace_recipes import flow_sentence, heads_sentence, reweighting_sentence
from iclviz.spec import Demonstrations, RunSpec
from iclviz.tasks import task

MARKS = "<!-- acting -->", "<!-- /acting -->"
COMMAND = "python -m benchmarks.acting_findings"


@dataclass(frozen=True)
class Study:
    """One task: its items, and how many correct demonstrations are shown."""

    task: str
    n_items: int
    k: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, kind: str, k: int) -> RunSpec:
        """The run with so many demonstrations."""
        shown = Demonstrations(kind, k)
        return RunSpec(DEMO_MODEL, self.task, shown, n_items=self.n_items, task_options=dict(self.options))


STUDIES = (
    Study("reading_comprehension", 64, 2),
    Study("linear_regression", 32, 4, {"distractor": True}),
    Study("prompt_injection", 36, 4),
)


def of_map(run: Recording, grid: str, beyond: bool = False) -> str:
    """What a map says, or why it cannot be made."""
    try:
        made = iclviz.effect_map(run, grid)
        found = analysis.effect_of_sites((made, run), beyond=beyond and has_controls(made))
        return map_sentence({"B": found}, made.grid.names())
    except UserError as error:
        return f"B: {error}"


def vectors(run: Recording, without: Recording, kind: str) -> str:
    """How much of what demonstrations do comes back with a vector."""
    shown = run.spec.demonstrations
    try:
        made = iclviz.effect_map(without, f"{kind} shown={shown.kind} k={shown.k}")
        outcomes = dict.fromkeys((usual_outcome(made), "answer"))
        found = {name: analysis.recovered_share((made, without, run), name) for name in outcomes}
    except UserError as error:
        return f"B: {error}"
    words = {"margin": "Margin", "answer": "Log-probability of the answer"}
    return " ".join(f"{words[name]}: {share_sentence({'B': one}, made.grid.names())}" for name, one in found.items())


def flow(run: Recording) -> str:
    """Where the answer's loss flows."""
    try:
        return flow_sentence({"B": analysis.flow_by_block((iclviz.trace(run, "information_flow"), run))})
    except UserError as error:
        return f"B: {error}"


def competence(run: Recording, names: Mapping[str, str]) -> str:
    """Whether the answer follows its label."""
    try:
        made = iclviz.effect_map(run, "competence label={label} control={control} every=5".format(**names))
        return competence_sentence({"B": analysis.competence_by_block((made, run))})
    except UserError as error:
        return f"B: {error}"


def order(run: Recording) -> str:
    """What the order of demonstrations does alone."""
    try:
        return order_sentence({"B": analysis.order_share((iclviz.effect_map(run, "orders"), run))})
    except UserError as error:
        return f"B: {error}"


def learned(run: Recording) -> str:
    """What attention to the answers times learned factors does."""
    try:
        return reweighting_sentence({"B": analysis.gain_by_reweighting((iclviz.trace(run, "reweighting"), run))})
    except UserError as error:
        return f"B: {error}"


def section(study: Study) -> Iterator[str]:
    """What acting shows on one task."""
    of = task(study.task)
    run, without = (iclviz.run_spec(study.spec(*shown)) for shown in (("correct", study.k), ("none", 0)))
    names = label_and_control(run)
    erased = "erase label={label} control={control} every=5".format(**names)
    yield f"### {of.title}\n"
    yield f"B: {study.k} correct demonstrations, seed 0, {study.n_items} items.\n"
    yield f"* **Every head set to zero**, at the last prompt token. {of_map(run, 'heads')}"
    yield f"* **Attention from the last token** cut, beyond as many random tokens. {of_map(run, 'attention', True)}"
    yield f"* **The label “{names['label']}” erased**, beyond its permutations. {of_map(run, erased, True)}"
    yield f"* **Task vectors.** {vectors(run, without, 'task_vector')}"
    yield f"* **Function vectors.** {vectors(run, without, 'function_vector')}"
    yield f"* **Information flow.** {flow(run)}"
    yield f"* **Answers isolated** in the first or last blocks, beyond random tokens. {of_map(run, 'isolation', True)}"
    yield f"* **Answers re-weighted.** {learned(run)}"
    yield f"* **Competence.** {competence(run, names)}"
    yield f"* **Order of demonstrations.** {order(run)}"
    if study is STUDIES[0]:
        found = analysis.head_scores([iclviz.trace(run, "head_catalogue"), run, iclviz.effect_map(run, "heads")])
        yield f"* **Heads.** {heads_sentence(found)}"
    yield ""


def main() -> None:
    """Act, and write that part of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs/findings.md"), help="the page")
    page = parser.parse_args().to
    parts = [
        "## What acting on the model shows\n",
        f"Written by `{COMMAND}`, for one demonstration seed. Effects are means over items; "
        "a null line is a finding too. [Acting on a model](acting.md) says what is done, "
        "[Measures](measures.md#effect-of-acting) how it is tested.\n",
    ]
    text = page.read_text().partition(MARKS[0])[0].rstrip()
    for study in STUDIES:
        parts += section(study)
        page.write_text(f"{text}\n\n{MARKS[0]}\n" + "\n".join(parts) + f"{MARKS[1]}\n")


if __name__ == "__main__":
    main()
