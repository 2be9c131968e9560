import json
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from samples import DRAWN, drawn

from iclviz.figures import FIGURES, apply, table


def test_every_figure_has_a_sample():
    assert set(DRAWN) == set(FIGURES)


@pytest.mark.parametrize("name", DRAWN)
def test_it_is_written_as_json_and_read_back(name):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(drawn(name).to_json(), parse_constant=refuse)
    assert len(go.Figure(read).data) == len(drawn(name).data)


@pytest.mark.parametrize("name", DRAWN)
def test_it_stands_alone(name):
    """Title, axis titles, a name for files and a caption of two sentences."""
    figure = drawn(name)
    assert figure.layout.title.text
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    assert figure.layout.meta["name"] == name
    assert len(re.findall(r"[.!?](?= [A-Z“]|$)", figure.layout.meta["caption"])) == 2
    assert figure.layout.meta["caption"].endswith(".")
    assert not re.search("[{}]", "".join(figure.layout.meta.values()))


@pytest.mark.parametrize("name", DRAWN)
def test_whatever_has_a_name_has_a_hover(name):
    for trace in drawn(name).data:
        if trace.name:
            assert trace.hovertemplate
        else:
            assert trace.hoverinfo == "skip"


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_mode_changes_the_template_alone(name, mode):
    figure = drawn(name)
    changed = apply(figure, mode)
    assert json.loads(changed.to_json())["data"] == json.loads(figure.to_json())["data"]
    assert changed.layout.meta == figure.layout.meta
    assert changed.layout.template.layout.paper_bgcolor == {"light": "#FFFFFF", "dark": "#14171C"}[mode]


@pytest.mark.parametrize("name", DRAWN)
def test_its_table_has_columns_of_one_length_and_plain_values(name):
    columns = table(drawn(name))
    assert len({len(values) for values in columns.values()}) == 1
    assert columns["series"]
    assert all(value is None or np.isfinite(value) for values in columns.values() for value in values if _number(value))
    json.dumps(columns, allow_nan=False)


def _number(value):
    return isinstance(value, (int, float))
