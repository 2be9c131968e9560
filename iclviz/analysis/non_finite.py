"""Numbers that are none in a recording of an earlier version: of an overflowed dtype, or of an endless answer."""

from collections.abc import Iterator

import numpy as np

from iclviz.recording import Recording


def not_numbers(recording: Recording) -> list[str]:
    """What of a recording is no number, and what to do about it, in sentences; [] where all of it is."""
    return [*_attention(recording), *_scores(recording)]


def _attention(recording: Recording) -> Iterator[str]:
    """A state that is none leaves none in the attention of every later token, so that one role's tells."""
    role = next(iter(recording.attention))
    wrong = ~np.isfinite(recording.attention[role] + recording.attention_last[role]).all(axis=2)
    if wrong.any():
        items, block = int(wrong.any(axis=1).sum()), int(np.argmax(wrong.any(axis=0))) + 1
        dtype = recording.environment.get("dtype") or recording.spec.dtype or "its dtype"
        yield (
            f"The attention of {items} of {recording.n_items} items is no number, from block {block} on: the model "
            f"computed none in {dtype}. Results leave out what is not finite; run it again with the dtype bfloat16 or "
            "float32."
        )


def _scores(recording: Recording) -> Iterator[str]:
    for name, values in recording.scores.items():
        if endless := int(np.isinf(np.asarray(values, dtype=float)).sum()):
            yield f"The score {name} of {endless} of {recording.n_items} items is infinite, and left out."
