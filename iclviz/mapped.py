"""The files of one map: written whole, and read again only after everything in them was checked.

map.json              spec, items, axes, origin, and the checksum of the arrays
arrays.safetensors    the arrays
run.json              timings and environment, outside the bytes that two computations share
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from iclviz import schemas
from iclviz.disk import checksum, settle_folder
from iclviz.errors import SpecError, StoreError
from iclviz.formats import Format, NewerError, unchanged
from iclviz.keys import SCHEMA as ORIGIN_SCHEMA
from iclviz.keys import Origin
from iclviz.mapping import MOST_SITES, Axis, Grid, MapSpec, map_key
from iclviz.maps import Array, EffectMap, Made, Trace
from iclviz.recorded import ENVIRONMENT_SCHEMA
from iclviz.schemas import MisfitError
from iclviz.spec import MOST_ITEMS
from iclviz.whereabouts import without_folder

# Format 1 has no seal, and was never written.
FORMAT, RUN_FORMAT = Format("map", (unchanged,)), Format("map's run", (unchanged,))
CONTENT, ARRAYS, RUN = FILES = ("map.json", "arrays.safetensors", "run.json")
MOST_BYTES = {CONTENT: 2**26, RUN: 2**22}

AXES: Mapping[str, str] = {
    "base": "nC",
    "logprobs": "FSVnC",
    "controls": "FSRnC",
    "acted": "FSVn",
    "changed": "FSVn",
    "acted_controls": "FSRn",
}
"""Array -> its axes, by the letters of `iclviz.maps`."""
SCORED: Mapping[str, str] = {"base_scores": "n", "scores": "FSVn", "control_scores": "FSRn"}
"""Those of a map whose grid has responses."""
COUNTS = ("acted", "changed", "acted_controls")

_AXIS = schemas.fields(
    {"name": schemas.text(64, 1), "values": schemas.list_of(schemas.plain(0), MOST_SITES, 1)},
)
CONTENT_SCHEMA = schemas.fields(
    {
        "spec": schemas.table_of(schemas.plain(), 10),
        "item_ids": schemas.list_of(schemas.text(), MOST_ITEMS, 1),
        "axes": schemas.list_of(_AXIS, 2),
        "origin": ORIGIN_SCHEMA,
        "arrays": schemas.hexadecimal(128),
    }
)
RUN_SCHEMA = schemas.fields({"timing": schemas.table_of(schemas.number(0)), "environment": ENVIRONMENT_SCHEMA})

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, SpecError)


def write(folder: Path, made: Made) -> None:
    """Write a map or a trace into an empty folder; all of it is on the disk when this returns."""
    axes_of = _axes_of(made.spec)
    arrays = made.arrays if isinstance(made, Trace) else {name: getattr(made, name) for name in axes_of}
    save_file({name: _as_kept(name, values) for name, values in arrays.items()}, folder / ARRAYS)
    content = {
        "spec": made.spec.to_dict(),
        "item_ids": list(made.item_ids),
        "axes": [{"name": axis.name, "values": list(axis.values)} for axis in getattr(made, "axes", ())],
        "origin": made.origin.to_dict(),
        "arrays": checksum(folder / ARRAYS),
    }
    (folder / CONTENT).write_bytes(FORMAT.sealed(content))
    run = {"timing": dict(made.timing), "environment": dict(made.environment)}
    (folder / RUN).write_bytes(RUN_FORMAT.sealed(run))
    settle_folder(folder)


def _axes_of(spec: MapSpec) -> Mapping[str, str]:
    """Array -> its axes, of a map or a trace."""
    if isinstance(spec.grid, Grid):
        return {**AXES, **SCORED} if spec.grid.responses else AXES
    return {name: f"n{axes}" for name, axes in spec.grid.arrays.items()}


def _as_kept(name: str, values: Array) -> Array:
    return np.ascontiguousarray(values, np.int32 if name in COUNTS else np.float32)


def spec_in(folder: Path, key: str) -> MapSpec:
    """What a folder says that its map is of, read without the arrays.

    Raises
    ------
    NewerError: it is of a newer format.
    StoreError: it is damaged.
    """
    with _refusing(folder, key):
        return MapSpec.from_dict(_content(folder, key)["spec"])


def _content(folder: Path, key: str) -> dict[str, Any]:
    content = FORMAT.unsealed(schemas.read_json(folder / CONTENT, MOST_BYTES[CONTENT]), key)
    CONTENT_SCHEMA(content)
    return content


@contextmanager
def _refusing(folder: Path, key: str) -> Iterator[None]:
    """Whatever reading finds wrong becomes one sentence; a newer format is no fault."""
    try:
        yield
    except NewerError:
        raise
    except UNREADABLE as error:
        raise StoreError(
            f"The map in {folder} is damaged ({error}).", f"Delete it with `iclviz delete {key}` and make it again."
        ) from error


def load(folder: Path, key: str) -> Made:
    """The map or the trace in a folder.

    Raises
    ------
    NewerError: it is of a newer format.
    StoreError: it is damaged.
    """
    with _refusing(folder, key):
        content = _content(folder, key)
        run = RUN_FORMAT.unsealed(schemas.read_json(folder / RUN, MOST_BYTES[RUN]), key)
        RUN_SCHEMA(run)
        if checksum(folder / ARRAYS) != content["arrays"]:
            raise MisfitError(f"{ARRAYS} has other bytes than were written")
        return _checked(content, run, load_file(folder / ARRAYS), key)


def _checked(content: Mapping[str, Any], run: Mapping[str, Any], arrays: Mapping[str, Array], key: str) -> Made:
    """The map or the trace, if everything of it belongs together.

    Raises
    ------
    MisfitError: it does not.
    """
    spec, origin = MapSpec.from_dict(content["spec"]), Origin.from_dict(content["origin"])
    if map_key(spec.run, origin, spec.grid) != key:
        raise MisfitError("its key is not that of its spec")
    axes_of = _axes_of(spec)
    if set(arrays) != set(axes_of) or len(content["axes"]) != (2 if isinstance(spec.grid, Grid) else 0):
        raise MisfitError("its arrays are not those of a map")
    axes_named = [Axis(one["name"], tuple(one["values"])) for one in content["axes"]]
    sizes = {letter: len(axis.values) for letter, axis in zip("FS", axes_named, strict=False)}
    sizes["n"] = len(content["item_ids"])
    for name, axes in axes_of.items():
        kind = "i" if name in COUNTS else "f"
        shape = tuple(sizes.setdefault(axis, size) for axis, size in zip(axes, arrays[name].shape, strict=False))
        if arrays[name].shape != shape or len(shape) != len(axes) or arrays[name].dtype.kind != kind:
            raise MisfitError(f"{name} has the shape {arrays[name].shape}")
    named = MapSpec(spec.run.with_(model=without_folder(spec.run.model)), spec.grid)
    about: dict[str, Any] = {"origin": origin, "timing": run["timing"], "environment": run["environment"]}
    if not axes_named:
        return Trace(named, key, content["item_ids"], arrays, **about)
    first, second = axes_named
    return EffectMap(named, key, content["item_ids"], (first, second), **{**about, **arrays})
