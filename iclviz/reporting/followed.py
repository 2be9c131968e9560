"""Which of an item's statements a response followed: the one that answers, another one, or none."""

from collections import Counter

from iclviz.recording import Recording
from iclviz.tasks import Task
from iclviz.tasks.matching import mention

ANSWERING, OTHER, NONE = FOLLOWED = ("the answering statement", "another statement", "no statement")


def followed(recording: Recording, the_task: Task) -> list[str]:
    """What each response followed, by what it was parsed as; nothing for tasks without statements to follow."""
    if not the_task.has_statements:
        return []
    return [followed_by(recording, place) for place in range(recording.n_items)]


def followed_by(recording: Recording, place: int) -> str:
    """What the response to one item of a task with statements followed."""
    if recording.scores["right"][place] == 1:
        return ANSWERING
    parsed = recording.parsed[place]
    is_there = parsed is not None and mention(_text(recording, place, "irrelevant"), [parsed]) is not None
    return OTHER if is_there else NONE


def _text(recording: Recording, place: int, role: str) -> str:
    """What an item's prompt says in a role."""
    tokens = recording.tokens[place]
    return " ".join("".join(tokens[one.start : one.end]) for one in recording.spans[place] if one.role == role)


def followed_sentence(by_condition: dict[str, list[str]]) -> str:
    """How many responses followed which statement, in A and in B; "" where there are no statements."""
    counts = {side: Counter(each) for side, each in by_condition.items() if each}
    if not counts:
        return ""
    told = [f"{what} {' and '.join(f'{count[what]} in {side}' for side, count in counts.items())}" for what in FOLLOWED]
    return f"Responses followed: {'; '.join(told)}."
