"""A and B over their demonstration seeds: what is asked of them, and what is said of the answers."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from iclviz.analysis.change import Change
from iclviz.analysis.comparison import compare
from iclviz.analysis.headlines import Headline, headline
from iclviz.analysis.measure import Measure
from iclviz.analysis.measures import all_measures
from iclviz.analysis.outcomes import OutcomeCounts
from iclviz.analysis.wording import capital
from iclviz.primary import primary_measuring
from iclviz.questions.question import Question
from iclviz.recording import Recording
from iclviz.reporting.first_glance import changes_sentence, difference, headline_line, short_subjects, with_a_value
from iclviz.reporting.recipes import Recipe, change_by_layer, outcomes_recipe, scores_at_a_glance
from iclviz.reporting.scope import demonstration_scope, scope
from iclviz.reporting.setting import setting
from iclviz.tasks import task


class OverSeeds:
    """A and B of one task and model, a pair for each demonstration seed."""

    def __init__(self, pairs: Sequence[tuple[Recording, Recording]]) -> None:
        """pairs: A and B of each seed; a condition that no seed draws stands in each.

        Raises
        ------
        AnalysisError: they have no item in common.
        """
        self.comparison = compare([a for a, _ in pairs], [b for _, b in pairs])
        self.a, self.b = (one.spec for one in pairs[0])
        self.the_task = task(self.a.task)
        self.measuring = primary_measuring(self.the_task, self.comparison.first)
        self.limits = scope(len(pairs), self.a.demonstrations, self.b.demonstrations)
        self.labels = [f"{side}{number or ''}" for number in range(len(pairs)) for side in "AB"]
        self.runs = dict(zip(self.labels, (one for pair in pairs for one in pair), strict=True))

    @property
    def headline(self) -> Question[Headline]:
        """The task's primary analysis of them."""
        keys = [one.key for one in self.runs.values()]
        return headline.of(keys, self.the_task.primary.score, self.measuring, self.the_task.contrast)

    @cached_property
    def outcomes(self) -> tuple[Recipe, Mapping[str, Recording]] | None:
        """What became of the items of the first seed, of a task whose verdict is about that; None of any other."""
        if not (self.the_task.contrast and self.the_task.outcomes):
            return None
        runs = dict(zip("AB", self.comparison.pairs[0], strict=True))
        limits = demonstration_scope(runs.values())
        return outcomes_recipe(runs, self.the_task, self.the_task.contrast.factor, limits), runs

    def scores(self, score: str) -> tuple[Recipe, Mapping[str, Recording]]:
        """Behaviour as a picture: the outcomes, or the score where there are none."""
        recipe = scores_at_a_glance(self.labels, self.the_task, score, self.b.task_options, self.limits)
        return self.outcomes or (recipe, self.runs)

    def said(self, found: Headline, counts: Mapping[str, OutcomeCounts] | None = None) -> tuple[str, str]:
        """What was found of behaviour, and its difference with its interval; counts: answers of `outcomes`."""
        unit, expected = self.the_task.natural_unit(found.score), setting(self.the_task, self.a, self.b)
        return headline_line(found, expected, unit, self.the_task, counts), difference(found, unit)

    def measures(self, names: Sequence[str]) -> tuple[dict[str, Measure], dict[str, str]]:
        """Of the measures of these names those that may have a value, and why others have none, in a sentence each."""
        known, found, absent = all_measures(), {}, {}
        for name in names:
            if name not in known:
                absent[name] = f"There is no measure {name}."
            elif reason := self._absent(known[name]):
                absent[name] = f"{capital(known[name].title)} has no value here: {reason}."
            else:
                found[name] = known[name]
        return found, absent

    def _absent(self, measure: Measure) -> str:
        reasons = (measure.absent(run, self.measuring) for run in self.comparison.pairs[0])
        return next(filter(None, reasons), "")

    def changed(self, changes: Mapping[str, Change]) -> str:
        """What changed from A to B, of the measures that have a value; "" where none has."""
        kept, known = with_a_value(changes), all_measures()
        if not kept:
            return ""
        measures = {name: known[name] for name in kept}
        titles = short_subjects(measures, self.comparison.first, self.measuring, self.the_task)
        return changes_sentence(kept, titles, {name: one.first_layer for name, one in measures.items()})

    def change(self, measure: Measure) -> Recipe:
        """B minus A of a measure by layer."""
        return change_by_layer(measure, self.labels, self.comparison.first, self.measuring, self.the_task, self.limits)
