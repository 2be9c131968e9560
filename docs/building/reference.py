"""What the program itself tells of its commands, measures, recorders and words: `python -m docs.building.reference`
writes it into the pages of docs/, so that they read everywhere; it is between `<!-- X -->` and `<!-- /X -->` there.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from iclviz import analysis
from iclviz.cli import app
from iclviz.intervening import intervention, kinds
from iclviz.mapping import grid, grids, tracer, tracers
from iclviz.recorders import Recorder, recorders
from iclviz.ui.terms import GLOSSARY

DOCS = Path(__file__).parents[1]


def commands() -> str:
    """Every command with its arguments and options, as the program itself declares them."""
    group = typer.main.get_command(app)
    written = get_docs_for_click(obj=group, ctx=typer.Context(group, info_name="iclviz"), name="iclviz")
    return written[written.index("\n## ") :]


def measures() -> str:
    """Every measure by layer: what it says, what it leaves open, where it is shown."""
    rows = [
        f"| `{one.name}` | {one.title}: {one.about} | {', '.join(f'`{each.name}`' for each in one.options)} |"
        for one in analysis.all_measures().values()
    ]
    return "\n".join(["| name | what it says | leaves open |", "| --- | --- | --- |", *rows])


def recorded() -> str:
    """Every recorder: what it leaves, with axes and type, and when it is on; of what no recording keeps, scores are
    made.
    """
    when = {True: "on request", False: "always"}
    rows = [
        f"| `{one.name}` | {one.title}: {one.sentence} | {_arrays(one)} | {when[one.is_optional]} |"
        for one in recorders().values()
    ]
    return "\n".join(["| recorder | what it keeps | arrays | when |", "| --- | --- | --- | --- |", *rows])


def _arrays(recorder: Recorder) -> str:
    kept = (f"`{one.name}` ({', '.join(one.axes)}; {one.dtype})" for one in recorder.arrays if one.is_kept)
    return ", ".join(kept) or "none: scores are made of it"


def interventions() -> str:
    """Every kind of intervention: how it is typed, and what that does."""
    rows = [f"| `{one.example}` | {intervention(one.example).sentence()} |" for one in kinds().values()]
    return "\n".join(["| as it is typed | what is done |", "| --- | --- |", *rows])


def maps() -> str:
    """Every kind of map: what it answers, how it is typed, what is done."""
    rows = [f"| `{one.example}` | {one.question} | {grid(one.example).sentence()} |" for one in grids().values()]
    return "\n".join(["| as it is typed | what it answers | what is done |", "| --- | --- | --- |", *rows])


def traces() -> str:
    """Every kind of trace: what it answers, how it is typed, what is done."""
    rows = [f"| `{one.example}` | {one.question} | {tracer(one.example).sentence()} |" for one in tracers().values()]
    return "\n".join(["| as it is typed | what it answers | what is done |", "| --- | --- | --- |", *rows])


def glossary() -> str:
    """The words of the glossary."""
    return GLOSSARY.read_text(encoding="utf-8")


REFERENCES: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "measures": measures,
    "recorders": recorded,
    "interventions": interventions,
    "maps": maps,
    "traces": traces,
    "glossary": glossary,
    "sweep": lambda: f"```yaml\n{(DOCS / 'examples' / 'sweep.yaml').read_text()}```",
}
"""What stands between two marks -> what makes it."""


def filled(page: str) -> str:
    """A page with each of its references as the program tells it now."""
    for name, make in REFERENCES.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin in page:
            before, _, rest = page.partition(begin)
            page = f"{before}{begin}\n{make().strip()}\n{end}{rest.partition(end)[2]}"
    return page


def main() -> None:
    """Write the references into every page that has one."""
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
