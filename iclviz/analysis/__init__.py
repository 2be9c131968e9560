"""Analyses: arrays or recordings in, small frozen results out; no torch, no Streamlit.

Names are resolved when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "any_measure": (
        "measured",
        "measured_change",
        "measure_change",
        "item_changes",
        "across_conditions",
        "ConditionPoints",
    ),
    "attention": (
        "attention_ratio",
        "attention_ratio_by_head",
        "log_attention_ratio",
        "attention_on_text",
        "bounded_ratios",
        "bounded_ratios_by_head",
        "n_bounded_ratios",
        "log_ratio_summary",
        "missing_reasons",
        "role_shares",
        "recording_role_shares",
        "role_split",
        "LogRatioSummary",
        "RoleShares",
        "TextAttention",
    ),
    "behaviour": ("score_summary", "coarsest_groups", "ScoreSummary"),
    "behaviour_links": ("behaviour_link", "links"),
    "change": ("alignment_difference", "hypotheses_difference", "paired_over_seeds", "Difference"),
    "comparison": ("compare", "Comparison"),
    "competence": ("competence_by_block", "Competence"),
    "composites": ("composite_to_simple", "joint_rsms", "recording_composite_to_simple", "CompositeToSimple"),
    "effect_maps": ("effect_of_sites", "effect_on_items", "SiteEffects", "EffectOnItems"),
    "effects": ("pairs_of", "score_effect", "measure_effect", "Effect", "Contrast"),
    "equivalence_tests": ("equivalence", "smallest_effect", "Equivalence"),
    "head_links": ("attention_and_effect", "HeadLink"),
    "every_head": ("head_scores", "HeadScores"),
    "foretold": ("foretold_patches", "Foretold"),
    "headlines": ("headline", "link_points", "score_by_level", "Headline"),
    "information_flow": ("flow_by_block", "Flow"),
    "item_maps": ("item_map", "ItemMap"),
    "joining": ("join", "Join"),
    "layer_similarity": ("second_order", "cka", "cka_by_layer", "recording_layer_similarity"),
    "link": ("linked", "Link"),
    "measure": ("Measure", "MeasureOption", "Measuring", "ByLayer"),
    "measures": ("all_measures", "measure_named"),
    "measures.alignment": ("recording_alignment", "alignment_change", "recording_hypotheses_difference"),
    "measures.attention_ratio": (
        "recording_log_ratio",
        "recording_log_ratio_by_head",
        "log_ratio_change",
        "relevance_test",
    ),
    "measures.probe": ("recording_probe", "probe_change", "recording_layer_transfer", "recording_transfer"),
    "mixed": ("mixed_model", "MixedModel"),
    "order_effects": ("order_effect", "OrderEffect"),
    "order_shares": ("order_share", "OrderShare"),
    "outcomes": ("outcome_counts", "OutcomeCounts"),
    "own_answer": ("own_answer_by_block", "OwnAnswer"),
    "paired": ("paired_test", "PairedTest"),
    "power": ("power_plan", "PowerPlan"),
    "probing": ("probe", "Probe", "probe_transfer", "Transfer", "layer_transfer"),
    "recovered": ("recovered_share", "Recovered"),
    "recordings": ("recording_rsms", "text_share", "probed_labels"),
    "reliability": ("noise_ceiling", "recording_noise_ceiling", "NoiseCeiling"),
    "results": ("Estimates", "Tested"),
    "reweighted": ("gain_by_reweighting", "Reweighted"),
    "right_and_wrong": ("right_against_wrong", "RightAgainstWrong"),
    "rsa": ("rsm", "rsms", "alignment", "alignment_test", "item_alignment", "AlignmentTest"),
    "score_changes": ("score_change", "score_difference", "score_pairs", "ScorePairs", "NaturalUnit"),
    "score_table": ("score_rows", "standardised", "ScoreRow"),
    "seeds": ("over_seeds", "joined_over_seeds", "OverSeeds"),
    "split_half": ("best_layer", "BestLayer"),
    "statistics": ("mean_interval", "MeanInterval"),
    "surface": ("surface_rsms", "surface_control", "recording_surface_control", "SurfaceControl"),
    "trajectory": (
        "trajectory_by_layer",
        "trajectory_by_outcome",
        "trajectory_over_candidates",
        "trajectory_of_item",
        "trajectory_change",
        "LayerMeans",
        "ByOutcome",
        "OverCandidates",
        "ItemTrajectory",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
