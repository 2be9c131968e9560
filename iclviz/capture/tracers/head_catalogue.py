"""Head catalogue: what the heads of a model attend to in random tokens that are written twice (Olsson et al. 2022,
arXiv:2209.11895).

Each sequence is n different ordinary tokens, twice, after the first token that the model reads. From a token i of the
second copy a head attends to

1. i - (n - 1), what followed the same token before: induction;
2. i - 1: the previous token;
3. i - n, the same token before: duplicate.

Each score is the mean of these weights over the second copy. Beside each stands its control: the mean at the same
places of a sequence of as many tokens of which none is repeated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.errors import SpecError
from iclviz.mapping import Texts, Tracer
from iclviz.typed import check_whole

if TYPE_CHECKING:
    from iclviz.capture.tracing import Traced
    from iclviz.prompts import TokenizedPrompt

OLSSON = r"""@article{olsson2022incontext,
  title   = {In-context Learning and Induction Heads},
  author  = {Olsson, Catherine and Elhage, Nelson and Nanda, Neel and others},
  journal = {Transformer Circuits Thread},
  year    = {2022},
  note    = {arXiv:2209.11895}
}"""

KINDS = ("induction", "previous", "duplicate")
BATCH = 8


@dataclass(frozen=True, kw_only=True)
class HeadCatalogue(Tracer):
    """sequences: how many are read; n: different tokens of each."""

    kind = "head_catalogue"
    title = "Head catalogue"
    example = "head_catalogue"
    question = "What kind of head is each?"
    blind = (
        "Random tokens show what a head does by position and by sameness; what it does by meaning shows in none of "
        "these scores."
    )
    references = MappingProxyType({"olsson2022incontext": OLSSON})
    arrays = MappingProxyType({**dict.fromkeys(KINDS, "LH"), **{f"{name}_control": "LH" for name in KINDS}})
    of_model = True
    sequences: int = 16
    n: int = 24

    def __post_init__(self) -> None:
        check_whole("sequences", self.sequences, 1, 10_000)
        check_whole("n", self.n, 3, 1000)

    def rows(self, item_ids: Sequence[str]) -> list[str]:
        """The sequences."""
        return [f"sequence-{number}" for number in range(self.sequences)]

    def sentence(self) -> str:
        """What was read."""
        return f"{self.sequences} sequences of {self.n} random tokens, each written twice, were read"

    def traced(self, subject: "Traced", texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every sequence with its control."""
        begin = beginning(texts.prompts)
        ordinary = ordinary_tokens(subject.tokenizer)
        if len(ordinary) < 2 * self.n:
            raise SpecError(
                f"The tokenizer has {len(ordinary)} ordinary tokens, and {2 * self.n} are needed.", "Take a smaller n."
            )
        wanted = [number for number in range(self.sequences) if number not in there]
        for start in range(0, len(wanted), BATCH):
            some = wanted[start : start + BATCH]
            drawn = [np.random.default_rng(number).choice(ordinary, 2 * self.n, replace=False) for number in some]
            repeated = [[*begin, *one[: self.n].tolist() * 2] for one in drawn]
            fresh = [[*begin, *one.tolist()] for one in drawn]
            scores, controls = (self.scores(subject.attention(ids), len(begin)) for ids in (repeated, fresh))
            for place, number in enumerate(some):
                row = {name: values[place] for name, values in scores.items()}
                yield number, row | {f"{name}_control": values[place] for name, values in controls.items()}

    def scores(self, attention: Sequence[Any], n_before: int) -> dict[str, np.ndarray[Any, Any]]:
        """Name -> (B, L, H), of each block's weights (B, H, T, T); n_before: tokens before the first copy."""
        second = np.arange(n_before + self.n, n_before + 2 * self.n)
        keys = {"induction": second - (self.n - 1), "previous": second - 1, "duplicate": second - self.n}
        return {
            name: np.stack([one[:, :, second, at].float().mean(-1).cpu().numpy() for one in attention], axis=1)
            for name, at in keys.items()
        }


def beginning(prompts: "Sequence[TokenizedPrompt]") -> list[int]:
    """The special tokens with which all prompts begin."""
    first = [list(prompt.ids[:1]) if prompt.roles()[0] == "special" else [] for prompt in prompts[:1]]
    return first[0] if first else []


def ordinary_tokens(tokenizer: Any) -> np.ndarray[Any, Any]:
    """Ids of tokens that are a blank and letters; of all that are no special ones where there are few of these."""
    special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
    ids = [one for one in sorted(tokenizer.get_vocab().values()) if one not in special]
    texts = tokenizer.batch_decode([[one] for one in ids])
    words = [one for one, text in zip(ids, texts, strict=True) if text[:1] == " " and text[1:].isalpha()]
    return np.array(words if len(words) >= 1000 else ids)


TRACER = HeadCatalogue
