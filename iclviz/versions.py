"""One integer for each part whose results enter a recording's key: raise it when the results change."""

PROMPTS = 2
"""Rendering, tokenising and the mapping of spans to tokens."""

CAPTURE = 1
"""Pooling, attention rows, decoding and candidate scoring."""
