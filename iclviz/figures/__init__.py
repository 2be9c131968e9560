"""Figures: one function a figure, results in, `plotly.graph_objects.Figure` out; no computing here.

`FIGURES` holds every figure of this package by name. A figure's `layout.meta` has its `name` and its `caption`.
"""

from importlib import import_module
from pkgutil import iter_modules

from iclviz.figures.registry import FIGURES, table
from iclviz.figures.theme import apply

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FIGURES", "apply", "table"]
