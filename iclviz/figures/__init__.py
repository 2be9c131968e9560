"""Figures: one function a figure, results in, `plotly.graph_objects.Figure` out; no computing here.

`FIGURES` holds every figure of this package by name, and each of its functions is also an attribute of the package. A
figure's `layout.meta` has its `name` and its `caption`.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import plotly.graph_objects as go

from iclviz.figures.registry import FIGURES, table
from iclviz.figures.theme import apply

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FIGURES", "apply", "table"]


def __getattr__(name: str) -> Callable[..., go.Figure]:
    for draw in FIGURES.values():
        if draw.__name__ == name:
            return draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
