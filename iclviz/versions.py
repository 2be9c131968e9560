"""One integer for each part whose results enter a recording's key: raise it when the results change."""

PROMPTS = 3
"""Rendering, tokenising and the mapping of spans to tokens."""

CAPTURE = 2
"""Pooling, attention rows, decoding and candidate scoring."""
