"""What a comparison found, in one line each: behaviour, what changed inside the model, the link of both."""

from collections.abc import Mapping, Sequence

import numpy as np

from iclviz.analysis.change import Change, has_a_value
from iclviz.analysis.headlines import Headline
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.outcomes import OutcomeCounts
from iclviz.analysis.statistics import MIN_UNITS, SIGNIFICANT, stands_out
from iclviz.analysis.text_ceiling import NEARLY_ALL
from iclviz.analysis.wording import capital, share
from iclviz.natural_units import Better, NaturalUnit, plain, runs_of
from iclviz.recording import Array, Recording
from iclviz.reporting.scope import ENOUGH_SEEDS
from iclviz.reporting.statements import LEVEL_TITLES, Setting, family_p, is_untested, longer, p_value, verdict
from iclviz.spec import RunSpec, draws
from iclviz.tasks import Task

READ = 0.95
"""Where a smaller share of responses could be read, what behaviour did may be what the format did."""


def headline_line(
    headline: Headline,
    expected: Setting,
    unit: NaturalUnit,
    the_task: Task,
    counts: Mapping[str, OutcomeCounts] | None = None,
) -> str:
    """The verdict on behaviour, and how it went.

    expected: what the task says of its score.
    counts: what became of the items in A and B, of a task whose verdict is about outcomes.
    """
    happened = went(headline, unit)
    if counts and the_task.contrast and headline.n_seeds == 1:
        happened = outcomes_went(counts, the_task.contrast.level)
    return f"{verdict(headline, expected)}: {happened}."


def went(headline: Headline, unit: NaturalUnit) -> str:
    """How behaviour went from A to B as people say it, to go on after a verdict."""
    if headline.effect is not None:
        before, after = (float(one.estimate[0]) for one in (headline.effect.a, headline.effect.b))
        unit = NaturalUnit(unit.title) if unit.is_reversed else unit  # a difference of logarithms is no error
        what, verb = f"the effect on {unit.title}", "is"
    else:
        before, after, what, verb = headline.mean_a, headline.mean_b, unit.title, _are(unit.title)
    said = unit.text(before), unit.text(after)
    if said[0] == said[1]:
        return f"{what} {verb} {said[0]} in both"
    if is_untested(headline.change) or headline.p("score") >= SIGNIFICANT:
        return f"{what} {verb} {said[0]} in A and {said[1]} in B"
    rose = float(unit.values(after)) > float(unit.values(before))
    return f"{what} {'rose' if rose else 'fell'} from {said[0]} in A to {said[1]} in B"


def outcomes_went(counts: Mapping[str, OutcomeCounts], level: str) -> str:
    """What became of the items of one kind in A and in B, to go on after a verdict."""
    rows = {side: found.counts[found.values.index(level)] for side, found in counts.items()}
    totals = {int(row.sum()) for row in rows.values()}
    outcomes = next(iter(counts.values())).outcomes[:-1]

    def said(place: int, row: Array) -> str:
        return f"{row[place]}" if len(totals) == 1 else f"{row[place]} of {row.sum()}"

    told = [
        f"{outcome} {' and '.join(f'{said(place, row)} in {side}' for side, row in rows.items())}"
        for place, outcome in enumerate(outcomes)
    ]
    of_all = f"of {totals.pop()} {level} items" if len(totals) == 1 else f"of the {level} items"
    return f"{of_all} {', '.join(told)}"


def _are(what: str) -> str:
    return "are" if what.endswith("s") else "is"


def difference(headline: Headline, unit: NaturalUnit) -> str:
    """The difference of behaviour with its interval and its p, corrected over the primary family as the verdict is."""
    if is_untested(headline.change):
        return f"{capital(headline.change.reason or 'every item changed alike')}."
    return f"The difference{_of_what(unit)} is {_points(headline.change, unit, headline.p('score'))} by Holm's method)."


def score_went(change: Change, unit: NaturalUnit, n_items: int, better: Better, limits: str) -> str:
    """How one score went from A to B, over the items that have it in both.

    better: which way it goes when the model does better; limits: what the statement is limited to.
    """
    over = f"over the {n_items} items with a value in A and in B, in {change.n_units} independent groups, {limits}"
    if is_untested(change):
        reason = change.reason or "every item changed alike"
        return f"Whether {unit.title} changed cannot be tested: {reason}, {over}."
    p = float(change.p[0])
    rose = (float(change.estimate[0]) > 0) is not unit.is_reversed
    good = "the better" if (better == "higher") is rose else "the worse"
    verb = f"{'rose' if rose else 'fell'} from A to B, for {good}"
    happened = verb if p < SIGNIFICANT else f"{_was(unit.title)} not found to change"
    return f"{unit.name} {happened}: the difference{_of_what(unit)} is {_points(change, unit, p)} uncorrected), {over}."


def _of_what(unit: NaturalUnit) -> str:
    return ", tested on a logarithmic scale," if unit.is_reversed else ""


def _points(change: Change, unit: NaturalUnit, p: float) -> str:
    """A difference in its unit with its interval and p, for brackets to be closed behind it."""
    values = [float(part[0]) for part in (change.estimate, change.low, change.high)]
    is_share = unit.kind == "share"
    estimate, low, high = (plain(100 * value, 2) if is_share else plain(value) for value in values)
    return f"{estimate}{' percentage points' if is_share else ''} (95 % interval {low} to {high}, {p_value(p)}"


def _was(what: str) -> str:
    return "were" if what.endswith("s") else "was"


def with_a_value(changes: Mapping[str, Change]) -> dict[str, Change]:
    """The measures that have a change in any layer: the others have pages that say why not."""
    return {name: change for name, change in changes.items() if has_a_value(change)}


def n_tests(changes: Mapping[str, Change]) -> int:
    """How many layers of how many measures were tested."""
    return sum(int(np.isfinite(change.p_corrected).sum()) for change in changes.values())


def short_subjects(
    measures: Mapping[str, Measure], recording: Recording, measuring: Measuring, the_task: Task
) -> dict[str, str]:
    """What each measure is of, in few words."""
    return {name: one.short_subject(recording, measuring, the_task.titles) for name, one in measures.items()}


def changes_sentence(changes: Mapping[str, Change], titles: Mapping[str, str], first: Mapping[str, int]) -> str:
    """What changed inside, of all measures and layers: how many tests found something, of which measure and where."""
    n = n_tests(changes)
    found = {
        name: np.flatnonzero(stands_out(change.p_corrected)) + first.get(name, 0) for name, change in changes.items()
    }
    n_found = sum(map(len, found.values()))
    if not n:
        return "Nothing inside the model could be tested."
    if not n_found:
        return f"No change inside the model was found ({n} exploratory tests, corrected over layers)."
    where = "; ".join(
        f"{titles[name]} {_directions(changes[name], first.get(name, 0))}" for name, at in found.items() if len(at)
    )
    return f"{n_found} of {n} exploratory tests found a change (p < 0.05, corrected over layers): {where}."


def _directions(change: Change, first: int) -> str:
    """Where a change stands out, rises apart from falls."""
    said = []
    for mark, side in (("▲", change.estimate > 0), ("▼", change.estimate < 0)):
        at = np.flatnonzero(stands_out(change.p_corrected) & side) + first
        if len(at):
            said.append(f"{mark} {'block' if first else 'layer'}{'s' if len(at) > 1 else ''} {ranges(at.tolist())}")
    return ", ".join(said)


def reservations(headline: Headline, a: RunSpec, b: RunSpec, hypothesis: str) -> str:
    """What has to be known before any of it is believed, in one line; "" where there is nothing.

    hypothesis: the title of the one that alignment is with.
    """
    told = []
    if headline.n_seeds < ENOUGH_SEEDS and (draws(a) or draws(b)):
        sets = "one demonstration set" if headline.n_seeds == 1 else f"{headline.n_seeds} demonstration sets"
        told.append(f"{sets}, where a statement about in-context learning needs {ENOUGH_SEEDS}")
    if headline.n_units < MIN_UNITS:
        told.append(f"{headline.n_units} independent groups of items are few")
    if told_lengths := longer(headline.tokens, a, b):
        told.append(told_lengths)
    if min(headline.parse_rates) < READ:
        rates = " and ".join(f"{share(rate)} in {side}" for rate, side in zip(headline.parse_rates, "AB", strict=True))
        told.append(f"of the responses {rates} could be read, so behaviour may have changed in form alone")
    if headline.text_share >= NEARLY_ALL:
        told.append(f"the prompts' words alone nearly give “{hypothesis}”, so that its alignment tests nothing here")
    return f"Before you believe it: {'; '.join(told)}." if told else ""


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in ascending order as a reader lists them: 1, 3 to 7, 9."""
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs_of(numbers))


def link_line(headline: Headline) -> str:
    """Whether what changed inside goes with behaviour, in one line."""
    tested = {level: one for level, one in headline.strongest.items() if np.isfinite(one.p)}
    if not tested:
        return "Whether what changed inside goes with behaviour cannot be tested here."
    found = {level: one for level, one in tested.items() if family_p(headline, one) < SIGNIFICANT}
    if not found:
        return f"No link with behaviour was found ({headline.n_tests} correlations, corrected together)."
    parts = [
        f"{LEVEL_TITLES[level][0].lower()}{LEVEL_TITLES[level][1:]}, the change of "
        f"{measure_named(one.measure).title} at {measure_named(one.measure).unit} {one.layer} goes with that of "
        f"behaviour (rho = {plain(one.rho, 2)}, {p_value(family_p(headline, one))} by Holm's method)"
        for level, one in found.items()
    ]
    return f"{capital('; '.join(parts))}."
