"""The tokenizer that a plan counts with: the model's own, or where that is not there one that cuts about alike."""

from collections.abc import Sequence
from typing import Any

from iclviz.models.folders import FAST_TOKENIZER, SLOW_TOKENIZERS
from iclviz.models.loading import ready_tokenizer
from iclviz.models.locating import LocatedModel

PIECE = r" ?\p{L}{1,8}| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s"
"""What is about one token of a vocabulary of some ten thousand: most words are one, and each digit is."""

PLAIN_CHAT = "{% for message in messages %}{{ message.content }}{% endfor %}"


def own_tokenizer(located: LocatedModel, memo: Any, trusted: bool = False) -> Any:
    """The model's tokenizer, None where it is not on this disk."""
    path = located.path
    if path is None:
        return None
    names = (FAST_TOKENIZER, *SLOW_TOKENIZERS)
    if located.kind != "gguf" and not any((path / name).is_file() for name in names):
        return None
    return ready_tokenizer(located, memo, trusted)


def pieces_tokenizer(texts: Sequence[str]) -> Any:
    """A tokenizer of the pieces of these texts: what they share stays shared, and lengths are about right."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    trainer = trainers.WordLevelTrainer(vocab_size=2**20, special_tokens=["<unknown>", "<s>"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    made.chat_template = PLAIN_CHAT
    return made
