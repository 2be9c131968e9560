"""A prompt as the model reads it, its spans coloured by role, each token's id and role shown on hover."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from iclviz.figures import theme
from iclviz.spans import Segment, Span

STYLE = """<style>
.iclviz-prompt {white-space: pre-wrap; overflow-wrap: anywhere; font: 0.86rem/1.75 ui-monospace, monospace;
  max-height: 26rem; overflow-y: auto; padding: .8rem; border: 1px solid rgba(128,128,128,.35); border-radius: .5rem}
.iclviz-prompt span[class] {border-bottom: 2px solid; padding: 1px 0; border-radius: 2px}
.iclviz-prompt span[title]:hover {outline: 1px solid currentColor}
.iclviz-legend span {display: inline-block; margin-right: 1.1rem; font-size: .84rem}
.iclviz-legend i {display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; border-radius: 2px;
  vertical-align: -1px}
%s
</style>"""


def _colours() -> str:
    return "\n".join(
        f".iclviz-{role} {{background: {colour}33; border-color: {colour} !important}}"
        for role, colour in theme.ROLES.items()
    )


def show_segments(segments: Sequence[Segment]) -> None:
    """A prompt before it is run: text in labelled pieces."""
    body = "".join(f'<span class="iclviz-{piece.role}">{escape(piece.text)}</span>' for piece in segments)
    _show(body, [piece.role for piece in segments], "The exact prompt, coloured by role")


def show_tokens(tokens: Sequence[str], ids: Sequence[int], spans: Sequence[Span]) -> None:
    """A prompt and its response as tokens."""
    body = "".join(f'<span class="iclviz-{span.role}">{_tokens(tokens, ids, span)}</span>' for span in spans)
    _show(body, [span.role for span in spans], "Prompt and response, coloured by role")


def _tokens(tokens: Sequence[str], ids: Sequence[int], span: Span) -> str:
    return "".join(_token(tokens[i], ids[i], i, span) for i in range(span.start, span.end))


def _token(text: str, token_id: int, position: int, span: Span) -> str:
    shown = escape(text) if text else "·"
    return f'<span title="token {position}: id {token_id}, {span.role}">{shown}</span>'


def _show(body: str, roles: Sequence[str], label: str) -> None:
    legend = "".join(
        f'<span><i style="background:{theme.ROLES[role]}"></i>{role}</span>' for role in dict.fromkeys(roles)
    )
    st.html(
        f'{STYLE % _colours()}<div class="iclviz-legend">{legend}</div>'
        f'<div class="iclviz-prompt" tabindex="0" role="group" aria-label="{escape(label)}">{body}</div>'
    )
