"""Models of `transformers` on torch, with the engine of `iclviz.capture`.

It imports them when it is at work, so that another backend can be chosen without them.
"""

from typing import Any

from iclviz.capture.backend import BackendModel, Memo
from iclviz.models.locating import LocatedModel
from iclviz.prompts import Tokenizer


class HuggingFace:
    """Runs every causal model that `transformers` loads."""

    def takes(self, located: LocatedModel) -> bool:
        """Whatever nobody else takes."""
        return True

    def tokenizer(self, located: LocatedModel, memo: Memo, trusted: bool) -> Tokenizer:
        """The model's tokenizer, converted to `tokenizer.json` first if it was not yet."""
        from iclviz.models.loading import ready_tokenizer

        tokenizer: Tokenizer = ready_tokenizer(located, memo, trusted)
        return tokenizer

    def load(self, located: LocatedModel, dtype: str | None, options: Any, memo: Memo) -> BackendModel:
        """The model, loaded; by all processes together, where several were started."""
        from iclviz.capture.hugging_face import HuggingFaceModel
        from iclviz.models.loading import load
        from iclviz.models.ranks import n_joined

        if n_joined() > 1:
            from iclviz.capture.tensor_parallel import SharedModel

            return SharedModel(located, dtype, options, memo)

        return HuggingFaceModel(load(located, dtype, options, memo=memo))


BACKEND = HuggingFace()
