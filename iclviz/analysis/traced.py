"""Whether a trace and a recording belong together."""

from iclviz.errors import AnalysisError
from iclviz.maps import Trace
from iclviz.recording import Recording


def check_traced(pair: tuple[Trace, Recording], kind: str, what: str) -> None:
    """Refuse what is no trace of a kind, what it is of in words, with the recording of its run.

    Raises
    ------
    AnalysisError: so.
    """
    made, recording = pair
    if made.tracer.kind != kind:
        raise AnalysisError(f"This is no trace of {what}.", f'Make one with iclviz.trace(run, "{kind}").')
    if list(made.item_ids) != list(recording.item_ids):
        raise AnalysisError("The trace and the recording have different items.", "Take the trace of this run.")
