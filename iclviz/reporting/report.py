"""A comparison as one HTML page that needs no network: what was found, its figures, its items, its methods.

It says what the Summary says, from the same answers; runs that are no two conditions have their figures alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup

from iclviz import __version__, analysis
from iclviz.analysis.comparison import compare
from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures import present
from iclviz.analysis.measures.probe import PERMUTATIONS
from iclviz.analysis.wording import capital
from iclviz.disk import writing
from iclviz.errors import AnalysisError
from iclviz.figures import theme
from iclviz.jobs.table import Progress, Report
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.data_line import differences, shared
from iclviz.reporting.export import answering, by_task, labelled
from iclviz.reporting.first_glance import (
    changes_sentence,
    difference,
    headline_line,
    link_line,
    reservations,
    short_subjects,
    with_a_value,
)
from iclviz.reporting.item_rows import item_rows
from iclviz.reporting.methods import methods
from iclviz.reporting.recipes import (
    Answer,
    Recipe,
    change_by_layer,
    changes_at_a_glance,
    links_by_layer,
    n_recipes,
    outcomes_recipe,
    pairs_of,
    recipes,
    scores_at_a_glance,
    with_values,
)
from iclviz.reporting.scope import demonstration_scope, scope
from iclviz.reporting.setting import setting
from iclviz.reporting.snippets import command_lines
from iclviz.reporting.statements import sentences
from iclviz.spec import RunSpec
from iclviz.store import Store
from iclviz.tasks import task

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #d0d7de; padding-top: 1rem }
.found { font-size: 1.15rem; font-weight: 600 } .data, figcaption, footer { color: #57606a; font-size: .9rem }
figure, table { overflow-x: auto } figure { margin: 1.5rem 0 }
table { border-collapse: collapse; font-size: .85rem; display: block }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #d0d7de }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f8fa; padding: .75rem; font-size: .85rem }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="data">{{ data }}</p>
{% for section in sections %}
{% if section.title %}<h2>{{ section.title }}</h2>{% endif %}
{% if section.found %}<p class="found">{{ section.found }}</p>{% endif %}
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}
{% for figure in section.figures %}
<figure>{{ drawn(figure) }}<figcaption>{{ figure.layout.meta.caption }}{% if figure.layout.meta.details %}
<details><summary>How</summary>{{ figure.layout.meta.details }}</details>{% endif %}</figcaption></figure>
{% endfor %}
{% if section.points %}<details open><summary>In full</summary>
<ul>{% for text in section.points %}<li>{{ text }}</li>{% endfor %}</ul></details>{% endif %}
{% if section.table %}<table><thead><tr>{% for name in section.table %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endif %}
{% for text in section.code %}<pre>{{ text }}</pre>
{% endfor %}
{% endfor %}
<footer>Made with iclviz {{ version }}.</footer>
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: what was found, sentences, points, figures, a table by column, and text as it is."""

    title: str = ""
    found: str = ""
    texts: Sequence[str] = ()
    points: Sequence[str] = ()
    figures: Sequence[go.Figure] = ()
    table: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    code: Sequence[str] = ()

    @property
    def rows(self) -> Iterator[tuple[str, ...]]:
        """The table's rows as they are read."""
        return zip(*([_cell(value) for value in column] for column in self.table.values()), strict=True)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}".replace("-", "−") if isinstance(value, float) else str(value)


def write_report(keys: Sequence[str], to: Path, report: Report = lambda progress: None) -> Path:
    """Write the page of recordings, A's before B's, as one file; what was written.

    Raises
    ------
    StoreError: no such recording, or the file cannot be written.
    AnalysisError: the recordings cannot be analysed.
    """
    store = Store()
    recordings = [store.load(key) for key in dict.fromkeys(store.full_key(key) for key in keys)]
    text = page(recordings, answering(store), report)
    with writing(to, "The file", "Choose another one."):
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
    return to


def page(recordings: Sequence[Recording], answer: Answer, report: Report = lambda progress: None) -> str:
    """The page as HTML."""
    runs = labelled(recordings)
    pairs = pairs_of(runs) if len({one.spec.task for one in recordings}) == 1 else []
    if pairs:
        both = [runs[label] for label in pairs[0]]
        a, b = (_shown(one.spec) for one in both)
        title = f"{task(both[0].spec.task).title}: {a} (A) against {b} (B)"
        parts = list(_Compared([(runs[a], runs[b]) for a, b in pairs], answer, report).sections())
    else:
        both, title = list(recordings), "Recorded runs"
        parts = _figures_alone(recordings, answer, report)
    written = methods(recordings, Resampling(probe_permutations=PERMUTATIONS))
    paragraphs = [text for text in written.markdown.split("\n\n") if text.strip()]
    parts += [
        Section("Methods", texts=paragraphs, code=[written.bibtex]),
        Section("Run it again", code=["\n".join(command_lines([one.spec for one in recordings]))]),
    ]
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(
        title=title, data=_data(both), sections=parts, drawn=_Drawn(), version=__version__
    )


class _Drawn:
    """Figures as HTML; the first brings the library that draws them all."""

    def __init__(self) -> None:
        self._is_first = True

    def __call__(self, figure: go.Figure) -> str:
        brings, self._is_first = self._is_first, False
        config = {"displaylogo": False, "responsive": True}
        html = theme.apply(figure, "light").to_html(full_html=False, include_plotlyjs=brings, config=config)
        return Markup(html)  # plotly escapes what it holds


def _data(recordings: Sequence[Recording]) -> str:
    """What the data are, as the line under a page's title says it."""
    if len(recordings) > 2 or len({one.spec.task for one in recordings}) > 1:
        return ""
    line = shared(list(recordings))
    if len(recordings) == 1:
        return line
    told = differences(*(one.spec for one in recordings))
    return f"{line} {'; '.join(f'{capital(name)}: A {a} → B {b}' for name, (a, b) in told.items())}."


def _shown(spec: RunSpec) -> str:
    shown = spec.demonstrations.canonical()
    done = "".join(f", {one.short}" for one in spec.interventions)
    return f"{f'{shown.kind}, k = {shown.k}' if shown.k else 'no demonstrations'}{done}"


def _figures_alone(recordings: Sequence[Recording], answer: Answer, report: Report) -> list[Section]:
    """A section for each task, with the figures of its primary analysis and of every measure."""
    of_tasks = by_task(recordings)
    total, found = sum(map(n_recipes, of_tasks.values())), []
    done = count(1)
    for name, runs in of_tasks.items():
        figures = []
        for recipe in recipes(runs, answer):
            with suppress(AnalysisError):
                figures.append(_figure(recipe, runs, answer))
            report(Progress("drawing figures", next(done), total))
        found.append(Section(task(name).title, figures=figures))
    return found


def _figure(recipe: Recipe, runs: Mapping[str, Recording], answer: Answer) -> go.Figure:
    found = {label: answer(one) for label, one in recipe.questions(runs).items()}
    return with_values(recipe.draw(found, runs), found)


class _Compared:
    """What the Summary says of A and B over their demonstration seeds."""

    def __init__(self, pairs: Sequence[tuple[Recording, Recording]], answer: Answer, report: Report) -> None:
        self.comparison = compare([a for a, _ in pairs], [b for _, b in pairs])
        self.a, self.b = (one.spec for one in pairs[0])
        self.answer, self.report = answer, report
        self.the_task = task(self.a.task)
        self.measuring = primary_measuring(self.the_task, self.comparison.first)
        self.limits = scope(len(pairs), self.a.demonstrations, self.b.demonstrations)
        self.labels = [f"{side}{number or ''}" for number in range(len(pairs)) for side in "AB"]
        self.runs = dict(zip(self.labels, (one for pair in pairs for one in pair), strict=True))

    def sections(self) -> Iterator[Section]:
        """What was found, then what changed inside by measure, then all items."""
        steps = ("comparing A and B", "testing what changed inside", "drawing figures")
        for number, (stage, make) in enumerate(zip(steps, (self.found, self.inside, self.items), strict=True)):
            self.report(Progress(stage, number, len(steps)))
            yield make()
        self.report(Progress(steps[-1], len(steps), len(steps)))

    def found(self) -> Section:
        """Behaviour, what changed inside, and the link of both, in a sentence and a picture each."""
        the_task, comparison = self.the_task, self.comparison
        asked = analysis.headline.of(
            [one.key for one in self.runs.values()], the_task.primary.score, self.measuring, the_task.contrast
        )
        headline = self.answer(asked)
        unit, name = the_task.natural_unit(headline.score), the_task.titles[headline.score]
        hypothesis = the_task.titles.get(self.measuring.of(comparison.first)[0], "none")
        expected = setting(the_task, self.a, self.b)
        told = sentences(headline, name, self.a, self.b, expected, hypothesis)
        options, counts, runs = self.b.task_options, None, self.runs
        recipe = scores_at_a_glance(self.labels, the_task, headline.score, options, self.limits)
        if the_task.contrast and the_task.outcomes:
            runs = dict(zip("AB", comparison.pairs[0], strict=True))
            recipe = outcomes_recipe(runs, the_task, the_task.contrast.factor, demonstration_scope(runs.values()))
            counts = {label: self.answer(one) for label, one in recipe.questions(runs).items()}
        links = links_by_layer(
            self.labels, headline.score, self.measuring, the_task, headline.strongest_level, self.limits
        )
        drawn = [_figure(recipe, runs, self.answer)]
        with suppress(AnalysisError):
            drawn.append(_figure(links, self.runs, self.answer))
        return Section(
            found=headline_line(headline, expected, unit, the_task, counts),
            texts=[
                difference(headline, unit),
                *filter(None, [reservations(headline, self.a, self.b, hypothesis)]),
                link_line(headline),
            ],
            points=told,
            figures=drawn,
        )

    def inside(self) -> Section:
        """B minus A of every measure by layer."""
        measures = present(self.comparison.pairs[0], self.measuring)
        recipe = changes_at_a_glance(measures, self.labels, self.measuring, self.limits)
        tests = {}
        for name, question in recipe.questions(self.runs).items():
            with suppress(AnalysisError):
                tests[name] = self.answer(question)
        tests = with_a_value(tests)
        figures = [recipe.draw(tests, self.runs)] if tests else []
        for name in tests:
            one = change_by_layer(
                measures[name], self.labels, self.comparison.first, self.measuring, self.the_task, self.limits
            )
            with suppress(AnalysisError):
                figures.append(_figure(one, self.runs, self.answer))
        titles = short_subjects(measures, self.comparison.first, self.measuring, self.the_task)
        first = {name: one.first_layer for name, one in measures.items()}
        return Section("What changed inside", texts=[changes_sentence(tests, titles, first)], figures=figures)

    def items(self) -> Section:
        """All items, A beside B."""
        sides = dict(zip("AB", self.comparison.pairs[0], strict=True))
        return Section("All items", table=item_rows(sides, self.the_task, self.the_task.primary.score))
