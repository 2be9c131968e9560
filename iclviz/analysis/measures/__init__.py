"""The measures by layer, one file each: every module here, and every file of one's own, that has a `MEASURE`."""

from collections.abc import Iterable
from functools import lru_cache
from types import ModuleType

from iclviz import extensions
from iclviz.analysis.measure import STANDARD, TAKEN, Measure, MeasureOption, Measuring
from iclviz.analysis.measures_of_ones_own import guarded
from iclviz.errors import AnalysisError, UserError, unknown
from iclviz.recording import Recording

__all__ = ["Measuring", "all_measures", "measure_named", "present"]


def all_measures() -> dict[str, Measure]:
    """Every measure by name, in the order of pages."""
    return _registered(tuple(extensions.modules(__name__)))


@lru_cache(maxsize=8)
def _registered(modules: tuple[ModuleType, ...]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    of_files: dict[str, str] = {}
    for module in modules:
        made, file = getattr(module, "MEASURE", None), extensions.called(module)
        if not isinstance(made, Measure):
            raise _unfit(file, "it has no MEASURE that is an instance of a Measure")
        _check(made, file)
        if made.name in found:
            raise UserError(
                f"Two measures are called {made.name}, of {of_files[made.name]} and of {file}.",
                "Give one of them another name.",
            )
        of_files[made.name] = file
        found[made.name] = guarded(made, file) if extensions.is_own(module) else made
    return dict(sorted(found.items(), key=lambda entry: (entry[1].order, entry[0])))


def _check(made: Measure, file: str) -> None:
    """Refuse what does not say what a measure is.

    Raises
    ------
    UserError: so; it names the file and what is wrong.
    """
    for attribute in ("name", "title", "axis", "about", "page", "figure"):
        if not isinstance(getattr(made, attribute, None), str):
            raise _unfit(file, f"it has no text {attribute}")
    if not made.name.isidentifier():
        raise _unfit(file, f"its name {made.name!r} is no plain name")
    if not isinstance(made.order, int | float) or made.first_layer not in (0, 1):
        raise _unfit(file, "its order is no number, or its first_layer neither 0 nor 1")
    if not isinstance(made.options, tuple) or not all(isinstance(one, MeasureOption) for one in made.options):
        raise _unfit(file, "its options are no tuple of MeasureOption")
    pages = [path.stem for path in extensions.page_files()]
    if made.page not in pages:
        raise _unfit(file, f"there is no page {made.page!r}; known: {', '.join(pages)}")
    for option in made.options:
        if STANDARD.get(option.name, option) is not option or not option.name.isidentifier() or option.name in TAKEN:
            raise _unfit(file, f"its option {option.name!r} has a name that is taken, or no plain one")


def _unfit(file: str, reason: str) -> UserError:
    return UserError(f"The measure of {file} does not fit: {reason}.", "Mend it or take it away.")


def asked(measure: str, measuring: Measuring | None) -> tuple[Measure, Measuring]:
    """The measure of that name, and how it is made: as usual where that is None.

    Raises
    ------
    AnalysisError: there is none, or something is chosen that no measure leaves open.
    """
    kind, measuring = measure_named(measure), measuring or Measuring()
    known = {option.name for one in all_measures().values() for option in one.options}
    for name in measuring.own:
        if name not in known:
            raise unknown(AnalysisError, "option of measures", name, sorted(known))
    return kind, measuring


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


def present(recordings: Iterable[Recording], measuring: Measuring) -> dict[str, Measure]:
    """The measures of which all of some recordings may have a value, by name."""
    several = list(recordings)
    return {name: one for name, one in all_measures().items() if not any(one.absent(run, measuring) for run in several)}
