"""Analyses: arrays or recordings in, small frozen results out; no torch, no Streamlit.

Names are resolved when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "attention": (
        "attention_ratio",
        "attention_ratio_by_head",
        "attention_on_text",
        "bounded_ratios",
        "bounded_ratios_by_head",
        "log_ratio_summary",
        "missing_reasons",
        "role_shares",
        "role_split",
        "LogRatioSummary",
        "RoleShares",
        "TextAttention",
    ),
    "behaviour": ("score_summary", "coarsest_groups", "ScoreSummary"),
    "comparing": ("alignment_difference", "hypotheses_difference", "paired_over_seeds", "Difference"),
    "composite": ("composite_to_simple", "joint_rsms", "CompositeToSimple"),
    "effects": ("pairs_of", "score_effect", "measure_effect", "Effect", "Contrast"),
    "bounds": ("equivalence", "smallest_effect", "Equivalence"),
    "headlines": ("headline", "link_points", "Headline"),
    "item_maps": ("item_map", "ItemMap"),
    "joining": ("join", "Join"),
    "layer_similarity": ("second_order", "cka", "cka_by_layer"),
    "link": ("linked", "Link"),
    "measures": ("across_conditions", "measure_change", "Measuring"),
    "of_pairs": (
        "behaviour_link",
        "links",
        "score_change",
        "score_difference",
        "alignment_change",
        "log_ratio_change",
        "probe_change",
        "relevance_test",
        "recording_composite_to_simple",
    ),
    "of_recording": (
        "recording_rsms",
        "text_share",
        "recording_alignment",
        "recording_probe",
        "recording_log_ratio",
        "recording_log_ratio_by_head",
        "probed_labels",
    ),
    "seeds": ("over_seeds", "OverSeeds"),
    "paired": ("paired_test", "PairedTest"),
    "mixed": ("mixed_model", "MixedModel"),
    "order": ("order_effect", "OrderEffect"),
    "score_table": ("score_rows", "standardised", "ScoreRow"),
    "pairs": ("compare", "Comparison"),
    "probing": ("probe", "Probe", "probe_transfer", "Transfer", "layer_transfer"),
    "reliability": ("noise_ceiling", "NoiseCeiling"),
    "rsa": ("rsm", "rsms", "alignment", "alignment_test", "item_alignment", "AlignmentTest"),
    "split_half": ("best_layer", "BestLayer"),
    "statistics": ("mean_interval", "MeanInterval"),
    "trajectory": (
        "trajectory_by_layer",
        "trajectory_by_outcome",
        "trajectory_over_candidates",
        "trajectory_of_item",
        "LayerMeans",
        "ByOutcome",
        "OverCandidates",
        "ItemTrajectory",
    ),
    "surface": ("surface_rsms", "surface_control", "SurfaceControl"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
