"""Every sentence that pages, captions, statements, methods and errors can print: `python -m docs.building.sentences`.

First what is composed of several parts, with the numbers of samples: captions and subtitles of every figure, statements
of a recorded comparison, its methods paragraph. Then every text of the program, file by file, each value in it replaced
by a sample: by a number where it is printed as one, else by what stands there in the code.

To be read as a whole, now and then, by somebody who did not write them.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from iclviz.analysis import compare, headline
from iclviz.places import checkout
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.data_line import shared
from iclviz.reporting.first_glance import difference, headline_line, link_line, reservations
from iclviz.reporting.methods import methods
from iclviz.reporting.setting import setting
from iclviz.reporting.statements import sentences
from iclviz.store import Store
from iclviz.tasks import task

PRINTED = ("pages", "iclviz/ui", "iclviz/reporting", "iclviz/figures", "iclviz/analysis", "iclviz")
"""Folders whose texts are read by people, the first that holds a file counts."""

FEWEST_WORDS = 3
NUMBERS = {"%": "37%", "f": "0.37", "g": "0.37", ",": "1,234", "d": "12"}
"""How a format spec ends -> a number as it prints it."""
COUNT = re.compile(r"(^|\.)n_\w+$|^len\(|(^|\.)(layer|block|head|k|seed|done|total|many)$")
"""Values that are whole numbers."""


@dataclass(frozen=True)
class Sentence:
    """A text, and where it stands."""

    file: str
    line: int
    text: str


def printed() -> Iterator[Sentence]:
    """Every text of the program that is no docstring and has some words."""
    root = checkout()
    assert root is not None
    seen: set[Path] = set()
    for folder in PRINTED:
        for path in sorted((root / folder).rglob("*.py")):
            if path not in seen:
                seen.add(path)
                yield from _of_file(path, str(path.relative_to(root)))


def _of_file(path: Path, name: str) -> list[Sentence]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    skipped = {id(part) for node in whole for part in ast.walk(node) if part is not node}
    skipped |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    found = [
        Sentence(name, node.lineno, text)
        for node in nodes
        if isinstance(node, ast.JoinedStr | ast.Constant)
        and id(node) not in skipped
        and _is_sentence(text := _text(node))
    ]
    return sorted(found, key=lambda one: one.line)


def _text(node: ast.AST) -> str:
    """A text with a sample in the place of each value."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        spec, value = _text(node.format_spec) if node.format_spec else "", ast.unparse(node.value)
        return NUMBERS.get(spec[-1:]) or ("12" if COUNT.search(value) else f"‹{value}›")
    return ""


def _is_sentence(text: str) -> bool:
    is_markup = text.lstrip().startswith(("<", "SELECT", "()", "function", "import ", "#!/"))
    return len(re.findall(r"[A-Za-z’']{2,}", text)) >= FEWEST_WORDS and not is_markup and " " in text.strip()


def composed() -> Iterator[tuple[str, str]]:
    """What is made of several parts -> what it says of a sample."""
    yield from _of_recordings()
    yield from _of_figures()


def _of_recordings() -> Iterator[tuple[str, str]]:
    """Statements and methods of the recordings that tests keep."""
    root = checkout()
    assert root is not None
    with TemporaryDirectory() as folder:
        shutil.copytree(root / "tests" / "kept" / "recordings", Path(folder, "recordings"))
        store = Store(folder)
        by_task: dict[str, list[Recording]] = {}
        for entry in store.summaries():
            by_task.setdefault(entry.spec.task, []).append(store.load(entry.key))
        for name, (a, b, *_) in by_task.items():
            the_task, measuring = task(name), primary_measuring(task(name), a)
            found = headline(compare(a, b), the_task.primary.score, measuring, the_task.contrast, n_permutations=99)
            unit, title = the_task.natural_unit(found.score), the_task.titles[found.score]
            expected = setting(the_task, a.spec, b.spec)
            told = sentences(found, title, a.spec, b.spec, expected)
            glance = (shared([a, b]), headline_line(found, expected, unit, the_task), difference(found, unit))
            for text in (*glance, *told):
                yield f"statement, {name}", text
            yield f"reservations, {name}", reservations(found, a.spec, b.spec, "Same topic")
            yield f"link, {name}", link_line(found)
            yield f"methods, {name}", methods([a, b]).markdown


def _of_figures() -> Iterator[tuple[str, str]]:
    """Captions, details and titles of every figure's sample."""
    from tests.figures.samples import DRAWN, drawn

    for name in DRAWN:
        layout = drawn(name).layout
        yield f"caption of {name}", layout.meta["caption"]
        if details := layout.meta.get("details"):
            yield f"details of {name}", details
        yield f"title of {name}", re.sub("<[^>]+>", " ", str(layout.title.text or ""))


def main() -> None:
    """Print them all."""
    print("# Composed of parts\n")
    for name, text in composed():
        print(f"{name}: {text}\n")
    print("# By file")
    file = ""
    for one in printed():
        if one.file != file:
            file = one.file
            print(f"\n## {file}\n")
        print(f"{one.line}: {' '.join(one.text.split())}")


if __name__ == "__main__":
    main()
