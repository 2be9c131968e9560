import zipfile

import pandas as pd
import pytest

import iclviz
from iclviz import saving
from iclviz.errors import StoreError, UserError
from iclviz.exporting import export
from iclviz.spec import Demonstrations

FIGURES = {"score-by-condition", "score-distribution", "similarity-matrices", "alignment-by-layer", "probe-by-layer",
           "attention-ratio-by-layer", "attention-ratio-by-head", "attention-split"}  # fmt: skip


@pytest.fixture
def keys(tiny_model):
    options = {"distractor": True}
    return [
        iclviz.run(str(tiny_model), "linear_regression", Demonstrations("correct", k), 16, task_options=options).key
        for k in (2, 4)
    ]


@pytest.fixture
def no_browser(monkeypatch):
    monkeypatch.setattr(saving, "browser", lambda: None)


@pytest.mark.usefixtures("no_browser")
def test_a_comparison_is_written_with_figures_and_tables(keys, tmp_path):
    to = export([keys[0], keys[1][:8]], tmp_path / "out")
    for key in keys:
        assert (to / key / "manifest.json").exists()
        table = pd.read_csv(to / "tables" / f"{key}.csv")
        assert len(table) == 16
        assert {"item", "prompt", "response", "answer", "score: log_accuracy", "label: slope"} <= set(table.columns)
    folder = to / "figures" / "linear_regression"
    assert {path.stem for path in folder.glob("*.html")} == FIGURES
    assert {path.stem for path in folder.glob("*.csv")} == FIGURES
    assert not list(folder.glob("*.png"))


@pytest.mark.usefixtures("no_browser")
def test_one_zip_file_holds_the_same(keys, tmp_path):
    archive = export(keys, tmp_path / "new" / "out.zip")
    names = zipfile.ZipFile(archive).namelist()
    assert f"{keys[0]}/recording.json" in names
    assert "figures/linear_regression/probe-by-layer.html" in names
    assert sorted(path.name for path in archive.parent.iterdir()) == ["out.zip"]


def test_an_image_is_made_where_there_is_a_browser(keys, tmp_path):
    from iclviz.figures import attention_split

    figure = attention_split({"A": iclviz.analysis.role_split(iclviz.load(keys[0]))})
    assert saving.image(figure, "png").startswith(b"\x89PNG")
    svg = saving.image(figure, "svg")
    assert b"Where attention goes" in svg
    assert saving.image(figure, "pdf").startswith(b"%PDF")


@pytest.mark.usefixtures("no_browser")
def test_without_a_browser_an_image_says_what_to_install(keys):
    from iclviz.figures import attention_split

    figure = attention_split({"A": iclviz.analysis.role_split(iclviz.load(keys[0]))})
    with pytest.raises(UserError, match="apt install chromium"):
        saving.image(figure, "png")


@pytest.mark.usefixtures("no_browser")
def test_a_place_that_cannot_be_written_is_one_sentence(keys, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"The place .* cannot be written"):
        export(keys, tmp_path / "file")


@pytest.mark.usefixtures("no_browser")
def test_the_cache_itself_is_no_place_to_export_to(keys, own_cache):
    with pytest.raises(StoreError, match="lies in the cache folder"):
        export(keys, own_cache / "recordings")


@pytest.mark.usefixtures("no_browser")
def test_runs_without_a_distractor_are_exported_too(tiny_model, tmp_path):
    run = iclviz.run(str(tiny_model), "linear_regression", Demonstrations("none"), 8)
    assert (export([run.key], tmp_path / "out") / "figures" / "linear_regression" / "attention-split.html").exists()
