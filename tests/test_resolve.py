from pathlib import Path

import pytest

from iclviz.models import seen
from iclviz.models.locating import LocatedModel
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec


@pytest.fixture(autouse=True)
def any_model(monkeypatch):
    """Every model's name is a hub id that is on this disk."""
    monkeypatch.setattr(seen, "locate", lambda name: LocatedModel(name, "hub", Path(name), name, "weights"))


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        (RunSpec("org/model", "linear_regression"), "1e08684887eb7c5c082d8afb13da438a"),
        (
            RunSpec("org/model", "prompt_injection", Demonstrations("correct", 2, 1), 30),
            "510c9179b4a9e9ad779329b562234612",
        ),
    ],
)
def test_keys_of_specs_without_attention_items_stay_as_they_are(spec, known):
    """They change only with a version of the prompts, the capture or the task."""
    assert resolve(spec).key == resolve(spec.with_(attention_items=())).key == known


def test_attention_items_are_part_of_the_key_whatever_their_order():
    spec = RunSpec("org/model", "linear_regression")
    keys = [resolve(spec.with_(attention_items=items)).key for items in ((0, 3), [3, 0, 3], (0,), ())]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_the_day_and_the_thinking_of_a_chat_are_resolved_and_no_part_of_a_plain_run(tiny_model):
    asked = RunSpec(str(tiny_model), "linear_regression", n_items=8)
    assert resolve(asked).spec.template == {}
    assert resolve(asked.with_(template={"date": "2026-03-01"})).key == resolve(asked).key
    chat = resolve(asked.with_(prompt_style="chat"))
    assert chat.spec.template == {"date": "2025-01-01", "enable_thinking": False}
    later = resolve(asked.with_(prompt_style="chat", template={"date": "2026-03-01"}))
    assert later.key != chat.key
    assert later.spec.template["date"] == "2026-03-01"
    assert resolve(chat.spec).key == chat.key
