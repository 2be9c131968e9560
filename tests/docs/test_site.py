"""The site as `make docs` builds it, in a folder of the tests' own."""

import re
import subprocess
import sys

import pytest
import typer

import iclviz
from iclviz import analysis, figures
from iclviz.cli import app
from iclviz.places import checkout

pytestmark = pytest.mark.xdist_group("site")  # which is built once

FROM_ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="?(?:https?:)?//')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=checkout(), capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_of_the_docs_can_be_reached_from_the_first(site):
    first = (site / "index.html").read_text()
    pages = [path.stem for path in (checkout() / "docs").glob("*.md")] + ["analysis"]
    assert not [page for page in pages if f'href="{page}.html"' not in first and page != "index"]
    assert not [page for page in pages if not (site / f"{page}.html").is_file()]


def test_nothing_is_fetched_from_elsewhere(site):
    assert not [path.name for path in site.glob("*.html") if FROM_ELSEWHERE.search(path.read_text())]


def test_every_public_name_is_described(site):
    page = (site / "api.html").read_text()
    drawn = [draw.__name__ for draw in figures.FIGURES.values()]
    names = {"iclviz": set(iclviz.__all__) - {"analysis", "figures"}, "analysis": analysis.__all__, "figures": drawn}
    missing = [
        f"{package}.{name}" for package, some in names.items() for name in some if f"{package}.{name}" not in page
    ]
    assert not missing


def test_every_command_is_described(site):
    page = (site / "command-line.html").read_text()
    assert not [name for name in typer.main.get_command(app).commands if f"iclviz {name}" not in page]


def test_formulas_need_no_script(site):
    page = (site / "measures.html").read_text()
    assert "<math" in page
    assert "arithmatex" not in page
