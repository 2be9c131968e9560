"""What the data of a comparison are, in one line: what A and B share, what differs, items and groups."""

from iclviz.analysis.behaviour import n_independent
from iclviz.models.presets import model_title
from iclviz.recording import Recording
from iclviz.reporting.statements import differing
from iclviz.spec import RunSpec
from iclviz.tasks import task


def shared(recordings: list[Recording]) -> str:
    """What one recording is of, or what two share; with their items and groups."""
    first, *others = recordings
    titles = [title for title, is_shared in _subject(first, others).items() if is_shared]
    return f"{', '.join([*titles, _items(first, others)])}."


def differences(a: RunSpec, b: RunSpec) -> dict[str, tuple[str, str]]:
    """In what two conditions differ -> what is read of it in A and in B."""
    return {title: (_said(title, mine), _said(title, theirs)) for title, (mine, theirs) in differing(a, b).items()}


def _subject(first: Recording, others: list[Recording]) -> dict[str, bool]:
    """Titles of the model and the task, and whether all have them."""
    specs = [one.spec for one in (first, *others)]
    return {
        model_title(first.spec.model): len({one.model for one in specs}) == 1,
        task(first.spec.task).title: len({one.task for one in specs}) == 1,
    }


def _items(first: Recording, others: list[Recording]) -> str:
    counts = [_counted(first), *(_counted(one) for one in others if list(one.item_ids) != list(first.item_ids))]
    if len(counts) == 1:
        return counts[0]
    common = len(set(first.item_ids).intersection(*(one.item_ids for one in others)))
    return f"A has {counts[0]} and B {counts[1]}, {common or 'none'} of them the same"


def _counted(recording: Recording) -> str:
    n_groups = n_independent(recording)
    groups = f" in {n_groups:,} independent groups" if n_groups < recording.n_items else ""
    return f"{recording.n_items:,} items{groups}"


LONGEST = 40
"""Characters of a value that a line has room for."""


def _task_title(name: str) -> str:
    return task(name).title


TITLED = {RunSpec.title("model"): model_title, RunSpec.title("task"): _task_title}
"""What readers call the values of some fields."""

WHOLE = {RunSpec.title("interventions")}
"""Fields whose value is said whole: it is what the comparison is about."""


def _said(title: str, value: str) -> str:
    value = TITLED.get(title, str)(value)
    return value if len(value) <= LONGEST or title in WHOLE else f"{value[: LONGEST - 1]}…"


def other_items(first: Recording, other: Recording) -> str:
    """Why the items of another recording are not those of the first, in a few words; "" where they are."""
    if list(other.item_ids) == list(first.item_ids):
        return ""
    mine, theirs = first.spec, other.spec
    if mine.task != theirs.task:
        return f"another task, {task(theirs.task).title}"
    if mine.seed != theirs.seed:
        return f"items of seed {theirs.seed}, not {mine.seed}"
    if mine.n_items != theirs.n_items:
        return f"{theirs.n_items} items, not {mine.n_items}"
    if options := [name for name in {**mine.task_options, **theirs.task_options} if _differs(name, mine, theirs)]:
        return f"other task options: {' and '.join(name.replace('_', ' ') for name in options)}"
    return "other items"


def _differs(option: str, mine: RunSpec, theirs: RunSpec) -> bool:
    return bool(mine.task_options.get(option) != theirs.task_options.get(option))
