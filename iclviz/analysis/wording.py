"""Words that analyses' sentences share: what embeddings are made of, what was permuted, why there is no room."""

UNITS = {
    "items": "single items",
    "groups": "whole groups of items",
    "blocks": "whole groups among those of equal size",
    "items within groups": "items within their group",
    "units within groups": "units (copies of one thing) within their group",
    "items within units": "items within their unit",
}
"""What permutations move, as a methods paragraph calls it."""

POOLING_TITLES = {
    "query_mean": "mean over the query",
    "query_max": "maximum over the query",
    "last": "last prompt token",
    "mean": "mean over the prompt",
    "max": "maximum over the prompt",
}


def pooling_title(pooling: str) -> str:
    """What an embedding is made of."""
    return POOLING_TITLES.get(pooling) or f"mean over {pooling.removesuffix('_mean')} text"


def capital(text: str) -> str:
    """A text with its first letter as a capital, all else as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def share(rate: float) -> str:
    """A percentage; 0 % and 100 % are said of nothing but themselves."""
    rounded = f"{100 * rate:.0f} %"
    if rate in (0.0, 1.0) or rounded not in ("0 %", "100 %"):
        return rounded
    return f"{min(max(100 * rate, 0.1), 99.9):.1f} %"
