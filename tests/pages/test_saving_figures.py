import io

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from iclviz.reporting import figure_files


def page():
    import sys
    from pathlib import Path

    import iclviz

    sys.path.insert(0, str(Path(iclviz.__file__).parents[1] / "tests" / "figures"))
    from samples import drawn

    from iclviz.ui.figure import show

    show(drawn("alignment-by-layer"), "one of two")


NAME = "alignment-by-layer-one-of-two"


@pytest.fixture
def opened():
    """The page with its figure's popover open."""
    test = AppTest.from_function(page, default_timeout=60)
    test.session_state[f"save-{NAME}"] = True
    return test.run()


def buttons(test):
    return test.get("download_button")


def test_nothing_is_drawn_for_saving_before_it_is_asked_for():
    test = AppTest.from_function(page, default_timeout=60).run()
    assert not test.exception
    assert not buttons(test)
    assert not test.dataframe


def test_every_kind_of_file_has_a_button_with_a_help(opened):
    assert not opened.exception
    assert [button.label for button in buttons(opened)] == ["PNG", "SVG", "PDF", "HTML", "CSV", "Parquet"]
    assert all(button.help for button in buttons(opened))


def test_the_size_changes_what_a_png_file_can_have(opened):
    assert [control.label for control in opened.segmented_control] == ["Size", "PNG resolution"]
    assert opened.segmented_control[1].options == ["1×", "2×", "3×", "4×"]
    opened.segmented_control[0].set_value("single column").run()
    assert opened.segmented_control[1].options == ["300 dpi", "600 dpi"]
    assert not opened.exception


def test_without_a_browser_images_are_disabled_and_say_why(monkeypatch):
    monkeypatch.setattr(figure_files, "browser", lambda: None)
    test = AppTest.from_function(page, default_timeout=60)
    test.session_state[f"save-{NAME}"] = True
    disabled = {button.label: button.help for button in buttons(test.run()) if button.disabled}
    assert set(disabled) == {"PNG", "SVG", "PDF"}
    assert "apt install chromium" in disabled["PNG"]


def test_the_numbers_are_shown_as_a_table(opened):
    opened.toggle[0].set_value(True).run()
    from samples import drawn

    written = pd.read_csv(io.BytesIO(figure_files.csv(drawn("alignment-by-layer"))))
    assert len(opened.dataframe[0].value) == len(written)
