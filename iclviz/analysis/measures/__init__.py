"""The measures by layer, one file each: every module here, and every file of one's own, that has a `MEASURE`."""

from functools import lru_cache
from types import ModuleType

from iclviz import extensions
from iclviz.analysis.measure import Measure, Measuring
from iclviz.errors import AnalysisError, UserError, unknown

__all__ = ["Measuring", "all_measures", "measure_named"]


def all_measures() -> dict[str, Measure]:
    """Every measure by name, in the order of pages."""
    return _registered(tuple(extensions.modules(__name__)))


@lru_cache(maxsize=8)
def _registered(modules: tuple[ModuleType, ...]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for module in modules:
        made = getattr(module, "MEASURE", None)
        if not isinstance(made, Measure):
            raise UserError(f"{module.__name__} has no MEASURE.", "Make one of a class of iclviz.analysis.measure.")
        if made.name in found:
            raise UserError(f"Two measures are called {made.name}.", "Give one of them another name.")
        found[made.name] = made
    return dict(sorted(found.items(), key=lambda entry: (entry[1].order, entry[0])))


def measure_named(name: str) -> Measure:
    """The measure of that name.

    Raises
    ------
    AnalysisError: there is none.
    """
    known = all_measures()
    if name not in known:
        raise unknown(AnalysisError, "measure", name, list(known))
    return known[name]
