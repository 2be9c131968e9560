"""The files of one recording: written, and read again only after everything in them was checked.

recording.json                   spec, texts, tokens, spans, tables of words
arrays.safetensors               tables of numbers
embeddings.<pooling>.safetensors
tokens.safetensors               where attention is kept token by token
recorded.<array>.safetensors     of each array that further recorders left
run.json                         timings, environment, origin and summary, outside the bytes that two runs share
manifest.json                    format number and checksums of the others, written last
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from iclviz import schemas
from iclviz.disk import checksum, settle_folder, write_atomically
from iclviz.errors import SpecError, StoreError
from iclviz.formats import Format, NewerError, unchanged
from iclviz.keys import SCHEMA as ORIGIN_SCHEMA
from iclviz.keys import Origin, key_of, told_by_sample
from iclviz.recorders import (
    ARRAYS,
    DTYPES,
    NAME,
    TABLES,
    ArraySchema,
    axes_fit,
    recorder_of,
    schema_of,
    tables,
    text_array,
    texts_of,
)
from iclviz.recording import Recording
from iclviz.schemas import MisfitError
from iclviz.spans import ROLES, Mark, Span
from iclviz.spec import MOST_ITEMS, RunSpec, canonical_json
from iclviz.whereabouts import without_folder

Array = NDArray[Any]
K = TypeVar("K", bound=str | int)

FORMAT = Format("recording", (unchanged,))
TEXTS = ("item_ids", "prompts", "responses", "answers", "parsed", "prompt_ids", "response_ids", "tokens")
SMALL = ("labels", "scores", "groups", "covariates", "factors", "hypotheses", "span_lengths")
LARGE = tuple(schema.name for schema in tables().values() if schema.file == ARRAYS)
"""Recorders' tables that lie beside small ones, and are read when they are asked for."""

NAMED = tuple(schema.name for schema in tables().values() if schema.by in TABLES)
"""Recorders' tables whose names stand in the content; those of tables by item follow from the spec."""

LATER = ("factors",)
"""Small tables that older recordings do not have."""

CONTENT, RUN, MANIFEST = "recording.json", "run.json", "manifest.json"
FURTHER = "recorded.{name}.safetensors"
"""The file of a further recorder's array, which is called `values` in it."""


def _pattern(file: str) -> str:
    return re.escape(file).replace(re.escape("{name}"), r"\w+")


_FILES = sorted({_pattern(schema.file) for schema in tables().values()})
FILES = re.compile("|".join([r"(recording|run|manifest|annotation)\.json", *_FILES, _pattern(FURTHER)]), re.ASCII)
"""The names that a recording's files may have; whatever else an imported folder holds is left out."""
KINDS = {"bool": "BOOL", "text": "U8"} | {
    f"{kind}{bits}": f"{letter}{bits}"
    for kind, letter in (("float", "F"), ("int", "I"), ("uint", "U"))
    for bits in (8, 16, 32, 64)
}
"""dtype of an array -> what the header of its file calls it."""

MARK_NAME = re.compile(r"[a-z_]{1,64}(:[0-9]{1,9})?", re.ASCII)
NEVER_EMPTY = ("item", "layer", "block", "head", "width")
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
MOST_BYTES = {CONTENT: 2**32, RUN: 2**22, MANIFEST: 2**20}
MOST_LAYERS, MOST_TOKENS, MOST_ID, LAST_SECOND = 10_000, 2**24, 2**31, 4_000_000_000

_TEXTS = schemas.list_of(schemas.text(), MOST_ITEMS)
_IDS = schemas.list_of(schemas.list_of(schemas.whole(0, MOST_ID), MOST_TOKENS), MOST_ITEMS)
_NAMES = schemas.list_of(schemas.text(1000), 1000)
_RANGES = schemas.list_of(schemas.list_of(schemas.list_of(schemas.plain(0), 3, 3), MOST_TOKENS), MOST_ITEMS)
_AXES = schemas.list_of(schemas.text(64, 1), 8, 1)
_DESCRIBED = schemas.table_of(schemas.fields({"axes": _AXES, "dtype": schemas.one_of(*DTYPES)}), 100)
SPEC_SCHEMA = schemas.table_of(schemas.plain(), 50)
CONTENT_SCHEMA = schemas.fields(
    {
        "spec": SPEC_SCHEMA,
        "spans": _RANGES,
        "words": schemas.table_of(schemas.list_of(schemas.plain(0), MOST_ITEMS)),
        "order": schemas.fields(
            {name: _NAMES for name in (*SMALL, *NAMED) if name not in LATER}, dict.fromkeys(LATER, _NAMES)
        ),
        **dict.fromkeys(("item_ids", "prompts", "responses", "answers"), _TEXTS),
        "parsed": schemas.list_of(schemas.maybe(schemas.text()), MOST_ITEMS),
        **dict.fromkeys(("prompt_ids", "response_ids"), _IDS),
        "tokens": schemas.list_of(schemas.list_of(schemas.text(), MOST_TOKENS), MOST_ITEMS),
    },
    {
        "marks": _RANGES,
        "recorded": schemas.table_of(schemas.fields({"axes": _AXES, "dtype": schemas.one_of(*DTYPES)}), 100),
    },
)
_SUMMARY = {
    "key": schemas.hexadecimal(32),
    "spec": SPEC_SCHEMA,
    "created": schemas.number(0, LAST_SECOND),
    "size": schemas.whole(0, 2**62),
    "n_layers": schemas.whole(1, MOST_LAYERS),
    "main_score": schemas.text(1000),
    "mean_score": schemas.number(missing=True),
}
SUMMARY_SCHEMA = schemas.fields({**_SUMMARY, "by_sample": schemas.flag})
_WORD = schemas.maybe(schemas.text(1000))
ENVIRONMENT_SCHEMA = schemas.fields(
    {},
    {
        **dict.fromkeys(("device", "device_name", "dtype", "attention", "python"), _WORD),
        "model": schemas.table_of(_WORD, 100),
        "plan": schemas.table_of(schemas.plain(2), 100),
        "layers": schemas.whole(1, MOST_LAYERS),
        "processes": schemas.whole(2, 2**16),
        "reach": schemas.list_of(schemas.table_of(schemas.whole(1, MOST_TOKENS), 1), MOST_LAYERS),
        "together": schemas.list_of(schemas.text(128), MOST_ITEMS),
    },
    rest=schemas.plain(4),
)
RUN_SCHEMA = schemas.fields(
    {
        "timing": schemas.table_of(schemas.number(0)),
        "environment": ENVIRONMENT_SCHEMA,
        "summary": schemas.fields(_SUMMARY),
    },
    {"origin": schemas.maybe(ORIGIN_SCHEMA)},
)
MANIFEST_SCHEMA = schemas.fields({"checksums": schemas.table_of(schemas.hexadecimal(128), 100)})

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, SpecError)
"""What reading a folder raises that is no recording."""


@dataclass(frozen=True)
class Summary:
    """What the index holds about a sealed recording: enough to list it.

    by_sample: as of the recording; its files say it by their origin.
    """

    key: str
    spec: RunSpec
    created: float
    size: int
    n_layers: int
    main_score: str
    mean_score: float
    by_sample: bool

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {**self.__dict__, "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, values: Any) -> "Summary":
        """The summary that `to_dict` wrote.

        Raises
        ------
        MisfitError, SpecError: these are no such values.
        """
        SUMMARY_SCHEMA(values)
        return cls(**{**values, "spec": _named(RunSpec.from_dict(values["spec"]))})


def _named(spec: RunSpec) -> RunSpec:
    """The spec with a local model's name alone, also where it was written with its path, as it once was."""
    return spec.with_(model=without_folder(spec.model))


class StoredArrays(Mapping[str, Array]):
    """Arrays that lie in one file each, read when asked for."""

    def __init__(self, files: Mapping[str, Path], check: Any) -> None:
        self._files, self._check = dict(files), check

    def __getitem__(self, name: str) -> Array:
        path = self._files[name]
        self._check(path)
        return load_file(path)["values"]  # type: ignore[no-any-return]

    def layer(self, name: str, layer: int) -> Array:
        """(n, d) of one layer of a pooling, read without the others, so a large recording is never held whole."""
        path = self._files[name]
        self._check(path)
        with safe_open(path, framework="numpy") as file:
            return np.asarray(file.get_slice("values")[:, layer])

    def __contains__(self, name: object) -> bool:  # without reading it
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class FurtherArrays(StoredArrays):
    """What further recorders left, which need not be known here: what each array is stands beside it.

    Attributes
    ----------
    schemas: name -> axes and dtype.
    """

    def __init__(self, folder: Path, described: Mapping[str, Any], check: Any) -> None:
        """described: as a recording's content has it.

        Raises
        ------
        MisfitError: a name that no file may have.
        """
        for name in described:
            if not NAME.fullmatch(name):
                raise MisfitError(f"the array {name[:64]!r} has no plain name")
        self.schemas = {name: ArraySchema(name, tuple(one["axes"]), one["dtype"]) for name, one in described.items()}
        super().__init__({name: folder / FURTHER.format(name=name) for name in described}, check)

    def __getitem__(self, name: str) -> Array:
        values = super().__getitem__(name)
        return texts_of(values) if self.schemas[name].dtype == "text" else values


class StoredTable(Mapping[K, Array]):
    """One table of a file, name -> array, each read when asked for, so that a large recording is never held whole."""

    def __init__(self, path: Path, table: str, names: Sequence[K], check: Any) -> None:
        self._path, self._table, self._names, self._check = path, table, names, check

    def __getitem__(self, name: K) -> Array:
        if name not in self._names:
            raise KeyError(name)
        self._check(self._path)
        with safe_open(self._path, framework="numpy") as file:
            return np.asarray(file.get_tensor(f"{self._table}/{name}"))

    def __contains__(self, name: object) -> bool:  # without reading it
        return name in self._names

    def __iter__(self) -> Iterator[K]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def damaged(folder: Path, reason: object) -> StoreError:
    """The error for a recording whose files do not hold what was written."""
    return StoreError(
        f"The recording in {folder} is damaged ({reason}).",
        f"Delete it with `iclviz delete {folder.name}` and run its spec again.",
    )


class _Checker:
    """Compares a file with its checksum the first time it is read."""

    def __init__(self, folder: Path, checksums: Mapping[str, str]) -> None:
        self._folder = folder
        self._checksums = checksums
        self._checked: set[str] = set()

    def __call__(self, path: Path) -> None:
        if path.name in self._checked:
            return
        try:
            same = checksum(path) == self._checksums[path.name]
        except (OSError, KeyError) as error:
            raise damaged(self._folder, f"{path.name} is missing") from error
        if not same:
            raise damaged(self._folder, f"{path.name} has other bytes than were written")
        self._checked.add(path.name)


# Writing


def write(folder: Path, recording: Recording, main_score: str) -> Summary:
    """Write a recording into an empty folder; all of it is on the disk when this returns."""
    _write_content(folder, recording)
    summary = _summary(folder, recording, main_score)
    run = {
        "timing": dict(recording.timing),
        "environment": dict(recording.environment),
        "origin": recording.origin.to_dict() if recording.origin else None,
        "summary": {name: value for name, value in summary.to_dict().items() if name in _SUMMARY},
    }
    (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
    _write_manifest(folder, FORMAT.today if recording.origin else 1)
    settle_folder(folder)
    return summary


def _write_manifest(folder: Path, number: int) -> None:
    checksums = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    manifest = {"checksums": checksums, "format": number}
    write_atomically(folder / MANIFEST, canonical_json(manifest).encode())


def _float16_if_it_fits(values: Array) -> Array:
    finite = np.nan_to_num(np.abs(values), nan=0.0)
    return values.astype(np.float16 if finite.max(initial=0.0) <= LARGEST_FLOAT16 else np.float32)


def _write_content(folder: Path, recording: Recording) -> None:
    arrays, words = _small_tables(recording)
    described = {name: _described(name) for name in recording.recorded}
    content: dict[str, Any] = {
        "spec": recording.spec.to_dict(),
        "spans": [[[span.role, span.start, span.end] for span in item] for item in recording.spans],
        "words": words,
        "order": _order(recording),
        **{name: list(getattr(recording, name)) for name in TEXTS},
    }
    marks = [[[mark.name, mark.start, mark.end] for mark in item] for item in recording.marks]
    content |= {"marks": marks} if any(marks) else {}
    content |= {"recorded": described} if described else {}
    (folder / CONTENT).write_text(canonical_json(content), encoding="utf-8")
    files = {ARRAYS: arrays}
    for schema in tables().values():
        for name, values in getattr(recording, schema.name).items():
            if schema.has_own_files:
                files[schema.file.format(name=name)] = {"values": _as_kept(values, schema)}
            else:
                files.setdefault(schema.file, {})[f"{schema.name}/{name}"] = _as_kept(values, schema)
    for name, values in recording.recorded.items():
        dtype = described[name]["dtype"]
        kept = text_array(values) if dtype == "text" else np.ascontiguousarray(values, dtype)
        files[FURTHER.format(name=name)] = {"values": kept}
    for file, held in files.items():
        save_file(held, folder / file)


def _small_tables(recording: Recording) -> tuple[dict[str, Array], dict[str, list[Any]]]:
    """The numbers and the words of small tables."""
    arrays = {"query_start": np.asarray(recording.query_start)}
    words: dict[str, list[Any]] = {}
    for table in SMALL:
        for name, values in getattr(recording, table).items():
            values = np.asarray(values)
            if values.dtype.kind in "biuf":
                arrays[f"{table}/{name}"] = np.ascontiguousarray(values)
            else:
                words[f"{table}/{name}"] = values.tolist()
    return arrays, words


def _as_kept(values: Array, schema: ArraySchema) -> Array:
    """A table's array in the dtype of its schema; one that its numbers do not fit is float32."""
    if schema.dtype == "float16" and schema.has_own_files:
        return _float16_if_it_fits(values)
    return np.ascontiguousarray(values, schema.dtype)


def _described(name: str) -> dict[str, Any]:
    """The axes and the dtype of a further recorder's array."""
    schema = schema_of(name)
    assert schema is not None  # it was just recorded
    return {"axes": list(schema.axes), "dtype": schema.dtype}


def _order(recording: Recording) -> dict[str, list[str]]:
    """The order of each table's names, which safetensors does not keep."""
    order = {table: list(getattr(recording, table)) for table in (*SMALL, *NAMED)}
    return {table: names for table, names in order.items() if names or table not in LATER}


def _summary(folder: Path, recording: Recording, main_score: str) -> Summary:
    return Summary(
        key=recording.key,
        spec=recording.spec,
        created=time.time(),
        size=sum(path.stat().st_size for path in folder.iterdir()),
        n_layers=recording.n_layers,
        main_score=main_score,
        mean_score=float(np.mean(recording.scores[main_score])),
        by_sample=recording.by_sample,
    )


def without_paths(folder: Path) -> None:
    """Take the folders of this machine out of a copied recording that was written with them: a local model keeps its
    name alone.

    Its key stays, since that tells such a model by its files.
    """
    content, run = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (CONTENT, RUN))
    model = content["spec"]["model"]
    if without_folder(model) == model:
        return
    content["spec"]["model"] = run["summary"]["spec"]["model"] = without_folder(model)
    (folder / CONTENT).write_text(canonical_json(content), encoding="utf-8")
    (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
    number = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("format", 1)
    (folder / MANIFEST).unlink()
    annotations = [path for path in folder.iterdir() if path.name == "annotation.json"]
    notes = {path: path.read_bytes() for path in annotations}
    for path in annotations:  # it lies outside the checksums
        path.unlink()
    _write_manifest(folder, number)
    for path, text in notes.items():
        path.write_bytes(text)


# Reading


def manifest_of(folder: Path) -> tuple[dict[str, str], int]:
    """The checksums of a recording's files, and the number of the format in which it was written.

    Raises
    ------
    NewerError: a newer one.
    MisfitError: there is none.
    """
    values = schemas.read_json(folder / MANIFEST, MOST_BYTES[MANIFEST])
    current = FORMAT.current(values, folder.name)
    MANIFEST_SCHEMA(current)
    return current["checksums"], values.get("format", 1)


def summary_in(folder: Path) -> Summary:
    """What a recording's folder says of it, read without the rest.

    Raises
    ------
    NewerError: it is of a newer format.
    StoreError: it is damaged.
    """
    try:
        checksums, _ = manifest_of(folder)
        _Checker(folder, checksums)(folder / RUN)
        summary = _summary_of(_run_in(folder))
        if summary.key != folder.name:
            raise MisfitError(f"it is the recording {summary.key}")
    except UNREADABLE as error:
        raise damaged(folder, error) from error
    return summary


def load(folder: Path, key: str) -> Recording:
    """The recording in a folder; large arrays are read, and compared with their checksums, when they are asked for.

    Raises
    ------
    NewerError: it is of a newer format.
    StoreError: it is damaged.
    """
    try:
        checksums, number = manifest_of(folder)
        recording = _read(folder, key, _Checker(folder, checksums))
        _check_shapes(recording, folder)
        if recording.origin is None and number > 1:
            raise MisfitError("its origin is missing")
        if recording.origin is not None and key_of(recording.spec, recording.origin) != key:
            raise MisfitError("its key is not that of its spec")
    except NewerError:
        raise
    except UNREADABLE as error:
        raise damaged(folder, error) from error
    return replace(recording, spec=_named(recording.spec))


def place_of_model(folder: Path) -> tuple[Path, str] | None:
    """Path and identity of the model of an older recording that was written with its path, else None.

    Raises
    ------
    OSError, ValueError: there is no recording.
    """
    run = _run_in(folder)
    model, origin = str(run["summary"]["spec"]["model"]), _origin_of(run)
    if without_folder(model) == model or origin is None or origin.by_sample:
        return None
    return Path(model).expanduser(), origin.model


def check_lazy(recording: Recording) -> None:
    """Read what `load` leaves until it is asked for.

    Raises
    ------
    StoreError, MisfitError: it has other bytes than were written, or another shape than its item.
    """
    for schema in tables().values():
        for place, values in getattr(recording, schema.name).items():
            sizes = _item_sizes(recording, place) if schema.by == "item" else {}
            if sizes and values.shape != tuple(sizes[axis] for axis in schema.axes):
                raise MisfitError(f"{schema.name} of item {place} has the shape {values.shape}")
    for name in recording.recorded:
        recording.recorded[name]


def _item_sizes(recording: Recording, place: int) -> dict[str, int]:
    n_heads = next(iter(recording.attention.values())).shape[2]
    return {"block": recording.n_layers, "head": n_heads, "token": len(recording.tokens[place])}


def check_whole(folder: Path, key: str) -> Recording:
    """The recording of that key in a folder, every file of it read.

    Raises
    ------
    NewerError: it is of a newer format.
    StoreError: the folder is not, whole and unharmed, that recording.
    """
    with _refusing_damage(key):
        listed = _summary_of(_run_in(folder)).key
    if listed != key:
        raise StoreError(f"The recording in the folder {key} is {listed}.", "Give the folder back its name.")
    with _refusing_damage(key):
        recording = load(folder, key)
        check_lazy(recording)
    return recording


@contextmanager
def _refusing_damage(key: str) -> Iterator[None]:
    """Whatever reading finds wrong becomes one sentence; a newer format is no fault."""
    try:
        yield
    except NewerError:
        raise
    except (StoreError, *UNREADABLE) as error:
        raise StoreError(f"{key} is no recording, or its files are damaged.", "Export it again.") from error


def _run_in(folder: Path) -> dict[str, Any]:
    """What lies outside the bytes that two runs share, checked."""
    run: dict[str, Any] = schemas.read_json(folder / RUN, MOST_BYTES[RUN])
    RUN_SCHEMA(run)
    return run


def _summary_of(run: Mapping[str, Any]) -> Summary:
    return Summary.from_dict({**run["summary"], "by_sample": told_by_sample(_origin_of(run), run["environment"])})


def origin_in(folder: Path) -> Origin | None:
    """What the key of a recording covers besides its spec; None where that was not kept or cannot be read."""
    try:
        return _origin_of(_run_in(folder))
    except (StoreError, *UNREADABLE):
        return None


def _origin_of(run: Mapping[str, Any]) -> Origin | None:
    return Origin.from_dict(run["origin"]) if run.get("origin") else None


def _read(folder: Path, key: str, check: _Checker) -> Recording:
    for name in (CONTENT, ARRAYS, RUN):
        check(folder / name)
    content, run = schemas.read_json(folder / CONTENT, MOST_BYTES[CONTENT]), _run_in(folder)
    CONTENT_SCHEMA(content)
    arrays = {name: np.asarray(values) for name, values in content["words"].items()}
    with safe_open(folder / ARRAYS, framework="numpy") as file:
        names = [name for name in file.keys() if not name.startswith(LARGE)]  # noqa: SIM118 - it is no mapping
        arrays |= {name: file.get_tensor(name) for name in names}
    order = {**dict.fromkeys(LATER, ()), **content["order"]}
    small: dict[str, Any] = {table: {name: arrays[f"{table}/{name}"] for name in order[table]} for table in SMALL}
    spec = RunSpec.from_dict(content["spec"])
    taken: dict[str, Any] = {name: _table(folder, schema, order, spec, check) for name, schema in tables().items()}
    return Recording(
        spec=spec,
        key=key,
        spans=[[Span(*span) for span in item] for item in content["spans"]],
        marks=[[Mark(*mark) for mark in item] for item in content.get("marks", ())],
        query_start=arrays["query_start"],
        recorded=FurtherArrays(folder, content.get("recorded", {}), check),
        **{name: content[name] for name in TEXTS},
        timing=run["timing"],
        environment=run["environment"],
        origin=_origin_of(run),
        **small,
        **taken,
    )


def _table(
    folder: Path, schema: ArraySchema, order: Mapping[str, Sequence[str]], spec: RunSpec, check: _Checker
) -> Mapping[Any, Array]:
    """A recorder's table, read when it is asked for."""
    names: Sequence[Any] = order[schema.name] if schema.name in NAMED else _names_of(schema, spec)
    if not set(names) <= set(TABLES.get(str(schema.by), names)):  # they may be names of files
        raise MisfitError(f"an unknown {schema.by}")
    if schema.has_own_files:
        return StoredArrays({name: folder / schema.file.format(name=name) for name in names}, check)
    return StoredTable(folder / schema.file, schema.name, names, check)


def _names_of(schema: ArraySchema, spec: RunSpec) -> Sequence[Any]:
    recorder = recorder_of(schema.name)
    return recorder.names(spec) if recorder else ()


def _check_shapes(recording: Recording, folder: Path) -> None:
    """Refuse lists and arrays that do not belong together.

    Raises
    ------
    MisfitError: so.
    """
    n = recording.n_items
    if n < 1 or any(len(getattr(recording, name)) != n for name in (*TEXTS, "spans", "marks")):
        raise MisfitError("its lists have different lengths")
    if len(set(recording.item_ids)) != n:
        raise MisfitError("an item is there twice")
    for place in range(n):
        _check_item(recording, place)
    starts = recording.query_start
    longest = [len(ids) for ids in recording.prompt_ids]
    if starts.shape != (n,) or starts.dtype.kind not in "iu" or np.any((starts < 0) | (starts > longest)):
        raise MisfitError("a query begins outside its prompt")
    for table in SMALL:
        shape = (n, n) if table == "hypotheses" else (n,)
        kinds = "biuf" if table in ("scores", "covariates", "hypotheses", "span_lengths") else "biufUO"
        for name, values in getattr(recording, table).items():
            if values.shape != shape or values.dtype.kind not in kinds:
                raise MisfitError(f"{table}/{name} has the shape {values.shape} and type {values.dtype}")
    _check_large(recording, folder)


def _check_item(recording: Recording, place: int) -> None:
    tokens = len(recording.tokens[place])
    if tokens != len(recording.prompt_ids[place]) + len(recording.response_ids[place]):
        raise MisfitError(f"item {place} has {tokens} pieces of text for other tokens")
    end = 0
    for span in recording.spans[place]:
        if span.role not in ROLES or type(span.end) is not int or span.start != end or span.end < end:
            raise MisfitError(f"a span of item {place} does not fit")
        end = span.end
    if end != tokens:
        raise MisfitError(f"the spans of item {place} do not cover its tokens")
    for mark in recording.marks[place]:
        is_named = isinstance(mark.name, str) and MARK_NAME.fullmatch(mark.name)
        is_range = type(mark.start) is int and type(mark.end) is int and 0 <= mark.start < mark.end
        if not (is_named and is_range and mark.end <= len(recording.prompt_ids[place])):
            raise MisfitError(f"a mark of item {place} does not fit")


def _check_large(recording: Recording, folder: Path) -> None:
    """The shapes of the arrays that are left on disk, which their files' headers tell."""
    sizes = {"item": recording.n_items}
    headers = {file: _headers(folder / file) for file in {one.file for one in tables().values() if one.by == "role"}}
    for schema in (one for one in tables().values() if one.by == "role"):
        found = {name: one for name, one in headers[schema.file].items() if name.startswith(f"{schema.name}/")}
        named = {f"{schema.name}/{role}" for role in getattr(recording, schema.name)}
        if not found or named != set(found):
            raise MisfitError(f"its {schema.name} is not that of its roles")
        for name, (shape, _) in found.items():
            _check_sizes(name, schema.axes, shape, sizes)
    for schema in (one for one in tables().values() if one.has_own_files):
        for name in getattr(recording, schema.name):
            shape, _ = _headers(folder / schema.file.format(name=name)).get("values", ((), ""))
            _check_sizes(f"{schema.name}/{name}", schema.axes, shape, sizes)
    assert isinstance(recording.recorded, FurtherArrays)
    for name, schema in recording.recorded.schemas.items():
        shape, dtype = _headers(folder / FURTHER.format(name=name)).get("values", ((), ""))
        if dtype != KINDS[schema.dtype]:
            raise MisfitError(f"{name} has the type {dtype}")
        _check_sizes(name, schema.axes, shape[:-1] if schema.dtype == "text" else shape, sizes)


def _check_sizes(name: str, axes: Sequence[str], shape: Sequence[int], sizes: dict[str, int]) -> None:
    """Refuse a shape that does not fit what is known of the axes' sizes, to which it adds what it tells of others."""
    fits = axes_fit(axes, shape, sizes)
    is_empty = any(size == 0 and axis in NEVER_EMPTY for axis, size in zip(axes, shape, strict=False))
    if not fits or is_empty or not sizes.get("block", 1) <= MOST_LAYERS:
        raise MisfitError(f"{name} has the shape {tuple(shape)}")


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name -> shape and type of each array of a file."""
    with safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
