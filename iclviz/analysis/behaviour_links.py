"""Links of what changed inside the model with behaviour, from recordings: of several measures, or of one."""

from collections.abc import Sequence

from iclviz.analysis.any_measure import tied_change
from iclviz.analysis.comparison import Comparison, Side, compare, of_comparison
from iclviz.analysis.link import Level, Link, linked
from iclviz.analysis.measure import Measuring
from iclviz.analysis.score_changes import covariates, tied_score_change

FAMILY = ("alignment", "probe", "attention_ratio")
"""The measures whose links are tested together for a headline: fixed, whatever measures there are besides."""


@of_comparison
def links(
    comparison: Comparison,
    score: str,
    level: Level = "within",
    measuring: Measuring | None = None,
    measures: Sequence[str] = FAMILY,
    *,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Link]:
    """The link of each measure's change with a score's change, corrected over layers and measures together.

    The partial correlation is given the score in A, the lengths of prompt and response on both sides, and the task's
    covariates.

    Raises
    ------
    AnalysisError: an unknown measure, score, hypothesis or label.
    """
    return linked(
        {measure: tied_change(comparison, measure, measuring) for measure in measures},
        tied_score_change(comparison, score),
        comparison.groups,
        level=level,
        factors=comparison.factors,
        covariates=covariates(comparison, score),
        n_permutations=n_permutations,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def behaviour_link(
    recording_a: Side,
    recording_b: Side,
    measure: str,
    score: str,
    level: Level = "within",
    *,
    measuring: Measuring | None = None,
    parsed_in_both: bool = False,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Link:
    """How the change (B minus A) of a measure goes with the change of a score over items, per layer.

    Parameters
    ----------
    recording_a, recording_b: a condition each, or one recording of each for every demonstration seed.
    measure: the name of a measure, see `all_measures`.
    score: the name of a score.
    level: "within" groups of items, or "between" them.
    measuring: hypothesis, label, pooling and so on; None = the recording's first ones. With `rows="response"`, the
        default, an attention ratio goes with the answer by construction where the answer repeats a word of the relevant
        text, to which its tokens attend; `rows="last"` is the same text on both sides.
    parsed_in_both: keep only items whose response could be read in A and in B.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: an unknown name, or recordings without common items.
    """
    comparison = compare(recording_a, recording_b, parsed_in_both=parsed_in_both)
    return links(
        comparison, score, level, measuring, (measure,),
        n_permutations=n_permutations, n_bootstrap=n_bootstrap, seed=seed,
    )[measure]  # fmt: skip
