"""What a task says of its main score in two conditions, as statements need it."""

from iclviz.reporting.statements import Setting
from iclviz.spec import RunSpec
from iclviz.tasks import Task


def setting(the_task: Task, a: RunSpec, b: RunSpec) -> Setting:
    """What guessing reaches, and in which of the conditions nothing could be known."""
    floors = [side for side, spec in (("A", a), ("B", b)) if the_task.is_floor(spec.demonstrations.canonical())]
    floor = f"in {' and '.join(floors)} the prompt does not show what one must know to answer" if floors else None
    return Setting(the_task.chance(b.task_options).get(the_task.primary.score), floor)
