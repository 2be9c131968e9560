import csv
import io
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import iclviz
from iclviz.errors import StoreError, UserError
from iclviz.jobs.table import Progress
from iclviz.reporting import export as exporting
from iclviz.reporting import figure_files
from iclviz.reporting.bundles import import_bundle
from iclviz.reporting.export import export, labelled
from iclviz.reporting.recipes import recipes
from iclviz.spec import Demonstrations
from iclviz.store import Store

FIGURES = {"score-by-condition", "score-distribution", "similarity-matrices", "alignment-by-layer", "probe-by-layer",
           "attention-ratio-by-layer", "attention-ratio-by-head", "attention-split", "link-by-layer",
           "class-distance-by-layer", "intrinsic-dimension-by-layer"}  # fmt: skip


pytestmark = pytest.mark.xdist_group("export")
"""One process has what all these tests look at."""


def recorded_pair(model):
    options = {"distractor": True}
    shown = [Demonstrations("correct", k) for k in (2, 4)]
    return [iclviz.run(str(model), "linear_regression", one, 24, task_options=options).key for one in shown]


@pytest.fixture
def keys(tiny_model):
    return recorded_pair(tiny_model)


@pytest.fixture
def no_browser(monkeypatch):
    monkeypatch.setattr(figure_files, "browser", lambda: None)


@dataclass
class Exported:
    """An export that tests look at and leave as it is: its folder, the runs' keys, and what it told of its progress."""

    to: Path
    keys: list[str]
    told: list[Progress]


@pytest.fixture(scope="module")
def exported(tiny_model, tmp_path_factory):
    place, told = tmp_path_factory.mktemp("exported"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(place / "cache"))
        patch.setattr(figure_files, "browser", lambda: None)
        keys = recorded_pair(tiny_model)
        return Exported(export([keys[0], keys[1][:8]], place / "out", told.append), keys, told)


@pytest.fixture(scope="module")
def archive(exported):
    """One zip file of the same runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(exported.to.parent / "cache"))
        patch.setattr(figure_files, "browser", lambda: None)
        return export(exported.keys, exported.to.parent / "new" / "out.zip")


def test_a_comparison_is_written_with_figures_and_tables(exported):
    to, keys = exported.to, exported.keys
    for key in keys:
        assert (to / key / "manifest.json").exists()
        table = pd.read_csv(to / "tables" / f"{key}.csv")
        assert len(table) == 24
        assert {"item", "prompt", "response", "answer", "score: log_accuracy", "label: slope"} <= set(table.columns)
    folder = to / "figures" / "linear_regression"
    assert {path.stem for path in folder.glob("*.html")} == FIGURES
    assert {path.stem for path in folder.glob("*.csv")} == FIGURES
    assert not list(folder.glob("*.png"))


@pytest.mark.usefixtures("no_browser")
def test_of_several_seeds_the_first_is_drawn_and_the_headline_is_over_all(keys, tiny_model, tmp_path):
    further = [
        iclviz.run(str(tiny_model), "linear_regression", Demonstrations("correct", k, 1), 24,
                   task_options={"distractor": True}).key
        for k in (2, 4)
    ]  # fmt: skip
    to = export([*keys, *further], tmp_path / "out") / "figures" / "linear_regression"
    assert set(pd.read_csv(to / "score-by-condition.csv")["series"]) == {
        "correct, k = 2, seed 0",
        "correct, k = 4, seed 0",
    }
    assert "these 2 demonstration sets" in (to / "link-by-layer.html").read_text()
    alone = export([*keys, further[0]], tmp_path / "one more") / "figures" / "linear_regression"
    assert not (alone / "link-by-layer.html").exists()


def test_one_zip_file_holds_the_same(exported, archive):
    names = zipfile.ZipFile(archive).namelist()
    assert f"{exported.keys[0]}/recording.json" in names
    assert "figures/linear_regression/probe-by-layer.html" in names
    assert sorted(path.name for path in archive.parent.iterdir()) == ["out.zip"]


def test_an_image_is_made_where_there_is_a_browser(keys, tmp_path):
    from iclviz.figures import attention_split

    figure = attention_split({"A": iclviz.analysis.role_split(iclviz.load(keys[0]))})
    assert figure_files.image(figure, "png").startswith(b"\x89PNG")
    svg = figure_files.image(figure, "svg")
    assert b"Where attention goes" in svg
    assert figure_files.image(figure, "pdf").startswith(b"%PDF")


@pytest.mark.usefixtures("no_browser")
def test_without_a_browser_an_image_says_what_to_install(keys):
    from iclviz.figures import attention_split

    figure = attention_split({"A": iclviz.analysis.role_split(iclviz.load(keys[0]))})
    with pytest.raises(UserError, match="apt install chromium"):
        figure_files.image(figure, "png")


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


def test_every_table_is_there_as_parquet_with_the_same_content(exported):
    written = sorted(exported.to.rglob("*.csv"))
    assert len(written) == len(exported.keys) + len(FIGURES)
    for path in written:
        exact = pd.read_parquet(path.with_suffix(".parquet"))
        again = pd.read_csv(io.BytesIO(exact.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()))
        pd.testing.assert_frame_equal(again, pd.read_csv(path), check_dtype=False)


def test_images_are_there_for_the_screen_and_for_both_columns(keys, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "recipes", lambda *of: [one for one in recipes(*of) if one.name == "probe-by-layer"])
    folder = export(keys[:1], tmp_path / "out") / "figures" / "linear_regression"
    for size in ("", "-single-column", "-double-column"):
        for kind, begins in {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}.items():
            assert (folder / f"probe-by-layer{size}.{kind}").read_bytes().startswith(begins)


def test_the_script_draws_the_same_figures_from_the_zip_file_in_another_cache(archive, tmp_path):
    folder = tmp_path / "elsewhere"
    zipfile.ZipFile(archive).extractall(folder)
    environment = {**os.environ, "ICLVIZ_CACHE": str(tmp_path / "another")}
    ended = subprocess.run(
        [sys.executable, str(folder / "rebuild.py"), str(tmp_path / "again")],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rebuilt = sorted((tmp_path / "again" / "linear_regression").glob("*.csv"))
    assert {path.stem for path in rebuilt} == FIGURES
    for path in rebuilt:
        exported = pd.read_csv(folder / "figures" / "linear_regression" / path.name)
        pd.testing.assert_frame_equal(pd.read_csv(path), exported)


def test_the_script_uses_the_public_api_alone(exported):
    written = (exported.to / "rebuild.py").read_text()
    imported = [line for line in written.splitlines() if "iclviz" in line and "import" in line and line[0].isalpha()]
    assert imported[:2] == ["import iclviz", "from iclviz import analysis, figures"]
    compile(written, "rebuild.py", "exec")


def test_what_is_what_and_the_conditions_are_told(exported):
    to = exported.to
    told = (to / "README.txt").read_text()
    for key in exported.keys:
        assert key in told
    for place in to.iterdir():
        assert place.name in told or f"{place.name}/" in told
    assert "linear_regression: correct, k = 2, seed 0\n" in told


def test_the_key_is_in_a_label_only_where_nothing_else_tells_runs_apart(tiny_model):
    shown = Demonstrations("correct", 2)
    same = [iclviz.run(str(tiny_model), "linear_regression", shown, n) for n in (8, 12)]
    assert list(labelled(same[:1])) == ["correct, k = 2, seed 0"]
    assert [label[-9:] for label in labelled(same)] == [f" ({one.key[:6]})" for one in same]


def test_progress_counts_figures(exported):
    assert [(one.items_done, one.items_total) for one in exported.told] == [
        (done, len(FIGURES)) for done in range(len(FIGURES) + 1)
    ]


def test_nothing_that_is_exported_tells_where_a_model_lies_on_this_machine(exported, tiny_model, tmp_path):
    to, keys = exported.to, exported.keys
    assert tiny_model.is_absolute()
    for path in to.rglob("*.*"):
        assert str(tiny_model.parent).encode() not in path.read_bytes(), path
    assert import_bundle(Store(tmp_path / "elsewhere"), to).new == tuple(sorted(keys))
    assert Store(tmp_path / "elsewhere").load(keys[0]).spec.model == tiny_model.name
