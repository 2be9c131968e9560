from itertools import combinations

import numpy as np
import pytest

from iclviz.figures import theme
from iclviz.spans import ROLES

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])

SIGHT = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""

PALETTES = {
    "roles": list(theme.ROLES.values()),
    "conditions": [*theme.CONDITIONS, theme.HYPOTHESIS, theme.CHANCE],
    "series": list(theme.SERIES),
    "categories": list(theme.CATEGORIES),
}


def linear(colour):
    channels = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other):
    darker, lighter = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def test_every_role_has_a_colour():
    assert tuple(theme.ROLES) == ROLES


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_can_be_read_on_both_backgrounds(palette, mode):
    for colour in PALETTES[palette]:
        assert contrast(colour, theme.BACKGROUND[mode]) >= 3


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart_with_any_colour_vision(palette, sight):
    seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in PALETTES[palette]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 14


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(mode):
    layout = theme.TEMPLATES[mode].layout
    for colour in (layout.font.color, layout.title.subtitle.font.color, layout.xaxis.title.font.color):
        assert contrast(colour, layout.paper_bgcolor) >= 4.5


def test_the_diverging_scale_is_light_in_its_middle_and_equally_dark_at_its_ends():
    lightness = [lab(linear(colour))[0] for colour in theme.DIVERGING]
    assert np.argmax(lightness) in (4, 5)
    assert abs(lightness[0] - lightness[-1]) < 15
