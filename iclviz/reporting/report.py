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

from iclviz import __version__
from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures import present
from iclviz.analysis.measures.probe import PERMUTATIONS
from iclviz.analysis.wording import capital
from iclviz.disk import writing
from iclviz.errors import AnalysisError
from iclviz.figures import theme
from iclviz.jobs.table import Progress, Report
from iclviz.recording import Recording
from iclviz.reporting.data_line import differences, shared
from iclviz.reporting.export import answering, by_task, labelled
from iclviz.reporting.first_glance import (
    changes_sentence,
    link_line,
    reservations,
    short_subjects,
    with_a_value,
)
from iclviz.reporting.item_rows import item_rows
from iclviz.reporting.methods import Methods, methods
from iclviz.reporting.over_seeds import OverSeeds
from iclviz.reporting.recipes import (
    Answer,
    Recipe,
    changes_at_a_glance,
    links_by_layer,
    n_recipes,
    pairs_of,
    recipes,
    with_values,
)
from iclviz.reporting.setting import setting
from iclviz.reporting.snippets import command_lines
from iclviz.reporting.statements import sentences
from iclviz.spec import RunSpec
from iclviz.store import Store
from iclviz.studies import registered_of
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
<details><summary>How</summary>{{ figure.layout.meta.details }}</details>{% endif %}{% if section.files %}
<br>{% for file in section.files[loop.index0] %}<a href="{{ file }}">{{ file.split(".")[-1] }}</a> {% endfor %}
{% endif %}</figcaption></figure>
{% endfor %}
{% if section.points %}<details open><summary>In full</summary>
<ul>{% for text in section.points %}<li>{{ text }}</li>{% endfor %}</ul></details>{% endif %}
{% if section.table %}<table><thead><tr>{% for name in section.table %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endif %}
{% if section.links %}<ul>{% for file, text in section.links.items() %}<li><a href="{{ file }}">{{ text }}</a></li>
{% endfor %}</ul>{% endif %}
{% for text in section.code %}<pre>{{ text }}</pre>
{% endfor %}
{% endfor %}
<footer>Made with iclviz {{ version }}.</footer>
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: what was found, sentences, points, figures, a table by column, links, and text as it is.

    files: the names of each figure's own files, where it has some.
    links: file -> what it is called.
    """

    title: str = ""
    found: str = ""
    texts: Sequence[str] = ()
    points: Sequence[str] = ()
    figures: Sequence[go.Figure] = ()
    files: Sequence[Sequence[str]] = ()
    links: Mapping[str, str] = field(default_factory=dict)
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
    notes = [one.sentence for one in registered_of([one.key for one in recordings], store)]
    text = page(recordings, answering(store), report, notes)
    with writing(to, "The file", "Choose another one."):
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
    return to


def page(
    recordings: Sequence[Recording],
    answer: Answer,
    report: Report = lambda progress: None,
    notes: Sequence[str] = (),
) -> str:
    """The page as HTML; notes: sentences that end its methods."""
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
    written = methods(recordings, Resampling(probe_permutations=PERMUTATIONS), notes=notes)
    parts += [
        methods_section(written),
        Section("Run it again", code=["\n".join(command_lines([one.spec for one in recordings]))]),
    ]
    return rendered(title, _data(both), parts)


def methods_section(written: Methods) -> Section:
    """The methods paragraph as a part of a page."""
    paragraphs = [text for text in written.markdown.split("\n\n") if text.strip()]
    return Section("Methods", texts=paragraphs, code=[written.bibtex])


def rendered(title: str, data: str, sections: Sequence[Section]) -> str:
    """A page of sections as HTML that needs no network; data: the line under its title."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE).render(
        title=title, data=data, sections=sections, drawn=_Drawn(), version=__version__
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
                figures.append(figure_of(recipe, runs, answer))
            report(Progress("drawing figures", next(done), total))
        found.append(Section(task(name).title, figures=figures))
    return found


def figure_of(recipe: Recipe, runs: Mapping[str, Recording], answer: Answer) -> go.Figure:
    """A recipe's figure of runs, label -> recording.

    Raises
    ------
    AnalysisError: they cannot answer its questions, or have no number to show.
    """
    found = {label: answer(one) for label, one in recipe.questions(runs).items()}
    return with_values(recipe.draw(found, runs), found)


class _Compared(OverSeeds):
    """What the Summary says of A and B over their demonstration seeds."""

    def __init__(self, pairs: Sequence[tuple[Recording, Recording]], answer: Answer, report: Report) -> None:
        super().__init__(pairs)
        self.answer, self.report = answer, report

    def sections(self) -> Iterator[Section]:
        """What was found, then what changed inside by measure, then all items."""
        steps = ("comparing A and B", "testing what changed inside", "drawing figures")
        for number, (stage, make) in enumerate(zip(steps, (self.found, self.inside, self.items), strict=True)):
            self.report(Progress(stage, number, len(steps)))
            yield make()
        self.report(Progress(steps[-1], len(steps), len(steps)))

    def found(self) -> Section:
        """Behaviour, what changed inside, and the link of both, in a sentence and a picture each."""
        the_task = self.the_task
        headline = self.answer(self.headline)
        name = the_task.titles[headline.score]
        hypothesis = the_task.titles.get(self.measuring.of(self.comparison.first)[0], "none")
        told = sentences(headline, name, self.a, self.b, setting(the_task, self.a, self.b), hypothesis)
        recipe, runs = self.scores(headline.score)
        counts = None
        if self.outcomes:
            counts = {label: self.answer(one) for label, one in recipe.questions(runs).items()}
        line, size = self.said(headline, counts)
        links = links_by_layer(
            self.labels, headline.score, self.measuring, the_task, headline.strongest_level, self.limits
        )
        drawn = [figure_of(recipe, runs, self.answer)]
        with suppress(AnalysisError):
            drawn.append(figure_of(links, self.runs, self.answer))
        return Section(
            found=line,
            texts=[
                size,
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
            with suppress(AnalysisError):
                figures.append(figure_of(self.change(measures[name]), self.runs, self.answer))
        titles = short_subjects(measures, self.comparison.first, self.measuring, self.the_task)
        first = {name: one.first_layer for name, one in measures.items()}
        return Section("What changed inside", texts=[changes_sentence(tests, titles, first)], figures=figures)

    def items(self) -> Section:
        """All items, A beside B."""
        sides = dict(zip("AB", self.comparison.pairs[0], strict=True))
        return Section("All items", table=item_rows(sides, self.the_task, self.the_task.primary.score))
