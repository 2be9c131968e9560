"""What the demo model shows on the three tasks: `make findings` writes docs/findings.md and its figures.

Every task runs without demonstrations, with right ones and with shuffled ones, over five demonstration seeds; runs that
are in the cache are taken from there. Sentences and tables come from the same functions as the dashboard's Summary.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

import iclviz
from iclviz import analysis
from iclviz.analysis.comparison import Comparison
from iclviz.analysis.headlines import PRIMARY, Headline
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import AlignmentTest
from iclviz.analysis.wording import capital
from iclviz.figures import FIGURES
from iclviz.models.presets import DEMO_MODEL
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting import figure_files
from iclviz.reporting.methods import methods
from iclviz.reporting.scope import scope
from iclviz.reporting.setting import setting
from iclviz.reporting.statements import number, p_value, sentences
from iclviz.spec import Demonstrations, RunSpec
from iclviz.tasks import Task, task

SEEDS = range(5)
NONE = ("none", 0)
COMMAND = "make findings"


@dataclass(frozen=True)
class Study:
    """One task: its items, its conditions as (kind, k), and which of them are compared, A first."""

    task: str
    n_items: int
    conditions: tuple[tuple[str, int], ...]
    comparisons: tuple[tuple[tuple[str, int], tuple[str, int]], ...]
    options: Mapping[str, Any] = field(default_factory=dict)


STUDIES = (
    Study(
        "reading_comprehension",
        64,
        (NONE, ("correct", 2), ("shuffled", 2)),
        ((NONE, ("correct", 2)), (("shuffled", 2), ("correct", 2))),
    ),
    Study(
        "prompt_injection",
        144,
        (NONE, ("correct", 4), ("shuffled", 4)),
        ((NONE, ("correct", 4)), (("shuffled", 4), ("correct", 4))),
    ),
    Study(
        "linear_regression",
        32,
        (NONE, ("correct", 2), ("correct", 16), ("shuffled", 16)),
        ((("correct", 2), ("correct", 16)), (("shuffled", 16), ("correct", 16))),
        {"distractor": True},
    ),
)


def specs(study: Study, condition: tuple[str, int], **options: Any) -> list[RunSpec]:
    """The specs of a condition, one for each demonstration seed; one where nothing is shown."""
    kind, k = condition
    return [
        RunSpec(
            DEMO_MODEL,
            study.task,
            Demonstrations(kind, k, seed),
            n_items=study.n_items,
            task_options={**study.options, **options},
        )
        for seed in (SEEDS if k else SEEDS[:1])
    ]


def named(condition: tuple[str, int]) -> str:
    """A condition in words."""
    kind, k = condition
    return "no demonstrations" if condition == NONE else f"{kind}, k = {k}"


def run(study: Study) -> dict[tuple[str, int], list[Recording]]:
    """Condition -> its recordings."""
    asked = {condition: specs(study, condition) for condition in study.conditions}
    found = iter(iclviz.sweep([spec for one in asked.values() for spec in one]))
    return {condition: [next(found) for _ in one] for condition, one in asked.items()}


BAR = "\\|"
"""A bar inside a Markdown table's cell."""


def score_table(of: Task, recordings: Mapping[tuple[str, int], Sequence[Recording]]) -> list[str]:
    """A row a condition: the mean of every score over items and seeds, and the range of the seeds' means."""
    first = next(iter(recordings.values()))[0]
    scores = [name for name in of.titles if name in first.scores]
    rows = [f"| condition | seeds | read | {' | '.join(of.titles[name].replace('|', BAR) for name in scores)} |"]
    rows.append("| --- " * (len(scores) + 3) + "|")
    for condition, runs in recordings.items():
        read = np.mean([[value is not None for value in one.parsed] for one in runs])
        cells = " | ".join(_mean_and_range([one.scores[name] for one in runs]) for name in scores)
        rows.append(f"| {named(condition)} | {len(runs)} | {read:.0%} | {cells} |")
    return rows


def _mean_and_range(values: Sequence[Any]) -> str:
    known = [one[np.isfinite(one)] for one in values]
    means = [float(one.mean()) for one in known if len(one)]
    if not means:
        return "–"
    spread = f" ({min(means):.2f} to {max(means):.2f})" if len(means) > 1 else ""
    return f"{np.mean(means):.2f}{spread}".replace("-", "−")


def structure_table(of: Task, recordings: Mapping[tuple[str, int], Sequence[Recording]]) -> list[str]:
    """A row a condition: how often alignment and probe stand out over the seeds, corrected over layers."""
    chosen = of.primary
    rows = [
        f"| condition | alignment with “{of.titles[chosen.hypothesis]}”: layer 0, largest, seeds with p < 0.05 | "
        "alignment of the queries' token overlap alone | "
        f"least-squares probe of “{of.titles[chosen.label]}”: layer 0, best layer (chance there), "
        "seeds with p < 0.05 |",
        "| --- | --- | --- | --- |",
    ]
    for condition, runs in recordings.items():
        tests = [analysis.recording_alignment(one, chosen.hypothesis, chosen.pooling) for one in runs]
        probes = [analysis.recording_probe(one, chosen.label, chosen.pooling, n_controls=0) for one in runs]
        surface = np.mean([_of_tokens(one, chosen.hypothesis) for one in runs])
        rows.append(f"| {named(condition)} | {_alignments(tests)} | {surface:.2f} | {_probes(probes)} |")
    return rows


def _alignments(tests: Sequence[AlignmentTest]) -> str:
    found = [test for test in tests if (test.p_corrected < 0.05).any()]
    first, best = (np.mean([of(test.estimate) for test in tests]) for of in (lambda values: values[0], np.nanmax))
    return tests[0].reason or f"{first:.2f}, {best:.2f}, {len(found)} of {len(tests)}"


def _of_tokens(recording: Recording, hypothesis: str) -> float:
    """The alignment of what tokens queries share with a hypothesis."""
    overlap = analysis.surface_rsms(recording)["tokens of the span"]
    return analysis.alignment(overlap, recording.hypotheses[hypothesis])


def _probes(probes: Sequence[Probe]) -> str:
    if probes[0].reason:
        return probes[0].reason
    found = [one for one in probes if (one.p_corrected < 0.05).any()]
    layers = [int(np.nanargmax(one.least_squares)) for one in probes]
    first = np.mean([one.least_squares[0] for one in probes])
    best, chance = (
        np.mean([getattr(one, name)[layer] for one, layer in zip(probes, layers, strict=True)])
        for name in ("least_squares", "chance")
    )
    return f"{first:.2f}, {best:.2f} ({chance:.2f}), {len(found)} of {len(probes)}"


def comparison_section(
    study: Study, of: Task, pair: tuple[tuple[str, int], ...], sides: Sequence[Sequence[Recording]], folder: Path
) -> Iterator[str]:
    """The headline of one comparison in sentences, and its figures."""
    comparison = analysis.compare(*(side if len(side) > 1 else side[0] for side in sides))
    measuring = primary_measuring(of, comparison.first)
    found = analysis.headline(comparison, of.primary.score, measuring, of.contrast)
    a, b = (side[0].spec for side in sides)
    yield f"### {named(pair[0])} (A) against {named(pair[1])} (B)\n"
    hypothesis = of.titles.get(measuring.of(comparison.first)[0], "")
    said = sentences(found, of.titles[of.primary.score], a, b, setting(of, a, b), hypothesis)
    yield from (f"- {sentence}" for sentence in said)
    yield ""
    yield from changes_table(of, comparison, measuring)
    limits = scope(found.n_seeds, a.demonstrations, b.demonstrations)
    stem = f"{study.task}-{'-'.join(f'{kind}{k}' for kind, k in pair)}"
    for name, figure in figures(of, comparison, found, limits).items():
        path = folder / f"{stem}-{name}.png"
        path.write_bytes(figure_files.image(figure, "png"))
        yield f"![{figure.layout.title.text}](images/findings/{path.name})\n"
        yield f"*{figure.layout.meta['caption']}*\n"


def changes_table(of: Task, comparison: Comparison, measuring: Measuring) -> Iterator[str]:
    """How often each measure changed over layers, and where most: exploratory."""
    hypothesis, label = of.primary.hypothesis, of.primary.label
    tests = {
        f"alignment with “{of.titles[hypothesis]}”": (
            analysis.alignment_change(comparison, hypothesis, of.primary.pooling), 0),
        f"probe of “{of.titles[label]}”": (analysis.probe_change(comparison, label, of.primary.pooling), 0),
        "log attention ratio of the last prompt token": (analysis.log_ratio_change(comparison, measuring), 1),
    }  # fmt: skip
    yield "| exploratory: change of | layers with p < 0.05 | where p is least: change, its interval and corrected p |"
    yield "| --- | --- | --- |"
    for title, (test, first) in tests.items():
        if not np.isfinite(test.p_corrected).any():
            yield f"| {title} | – | {test.reason or 'no value'} |"
            continue
        best = int(np.lexsort((-np.abs(test.estimate), test.p_corrected))[0])
        layers = [str(layer + first) for layer in np.flatnonzero(test.p_corrected < 0.05)]
        estimate, low, high, p = (values[best] for values in (test.estimate, test.low, test.high, test.p_corrected))
        facts = f"{number(estimate)} ({number(low)} to {number(high)}), {p_value(float(p))}"
        yield f"| {title} | {', '.join(layers) or 'none'} | {best + first}: {facts} |"
    yield ""


def figures(of: Task, comparison: Comparison, found: Headline, limits: str) -> dict[str, go.Figure]:
    """The links within groups, and the change of the primary alignment."""
    links = found.links["within"]
    measures = {name: measure_named(name) for name in links}
    titles = {name: capital(one.title) for name, one in measures.items()}
    firsts = {name: one.first_layer for name, one in measures.items()}
    hypothesis = of.primary.hypothesis
    change = analysis.alignment_change(comparison, hypothesis, of.primary.pooling)
    measure = f"alignment with “{of.titles[hypothesis]}”"
    score = of.titles[of.primary.score]
    ratio = analysis.log_ratio_change(comparison, primary_measuring(of, comparison.first))
    of_ratio = "log attention ratio of the last prompt token"
    return {
        "attention": FIGURES["change-by-layer"]({"B − A": ratio}, measure=of_ratio, first=1, demonstrations=limits),
        "links": FIGURES["link-by-layer"](links, score=score, titles=titles, first=firsts, demonstrations=limits),
        "alignment": FIGURES["change-by-layer"]({"B − A": change}, measure=measure, demonstrations=limits),
    }


def composite_section(study: Study, recordings: Mapping[tuple[str, int], Sequence[Recording]]) -> Iterator[str]:
    """Composite prompts against simple ones, for the conditions with right demonstrations and with none."""
    yield "### Composite prompts against simple ones\n"
    head = "layer of the least p: contrast, its interval and corrected p"
    yield f"| condition | simple prompts | layers with p < 0.05 | {head} |"
    yield "| --- | --- | --- | --- |"
    for condition, runs in recordings.items():
        for prompts in ("simple_same", "simple_other"):
            spec = specs(study, condition, prompts=prompts)[0]
            simple = iclviz.run_spec(spec)
            result = analysis.recording_composite_to_simple((runs[0], simple))
            best = int(np.nanargmin(result.p_corrected))
            layers = int((result.p_corrected < 0.05).sum())
            yield (
                f"| {named(condition)} (seed 0) | {prompts.removeprefix('simple_')} name | {layers} of "
                f"{len(result.estimate)} | layer {best}: {result.estimate[best]:.3f} ({result.low[best]:.3f} to "
                f"{result.high[best]:.3f}), {p_value(float(result.p_corrected[best]))} |"
            )
    yield "\nThe claim rests on the other name: the same name is shared text.\n"


def relevance_section(recordings: Mapping[tuple[str, int], Sequence[Recording]]) -> Iterator[str]:
    """The same statement when it is relevant against when it is not."""
    yield "### The same statement, relevant against not: attention of the last prompt token\n"
    yield "| condition | blocks with p < 0.05 | heads with p < 0.05 | largest mean share above chance in a block |"
    yield "| --- | --- | --- | --- |"
    for condition, runs in recordings.items():
        by_layer, by_head = (analysis.relevance_test(runs[0], PRIMARY, by_head=heads) for heads in (False, True))
        best = int(np.nanargmax(by_layer.estimate))
        yield (
            f"| {named(condition)} (seed 0) | {int((by_layer.p_corrected < 0.05).sum())} of {by_layer.p.size} | "
            f"{int((by_head.p_corrected < 0.05).sum())} of {by_head.p.size} | block {best + 1}: "
            f"{by_layer.estimate[best]:.2f} ({by_layer.low[best]:.2f} to {by_layer.high[best]:.2f}) |"
        )
    yield ""


def section(study: Study, folder: Path) -> Iterator[str]:
    """Everything about one task."""
    of, recordings = task(study.task), run(study)
    yield f"## {of.title}\n"
    yield f"{study.n_items} items. Means over items and seeds, in brackets the range of the seeds' means.\n"
    yield "\n".join(score_table(of, recordings)) + "\n"
    for pair in study.comparisons:
        yield from comparison_section(study, of, pair, [recordings[condition] for condition in pair], folder)
    yield "### Exploratory: structure in each condition\n"
    yield "\n".join(structure_table(of, recordings)) + "\n"
    if study.task == "reading_comprehension":
        yield from composite_section(study, recordings)
        yield from relevance_section(recordings)
    yield "### Methods\n"
    yield methods([one for runs in recordings.values() for one in runs]).markdown


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("docs"), help="the folder of findings.md and images/findings")
    to = parser.parse_args().to
    folder = to / "images" / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        "# Findings on the demo model\n",
        f"Everything on this page, figures included, is written by `{COMMAND}`. It reports what a model of 135 million "
        "parameters shows, also where that is nothing. The headline sentences are the tasks' primary analyses, fixed "
        "before any result. Each comparison stands alone: nothing is corrected over the comparisons of this page, and "
        "what is called exploratory was not corrected over tables.\n",
    ]
    for study in STUDIES:
        parts.extend(section(study, folder))
    (to / "findings.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
