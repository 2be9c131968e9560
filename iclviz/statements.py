"""What a comparison's headline says in plain sentences: what was found, what was not, for which demonstration sets.

Behaviour comes first, and a lack of improvement before anything else. No sentence says that one thing caused another.
"""

import math

from iclviz.analysis.comparing import Change
from iclviz.analysis.headlines import Headline, Strongest
from iclviz.analysis.link import LEVELS, Level
from iclviz.analysis.of_recording import is_number
from iclviz.analysis.statistics import SIGNIFICANT
from iclviz.recording import Recording
from iclviz.spec import Demonstrations, RunSpec

ENOUGH_SEEDS = 5
"""Demonstration seeds from which a statement is about in-context learning and not about these sets."""

MEASURE_TITLES = {
    "alignment": "alignment with the hypothesis",
    "probe": "what a probe reads of the label",
    "attention_ratio": "the attention ratio of the last prompt token",
}
LEVEL_TITLES: dict[str, str] = {"within": "Within groups", "between": "Between groups"}

POOLING_TITLES = {
    "query_mean": "mean over the query",
    "query_max": "maximum over the query",
    "last": "last prompt token",
    "mean": "mean over the prompt",
    "max": "maximum over the prompt",
}

_SAME_TEXT_KINDS = frozenset({"shuffled", "out-of-domain"})


def number(value: float) -> str:
    """A statistic with three decimals, small ones with a true minus sign."""
    return "no value" if math.isnan(value) else f"{value:.3f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p as text; one that is found is never rounded up to the bound."""
    if math.isnan(p):
        return "no p"
    if p < 0.001:
        return "p < 0.001"
    rounded = f"{p:.3f}"
    return f"p = {rounded if p >= SIGNIFICANT or float(rounded) < SIGNIFICANT else f'{p:.5f}'}"


def seeds_scope(n_seeds: int) -> str:
    """What statements over several demonstration seeds are limited to."""
    if n_seeds >= ENOUGH_SEEDS:
        return f"over {n_seeds} demonstration seeds"
    return f"for these {n_seeds} demonstration sets"


def pooling_title(pooling: str) -> str:
    """What an embedding is made of."""
    return POOLING_TITLES.get(pooling) or f"mean over {pooling.removesuffix('_mean')} text"


def probe_change_title(recording: Recording, label: str, title: str) -> str:
    """What `probe_change` compares of a label with this title."""
    if is_number(recording, label):
        return f"−log(1 − R²) of the ridge probe of “{title}”"
    return f"held-out balanced accuracy of the least-squares probe of “{title}”"


def scope(headline: Headline, a: Demonstrations, b: Demonstrations) -> str:
    """What every statement is limited to."""
    shows_nothing = not any(one.canonical().k for one in (a, b))
    if shows_nothing and headline.n_seeds < ENOUGH_SEEDS:
        return "without demonstrations"
    return seeds_scope(headline.n_seeds) if headline.n_seeds > 1 else "for this demonstration set"


def contrast_note(a: RunSpec, b: RunSpec) -> str:
    """What else changed between A and B, which no number tells apart from learning."""
    before, after = a.demonstrations.canonical(), b.demonstrations.canonical()
    if a.model != b.model:
        return "A and B are different models: nothing here is about in-context learning alone."
    kinds = {before.kind, after.kind}
    if "correct" in kinds and kinds & _SAME_TEXT_KINDS and before.k == after.k:
        return (
            f"A and B show equally many demonstrations (k = {after.k}) and nearly as many tokens: this contrast is "
            "about what they teach, not about length or position. Which of the two moved, only a comparison of each "
            "with no demonstrations tells."
        )
    if before.k != after.k:
        return (
            f"k changed from {before.k} to {after.k}, and with it the prompt's length and the query's position: "
            f"compare right with shuffled demonstrations of one k before you call it learning.{_floor_note(a, b)}"
        )
    if before == after:
        return "A and B show the same demonstrations."
    return f"A shows {before.kind} and B {after.kind} demonstrations."


def _floor_note(a: RunSpec, b: RunSpec) -> str:
    shows_no_point = 0 in (a.demonstrations.canonical().k, b.demonstrations.canonical().k)
    if a.task == "linear_regression" and shows_no_point:
        return " At k = 0 a line cannot be known: that is a floor, no baseline."
    return ""


def _facts(change: Change) -> str:
    """A change with its interval and p, for brackets to be closed behind it."""
    estimate, low, high, p = (float(array[0]) for array in (change.estimate, change.low, change.high, change.p))
    differ = not math.isnan(p) and (p < SIGNIFICANT) != (low > 0 or high < 0)
    decides = "; the two are of different methods, and p decides" if differ else ""
    return f"{number(estimate)} (95 % interval {number(low)} to {number(high)}, {p_value(p)}{decides})"


def _is_untested(change: Change) -> bool:
    return math.isnan(float(change.p[0]))


def change_sentence(change: Change, title: str, n_items: int, better: str) -> str:
    """The difference of one score between A and B, over the items that have it in both; which way is better."""
    why = f" ({change.reason})" if change.reason else ""
    return (
        f"B minus A of “{title}” ({better} is better) on the {n_items} items that have it in both: {_facts(change)} in "
        f"{change.n_units} independent groups{why}."
    )


def improved(change: Change) -> bool:
    """Whether behaviour got better: above zero with p < 0.05."""
    return float(change.estimate[0]) > 0 and float(change.p[0]) < SIGNIFICANT


def _verdict(headline: Headline) -> str:
    change, read = headline.change, headline.parsed_change
    if change.reason:
        return f"Whether behaviour improved cannot be tested ({change.reason})"
    if improved(change) and read is not None and _is_untested(read):
        return "Behaviour improved; whether it did where responses were read in both cannot be tested"
    if improved(change) and read is not None and not improved(read):
        return "Behaviour improved, but not beyond chance where responses were read in both"
    if improved(change):
        return "Behaviour improved"
    if float(change.p[0]) < SIGNIFICANT:
        return "Behaviour did not improve but got worse"
    return "Behaviour did not improve beyond chance"


def _behaviour(headline: Headline, title: str, limits: str) -> str:
    return (
        f"{_verdict(headline)}: the mean of “{title}” went from {number(headline.mean_a)} in A to "
        f"{number(headline.mean_b)} in B, a difference of {_facts(headline.change)} over {headline.n_items} items in "
        f"{headline.n_units} independent groups, {limits}."
    )


def _share(rate: float) -> str:
    """A percentage; 0 % and 100 % are said of nothing but themselves."""
    rounded = f"{100 * rate:.0f} %"
    return rounded if rate in (0.0, 1.0) or rounded not in ("0 %", "100 %") else f"{100 * rate:.1f} %"


def _parsing(headline: Headline) -> str:
    rates = " and ".join(f"{_share(rate)} in {side}" for rate, side in zip(headline.parse_rates, "AB", strict=True))
    change = headline.parsed_change
    if change is None:
        return f"Responses could be read in {rates}."
    seen = f"over the {headline.n_parsed} items read in every run of both, the difference is {_facts(change)}"
    if not improved(headline.change):
        return f"Responses could be read in {rates}; {seen}."
    holds = "the improvement is seen there too" if improved(change) else "there it is not beyond chance"
    if _is_untested(change):
        holds = f"there it cannot be tested ({change.reason or 'nothing differs'})"
    return f"Responses could be read in {rates}; {seen}: {holds}."


def _logprob(change: Change, margin: Change | None) -> str:
    said = (
        "The right answer's log-probability, which needs no parsing but rises with a learned format too, "
        f"{_changed(change)}: {_facts(change)}"
    )
    if margin is None:
        return f"{said}."
    return f"{said}; over that of other answers, which format does not raise, it {_changed(margin)}: {_facts(margin)}."


def _changed(change: Change) -> str:
    if _is_untested(change):
        return f"was not tested ({change.reason or 'nothing differs'})"
    return "changed" if float(change.p[0]) < SIGNIFICANT else "did not change beyond chance"


def _link(level: Level, strongest: Strongest, n_tests: int, limits: str) -> str:
    unit = "block" if strongest.measure == "attention_ratio" else "layer"
    what = f"{MEASURE_TITLES[strongest.measure]} at {unit} {strongest.layer}"
    facts = (
        f"rho = {number(strongest.rho)} (95 % interval {number(strongest.low)} to {number(strongest.high)}, "
        f"{p_value(strongest.p)} corrected over {n_tests} correlations; rho and its interval are of the strongest of "
        "these, so that rho is too large on average); given the baseline score, lengths and the task's covariates, "
        f"rho = {number(strongest.partial)}"
    )
    if strongest.p < SIGNIFICANT:
        found = f"the change of {what} goes with the change of behaviour"
    else:
        found = f"no measure's change was found to go with the change of behaviour; the strongest is {what}"
        facts = f"rho = {number(strongest.rho)} ({p_value(strongest.p)} corrected over {n_tests} correlations)"
    return f"{LEVEL_TITLES[level]}, {found}: {facts}, {limits}."


def _untested(headline: Headline, level: Level) -> str:
    reasons = [link.reason for link in headline.links[level].values() if link.reason]
    return (
        f"{LEVEL_TITLES[level]}, links with behaviour cannot be tested: {(reasons or ['no measure has a value'])[0]}."
    )


def sentences(headline: Headline, title: str, a: RunSpec, b: RunSpec) -> list[str]:
    """The headline in sentences, behaviour first.

    Parameters
    ----------
    headline: the result.
    title: the main score's title.
    a, b: the specs of the two conditions.
    """
    limits = scope(headline, a.demonstrations, b.demonstrations)
    said = [_behaviour(headline, title, limits), _parsing(headline)]
    if headline.logprob_change is not None:
        said.append(_logprob(headline.logprob_change, headline.margin_change))
    for level in LEVELS:
        strongest = headline.strongest.get(level)
        said.append(_link(level, strongest, headline.n_tests, limits) if strongest else _untested(headline, level))
    said.append(contrast_note(a, b))
    if headline.n_seeds < ENOUGH_SEEDS:
        said.append(f"A statement about in-context learning needs {ENOUGH_SEEDS} demonstration seeds or more.")
    return said
