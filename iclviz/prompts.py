"""Segments -> text and character spans -> tokens and token spans. The only place that knows offsets.

1. A prompt is a list of segments: instruction, demonstrations, query. Joined, they are the text ("plain") or the one
   user message of the model's chat template ("chat"), whose markup then has the role `special`.
2. The whole text is tokenised once. Tokens are laid end to end over the text, so that their pieces join to it exactly
   also where a tokenizer's offsets leave out blanks or repeat a character that several tokens share.
3. A token belongs to the segment that holds most of its characters by the tokenizer's own offsets. Blanks count where
   a token has nothing else: many tokenizers take the blank before a word into its token, and some all of them. Tokens
   that the tokenizer adds are `special`.
   A mark has the tokens more than half of whose characters, counted likewise, lie in it.
4. A prompt's first token takes 30 to 40 % of all attention whatever it says (a sink), so it belongs to no content:
   where the tokenizer adds none, a start token is put before a plain prompt, or a line break where the vocabulary has
   none.
5. Where the tokens of one candidate answer begin those of another, the shorter could only win: it would be scored as
   the beginning of both. There every candidate of the prompt has the token that begins what ends an answer: the line
   break that follows a solved example, or in a chat what the template puts after an answer.

Nothing here knows torch: any fast tokenizer of `transformers` will do.
"""

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from iclviz.errors import ModelError, SpecError
from iclviz.spans import Mark, Role, Segment, Span
from iclviz.spec import TEMPLATE, FirstToken, PromptStyle, canonical_json, digest

START_TOKENS = ("<|endoftext|>", "<|begin_of_text|>", "<s>", "<bos>")
"""Special tokens that stand between the documents that models are trained on, where the tokenizer names none."""

NEUTRAL_LEAD = "\n"
"""What stands before a plain prompt of a model that knows no start token."""

CONTEXT_TOKENS = 4
"""Prompt tokens that are decoded together with a response: SentencePiece drops a blank at the start of a text."""


_RENDERING = Lock()
"""One chat template at a time: what they read is put in place of what is there for all."""


class Tokenizer(Protocol):
    """What is asked of a fast tokenizer."""

    chat_template: str | None
    bos_token: str | None
    eos_token: str | None
    all_special_ids: list[int]
    all_special_tokens: list[str]
    added_tokens_decoder: Mapping[int, Any]

    def __call__(self, text: str, **options: Any) -> Any:
        """Tokenise a text."""

    def decode(self, token_ids: Sequence[int], **options: Any) -> str:
        """The text of token ids."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """The text that a conversation becomes."""


@dataclass(frozen=True)
class Prompt:
    """What the model is to read for one item, before any tokenizer.

    Attributes
    ----------
    context: instruction and demonstrations.
    query: the item's own text, from the end of the demonstrations to the end of the prompt.
    candidates: answers whose log-probability is wanted, the right one first, each as it would follow the plain text.
    ending: what follows an answer in plain text, as after a solved example.
    """

    context: tuple[Segment, ...]
    query: tuple[Segment, ...]
    candidates: tuple[str, ...] = ()
    ending: str = NEUTRAL_LEAD

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Context and query in reading order."""
        return self.context + self.query

    @property
    def text(self) -> str:
        """The prompt without any chat markup."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True)
class RenderedPrompt:
    """The exact text that the model reads, in labelled pieces.

    Attributes
    ----------
    segments: pieces that join to the text, chat markup included.
    query_index: index of the first segment of the query.
    candidates: candidate answers as they would follow the text.
    adds_special: whether the tokenizer adds its own special tokens (it does in plain style; a template brings them).
    has_lead: whether the first token is kept apart from all content, whatever characters it holds.
    ending: what follows an answer, and what may follow that: tokenizers cut line breaks by what comes after.
    """

    segments: tuple[Segment, ...]
    query_index: int
    candidates: tuple[str, ...]
    adds_special: bool
    has_lead: bool = False
    ending: str = NEUTRAL_LEAD

    @property
    def text(self) -> str:
        """The exact text that the model reads."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True)
class TokenizedPrompt:
    """One prompt as the model reads it.

    Attributes
    ----------
    ids: T token ids.
    pieces: T texts that join to the rendered text; "" for a token that the tokenizer added.
    spans: half-open token ranges; every token lies in exactly one.
    query_start: index of the query's first token.
    candidates: for each candidate the ids of prompt + candidate, tokenised as one text.
    with_ends: whether the candidates' ids include the token that begins what ends an answer.
    candidate_pieces: for each candidate the text of the first of its tokens that is not the prompt's.
    marks: named places, in the order of the text; one that no token lies in is left out.
    """

    ids: list[int]
    pieces: list[str]
    spans: list[Span]
    query_start: int
    candidates: list[list[int]]
    with_ends: bool = False
    candidate_pieces: Sequence[str] = ()
    marks: Sequence[Mark] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def roles(self) -> list[Role]:
        """The role of each of the T tokens."""
        return [span.role for span in self.spans for _ in range(len(span))]


def render(
    prompt: Prompt,
    style: PromptStyle,
    tokenizer: Tokenizer | None = None,
    first_token: FirstToken = "start",
    template: Mapping[str, Any] = TEMPLATE,
) -> RenderedPrompt:
    """The exact text of a prompt in a style.

    Parameters
    ----------
    tokenizer: "chat" needs it for its template, and "plain" for what stands before the prompt: without it that is left
        out.
    first_token: "start" keeps the first token apart from all content; "as is" adds nothing to a plain prompt.
    template: what the chat template reads besides the message.

    Raises
    ------
    ModelError: "chat" was asked of a model without a chat template, or its template changes the message.
    """
    context = tuple(segment for segment in prompt.context if segment.text)
    query = tuple(segment for segment in prompt.query if segment.text)
    has_lead = first_token == "start" and tokenizer is not None
    if style == "plain":
        text = lead(tokenizer) if has_lead and tokenizer else ""
        opening = (Segment("special", text),) if text else ()
        segments = opening + context + query
        ending = prompt.ending + "".join(segment.text for segment in query)
        return RenderedPrompt(segments, len(opening) + len(context), prompt.candidates, True, has_lead, ending)
    before, after = _chat_markup(prompt.text, tokenizer, template)
    opening = (Segment("special", before),) if before else ()
    closing = (Segment("special", after),) if after else ()
    candidates = tuple(candidate.lstrip() for candidate in prompt.candidates)
    segments = opening + context + query + closing
    assert tokenizer is not None  # else there was no markup
    ending = turn_end(tokenizer, template) or tokenizer.eos_token or NEUTRAL_LEAD
    return RenderedPrompt(segments, len(opening) + len(context), candidates, False, has_lead, ending)


def lead(tokenizer: Tokenizer) -> str:
    """What stands before a plain prompt: nothing where the tokenizer adds a token of its own, else a start token that
    the model was trained with, else a line break.
    """
    encoding = tokenizer("a", add_special_tokens=True, return_special_tokens_mask=True)
    if encoding["special_tokens_mask"][0]:
        return ""
    named = [token for token in (tokenizer.bos_token,) if token and not _begins_turns(token, tokenizer)]
    known = [token for token in START_TOKENS if token in tokenizer.all_special_tokens]
    return next(iter([*named, *known]), NEUTRAL_LEAD)


def _begins_turns(token: str, tokenizer: Tokenizer) -> bool:
    """Whether a token begins each turn of a conversation, and so no document."""
    if not tokenizer.chat_template:
        return False
    turns = [{"role": role, "content": "a"} for role in ("user", "assistant", "user")]
    try:
        return _from_template(turns, tokenizer, TEMPLATE, add_generation_prompt=False).count(token) > 1
    except ModelError:
        return False


def _chat_markup(message: str, tokenizer: Tokenizer | None, template: Mapping[str, Any]) -> tuple[str, str]:
    """What the template puts before and after the message: what it puts around another one, whose place is known."""
    if tokenizer is None or not tokenizer.chat_template:
        raise ModelError("This model has no chat template.", 'Take prompt_style="plain".')
    stand_in = digest(message)
    text, around = (
        _from_template([{"role": "user", "content": content}], tokenizer, template, add_generation_prompt=True)
        for content in (message, stand_in)
    )
    before, found, after = around.partition(stand_in)
    if not found or f"{before}{message}{after}" != text:
        raise ModelError(
            "This model's chat template changes the text of a message, or shows it twice.", 'Take prompt_style="plain".'
        )
    return before, after


def turn_end(tokenizer: Tokenizer, template: Mapping[str, Any] = TEMPLATE) -> str:
    """What the chat template puts after an answer; "" where it has no place for one, or there is no template."""
    if not tokenizer.chat_template:
        return ""
    stand_in = digest("an answer")
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": stand_in}]
    try:
        text = _from_template(turns, tokenizer, template, add_generation_prompt=False)
    except ModelError:
        return ""
    return text.rpartition(stand_in)[2].lstrip(" ") if stand_in in text else ""


def _from_template(
    turns: list[dict[str, str]], tokenizer: Tokenizer, template: Mapping[str, Any], *, add_generation_prompt: bool
) -> str:
    """The text of a conversation; its day and whatever else its template reads are given, so that it stays the same."""
    options = json.loads(canonical_json({**TEMPLATE, **template}))
    today = datetime.fromisoformat(options.pop("date"))
    try:
        with _same_every_time(today):
            text = tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt, **options
            )
    except Exception as error:  # a template is a program: it may fail in any way
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"This model's chat template fails ({reason}).", 'Take prompt_style="plain".') from error
    return str(text)


@contextmanager
def _same_every_time(today: datetime) -> Iterator[None]:
    """Give templates this day for today, and the same draws where they draw at random; all is put back.

    `transformers` passes no functions on to templates, and its own clock is the module's `datetime`.
    """
    from transformers.utils import chat_template_utils

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return today

    with _RENDERING:
        state, clock = random.getstate(), chat_template_utils.datetime
        random.seed(0)
        chat_template_utils.datetime = Clock
        try:
            yield
        finally:
            chat_template_utils.datetime = clock
            random.setstate(state)


def tokenize(rendered: RenderedPrompt, tokenizer: Tokenizer) -> TokenizedPrompt:
    """Tokens and token spans of a rendered prompt, and the tokens of each candidate after it."""
    whole = rendered.text
    encoded = _encode(whole, tokenizer, rendered.adds_special)
    owners = _with_query(_owners(encoded, whole, rendered.segments), rendered)
    if rendered.has_lead and (owners[1:] >= rendered.query_index).any():
        owners[0] = -1
    candidates = [_encode(whole + text, tokenizer, rendered.adds_special) for text in rendered.candidates]
    with_ends = any(_begins(*pair) for pair in pairwise(sorted(candidate.ids for candidate in candidates)))
    if with_ends:
        candidates = [_with_end(whole + text, rendered, tokenizer) for text in rendered.candidates]
    return TokenizedPrompt(
        ids=encoded.ids,
        pieces=[whole[start:end] for start, end in zip(encoded.starts, encoded.ends, strict=True)],
        spans=_spans(owners, rendered.segments),
        query_start=int(np.flatnonzero(owners >= rendered.query_index)[0]),
        candidates=[candidate.ids for candidate in candidates],
        with_ends=with_ends,
        candidate_pieces=[_first_own_piece(encoded.ids, one) for one in candidates],
        marks=_marks(encoded, whole, rendered.segments, int(owners[0] < 0)),
    )


def _begins(ids: list[int], other: list[int]) -> bool:
    """Whether other tokens are these and more."""
    return len(ids) < len(other) and other[: len(ids)] == ids


def _first_own_piece(prompt_ids: list[int], candidate: "_Encoded") -> str:
    """The text of the first token of prompt + candidate that is not the prompt's; "" where there is none."""
    first = next(
        (i for i, (a, b) in enumerate(zip(prompt_ids, candidate.ids, strict=False)) if a != b), len(prompt_ids)
    )
    return candidate.piece(first) if first < len(candidate.ids) else ""


def _with_end(text: str, rendered: RenderedPrompt, tokenizer: Tokenizer) -> "_Encoded":
    """The tokens of a text and the first token that holds something of what ends it."""
    encoded = _encode(text + rendered.ending, tokenizer, rendered.adds_special)
    n = int(np.searchsorted(encoded.ends, len(text), side="right")) + 1
    return _Encoded(encoded.text, encoded.ids[:n], encoded.offsets[:n], encoded.ends[:n], encoded.added[:n])


def count_tokens(rendered: RenderedPrompt, tokenizer: Tokenizer, followed_by: str = "") -> int:
    """How many tokens a prompt has with a text that follows it, without their spans."""
    return len(_encode(rendered.text + followed_by, tokenizer, rendered.adds_special).ids)


@dataclass(frozen=True, eq=False)
class _Encoded:
    """A text's tokens.

    Attributes
    ----------
    text: the text.
    ids: T token ids.
    offsets: (T, 2) the characters of each token as the tokenizer says them.
    ends: (T,) where each token's piece ends; pieces are laid end to end.
    added: (T,) whether the tokenizer added the token.
    """

    text: str
    ids: list[int]
    offsets: NDArray[Any]
    ends: NDArray[Any]
    added: NDArray[Any]

    @property
    def starts(self) -> NDArray[Any]:
        """(T,) where each token's piece starts."""
        return np.concatenate([[0], self.ends[:-1]]).astype(int)

    @property
    def characters(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(T,) where each token's own characters start and end; one to which the tokenizer gives none has its piece."""
        has_own = self.offsets[:, :1] < self.offsets[:, 1:]
        start, end = np.where(has_own, self.offsets, np.stack([self.starts, self.ends], axis=1)).T
        return start, end

    def piece(self, token: int) -> str:
        """The text of a token."""
        return self.text[self.starts[token] : self.ends[token]]


def _encode(text: str, tokenizer: Tokenizer, adds_special: bool) -> _Encoded:
    encoding = tokenizer(
        text, add_special_tokens=adds_special, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    offsets = np.asarray(encoding["offset_mapping"], dtype=int).reshape(-1, 2)
    empty = offsets[:, 0] == offsets[:, 1]
    added = np.asarray(encoding["special_tokens_mask"], dtype=bool) & empty
    keep = len(added) if not added.all() else 0
    while keep and added[keep - 1]:
        keep -= 1
    if not keep:
        raise SpecError("A prompt without text cannot be run.", "Give every item a query.")
    ends = np.maximum.accumulate(np.where(added, 0, offsets[:, 1])[:keep])
    ends[-1] = len(text)
    return _Encoded(text, list(encoding["input_ids"][:keep]), offsets[:keep], ends, added[:keep])


def _owners(encoded: _Encoded, text: str, segments: tuple[Segment, ...]) -> NDArray[Any]:
    """The index (T,) of the segment that holds most of each token's characters, blanks aside where it has others, the
    later one of two that hold equally many; -1 for tokens that were added.
    """
    borders = np.cumsum([0, *(len(segment.text) for segment in segments)])
    start, end = encoded.characters
    counted = _counted(text)
    all_blank = counted[end] == counted[start]
    last = np.searchsorted(borders[1:], np.maximum(end - 1, 0), side="right")
    first = np.where(end > start, np.searchsorted(borders[1:], start, side="right"), last)
    owners = last.copy()
    for token in np.flatnonzero(first < last):
        touched = np.arange(first[token], last[token] + 1)
        cuts = np.clip(borders[[*touched, touched[-1] + 1]], start[token], end[token])
        overlap = np.diff(cuts if all_blank[token] else counted[cuts])
        owners[token] = touched[np.flatnonzero(overlap == overlap.max())[-1]]
    return np.where(encoded.added, -1, owners)


@lru_cache(maxsize=2)
def _counted(text: str) -> NDArray[Any]:
    """(characters + 1,) how many characters before each place are no blanks."""
    return np.concatenate([[0], np.cumsum([not character.isspace() for character in text])])


def _marks(encoded: _Encoded, text: str, segments: tuple[Segment, ...], first: int) -> list[Mark]:
    """The tokens of each mark; first: the first token that can be content."""
    begins = np.cumsum([0, *(len(segment.text) for segment in segments)])
    placed = [
        (mark.name, int(begin) + mark.start, int(begin) + mark.end)
        for begin, segment in zip(begins, segments, strict=False)
        for mark in segment.marks
    ]
    if not placed:
        return []
    low, high = np.array([(low, high) for _, low, high in placed]).T[..., None]
    # Tokens are laid end to end: those that touch a mark lie between these, give or take one whose own characters
    # begin or end elsewhere than its piece.
    begin = np.maximum(first, np.searchsorted(encoded.ends, low) - 1)
    stop = np.minimum(len(encoded.ids), np.searchsorted(encoded.starts, high) + 2)
    tokens = begin + np.arange(int((stop - begin).max()))
    touching = np.minimum(tokens, len(encoded.ids) - 1)
    counted, (starts, ends) = _counted(text), encoded.characters
    start, end = starts[touching], ends[touching]
    inner = np.clip(start, low, high), np.clip(end, low, high)
    is_blank = counted[end] == counted[start]
    within = np.where(is_blank, inner[1] - inner[0], counted[inner[1]] - counted[inner[0]])
    whole = np.where(is_blank, end - start, counted[end] - counted[start])
    is_own = (tokens < stop) & (2 * within > whole) & ~encoded.added[touching]
    return [
        Mark(name, int(tokens[i, own[0]]), int(tokens[i, own[-1]]) + 1)
        for i, (name, *_) in enumerate(placed)
        if len(own := np.flatnonzero(is_own[i]))
    ]


def _with_query(owners: NDArray[Any], rendered: RenderedPrompt) -> NDArray[Any]:
    """The same owners, but a query that is all in one token with the text before it gets that token."""
    is_text = np.array([segment.role != "special" for segment in rendered.segments])
    content = np.flatnonzero((owners >= 0) & is_text[owners])
    if not (owners[content] >= rendered.query_index).any():
        owners[content[-1]] = rendered.query_index
    return owners


def _spans(owners: NDArray[Any], segments: tuple[Segment, ...]) -> list[Span]:
    cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1), len(owners)]
    return [
        Span("special" if owners[start] < 0 else segments[owners[start]].role, int(start), int(end))
        for start, end in pairwise(cuts)
    ]


def special_tokens(tokenizer: Tokenizer) -> dict[int, str]:
    """Every special token with its text, also those that the tokenizer names for nothing."""
    added = {number: str(token.content) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)) | added


def turn_end_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """The special token with which the chat template ends an answer, if it does so with one."""
    ids = tokenizer(turn_end(tokenizer), add_special_tokens=False)["input_ids"]
    return frozenset(ids[:1]) & special_tokens(tokenizer).keys()


@dataclass(frozen=True)
class Written:
    """A response.

    Attributes
    ----------
    pieces: the text that each token adds, which join to the response; "" for an end token.
    readable: the response with blanks in place of special tokens, of the same length: they part words, and say nothing.
    """

    pieces: list[str]
    readable: str

    @property
    def text(self) -> str:
        """The response as it is shown."""
        return "".join(self.pieces)


class ResponseReader:
    """The text of response tokens."""

    def __init__(self, tokenizer: Tokenizer, ends: Collection[int] = ()) -> None:
        """ends: tokens that end a response and have no text; other special tokens are shown."""
        self._tokenizer = tokenizer
        self._special = special_tokens(tokenizer) | dict.fromkeys(ends, "")

    def read(self, prompt_ids: Sequence[int], response_ids: Sequence[int]) -> Written:
        """The response to a prompt.

        A character that several tokens make together belongs to the token that completes it.
        """
        plain = [token for token in prompt_ids[-CONTEXT_TOKENS:] if token not in self._special]
        written = self._text(plain)
        pieces, readable = [], []
        for position, token in enumerate(response_ids, start=1):
            mark = self._special.get(token)
            plain += [token] if mark is None else []
            so_far = self._text(plain)
            unfinished = position < len(response_ids) and so_far.endswith("\ufffd")
            added = "" if unfinished else so_far[len(written) :]
            written = written if unfinished else so_far
            pieces.append(added + (mark or ""))
            readable.append(added + " " * len(mark or ""))
        return Written(pieces, "".join(readable))

    def _text(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def tokens_until(pieces: Sequence[str], end: int) -> int:
    """How many tokens hold the first `end` characters of the text that the pieces join to; at least one."""
    ends = np.cumsum([len(piece) for piece in pieces])
    return min(int(np.searchsorted(ends, end, side="left")) + 1, len(pieces))
