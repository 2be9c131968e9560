"""Keys of recordings: a digest of the resolved spec and of everything else that decides its numbers.

What a key covers besides the spec is kept with the recording, so that whoever reads the files can make the key again.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from iclviz import schemas
from iclviz.spec import PLACE_OPTIONS, RunSpec, digest

SAMPLED = re.compile(r"[0-9a-f]{32}")
"""Identities of local files from when a sample of the weights was read: other weights may have had the same."""


@dataclass(frozen=True)
class Origin:
    """What a key covers besides its spec.

    Attributes
    ----------
    task: the identity of the task.
    model: the identity of the model's files.
    by_files: whether the model is told by its files alone, since the spec's name for it is a path on one machine.
    versions: one number each for the task, the prompts, the capture, and each further recorder that is asked for.
    """

    task: str
    model: str
    by_files: bool
    versions: Mapping[str, int]

    @property
    def by_sample(self) -> bool:
        """Whether a sample of the weights told the model's files, so that those of other weights may have this key."""
        return SAMPLED.fullmatch(self.model) is not None

    def is_of_run(self, other: "Origin") -> bool:
        """Whether another one tells the same run, whatever else was recorded of it."""
        shared = self.versions.keys() & other.versions.keys()
        return (self.task, self.model, self.by_files) == (other.task, other.model, other.by_files) and all(
            self.versions[name] == other.versions[name] for name in shared
        )

    def to_dict(self) -> dict[str, Any]:
        """The origin as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "Origin":
        """The origin that `to_dict` wrote.

        Raises
        ------
        MisfitError: these are no such values.
        """
        SCHEMA(values)
        return cls(**values)


SCHEMA = schemas.fields(
    {
        "task": schemas.text(200, 1),
        "model": schemas.text(200, 1),
        "by_files": schemas.flag,
        "versions": schemas.fields(
            {name: schemas.whole(0, 2**31) for name in ("task", "prompts", "capture")}, rest=schemas.whole(0, 2**31)
        ),
    }
)


def told_by_sample(origin: Origin | None, environment: Mapping[str, Any]) -> bool:
    """`Origin.by_sample` of a recording; one without an origin is older, and told so unless its model has a commit."""
    if origin is not None:
        return origin.by_sample
    return (environment.get("model") or {}).get("identity") is None


def key_of(spec: RunSpec, origin: Origin) -> str:
    """The key of the recording that a resolved spec leaves."""
    options = {name: value for name, value in spec.model_options.items() if name not in PLACE_OPTIONS}
    values = {**spec.to_dict(), "task": origin.task, "model_options": options}
    if origin.by_files:
        del values["model"]
    return digest({"spec": values, "model": origin.model, "versions": dict(origin.versions)})
