import ast
import re

import pytest

from docs.building.reference import REFERENCES, filled
from iclviz.figures import FIGURES
from iclviz.places import checkout

ROOT = checkout()
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def sections(path, level):
    """Heading -> the text below it."""
    parts = re.split(rf"^{'#' * level} (.+)\n", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def said():
    """Every text that the program's files hold, those of the Makefile too."""
    files = [*(ROOT / "iclviz").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return "\n".join([*texts, (ROOT / "Makefile").read_text()])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_names_no_missing_picture(page):
    missing = [name for name in PICTURE.findall(page.read_text()) if not (page.parent / name).is_file()]
    assert not missing


def test_every_registered_figure_has_a_picture_and_a_section_with_its_measure():
    shown = {}
    for title, text in sections(DOCS / "reading-figures.md", 3).items():
        for picture in PICTURE.findall(text):
            shown[picture] = title
            assert all(word in text for word in ("**Seen.**", "**Read it.**", "**Misread.**", "](measures.md#")), title
    assert set(shown) == {f"images/figures/{name}.svg" for name in FIGURES}


def test_pictures_of_figures_can_all_be_drawn_again():
    from docs.building.figures import PICTURES

    assert set(PICTURES) == set(FIGURES)


def test_pictures_of_figures_stay_small():
    assert sum(path.stat().st_size for path in (DOCS / "images" / "figures").iterdir()) < 4e6


def test_the_glossary_is_in_alphabetical_order_and_on_its_page():
    terms = sections(ROOT / "iclviz" / "ui" / "glossary.md", 3)
    assert list(terms) == sorted(terms, key=str.casefold)
    assert all(text.strip().endswith(".") for text in terms.values())


@pytest.mark.parametrize("name", REFERENCES)
def test_what_the_program_tells_of_itself_stands_in_the_documents_as_it_is_now(name):
    """Written by `python -m docs.building.reference`."""
    pages = [text for text in (path.read_text() for path in PAGES) if f"<!-- {name} -->" in text]
    assert pages
    assert [filled(text) for text in pages] == pages


def test_every_error_of_the_troubleshooting_page_is_one_that_the_program_says():
    known = said()
    quoted = [
        title for title in sections(DOCS / "troubleshooting.md", 3) if title != "A run waits, and nothing happens"
    ]
    unknown = [title for title in quoted if not all(part.strip() in known for part in re.split("…|[`()]", title))]
    assert not unknown


def test_the_tutorial_quotes_the_findings():
    quoted = re.findall(r"(?:^> .+\n)+", (DOCS / "tutorial.md").read_text(), flags=re.MULTILINE)
    sentences = [" ".join(line.removeprefix("> ") for line in block.splitlines()) for block in quoted]
    findings = (DOCS / "findings.md").read_text().replace("\\|", "|")
    assert sentences
    assert not [sentence for sentence in sentences if sentence not in findings]
