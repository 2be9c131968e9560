"""Analyses: arrays or recordings in, small frozen results out; no torch, no Streamlit.

Names are resolved when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "attention": (
        "attention_ratio",
        "attention_ratio_by_head",
        "log_ratio_summary",
        "missing_reasons",
        "role_split",
        "LogRatioSummary",
    ),
    "behaviour": ("score_summary", "coarsest_groups", "ScoreSummary"),
    "joining": ("join", "Join"),
    "of_recording": (
        "recording_rsms",
        "recording_alignment",
        "recording_probe",
        "recording_log_ratio",
        "recording_log_ratio_by_head",
        "probed_labels",
    ),
    "probing": ("probe", "Probe"),
    "rsa": ("rsm", "rsms", "alignment", "alignment_test", "AlignmentTest"),
    "statistics": ("mean_interval", "MeanInterval"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
