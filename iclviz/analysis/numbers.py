"""Numbers that are none in a recording, as earlier versions kept them where a 16-bit dtype had overflowed."""

import numpy as np

from iclviz.recording import Recording


def overflowed(recording: Recording) -> str:
    """Whose attention is no number, and from which block on, as a sentence; "" where all of it is.

    A state that is none leaves none in the attention of every later token, so that one role's tells.
    """
    role = next(iter(recording.attention))
    wrong = ~np.isfinite(recording.attention[role] + recording.attention_last[role]).all(axis=2)
    if not wrong.any():
        return ""
    items, block = int(wrong.any(axis=1).sum()), int(np.argmax(wrong.any(axis=0))) + 1
    dtype = recording.environment.get("dtype") or recording.spec.dtype or "its dtype"
    return (
        f"the attention of {items} of {recording.n_items} items is no number, from block {block} on: the model "
        f"computed none in {dtype}. Results leave out what is not finite; run it again with the dtype bfloat16 or "
        "float32."
    )
