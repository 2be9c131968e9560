"""Text shaded by attention: every text escaped, readable on its shade, shades in equal steps."""

import re
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st

from iclviz.figures import theme
from iclviz.ui import prompt_text
from tests.figures.samples import on_text

INK = {mode: theme.TEMPLATES[mode].layout.font.color for mode in theme.TEMPLATES}


@pytest.fixture
def shown(monkeypatch):
    """A function: the HTML of a text shaded by attention, without its style."""
    bodies = []
    monkeypatch.setattr(st, "html", bodies.append)

    def html(attention, *given):
        prompt_text.show_attention(attention, *given)
        return bodies[-1].partition("</style>")[2]

    return html


def over(background, share):
    """The colour of a shade over a page, as numbers from 0 to 1."""
    red, green, blue, opacity = (float(part) for part in re.findall(r"[\d.]+", prompt_text.shade(share)))
    page = np.array([int(background[at : at + 2], 16) for at in (1, 3, 5)])
    return (opacity * np.array([red, green, blue]) + (1 - opacity) * page) / 255


def luminance(colour):
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def lightness(colour):
    return 116 * luminance(colour) ** (1 / 3) - 16


def test_text_from_a_model_is_escaped_also_in_what_hover_says(shown):
    tokens = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&amp;", "\n", "", "'")
    html = shown(replace(on_text(), tokens=tokens), 0.5)
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</span>" in html
    assert "&amp;amp;</span>" in html
    assert html.count("<span class=") == len(tokens)


def test_each_token_says_its_mass_and_rank(shown):
    attention = replace(on_text(), mass=np.array([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125]))
    html = shown(attention, 0.25)
    assert re.search(r"token 1 “ &lt;b&gt;x&lt;/b&gt;”: 25 % of the attention, rank \d, relevant", html)
    assert "relevant" in html.partition("</div>")[0]
    assert ">0 %<" in html
    assert "25 %</span>" in html


def test_sinks_are_neutral_unless_the_scale_is_set_with_them(shown):
    assert shown(on_text(), 0.5).count("iclviz-sink") == 1
    assert shown(on_text(), 0.5, True).count("iclviz-sink") == 0


def test_the_strongest_shade_is_that_of_the_scale_s_end():
    assert prompt_text.shade(1) == prompt_text.shade(7) != prompt_text.shade(0.9)
    assert prompt_text.shade(0).endswith(", 0.0)")


@pytest.mark.parametrize("mode", theme.TEMPLATES)
def test_text_stays_readable_on_every_shade(mode):
    ink = luminance(over(INK[mode], 0))
    for share in np.linspace(0, 1, 21):
        behind = luminance(over(theme.BACKGROUND[mode], share))
        assert (max(ink, behind) + 0.05) / (min(ink, behind) + 0.05) >= 4.5


@pytest.mark.parametrize("mode", theme.TEMPLATES)
def test_equal_steps_of_mass_are_about_equal_steps_of_lightness(mode):
    values = [lightness(over(theme.BACKGROUND[mode], share)) for share in np.linspace(0, 1, 11)]
    steps = np.abs(np.diff(values))
    assert len({step > 0 for step in np.diff(values)}) == 1
    assert steps.max() < 1.6 * steps.min()
