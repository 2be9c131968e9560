"""iclviz: what in-context learning does inside a language model, and whether that goes with better behaviour.

The public names are resolved when first used, so that importing the package alone loads neither torch nor streamlit.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "run": "iclviz.api",
    "run_spec": "iclviz.api",
    "sweep": "iclviz.api",
    "run_study": "iclviz.api",
    "effect_map": "iclviz.api",
    "trace": "iclviz.api",
    "plan": "iclviz.api",
    "runs": "iclviz.api",
    "load": "iclviz.api",
    "Demonstrations": "iclviz.spec",
    "RunSpec": "iclviz.spec",
    "Recording": "iclviz.recording",
    "EffectMap": "iclviz.maps",
    "Trace": "iclviz.maps",
    "Span": "iclviz.spans",
    "UserError": "iclviz.errors",
    "analysis": "iclviz.analysis",
    "figures": "iclviz.figures",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'iclviz' has no attribute {name!r}")
    module = import_module(_HOME[name])
    return module if _HOME[name] == f"iclviz.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
