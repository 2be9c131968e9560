"""The methods paragraph of exactly what was run: model and revision, task, items, seeds, units, tests, versions.

It is written once, in Markdown with citations as [@key], and turned into LaTeX from there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from iclviz import __version__
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.behaviour_links import FAMILY
from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures import all_measures
from iclviz.analysis.wording import capital
from iclviz.errors import SpecError
from iclviz.mapping import Tracer
from iclviz.maps import EffectMap, Made, Trace
from iclviz.models.presets import presets
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.references import BIBTEX, bibliography
from iclviz.spec import PLACE_OPTIONS, Demonstrations, RunSpec
from iclviz.tasks import Task, task
from iclviz.whereabouts import without_folder

CITATION = re.compile(r"\[@([^\]]+)\]")
SUBSCRIPTS = re.compile("[₀-₉]+")
_DIGITS = {ord("₀") + digit: str(digit) for digit in range(10)}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$",
    "·": r"$\cdot$", "Δ": r"$\Delta$", "“": "``", "”": "''", "²": r"$^2$", "<": "$<$",
    "…": r"\ldots{}", "|": "$|$",
}  # fmt: skip


@dataclass(frozen=True)
class Methods:
    """A methods paragraph: Markdown and LaTeX of the same text, and the works that it cites as BibTeX."""

    markdown: str
    latex: str
    bibtex: str

    def write(self, folder: Path) -> None:
        """Write methods.md, methods.tex and methods.bib into a folder."""
        for ending, text in (("md", self.markdown), ("tex", self.latex), ("bib", self.bibtex)):
            (folder / f"methods.{ending}").write_text(text)


def methods(
    recordings: Sequence[Recording],
    used: Resampling | None = None,
    maps: Sequence[Made] = (),
    notes: Sequence[str] = (),
) -> Methods:
    """The methods paragraph of some recordings, one for each model, task and way of running among them.

    Parameters
    ----------
    recordings: what was run; conditions that differ in demonstrations, and in what is kept of them, alone are described
        together.
    used: permutations and resamples; None = those of the library.
    maps: what was made of them by acting on the model, and by following it.
    notes: sentences that stand at the end, such as which registered study the runs are part of.

    Raises
    ------
    SpecError: no recording was given.
    """
    if not recordings:
        raise SpecError("No recording was given.", "Name the keys of some, see `iclviz runs`.")
    the_task: dict[tuple[object, ...], list[Recording]] = {}
    for recording in recordings:
        the_task.setdefault(_alike(recording), []).append(recording)
    parts = [_paragraph(alike, used or Resampling()) for alike in the_task.values()]
    acted = [one for one in maps if isinstance(one, EffectMap)]
    traced = {str(one.tracer): one.tracer for one in maps if isinstance(one, Trace)}
    parts += [_acting(acted)] if acted else []
    parts += [_traced(list(traced.values()))] if traced else []
    parts += [" ".join(notes)] if notes else []
    markdown = "\n\n".join(parts) + "\n"
    return Methods(
        markdown,
        _latex(markdown),
        bibliography(_cited(markdown)),
    )


def _acting(maps: Sequence[EffectMap]) -> str:
    """What was done to the model, over all sites of each kind of map."""
    by_grid = {str(made.spec.grid): made for made in maps}
    done = "; ".join(_map(made) for made in by_grid.values())
    return (
        f"To see what the answers need, we acted on the model while it read each item, at one site at a time: {done}. "
        "An effect is the right answer's log-probability over the best other candidate's (or by itself, where an item "
        "has one candidate) while something is done less that with nothing done. Effects were tested over independent "
        "groups of items by sign flips of whole groups, corrected over all sites of a map by the maximum of the flips "
        "[@westfall1993resampling]; the strongest sites were chosen by one half of the groups and judged on the other."
    )


def _traced(tracers: Sequence[Tracer]) -> str:
    """What was followed through the model."""
    return " ".join(f"{capital(one.sentence())}{''.join(f' [@{key}]' for key in one.references)}." for one in tracers)


def _map(made: EffectMap) -> str:
    cited = "".join(f"; [@{key}]" for key in made.spec.grid.references)
    return f"{made.spec.grid.sentence()} ({made.n_sites:,} sites{cited})"


def _alike(recording: Recording) -> tuple[object, ...]:
    """What the runs of one paragraph have in common: the model's files and all but demonstrations and what is kept."""
    spec = recording.spec.with_(demonstrations=Demonstrations(), interventions=())
    return recording.origin and recording.origin.model, spec.part("tokens", "forward", "decoding")


def _cited(markdown: str) -> set[str]:
    """The works that a text cites, by their keys."""
    return {key for citation in CITATION.findall(markdown) for key in _keys(citation)}


def _keys(citation: str) -> list[str]:
    """The works that one pair of brackets cites."""
    return [key.strip().removeprefix("@") for key in citation.split(";")]


def _paragraph(recordings: Sequence[Recording], used: Resampling) -> str:
    first = recordings[0]
    the_task = task(first.spec.task)
    sentences = (
        _model(first),
        _items(first, the_task),
        _conditions(recordings),
        *_measures(recordings, the_task, used),
        _comparisons(recordings, used),
        _behaviour(the_task),
        _versions(first),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _measures(recordings: Sequence[Recording], the_task: Task, used: Resampling) -> Iterator[str]:
    """What each measure says of how it was made: those of the primary analysis first, then the exploratory ones."""
    known = all_measures()
    measuring = replace(primary_measuring(the_task, recordings[0]), label=the_task.primary.label)
    for name in (*FAMILY, *(name for name in known if name not in FAMILY)):
        text = known[name].methods(recordings, measuring, the_task.titles, used)
        missing = _cited(text) - BIBTEX.keys() - known[name].references.keys()
        yield f"{text} [The measure {name} does not say what {', '.join(sorted(missing))} is.]" if missing else text


def _model(recording: Recording) -> str:
    spec, environment = recording.spec, recording.environment
    preset = presets().get(spec.model)
    name = preset.title if preset else without_folder(spec.model)
    known = environment.get("model", {})
    hub = f", {known['hub_id']}" if known.get("hub_id") else ""
    revision = f"revision {known['identity']}" if known.get("identity") else "identified by its files' content"
    place = f"{environment.get('device', 'cpu')}{_shared(environment)}"
    return (
        f"We analysed {name} ({revision}{hub}; {recording.n_layers} blocks, {spec.dtype} on "
        f"{place}{_loaded(spec)}) with iclviz {__version__}, following Yousefi et al. "
        "[@yousefi2023incontext] with the definitions below, and the Transformers library [@wolf2020transformers]."
    )


def _shared(environment: Mapping[str, Any]) -> str:
    """Of a model that several processes computed together."""
    processes = environment.get("processes")
    return f", shared by {processes} processes by tensor parallelism" if processes else ""


def _loaded(spec: RunSpec) -> str:
    """The options of loading a model that may change what it says."""
    chosen = {name: value for name, value in spec.model_options.items() if name not in PLACE_OPTIONS}
    return f", loaded with {', '.join(f'{name} = {value}' for name, value in chosen.items())}" if chosen else ""


def _items(recording: Recording, the_task: Task) -> str:
    spec = recording.spec
    changed = {
        option.name: spec.task_options[option.name]
        for option in the_task.options
        if option.name in spec.task_options and spec.task_options[option.name] != _frozen(option.default)
    }
    options = f"; options {', '.join(f'{name} = {value}' for name, value in changed.items())}" if changed else ""
    groups = coarsest_groups(recording)
    n_groups = recording.n_items if groups is None else len(np.unique(groups))
    return (
        f"The task was {the_task.title[0].lower()}{the_task.title[1:]} (version {the_task.version}{options}), "
        f"{recording.n_items} items "
        f"in {n_groups} independent groups, drawn with item seed {spec.seed}. Prompts were in {spec.prompt_style} style"
        f"{_template(spec)}{_first_token(spec)}; responses were decoded greedily, up to {spec.max_new_tokens} tokens."
    )


def _template(spec: RunSpec) -> str:
    """What a chat template read besides the message."""
    variables = ", ".join(f"{name} = {value}" for name, value in spec.template.items())
    return f" (its template read {variables})" if variables else ""


def _first_token(spec: RunSpec) -> str:
    """What was done with a prompt's first token, where that is not the usual."""
    if spec.first_token == "start":
        return ""
    return f", {'nothing put before them' if spec.first_token else 'begun as their tokenizer did at that time'}"


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _conditions(recordings: Sequence[Recording]) -> str:
    seeds: dict[str, list[int]] = {}
    for recording in recordings:
        shown = recording.spec.demonstrations
        name = f"{shown.kind} demonstrations, k = {shown.k}" if shown.k else "no demonstrations"
        name += f", in another order than drawn (order {shown.order})" if shown.order else ""
        done = "".join(f", with {one.sentence()}" for one in recording.spec.interventions)
        drawn = seeds.setdefault(f"{name}{done}", [])
        if shown.k:
            drawn.append(shown.seed)
    described = [
        f"{name} (seed {', '.join(str(seed) for seed in sorted(set(drawn)))})" if drawn else name
        for name, drawn in seeds.items()
    ]
    return f"Conditions: {'; '.join(described)}; items and queries were the same in all of them."


def _comparisons(recordings: Sequence[Recording], used: Resampling) -> str:
    """How means over items were compared between conditions."""
    shown = [one.spec.demonstrations for one in recordings]
    if max(sum(replace(one, seed=other.seed) == other for other in shown) for one in shown) > 1:
        test = (
            "over demonstration seeds, by Student's distribution with the degrees of freedom that seeds and "
            f"{used.n_bootstrap:,} resamples of groups leave [@satterthwaite1946approximate] (corrected over layers by "
            "the maximum of resamples of both, or by Holm's method where seeds dominate)"
        )
        alone = (
            " An interval of one condition over its seeds joins Student's over seeds and that over items, as the root "
            "of their squares."
        )
    else:
        test, alone = (
            "by sign flips of whole groups (intervals invert them; corrected over layers by the maximum of "
            "studentised means)",
            "",
        )
    return (
        f"Scores and attention ratios of two conditions were compared on the same items, {test}, two-sided; "
        f"probes by "
        "swapping the conditions of whole groups and fitting anew, with jackknife intervals "
        f"[@efron1981jackknife].{alone}"
    )


def _behaviour(the_task: Task) -> str:
    return (
        f"The main score was “{the_task.titles[the_task.primary.score]}”, with its worst value for responses that "
        f"could not be "
        "read. Links of changes inside the model (own alignment, probe, attention ratio of the last prompt token) with "
        f"changes of this score are rank correlations over items, {_levels(the_task)}, two-sided, corrected over "
        f"layers and "
        "the three measures together and, over the two levels, by Bonferroni; score, log-probability over other "
        "answers' (margin) and links are one family, corrected by Holm's method; with several demonstration seeds "
        "intervals resample seeds and groups. "
        "This primary analysis is set by the software and the task, not preregistered; all other analyses are "
        "exploratory, their p corrected over layers alone."
    )


def _levels(the_task: Task) -> str:
    """How links were tested within groups and between them."""
    effect = f" of pairs of items ({the_task.contrast.title})" if the_task.contrast else ""
    return (
        f"within groups{effect} (design factors taken out; scores permuted within groups and factors, or groups' "
        "contrasts over groups [@freedman1983nonstochastic]) and between groups (whole groups permuted)"
    )


def _versions(recording: Recording) -> str:
    names = ("python", "torch", "transformers", "numpy", "safetensors")
    known = ", ".join(f"{name} {recording.environment[name]}" for name in names if name in recording.environment)
    return f"Software: {known}." if known else ""


def _latex(markdown: str) -> str:
    parts = CITATION.split(markdown)
    texts = [_escaped(text) for text in parts[::2]]
    cited = [f"\\citep{{{','.join(_keys(citation))}}}" for citation in parts[1::2]]
    return "".join(text + (cited[place] if place < len(cited) else "") for place, text in enumerate(texts))


def _escaped(text: str) -> str:
    whole = "".join(_LATEX.get(letter, letter) for letter in text)
    return SUBSCRIPTS.sub(lambda found: f"$_{{{found[0].translate(_DIGITS)}}}$", whole)
