"""Measures of one's own: what is refused, and that a fault of one is told and takes nothing else with it."""

import numpy as np
import pytest

from iclviz import analysis, extensions
from iclviz.analysis.measures import Measuring, all_measures
from iclviz.errors import AnalysisError, UserError
from iclviz.questions.codec import encode
from iclviz.reporting.export import export
from iclviz.reporting.methods import methods

GOOD = """
import numpy as np
from iclviz.analysis.measure import POOLING, ROWS, MeanOverItems, MeasureOption, offered

class Mine(MeanOverItems):
    name, title, axis, about = "mine", "a measure", "A measure", "What it is."
    page = "rsa"

    def of_items(self, recording, measuring, items):
        return np.ones((len(items), recording.n_layers + 1)) + np.asarray(items)[:, None]

    def methods(self, recordings, measuring, titles, used):
        return f"Mine was measured over {measuring.value(ROWS, recordings[0])}."

MEASURE = Mine()
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function: put a file into a folder of measures of one's own."""
    monkeypatch.setenv(extensions.SETTING, str(tmp_path / "own"))
    monkeypatch.setenv("BROWSER_PATH", "")
    (tmp_path / "own" / "measures").mkdir(parents=True)

    def write(text, name="mine.py"):
        (tmp_path / "own" / "measures" / name).write_text(text)

    return write


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("MEASURE = Mine()", "MEASURE = Mine", "no MEASURE that is an instance"),
        ("MEASURE = Mine()", "", "no MEASURE"),
        ('name, title, axis, about = "mine", ', 'title, axis, about = ', "no text name"),
        ('page = "rsa"', "", "no text page"),
        ('page = "rsa"', 'page = "nope"', "there is no page 'nope'; known: attention"),
        ('"A measure", "What it is."', '3, "What it is."', "no text axis"),
        ('"mine", "a', '"m m/x", "a', "no plain name"),
        ('page = "rsa"', 'page, order = "rsa", "x"', "its order is no number"),
        ('page = "rsa"', 'page, first_layer = "rsa", 2', "first_layer neither 0 nor 1"),
        ('page = "rsa"', 'page, options = "rsa", [POOLING]', "no tuple of MeasureOption"),
        ('page = "rsa"', 'page, options = "rsa", (MeasureOption("layer", "L", "", offered(1)),)', "'layer' has a name"),
        ('page = "rsa"', 'page, options = "rsa", (MeasureOption("rows", "M", "", offered(1)),)', "'rows' has a name"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_measure_is_refused_by_its_name(written, before, after, reason):
    assert before in GOOD
    written(GOOD.replace(before, after))
    with pytest.raises(
        UserError, match=r"The measure of mine\.py in .* does not fit: .*Mend it or take it away"
    ) as told:
        all_measures()
    assert reason in str(told.value)


def test_two_measures_of_one_name_are_told_with_both_files(written):
    written(GOOD)
    written(GOOD, "other.py")
    with pytest.raises(UserError, match=r"Two measures are called mine, of mine\.py in .* and of other\.py in"):
        all_measures()


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("return np.ones(", 'raise ValueError("boom") or np.ones(', "ValueError: boom"),
        ("recording.n_layers + 1", "recording.n_layers", r"gives an array \(12, 3\) where \(12, 4\) is asked"),
        ("np.ones((len(items), ", "np.ones((3, ", "broadcast"),
    ],
)
def test_a_fault_of_a_measure_is_told_and_takes_nothing_else_with_it(written, few_and_many, before, after, reason):
    plain = encode(analysis.headline(analysis.compare(*few_and_many), "log_accuracy"))
    assert before in GOOD
    written(GOOD.replace(before, after))
    with pytest.raises(AnalysisError, match=rf"The measure mine of mine\.py in .*{reason}"):
        analysis.measured(few_and_many[0], "mine")
    assert encode(analysis.headline(analysis.compare(*few_and_many), "log_accuracy")) == plain


def test_an_export_tells_of_a_measure_at_fault_and_holds_all_else(written, few_and_many, tmp_path):
    written(GOOD.replace("return np.ones(", 'raise ValueError("boom") or np.ones('))
    to = export([one.key for one in few_and_many], tmp_path / "out")
    assert "The measure mine of mine.py" in (to / "README.txt").read_text()
    assert (to / "figures" / "linear_regression" / "probe-by-layer.csv").is_file()


def test_the_methods_paragraph_tells_of_the_attention_that_figures_show(written, few_and_many):
    written(GOOD)
    assert "Mine was measured over last." in methods(list(few_and_many)).markdown


def test_what_one_condition_lacks_the_comparison_lacks(written, few_and_many):
    few, many = few_and_many
    text = GOOD.replace(
        "    def methods",
        f"    def absent(self, recording, measuring):\n"
        f"        return 'it is not there' if recording.key == {many.key!r} else None\n\n    def methods",
    )
    written(text)
    assert np.isfinite(analysis.measured(few, "mine").estimate).all()
    with pytest.raises(AnalysisError, match="There is no value of a measure: it is not there"):
        analysis.measured_change(analysis.compare(few, many), "mine")


def test_a_measure_that_is_nothing_in_all_items_has_no_interval_of_a_share(written, few_and_many):
    written(GOOD.replace("np.ones((len(items), recording.n_layers + 1)) + np.asarray(items)[:, None]",
                         "np.zeros((len(items), recording.n_layers + 1))"))  # fmt: skip
    found = analysis.measured(few_and_many[0], "mine")
    assert not found.estimate.any()
    assert not found.low.any()
    assert not found.high.any()


def test_a_figure_that_there_is_not_is_told_and_takes_nothing_else_with_it(written, few_and_many, tmp_path):
    written(GOOD.replace('page = "rsa"', 'page, figure = "rsa", "nope"'))
    to = export([one.key for one in few_and_many], tmp_path / "out")
    assert "Unknown figure 'nope'. Known: " in (to / "README.txt").read_text()
    assert (to / "figures" / "linear_regression" / "probe-by-layer.csv").is_file()


def test_a_work_that_nobody_knows_is_told_where_it_is_cited(written, few_and_many):
    written(GOOD.replace('f"Mine was measured over', 'f"Mine [@nobody2026; @yousefi2023incontext] was measured over'))
    made = methods(list(few_and_many))
    assert "[The measure mine does not say what nobody2026 is.]" in made.markdown
    assert "nobody2026" not in made.bibtex


def test_what_no_measure_leaves_open_cannot_be_chosen(few_and_many):
    for ask in (analysis.measured, analysis.right_against_wrong):
        with pytest.raises(AnalysisError, match=r"Unknown option of measures 'nope'\. Known: .*neighbours"):
            ask(few_and_many[0], "alignment", Measuring(own={"nope": 1}))
