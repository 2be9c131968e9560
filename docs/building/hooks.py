"""What MkDocs is told beyond `mkdocs.yml`; everything is made from the project's own files, at every build.

1. The notebook becomes a page, without running it, and links to it lead there.
2. `<!-- names of X -->` becomes the reference of a package's names.
3. Links that leave `docs/` lead to a copy of the file.
4. Formulas become MathML, which browsers show without a script.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import iclviz
from iclviz import analysis, figures

NOTEBOOK = "analysis.ipynb"
PLACE = re.compile(r"<!-- names of (\w+) -->")
LINK_OUT = re.compile(r"\]\(\.\./([^)#\s]+)\)")
TO_NOTEBOOK = re.compile(r"\]\((\w+)\.ipynb\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebook's page."""
    content = notebook(Path(config.docs_dir, NOTEBOOK))
    files.append(File.generated(config, f"{Path(NOTEBOOK).stem}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in references, and copy what a link outside `docs/` names."""

    def copied(link: re.Match[str]) -> str:
        uri = f"files/{link[1]}"
        if files.get_file_from_path(uri) is None:
            root = Path(config.config_file_path).parent
            files.append(File.generated(config, uri, abs_src_path=str(root / link[1])))
        return f"]({uri})"

    filled = PLACE.sub(lambda place: NAMES[place[1]](), markdown)
    return TO_NOTEBOOK.sub(r"](\1.md)", LINK_OUT.sub(copied, filled))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML."""
    return FORMULA.sub(_formula, content)


def _formula(found: re.Match[str]) -> str:
    return str(convert(html.unescape(found[2]), display="block" if found[1] == "div" else "inline"))


def notebook(path: Path) -> str:
    """The cells of a notebook as Markdown, after a link to the notebook itself."""
    cells = json.loads(path.read_text())["cells"]
    title, *others = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join([title, f"This page is a notebook: [{path.name}](./{path.name}).", *others])


def _cell(kind: str, source: str) -> str:
    return f"```python\n{source}\n```" if kind == "code" else source


def names(title: str, package: ModuleType, further: Iterable[str] = ()) -> str:
    """The public names of a package, each with what its docstring says; what is no class or function is left out."""
    objects = {name: getattr(package, name) for name in [*further, *package.__all__]}
    return "\n".join(
        f"::: {one.__module__}.{name}\n    options:\n      heading: {title}.{name}\n"
        for name, one in objects.items()
        if hasattr(one, "__module__")
    )


NAMES: Mapping[str, Callable[[], str]] = {
    "iclviz": lambda: names("iclviz", iclviz),
    "analysis": lambda: names("analysis", analysis),
    "figures": lambda: names("figures", figures, [draw.__name__ for draw in figures.FIGURES.values()]),
}
"""Package -> its reference."""
