"""A model's tokenizer, without torch: what a page needs to show an exact prompt and to count its tokens.

`tokenizer.json` holds the whole tokenizer, and `PreTrainedTokenizerFast` reads it as it is. A folder with only a
SentencePiece file, and a `.gguf` file, are converted once by `iclviz.models.loading`, which may use torch; the result
lies in the cache under the model's identity and is found here from then on.
"""

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iclviz.errors import ModelError
from iclviz.models.folders import FAST_TOKENIZER
from iclviz.models.identity import identity
from iclviz.models.locating import LocatedModel, converted_folder

CONVERSION = 2
"""Raised when conversion gives other tokenizers."""

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def load_tokenizer(located: LocatedModel, memo: MutableMapping[str, Any] | None = None) -> "PreTrainedTokenizerFast":
    """The model's tokenizer, with its own chat template or, where it ships none, its preset's.

    Parameters
    ----------
    memo: handed on to `identity`, which is asked only for a tokenizer that had to be converted.

    Raises
    ------
    ModelError: the model is not on disk, its tokenizer is not converted yet, or it cannot be read.
    """
    from transformers import PreTrainedTokenizerFast

    folder = tokenizer_folder(located, memo)
    if folder is None:
        raise ModelError(
            f"The tokenizer of {located.name} is not ready yet.", "Token counts come after the model's first run."
        )
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # the tokenizers package raises bare Exceptions for files it cannot read
        raise ModelError(
            f"The tokenizer in {folder} cannot be read: its files are damaged, or of a newer form than is known here.",
            "Fetch or copy the model again.",
        ) from error
    if not tokenizer.chat_template and located.preset and located.preset.chat_template:
        tokenizer.chat_template = located.preset.chat_template.read_text(encoding="utf-8")
    return tokenizer


def tokenizer_folder(located: LocatedModel, memo: MutableMapping[str, Any] | None = None) -> Path | None:
    """The folder that holds the model's `tokenizer.json`: its own, or the converted one; None if there is none yet."""
    if located.path is None:
        return None
    if located.kind != "gguf" and (located.path / FAST_TOKENIZER).is_file():
        return located.path
    converted = converted_tokenizer(located, memo)
    return converted if (converted / FAST_TOKENIZER).is_file() else None


def converted_tokenizer(located: LocatedModel, memo: MutableMapping[str, Any] | None = None) -> Path:
    """Where the model's converted tokenizer lies, whether or not it is there yet."""
    return converted_folder() / f"{identity(located, memo)}-{CONVERSION}"
