"""A prompt as the model reads it, its spans coloured by role, each token's id and role shown on hover.

Shaded by attention, roles are lines below the text, and the background is one hue whose opacity grows with the mass.
Over white and over the dark page that is about equal steps of lightness for equal steps of mass, and text on the
strongest shade keeps a contrast of 4.5:1 in both.
"""

from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from itertools import compress
from typing import TYPE_CHECKING

import streamlit as st

from iclviz.figures import theme
from iclviz.spans import Segment, Span

if TYPE_CHECKING:  # analyses would hold up the very first page
    from iclviz.analysis.attention import TextAttention

STYLE = """<style>
.iclviz-prompt {white-space: pre-wrap; unicode-bidi: plaintext; text-align: start; overflow-wrap: anywhere;
  font: 0.86rem/1.75 ui-monospace, monospace;
  max-height: 26rem; overflow-y: auto; padding: .8rem; border: 1px solid rgba(128,128,128,.35); border-radius: .5rem}
.iclviz-prompt span[class] {border-bottom: 2px solid; padding: 1px 0; border-radius: 2px}
.iclviz-special {unicode-bidi: isolate} /* what marks the start decides no direction */
.iclviz-part {border-inline-start: 2px dotted currentColor; opacity: .6}
.iclviz-prompt span[title]:hover {outline: 1px solid currentColor}
.iclviz-prompt span.iclviz-own {border: 0; text-decoration: underline 2px; text-underline-offset: 3px}
.iclviz-attention {display: flex; flex-direction: column-reverse} /* starts at its end, where the response is */
.iclviz-attention span[class] {background: none; border-radius: 0}
.iclviz-attention .iclviz-looking {font-weight: 700; outline: 1px dotted currentColor}
.iclviz-attention span.iclviz-sink {background: repeating-linear-gradient(45deg, #80808066 0 2px, transparent 2px 5px)}
.iclviz-legend i.iclviz-scale {width: 6rem; border: 1px solid #80808059; margin: 0 .35rem}
.iclviz-legend span {display: inline-block; margin-right: 1.1rem; font-size: .84rem}
.iclviz-legend i {display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; border-radius: 2px;
  vertical-align: -1px}
%s
</style>"""


PART = '<i class="iclviz-part"></i>'
"""What stands for a token without a text of its own: a mark that parts no letters that are written together."""

SHADE, STRONGEST = theme.CATEGORIES[0], 0.65
"""The hue of attention, which no role has, and its largest opacity."""


def _colours() -> str:
    return "\n".join(
        f".iclviz-{role} {{background: {colour}33; border-color: {colour} !important}}"
        for role, colour in theme.ROLES.items()
    )


def show_segments(segments: Sequence[Segment]) -> None:
    """A prompt before it is run: text in labelled pieces."""
    body = "".join(f'<span class="iclviz-{piece.role}">{escape(piece.text)}</span>' for piece in segments)
    _show(body, {piece.role: piece.role for piece in segments}, "The exact prompt, coloured by role")


def show_tokens(
    tokens: Sequence[str], ids: Sequence[int], spans: Sequence[Span], own: Collection[int] = frozenset()
) -> None:
    """A prompt and its response as tokens.

    own: positions of tokens that what stands beside has not; they are underlined.
    """
    body = "".join(
        f'<span class="iclviz-{span.role}">'
        f"{''.join(_token(tokens[at], ids[at], at, span, at in own) for at in range(span.start, span.end))}</span>"
        for span in spans
    )
    _show(body, {span.role: span.role for span in spans}, "Prompt and response, coloured by role")


def only_here(tokens: Sequence[str], other: Sequence[str]) -> frozenset[int]:
    """The positions of tokens that another text lacks, where both are read in one order."""
    matching = SequenceMatcher(None, tokens, other, autojunk=False)
    changed = (block for block in matching.get_opcodes() if block[0] != "equal")
    return frozenset(at for _, start, end, *_ in changed for at in range(start, end))


def _token(text: str, token_id: int, position: int, span: Span, is_own: bool) -> str:
    shown = escape(text) if text else PART
    kind = ' class="iclviz-own"' if is_own else ""
    return f'<span{kind} title="token {position}: id {token_id}, {span.role}">{shown}</span>'


def show_attention(attention: "TextAttention", most: float, with_sinks: bool = False) -> None:
    """A prompt and its response, shaded by what each token gets of the attention; those it comes from are bold.

    most: the mass that has the strongest shade; with_sinks: whether what attention sinks take is shaded too.
    """
    body = "".join(_shaded(attention, token, most, with_sinks) for token in range(len(attention.tokens)))
    scale = f"linear-gradient(90deg, {shade(0)}, {shade(1)})"
    legend = f'<span>0 %<i class="iclviz-scale" style="background:{scale}"></i>{_percent(most)}</span>'
    numbers = {role: f"{role} {_percent(mass)} per token" for role, mass in attention.of_roles.items()}
    _show(f"<div>{body}</div>", numbers, "Prompt and response, shaded by attention", legend, "iclviz-attention")


def shade(share: float) -> str:
    """The background of a token, from 0 to 1 of the scale; what is beyond has the strongest."""
    return theme.translucent(SHADE, round(STRONGEST * min(share, 1.0), 3))


def _percent(mass: float) -> str:
    return f"{100 * mass:.3g} %" if mass >= 5e-6 or not mass else "under 0.001 %"


def _shaded(attention: "TextAttention", token: int, most: float, with_sinks: bool) -> str:
    text, role, mass = attention.tokens[token], attention.roles[token], attention.mass[token]
    sink = attention.sinks[token] and not with_sinks
    kinds = compress([f"iclviz-{role}", "iclviz-looking", "iclviz-sink"], [True, attention.looking[token], sink])
    background = "" if sink else f' style="background:{shade(mass / most)}"'
    description = f"token {token} “{text}”: {_percent(mass)} of the attention, rank {attention.rank[token]}, {role}"
    return f'<span class="{" ".join(kinds)}"{background} title="{escape(description)}">{escape(text) or PART}</span>'


def _show(body: str, roles: Mapping[str, str], label: str, scale: str = "", kind: str = "") -> None:
    """A text with its legend: roles are those it has, with what is said of them."""
    legend = "".join(
        f'<span><i style="background:{theme.ROLES[role]}"></i>{description}</span>'
        for role, description in roles.items()
    )
    if PART in body:
        legend += f"<span>{PART} a token that is a part of a character</span>"
    st.html(
        f'{STYLE % _colours()}<div class="iclviz-legend">{scale}{legend}</div>'
        f'<div class="iclviz-prompt {kind}" tabindex="0" role="group" aria-label="{escape(label)}">{body}</div>'
    )
