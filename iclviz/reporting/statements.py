"""What a comparison's headline says in plain sentences: what was found, what was not, for which demonstration sets.

Behaviour comes first, and a lack of improvement before anything else. No sentence says that one thing caused another.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from iclviz.analysis.change import Change
from iclviz.analysis.effects import Effect
from iclviz.analysis.equivalence_tests import equivalence, smallest_effect
from iclviz.analysis.headlines import Headline, LevelScore, Strongest
from iclviz.analysis.link import LEVELS, Level
from iclviz.analysis.measures import measure_named
from iclviz.analysis.order_effects import WARN, OrderEffect
from iclviz.analysis.score_table import ScoreRow
from iclviz.analysis.statistics import SIGNIFICANT
from iclviz.analysis.text_ceiling import no_room
from iclviz.analysis.wording import share
from iclviz.intervening import Intervention
from iclviz.natural_units import plain
from iclviz.reporting.scope import ENOUGH_SEEDS, WITHOUT, scope
from iclviz.spec import Demonstrations, RunSpec

SAME = "is the same in A and B: no item differs by more than rounding"
ALIKE = "has no p: every item changed by the same amount"

LEVEL_TITLES: dict[str, str] = {"within": "Within groups", "between": "Between groups"}


def number(value: float) -> str:
    """A statistic with three significant digits, small ones with a true minus sign."""
    return "no value" if math.isnan(value) else plain(value)


def p_value(p: float) -> str:
    """A p as text; one that is found is never rounded up to the bound."""
    if math.isnan(p):
        return "no p"
    if p < 0.001:
        return "p < 0.001"
    rounded = f"{p:.3f}"
    return f"p = {rounded if p >= SIGNIFICANT or float(rounded) < SIGNIFICANT else f'{p:.5f}'}"


@dataclass(frozen=True)
class Setting:
    """What a task says of its score in two conditions.

    Attributes
    ----------
    chance: what guessing reaches, None where nothing can be guessed.
    floor: why one of the conditions is no baseline of any gain, or None.
    """

    chance: float | None = None
    floor: str | None = None


FEW_READ = 0.8
"""A share of responses below which the items that are read on both sides say little of the others."""

NEARLY = 0.05
"""Prompts whose mean tokens differ by a smaller share are nearly as long."""


def contrast_note(a: RunSpec, b: RunSpec, tokens: tuple[float, float]) -> str:
    """What else changed between A and B, which no number tells apart from learning.

    tokens: mean prompt tokens in A and in B, as measured.
    """
    if a.model != b.model:
        return "A and B are different models: nothing here is about in-context learning alone."
    changed = differences(a, b)
    if not changed:
        return "A and B are the same condition."
    parts = f"A and B differ in {'; '.join(changed)}. "
    before, after = tokens
    lengths = f"({before:,.0f} and {after:,.0f} on average)"
    if abs(after - before) > NEARLY * max(before, after):
        return (
            f"{parts}Their prompts have {before:,.0f} and {after:,.0f} tokens on average, so that length and position "
            "changed too: before you call it learning, compare correct with shuffled ones of the same k."
        )
    one, other = (spec.demonstrations.canonical() for spec in (a, b))
    if changed != [_demonstrations(one, other)]:
        return f"{parts}Their prompts have about equally many tokens {lengths}."
    if replace(one, order=other.order) == other:
        return f"{parts}Their prompts hold the same demonstrations: this contrast is about their order alone."
    return (
        f"{parts}Their prompts have about equally many tokens {lengths}: this contrast is about what the "
        f"demonstrations hold, and hardly about length.{_taught(one.kind, other.kind)} To see which of the two moved, "
        "compare each with no demonstrations."
    )


def longer(tokens: tuple[float, float], a: RunSpec, b: RunSpec) -> str:
    """That the prompts of one model also differ in length, and what tells that apart; "" where they do not."""
    before, after = tokens
    if a.model != b.model or abs(after - before) <= NEARLY * max(before, after):
        return ""
    return (
        f"prompts differ in length too ({before:,.0f} and {after:,.0f} tokens), so compare correct with shuffled "
        "demonstrations"
    )


def _taught(*kinds: str) -> str:
    if "shuffled" not in kinds:
        return ""
    return " A shuffled answer usually does not stand in the text of its example, and the model may learn that as well."


def differences(a: RunSpec, b: RunSpec) -> list[str]:
    """In what two conditions differ, as their specs say it; what is only kept of them is no difference."""
    changed = a.canonical().differences(b.canonical())
    parts = [_demonstrations(*changed["demonstrations"])] if "demonstrations" in changed else []
    return parts + [f"{title} ({before}, then {after})" for title, (before, after) in _by_value(a, b).items()]


def differing(a: RunSpec, b: RunSpec) -> dict[str, tuple[str, str]]:
    """The same as what it is called -> its value in A and in B."""
    shown, other = a.demonstrations.canonical(), b.demonstrations.canonical()
    parts = {one.name for one in fields(Demonstrations) if getattr(shown, one.name) != getattr(other, one.name)}
    found = {}
    if parts == {"k"}:
        found["k"] = str(shown.k), str(other.k)
    elif parts == {"seed"}:
        found["demonstration seed"] = str(shown.seed), str(other.seed)
    elif parts == {"order"}:
        found["order of demonstrations"] = _order(shown), _order(other)
    elif parts == {"kind"}:
        found["demonstrations"] = shown.kind, other.kind
    elif parts:
        found["demonstrations"] = _shown(shown), _shown(other)
    return found | _by_value(a, b)


def _by_value(a: RunSpec, b: RunSpec) -> dict[str, tuple[str, str]]:
    changed = a.canonical().differences(b.canonical())
    named = {a.title(name): sides for name, sides in changed.items() if name in _SAID_BY_VALUE}
    for name in {**a.task_options, **b.task_options}:
        sides = a.task_options.get(name), b.task_options.get(name)
        if sides[0] != sides[1]:
            named[name.replace("_", " ")] = sides
    return {title: (_value(before), _value(after)) for title, (before, after) in named.items()}


_SAID_BY_VALUE = set(RunSpec.fields_that("tokens", "forward", "decoding")) - {"demonstrations", "task_options"}


def _value(value: object) -> str:
    if isinstance(value, tuple) and value:
        return "; ".join(one.sentence() if isinstance(one, Intervention) else str(one) for one in value)
    return "none" if value in (None, "", {}, ()) else str(value)


def _demonstrations(a: Demonstrations, b: Demonstrations) -> str:
    return f"demonstrations ({_shown(a)}, then {_shown(b)})"


def _shown(one: Demonstrations) -> str:
    seed = f", seed {one.seed}" if one.seed else ""
    return f"{one.kind}, k = {one.k}{seed}{one.order_words}" if one.k else "none"


def _order(one: Demonstrations) -> str:
    return str(one.order) if one.order else "as drawn"


def _facts(change: Change) -> str:
    """A change with its interval and p, for brackets to be closed behind it."""
    estimate, low, high, p = (float(array[0]) for array in (change.estimate, change.low, change.high, change.p))
    is_said = "" if math.isnan(p) else " uncorrected"
    return f"{number(estimate)} (95 % interval {number(low)} to {number(high)}, {p_value(p)}{is_said})"


def _by_holm(headline: Headline, member: str) -> str:
    """The p of a member of the primary family, corrected over it."""
    p = headline.p(member)
    return "" if math.isnan(p) else f", {p_value(p)} by Holm's method,"


def is_untested(change: Change) -> bool:
    """Whether a change has no p."""
    return math.isnan(float(change.p[0]))


def improved(headline: Headline) -> bool:
    """Whether behaviour got better: above zero with p < 0.05, corrected over the family."""
    return float(headline.change.estimate[0]) > 0 and headline.p("score") < SIGNIFICANT


def _is_above(change: Change) -> bool:
    return float(change.estimate[0]) > 0 and float(change.p[0]) < SIGNIFICANT


def verdict(headline: Headline, setting: Setting) -> str:
    """Whether behaviour improved, with what that has to be read with."""
    change, read = headline.change, headline.parsed_change
    what = f"The effect on behaviour ({headline.contrast.title})" if headline.contrast else "Behaviour"
    if setting.floor:
        return f"A and B are not comparable ({setting.floor})"
    if change.reason:
        return f"Whether {what[0].lower()}{what[1:].rstrip(',')} improved cannot be tested ({change.reason})"
    if is_untested(change):
        return (
            f"{what} changed alike in all items, so there is no p"
            if change.estimate[0]
            else f"{what} is the same in A and B"
        )
    if improved(headline):
        return f"{what} improved{_reservation(headline, read, setting)}"
    if headline.p("score") < SIGNIFICANT:
        return f"{what} did not improve but got worse"
    return f"{what} was not found to improve"


def _reservation(headline: Headline, read: Change | None, setting: Setting) -> str:
    """What a gain has to be read with."""
    if read is not None and is_untested(read):
        return ", but among the items whose responses were read in A and in B this cannot be tested"
    if read is not None and not _is_above(read):
        return ", but this was not found among items whose responses were read in both"
    if headline.contrast is None and _within_chance(headline, setting):
        return ", but B was not found to be above chance"
    return ""


def _within_chance(headline: Headline, setting: Setting) -> bool:
    return setting.chance is not None and not float(np.ravel(headline.level_b.low)[0]) > setting.chance


def _behaviour(headline: Headline, title: str, setting: Setting, limits: str) -> str:
    found = verdict(headline, setting)
    units = f"in {headline.n_units} independent groups, {limits}"
    if headline.effect is not None:
        before, after = (float(one.estimate[0]) for one in (headline.effect.a, headline.effect.b))
        return (
            f"{found}: the effect on “{title}” is {number(before)} in A and {number(after)} in B, a difference "
            f"of {_facts(headline.change)}{_by_holm(headline, 'score')} over {headline.n_items} pairs of items {units}."
            f"{_power(headline)}"
        )
    return (
        f"{found}: the mean of “{title}” is {number(headline.mean_a)} in A and {number(headline.mean_b)} in B, "
        f"a difference of {_facts(headline.change)}{_by_holm(headline, 'score')} over {headline.n_items} items {units}."
        f"{_chance(headline, setting)}{_power(headline)}"
    )


def _chance(headline: Headline, setting: Setting) -> str:
    if setting.chance is None:
        return ""
    low, high = (float(np.ravel(bound)[0]) for bound in (headline.level_b.low, headline.level_b.high))
    where = "is above it" if low > setting.chance else "is below it" if high < setting.chance else "includes it"
    interval = f"{number(low)} to {number(high)}"
    return f" Guessing reaches {number(setting.chance)} on average; B's 95 % interval ({interval}) {where}."


def _power(headline: Headline) -> str:
    """What a design would find, where it found nothing."""
    if headline.change.reason or headline.p("score") < SIGNIFICANT:
        return ""
    least = float(smallest_effect(headline.change)[0])
    if math.isnan(least) or not least:
        return ""
    return f" About 80 % of such comparisons would find a true difference of {number(least)} (uncorrected p < 0.05)."


def _levels(headline: Headline) -> str:
    """The main score at each level of the design factor, and the effect in each condition."""
    assert headline.contrast is not None
    assert headline.effect is not None
    means = "; ".join(
        f"{level} {number(one.mean_a)} in A, {number(one.mean_b)} in B" for level, one in headline.by_level.items()
    )
    return f"By {headline.contrast.factor}: {means}. {_effects(headline.effect, headline.contrast.title)}."


def _effects(effect: Effect, title: str) -> str:
    of_sides = " and ".join(f"{_facts(one)} in {side}" for side, one in (("A", effect.a), ("B", effect.b)))
    return f"The effect, {title}, is {of_sides}"


def effect_sentence(effect: Effect, contrast: str, title: str, limits: str) -> str:
    """An effect within a condition on a score, in A, in B and how far it changed; limits: see `scope`."""
    return (
        f"{_effects(effect, contrast)}; B minus A of it, on “{title}”: {_facts(effect.change)}, over {effect.n} pairs "
        f"of items in {effect.change.n_units} independent groups, {limits}."
    )


def level_rows(levels: Mapping[str, LevelScore]) -> list[dict[str, str]]:
    """A row for each level of a design factor, column -> text."""
    return [
        {
            "": level,
            "A": number(one.mean_a),
            "B": number(one.mean_b),
            "B − A": _facts(one.change),
            "Items": f"{one.n:,}",
        }
        for level, one in levels.items()
    ]


def _parsing(headline: Headline) -> str:
    rates = " and ".join(f"{share(rate)} in {side}" for rate, side in zip(headline.parse_rates, "AB", strict=True))
    change = headline.parsed_change
    if change is None:
        return f"Of the responses, {rates} could be read."
    seen = f"over the {headline.n_parsed} items read in every run of both, the difference is {_facts(change)}"
    if not improved(headline):
        return f"Of the responses, {rates} could be read; {seen}."
    holds = "the improvement is seen there too" if _is_above(change) else "it was not found there"
    if min(headline.parse_rates) < FEW_READ:
        holds += ", but items that are read in both need not be like the others"
    if is_untested(change):
        holds = f"it cannot be tested there ({change.reason or 'nothing differs'})"
    return f"Of the responses, {rates} could be read; {seen}: {holds}."


def _logprob(headline: Headline, limits: str) -> str:
    change, margin = headline.logprob_change, headline.margin_change
    assert change is not None
    if headline.n_seeds == 1 and limits != WITHOUT:
        parts = (
            f"The right answer's log-probability is {_moved(change)}; this is no test, since one demonstration set "
            "moves it for all items alike"
        )
    else:
        parts = _logprob_tested(change, limits)
    if margin is None:
        return f"{parts}."
    return (
        f"{parts}. Its margin over other answers, which a learned format does not raise, {_margin_changed(headline)} "
        f"{limits}: "
        f"{_facts(margin)}{_by_holm(headline, 'margin').rstrip(',')}."
    )


def _moved(change: Change) -> str:
    size = number(abs(estimate := float(change.estimate[0])))
    if not float(size):
        return "the same in A and B"
    return f"{size} nats {'higher' if estimate > 0 else 'lower'} in B than in A"


def _logprob_tested(change: Change, limits: str) -> str:
    return (
        "The right answer's log-probability, which needs no parsing but rises with a learned format too, "
        f"{_changed(change)} {limits}: {_facts(change)}"
    )


def _changed(change: Change) -> str:
    if is_untested(change):
        return f"was not tested ({change.reason})" if change.reason else ALIKE if change.estimate[0] else SAME
    return "changed" if float(change.p[0]) < SIGNIFICANT else "was not found to change"


def _margin_changed(headline: Headline) -> str:
    """The same of the family's second member, by its corrected p."""
    assert headline.margin_change is not None
    if is_untested(headline.margin_change):
        return _changed(headline.margin_change)
    return "changed" if headline.p("margin") < SIGNIFICANT else "was not found to change"


def _link(headline: Headline, level: Level, strongest: Strongest, limits: str) -> str:
    measure = measure_named(strongest.measure)
    what = f"{measure.title} at {measure.unit} {strongest.layer}"
    p = family_p(headline, strongest)
    tests = f"{p_value(p)} corrected over {headline.n_tests} correlations and the primary family"
    if p < SIGNIFICANT:
        found = f"the change of {what} goes with the change of behaviour"
        facts = (
            f"rho = {number(strongest.rho)} ({tests}; as the one of least p it is probably too large); with "
            f"the score in A, lengths and the task's covariates taken out, rho = {number(strongest.partial)} "
            f"({p_value(strongest.partial_p)} uncorrected)"
        )
    else:
        found = f"no measure's change was found to go with the change of behaviour; the one of least p is {what}"
        facts = f"rho = {number(strongest.rho)} ({tests})"
    return f"{LEVEL_TITLES[level]}, {found}: {facts}, {limits}."


def family_p(headline: Headline, strongest: Strongest) -> float:
    """A level's p, corrected over the family as that of the strongest level is."""
    least = min(one.p for one in headline.strongest.values())
    return min(1.0, strongest.p * headline.p("link") / least)


def table_row(row: ScoreRow, title: str) -> dict[str, str]:
    """A score's row in a table, column -> text."""
    change, mixed = row.change, row.mixed
    estimate, low, high, p = (float(values[0]) for values in (change.estimate, change.low, change.high, change.p))
    return {
        "Score": title,
        "A": number(row.mean_a),
        "B": number(row.mean_b),
        "B − A": f"{number(estimate)} ({number(low)} to {number(high)})",
        "p": change.reason or p_value(p),
        "d": number(row.size),
        "Mixed model": mixed.reason
        or f"{number(mixed.estimate)} ({number(mixed.low)} to {number(mixed.high)}), {p_value(mixed.p)}",
    }


def equivalence_sentence(change: Change, title: str, bound: float) -> str:
    """Whether a change is as good as none."""
    found = equivalence(change, bound)
    low, high, p = (float(values[0]) for values in (found.low, found.high, found.p))
    if math.isnan(p):
        if not change.reason:
            return f"“{title}” {ALIKE if change.estimate[0] else SAME}."
        return f"Whether “{title}” is equivalent in A and B cannot be tested: {change.reason}."
    verdict = "is equivalent in A and B" if p < SIGNIFICANT else "was not shown to be equivalent in A and B"
    return (
        f"“{title}” {verdict} within ±{bound:g} (two one-sided tests, {p_value(p)}; 90 % interval of the difference "
        f"{number(low)} to {number(high)})."
    )


def order_warning(order: OrderEffect, title: str) -> str:
    """What the order of items takes from a claim about single items."""
    return (
        f"The order of items predicts “{title}” within groups (neighbours correlate with {number(order.neighbours)}, "
        f"the place with {number(order.trend)}; {p_value(order.p)}): the test trades items within groups, so links "
        "there are less sure than their p says. Give the file larger groups, or its order as a factor."
    )


NAMED_COPIES = 3
"""How many pairs of copies a sentence names."""


def copies_warning(copies: Sequence[tuple[str, str]]) -> str:
    """What items that are nearly the same inside the model take from every claim."""
    named = "; ".join(f"{one} and {other}" for one, other in copies[:NAMED_COPIES])
    more = f"; and {len(copies) - NAMED_COPIES:,} more pairs" if len(copies) > NAMED_COPIES else ""
    return (
        f"Some items of one group are nearly the same inside the model ({named}{more}): each counts as an item of its "
        "own, so links within groups can be found that are not there. Give the file a column “unit” that names what "
        "rows are copies of."
    )


def _untested(headline: Headline, level: Level) -> str:
    links = headline.links[level].values()
    reasons = [link.reason for link in links if link.reason]
    if any(link.same.any() for link in links):
        reasons = ["the measures change by the same amount in nearly all items or groups", *reasons]
    return (
        f"{LEVEL_TITLES[level]}, links with behaviour cannot be tested: {(reasons or ['no measure has a value'])[0]}."
    )


def sentences(
    headline: Headline, title: str, a: RunSpec, b: RunSpec, setting: Setting | None = None, hypothesis: str = ""
) -> list[str]:
    """The headline in sentences, behaviour first.

    Parameters
    ----------
    headline: the result.
    title: the main score's title.
    a, b: the specs of the two conditions.
    setting: what the task says of its score; None = nothing.
    hypothesis: the primary hypothesis's title.
    """
    limits = scope(headline.n_seeds, a.demonstrations, b.demonstrations)
    parts = [_behaviour(headline, title, setting or Setting(), limits)]
    if headline.effect is not None:
        parts.append(_levels(headline))
    parts.append(_parsing(headline))
    if headline.logprob_change is not None:
        parts.append(_logprob(headline, limits))
    for level in LEVELS:
        strongest = headline.strongest.get(level)
        parts.append(_link(headline, level, strongest, limits) if strongest else _untested(headline, level))
    parts += [sentence for sentence in [no_room(headline.text_share, hypothesis)] if sentence]
    if headline.order is not None and headline.order.p < WARN:
        parts.append(order_warning(headline.order, title))
    if headline.copies:
        parts.append(copies_warning(headline.copies))
    parts.append(contrast_note(a, b, headline.tokens))
    if headline.n_seeds < ENOUGH_SEEDS:
        parts.append(f"A statement about in-context learning needs {ENOUGH_SEEDS} demonstration seeds or more.")
    return parts
