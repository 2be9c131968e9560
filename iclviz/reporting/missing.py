"""Which values a comparison lacks and why, one cause a line, in words of the task."""

from collections.abc import Iterable, Mapping

import numpy as np

from iclviz.analysis.attention import NO_TEXT
from iclviz.analysis.wording import share
from iclviz.recording import Array, Recording
from iclviz.reporting.first_glance import ranges
from iclviz.tasks import Task


def merged(causes: Mapping[str, Iterable[str]]) -> list[str]:
    """Condition -> its causes, as lines that name the conditions that have one."""
    having: dict[str, list[str]] = {}
    for label, of_condition in causes.items():
        for cause in of_condition:
            having.setdefault(cause, []).append(label.partition(":")[0])
    return [f"{' and '.join(labels)}: {cause}." for cause, labels in having.items()]


def layer_causes(missing: Mapping[int, str], unit: str) -> list[str]:
    """Why layers have no value, a cause for each reason; nothing where the embeddings alone, layer 0, have none, as is
    so wherever all items end alike.

    unit: "layer" or "block".
    """
    if set(missing) <= {0}:
        return []
    reasons: dict[str, list[int]] = {}
    for layer, why in sorted(missing.items()):
        reasons.setdefault(why, []).append(layer)
    return [f"no value at {unit}{'s' if len(at) > 1 else ''} {ranges(at)}: {why}" for why, at in reasons.items()]


def without_text(recording: Recording, the_task: Task, role: str) -> str | None:
    """Which items have no text in a role, such as "the 16 clean items have no inserted text"; None where all do."""
    lacks = np.asarray(recording.span_lengths.get(role, np.zeros(recording.n_items))) == 0
    if not lacks.any():
        return None
    text = f"no {the_task.text_in(role)}"
    if lacks.all():
        return f"no item has {text.removeprefix('no ')}" if lacks.size > 1 else f"the item has {text}"
    value = _value_of(recording, lacks)
    items = f"the {lacks.sum()} {value} items" if value else f"{lacks.sum()} of {lacks.size} items"
    return f"{items} have {text}"


def _value_of(recording: Recording, where: Array) -> str:
    """The value of a factor or label that these items have and no others; "" where none is."""
    for values in (*recording.factors.values(), *recording.labels.values()):
        texts = np.asarray(values).astype(str)
        found = set(texts[where])
        is_kind = 2 * len(set(texts)) <= len(texts)
        if is_kind and len(found) == 1 and "" not in found and not (texts[~where] == texts[where][0]).any():
            return str(found.pop())
    return ""


def ratio_causes(
    recording: Recording,
    the_task: Task,
    roles: Iterable[str],
    reasons: Mapping[str, int],
    n_bounded: int,
) -> list[str]:
    """Why attention ratios of a condition are missing, or are bounds.

    Parameters
    ----------
    roles: those of the ratio.
    reasons: why values are missing -> how many of items x blocks; that of text that is not there is told by its items.
    n_bounded: values that are only bounds.
    """
    total = recording.n_items * recording.n_layers
    found = [cause for role in roles if (cause := without_text(recording, the_task, role))]
    found += [
        f"{count:,} of {total:,} ratios ({share(count / total)}) are missing: {reason}"
        for reason, count in reasons.items()
        if not reason.startswith(NO_TEXT)
    ]
    if n_bounded:
        found.append(
            f"in {n_bounded:,} of {total:,} ratios ({share(n_bounded / total)}) attention to one text is below what "
            "float32 holds. It counts as the smallest number that float32 has, so these ratios are at least, or at "
            "most, what is shown"
        )
    return found
