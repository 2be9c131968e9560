"""What a run that is under way has left so far: its plan and its finished pieces."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from iclviz import schemas
from iclviz.disk import checksum, checksum_of
from iclviz.formats import Format, unchanged
from iclviz.recording import Array
from iclviz.spec import MOST_ITEMS
from iclviz.storage import Storage

PLAN = Format("plan", (unchanged,))


def _named_arrays(facts: dict[str, Any]) -> dict[str, Any]:
    """Format 1 called the checksum of a piece's arrays just that."""
    rest = {name: value for name, value in facts.items() if name != "checksum"}
    return {**rest, "arrays": facts.get("checksum")}


PIECE = Format("piece", (_named_arrays,))
MOST_PLAN_BYTES, MOST_FACTS_BYTES = 2**20, 2**28
_WHOLE = schemas.whole(0, 2**31)
PLAN_SCHEMA = schemas.fields(
    {
        "settings": schemas.fields(
            {
                "token_budget": schemas.whole(1, 2**40),
                "threads": schemas.whole(1, 2**16),
                "sharing": schemas.flag,
                "pass_tokens": schemas.whole(0, 2**31),
            }
        ),
        "makers": schemas.table_of(schemas.plain(2)),
    },
    {
        "together": schemas.list_of(schemas.text(128), MOST_ITEMS),
        "specs": schemas.table_of(schemas.table_of(schemas.plain())),
    },
)
FACTS_SCHEMA = schemas.fields(
    {
        "items": schemas.list_of(schemas.whole(0, MOST_ITEMS), MOST_ITEMS, 1),
        "response_ids": schemas.list_of(schemas.list_of(_WHOLE, 2**20), MOST_ITEMS),
        "candidate_logprobs": schemas.list_of(schemas.list_of(schemas.number(missing=True), 2**20), MOST_ITEMS),
        "seconds": schemas.table_of(schemas.number(0)),
        "arrays": schemas.hexadecimal(128),
    }
)


MAP_FACTS_SCHEMA = schemas.fields({"seconds": schemas.table_of(schemas.number(0)), "arrays": schemas.hexadecimal(128)})


class Unfinished:
    """Plan settings and finished pieces of one run or map, each file put whole with its checksum beside it."""

    def __init__(self, storage: Storage, name: str, facts: schemas.Check = FACTS_SCHEMA) -> None:
        """name: of its entry in the storage; facts: what stands beside the arrays of a piece."""
        self._storage, self._name, self._facts = storage, name, facts

    @property
    def folder(self) -> Path:
        """The local folder with what there is, whether or not there is anything."""
        return self._storage.get(self._name)

    @property
    def exists(self) -> bool:
        """Whether the run left anything."""
        return self._name in self._storage

    def forget(self) -> None:
        """Remove the plan and every piece."""
        self._storage.delete(self._name)

    def plan(self) -> dict[str, Any] | None:
        """The stored plan, None where the run has none that can be followed."""
        try:
            plan = PLAN.unsealed(schemas.read_json(self.folder / "plan.json", MOST_PLAN_BYTES))
            PLAN_SCHEMA(plan)
        except (OSError, ValueError):
            return None
        return plan

    def save_plan(self, plan: dict[str, Any]) -> None:
        """Keep the plan for whoever goes on with the run."""
        self._storage.put(f"{self._name}/plan.json", PLAN.sealed(plan))

    def pieces(self) -> list[tuple[dict[str, Array], dict[str, Any]]]:
        """Arrays and facts of every finished piece; one that is missing or damaged is left out, so that it is run
        again.
        """
        found = (self._piece(path) for path in sorted(self.folder.glob("piece-*.safetensors")))
        return [piece for piece in found if piece is not None]

    def _piece(self, path: Path) -> tuple[dict[str, Array], dict[str, Any]] | None:
        try:
            facts = PIECE.unsealed(schemas.read_json(path.with_suffix(".json"), MOST_FACTS_BYTES))
            self._facts(facts)
            return (load_file(path), facts) if facts.pop("arrays") == checksum(path) else None
        except (OSError, ValueError, SafetensorError):
            return None

    def save_piece(self, number: int, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        """Keep a finished piece under a number, such as that of its first item: its facts last, which make it one."""
        piece = f"{self._name}/piece-{number:05d}"
        content = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
        self._storage.put(f"{piece}.safetensors", content)
        self._storage.put(f"{piece}.json", PIECE.sealed({**facts, "arrays": checksum_of(content)}))
