import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iclviz.tasks.spelling import alike, visible


@pytest.mark.parametrize(
    "other",
    [
        "cafe\u0301 noir",
        "caf\u00e9\u00a0noir",
        "caf\u00e9  noir",
        " caf\u00e9\tnoir\n",
        "\ufeffcaf\u00e9 noir",
        "caf\u00e9\u200b noir",
        "ca\u00adf\u00e9 noir",
        "caf\u00e9 no\u200dir",
        "caf\u00e9 no\u200cir",
        "\u202acaf\u00e9 noir\u202c",
        "caf\u00e9\u2009noir\ufe0f",
        "cafe\u034f\u0301 noir",
        "caf\u00e9\u3000noir\u3164",
    ],
)
def test_texts_that_look_alike_have_one_form(other):
    assert alike(other) == alike("caf\u00e9 noir") == "caf\u00e9 noir"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u0915\u094d\u0937", "\u0915\u094d\u200d\u0937"),  # a conjunct, and its half form before a letter
        ("\u0645\u06cc\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),  # Persian
        ("\U0001f468\U0001f469", "\U0001f468\u200d\U0001f469"),  # two people, and a couple
        ("\u2764\U0001f525", "\u2764\ufe0f\u200d\U0001f525"),
        ("Cat", "cat"),
        ("new york", "newyork"),
    ],
)
def test_texts_that_look_otherwise_stay_apart(one, other):
    assert alike(one) != alike(other)


@given(st.text(max_size=12))
def test_the_form_is_its_own_form_and_composed(text):
    assert alike(alike(text)) == alike(text)
    assert unicodedata.is_normalized("NFC", visible(text))
