"""A recording: all that one run of one condition leaves, as arrays with named axes.

Letters of the shapes: n items, L blocks, H query heads, d model width, T tokens of one item's prompt + response.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from iclviz.errors import AnalysisError
from iclviz.keys import Origin, told_by_sample
from iclviz.recorders import recorder_of
from iclviz.spans import Mark, Span
from iclviz.spec import RunSpec

Array = NDArray[Any]


class NotRecordedError(AnalysisError, AttributeError):
    """A recording does not have an array; says how to record it."""

    def __init__(self, name: str) -> None:
        recorder = None if name.startswith("_") else recorder_of(name)
        remedy = f'Record it with record=("{recorder.name}",).' if recorder and recorder.is_optional else ""
        super().__init__(f"This recording has no {name}.", remedy)


@dataclass(frozen=True, eq=False)
class Recording:
    """What a model read, wrote, represented and attended to on the items of one condition.

    Attributes
    ----------
    spec, key: the resolved spec and its hex digest.
    item_ids: n strings, the same for the same item under any demonstrations.
    prompts, responses: n texts, as read and as generated.
    answers, parsed: n expected answers; n parsed responses, None where unparseable.
    prompt_ids, response_ids: n lists of token ids without padding; a generated end token counts as response.
    tokens: n lists of text pieces of prompt + response, which join to what was read and written.
    spans: n lists of spans of prompt + response; every token lies in exactly one.
    query_start: (n,) token index at which the item's own query begins.
    labels, scores: name -> (n,); the main score is defined for every item, others are NaN where unparseable.
    groups: name of a label or hypothesis -> (n,), the group of each item.
    covariates: name -> (n,), difficulty and length.
    factors: name -> (n,), what the design makes different between the items of a group; none in recordings that were
        made before there were any.
    hypotheses: name -> (n, n), symmetric; NaN = no prediction.
    embeddings: pooling -> (n, L + 1, d); layer 0 enters the first block, layer L leaves the last, before the final
        norm.
    attention: role -> (n, L, H) float32, attention mass on that role's tokens averaged over response tokens, up to
        the end of the parsed answer; roles sum to 1.
    attention_last: the same for the last prompt token's row.
    token_attention: place of an item -> (L, H, T), the same average as `attention` before it is summed over a role's
        tokens, of the spec's `attention_items`; 0 where no row could look. Kept in float16: sums over the tokens of a
        role are those of `attention` within 2e-3, except that what learned attention sinks take has no token.
    token_attention_last: the same for the last prompt token's row, as of `attention_last`.
    recorded: name -> what further recorders left, which the spec's `record` names; each array is also an attribute.
    marks: n lists of named token ranges of the prompt: `demonstration:i` all of one, `answer:i` its answer without the
        blank or line end after it, i from 0; none in recordings that were made before there were any.
    span_lengths: role -> (n,) tokens.
    timing, environment: seconds per stage and tokens per second; versions, device, dtype, attention way, batch plan,
        under "processes" how many shared the model if several did, and under "together" the keys of the runs that were
        planned together, of which batches were made.
    origin: what the key covers besides the spec; None in recordings made before it was kept.
    """

    spec: RunSpec
    key: str
    item_ids: Sequence[str]
    prompts: Sequence[str]
    responses: Sequence[str]
    answers: Sequence[str]
    parsed: Sequence[str | None]
    prompt_ids: Sequence[list[int]]
    response_ids: Sequence[list[int]]
    tokens: Sequence[list[str]]
    spans: Sequence[list[Span]]
    query_start: Array
    labels: Mapping[str, Array]
    scores: Mapping[str, Array]
    groups: Mapping[str, Array]
    covariates: Mapping[str, Array]
    hypotheses: Mapping[str, Array]
    embeddings: Mapping[str, Array]
    attention: Mapping[str, Array]
    attention_last: Mapping[str, Array]
    span_lengths: Mapping[str, Array]
    factors: Mapping[str, Array] = field(default_factory=dict)
    token_attention: Mapping[int, Array] = field(default_factory=dict)
    token_attention_last: Mapping[int, Array] = field(default_factory=dict)
    recorded: Mapping[str, Array] = field(default_factory=dict)
    marks: Sequence[Sequence[Mark]] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None

    def __post_init__(self) -> None:
        if not self.marks:
            object.__setattr__(self, "marks", [[] for _ in self.item_ids])

    if not TYPE_CHECKING:  # a misspelled attribute of a typed recording stays a mistake

        def __getattr__(self, name: str) -> Array:
            """A further recorder's array.

            Raises
            ------
            NotRecordedError: this recording does not have it.
            """
            if name in (found := self.__dict__.get("recorded", {})):
                return found[name]
            raise NotRecordedError(name)

    def array(self, name: str) -> Array:
        """A further recorder's array.

        Raises
        ------
        NotRecordedError: this recording does not have it.
        """
        if name not in self.recorded:
            raise NotRecordedError(name)
        return self.recorded[name]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def by_sample(self) -> bool:
        """Whether the key tells the model's files by a sample of the weights, as keys of local models once did: weights
        that were changed by hand may have made this recording.
        """
        return told_by_sample(self.origin, self.environment)

    @cached_property
    def n_layers(self) -> int:
        """Number of blocks, L."""
        return int(next(iter(self.attention.values())).shape[1])
