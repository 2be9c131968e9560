"""A measure of one's own that goes wrong says so in a sentence, and takes nothing else with it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from iclviz.analysis.measure import Measure, Measuring
from iclviz.errors import AnalysisError, UserError
from iclviz.recording import Array, Recording

COMPUTED = ("subject", "change_subject", "of_items", "resolution", "of_condition", "change", "words", "notes")
"""What others call of a measure and cannot go on without."""


def guarded(measure: Measure, file: str) -> Measure:
    """The measure, whose own faults are told as what cannot be computed; file: what its file is called."""
    measure.of_items = _of_right_shape(measure, measure.of_items, file)  # type: ignore[method-assign]
    for name in COMPUTED:
        setattr(
            measure, name, _told(getattr(measure, name), f"The measure {measure.name} of {file} cannot be computed")
        )
    measure.absent = _in_place(  # type: ignore[method-assign]
        measure.absent, f"{file} cannot say whether there is one"
    )
    measure.methods = _in_place(  # type: ignore[method-assign]
        measure.methods, f"[The measure {measure.name} of {file} says nothing of how it was made", "]"
    )
    return measure


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _told(method: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The method, whose faults are an error of the analysis."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except UserError:
            raise
        except Exception as error:
            raise AnalysisError(f"{what} ({_reason(error)}).", "Mend it or take it away.") from error

    return call


def _in_place(method: Callable[..., Any], what: str, end: str = "") -> Callable[..., Any]:
    """The method, whose faults are told in place of what it says."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except Exception as error:
            return f"{what} ({_reason(error)}){'.' if end else ''}{end}"

    return call


def _of_right_shape(measure: Measure, of_items: Callable[..., Array], file: str) -> Callable[..., Array]:
    @wraps(of_items)
    def call(recording: Recording, measuring: Measuring, items: Array) -> Array:
        found = np.asarray(of_items(recording, measuring, items))
        wanted = (len(items), recording.n_layers + 1 - measure.first_layer)
        if found.shape != wanted:
            raise AnalysisError(
                f"The measure {measure.name} of {file} gives an array {found.shape} where {wanted} is asked: an item a "
                f"row, a {measure.unit} a column.",
                "Mend it or take it away.",
            )
        return found

    return call
