"""A measure of one's own that goes wrong says so in a sentence, and takes nothing else with it."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any

import numpy as np

from iclviz.analysis.measure import Measure, Measuring
from iclviz.errors import AnalysisError
from iclviz.extensions import fault, telling
from iclviz.recording import Array, Recording

COMPUTED = ("subject", "change_subject", "of_items", "resolution", "of_condition", "change", "words", "notes")
"""What others call of a measure and cannot go on without."""


def guarded(measure: Measure, file: str) -> Measure:
    """A copy of the measure whose own faults are told as what cannot be computed; file: what its file is called."""
    own, whose = copy(measure), f"The measure {measure.name} of {file}"
    own.of_items = _of_right_shape(own, own.of_items, whose)  # type: ignore[method-assign]
    for name in COMPUTED:
        setattr(own, name, telling(getattr(own, name), AnalysisError, f"{whose} cannot be computed"))
    own.absent = _in_place(  # type: ignore[method-assign]
        own.absent, lambda reason: f"{file} cannot say whether there is one ({reason})"
    )
    own.methods = _in_place(  # type: ignore[method-assign]
        own.methods, lambda reason: f"[{whose} says nothing of how it was made ({reason}).]"
    )
    return own


def _in_place(method: Callable[..., Any], instead: Callable[[str], str]) -> Callable[..., Any]:
    """The method, whose faults are told in place of what it says."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except Exception as error:
            return instead(fault(error))

    return call


def _of_right_shape(measure: Measure, of_items: Callable[..., Array], whose: str) -> Callable[..., Array]:
    @wraps(of_items)
    def call(recording: Recording, measuring: Measuring, items: Array) -> Array:
        found = np.asarray(of_items(recording, measuring, items))
        wanted = (len(items), recording.n_layers + 1 - measure.first_layer)
        if found.shape != wanted:
            raise AnalysisError(
                f"{whose} gives an array {found.shape} where {wanted} is asked: an item a "
                f"row, a {measure.unit} a column.",
                "Mend it or take it away.",
            )
        return found

    return call
