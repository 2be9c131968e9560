"""Figures: one function a figure, results in, `plotly.graph_objects.Figure` out; no computing here.

`FIGURES` holds every figure of this package by name, and each of its functions is also an attribute of the package. A
figure's `layout.meta` has its `name` and its `caption`. Its modules are read when one of these is first asked for, so
that colours alone do not cost the analyses' imports.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from iclviz.figures import registry
from iclviz.figures.registry import has_values, table
from iclviz.figures.theme import apply

__all__ = ["FIGURES", "apply", "has_values", "table"]


def __getattr__(name: str) -> Any:
    modules = [module.name for module in iter_modules(__path__)]
    if name.startswith("__") or name in modules:  # one of our own modules is being imported
        raise AttributeError(name)
    for module in modules:
        import_module(f"{__name__}.{module}")
    if name == "FIGURES":
        return registry.FIGURES
    for draw in registry.FIGURES.values():
        if draw.__name__ == name:
            return draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
