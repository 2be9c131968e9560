import json

import pytest

import iclviz
from iclviz.planning.__main__ import answer
from iclviz.spec import canonical_json


@pytest.mark.usefixtures("at_once")
def test_a_line_is_answered_with_a_line(tiny_model):
    spec = iclviz.RunSpec(str(tiny_model), "reading_comprehension", iclviz.Demonstrations("correct", 1), 4)
    found = json.loads(answer(canonical_json(spec.to_dict())))
    assert found["lines"][0].startswith("model ")
    assert found["memory"]["total"] > 0
    wrong = json.loads(answer(canonical_json(spec.with_(model="nothing").to_dict())))
    assert "There is no model" in wrong["problem"]
