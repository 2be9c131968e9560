"""Numbers that are none: NaN and infinity, as a 16-bit dtype gives where a state is too large for it.

They are looked for in what is computed anyway. One state that is none makes the sum over an empty mask none, whichever
token it is of, and a logit that is none is the largest.
"""

from iclviz.errors import ModelError

_DAMAGED = "where that does not help, fetch or save the model again."
REMEDIES = {
    "float16": f"Take the dtype float32, or bfloat16, which holds as large numbers; {_DAMAGED}",
    "bfloat16": f"Take the dtype float32; {_DAMAGED}",
}
"""Dtype -> what to do; of others the weights are at fault."""


class NoNumberError(Exception):
    """A prompt, by its index, of which something that is recorded is no number, and what that is."""

    def __init__(self, prompt: int, what: str) -> None:
        self.prompt, self.what = prompt, what
        super().__init__(f"prompt {prompt}: {what}")


def no_numbers(model: str, dtype: str, where: str = "") -> ModelError:
    """The error of a model that computes something else than numbers."""
    damaged = "its weights are too large for this dtype, or damaged" if dtype in REMEDIES else "its weights are damaged"
    remedy = REMEDIES.get(dtype, "Fetch or save the model again.")
    return ModelError(f"{model} computes no numbers in {dtype}: {damaged}{f' ({where})' if where else ''}.", remedy)
