"""The files of one recording: written, and read again only after everything in them was checked.

recording.json                   spec, texts, tokens, spans, tables of words
arrays.safetensors               tables of numbers
embeddings.<pooling>.safetensors
tokens.safetensors               where attention is kept token by token
run.json                         timings, environment, origin and summary, outside the bytes that two runs share
manifest.json                    format number and checksums of the others, written last
"""

import json
import math
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
from iclviz.recording import Recording
from iclviz.schemas import MisfitError
from iclviz.spans import ROLES, Span
from iclviz.spec import MOST_ITEMS, POOLINGS, RunSpec, canonical_json
from iclviz.whereabouts import without_folder

Array = NDArray[Any]
K = TypeVar("K", bound=str | int)

FORMAT = Format("recording", (unchanged,))
TEXTS = ("item_ids", "prompts", "responses", "answers", "parsed", "prompt_ids", "response_ids", "tokens")
LARGE = ("attention", "attention_last")
"""Tables that are read when they are asked for."""

TABLES = ("labels", "scores", "groups", "covariates", "factors", "hypotheses", "span_lengths", *LARGE)
LATER = ("factors",)
"""Tables that older recordings do not have."""

CONTENT, ARRAYS, RUN, MANIFEST = "recording.json", "arrays.safetensors", "run.json", "manifest.json"
TOKEN_TABLES = ("token_attention", "token_attention_last")
TOKENS = "tokens.safetensors"
FILES = re.compile(
    r"(recording|run|manifest|annotation)\.json|(arrays|tokens)\.safetensors|embeddings\.\w+\.safetensors"
)
"""The names that a recording's files may have; whatever else an imported folder holds is left out."""
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
MOST_BYTES = {CONTENT: 2**32, RUN: 2**22, MANIFEST: 2**20}
MOST_LAYERS, MOST_TOKENS, MOST_ID, LAST_SECOND = 10_000, 2**24, 2**31, 4_000_000_000

_TEXTS = schemas.list_of(schemas.text(), MOST_ITEMS)
_IDS = schemas.list_of(schemas.list_of(schemas.whole(0, MOST_ID), MOST_TOKENS), MOST_ITEMS)
_NAMES = schemas.list_of(schemas.text(1000), 1000)
SPEC_SCHEMA = schemas.table_of(schemas.plain(), 50)
CONTENT_SCHEMA = schemas.fields(
    {
        "spec": SPEC_SCHEMA,
        "spans": schemas.list_of(schemas.list_of(schemas.list_of(schemas.plain(0), 3, 3), MOST_TOKENS), MOST_ITEMS),
        "words": schemas.table_of(schemas.list_of(schemas.plain(0), MOST_ITEMS)),
        "order": schemas.fields(
            {name: _NAMES for name in (*TABLES, "embeddings") if name not in LATER}, dict.fromkeys(LATER, _NAMES)
        ),
        **dict.fromkeys(("item_ids", "prompts", "responses", "answers"), _TEXTS),
        "parsed": schemas.list_of(schemas.maybe(schemas.text()), MOST_ITEMS),
        **dict.fromkeys(("prompt_ids", "response_ids"), _IDS),
        "tokens": schemas.list_of(schemas.list_of(schemas.text(), MOST_TOKENS), MOST_ITEMS),
    }
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
    """Arrays that lie in one file each, read when asked for.

    `rows(name, layer)` reads a single layer, so a large recording is never held whole.
    """

    def __init__(self, files: Mapping[str, Path], check: Any) -> None:
        self._files = dict(files)
        self._check = check

    def __getitem__(self, name: str) -> Array:
        path = self._files[name]
        self._check(path)
        return load_file(path)["values"]  # type: ignore[no-any-return]

    def layer(self, name: str, layer: int) -> Array:
        """(n, d) of one layer of a pooling."""
        path = self._files[name]
        self._check(path)
        with safe_open(path, framework="numpy") as file:
            return np.asarray(file.get_slice("values")[:, layer])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


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
    texts = {name: list(getattr(recording, name)) for name in TEXTS}
    spans = [[[span.role, span.start, span.end] for span in item] for item in recording.spans]
    arrays = {"query_start": np.asarray(recording.query_start)}
    words: dict[str, list[Any]] = {}
    for table in TABLES:
        for name, values in getattr(recording, table).items():
            values = np.asarray(values)
            if values.dtype.kind in "biuf":
                arrays[f"{table}/{name}"] = np.ascontiguousarray(values)
            else:
                words[f"{table}/{name}"] = values.tolist()
    content = {"spec": recording.spec.to_dict(), "spans": spans, "words": words, "order": _order(recording), **texts}
    (folder / CONTENT).write_text(canonical_json(content), encoding="utf-8")
    save_file(arrays, folder / ARRAYS)
    for pooling, values in recording.embeddings.items():
        save_file({"values": _float16_if_it_fits(values)}, folder / f"embeddings.{pooling}.safetensors")
    tokens = {f"{table}/{place}": one for table in TOKEN_TABLES for place, one in getattr(recording, table).items()}
    if tokens:
        save_file({name: np.ascontiguousarray(one, np.float16) for name, one in tokens.items()}, folder / TOKENS)


def _order(recording: Recording) -> dict[str, list[str]]:
    """The order of each table's names, which safetensors does not keep."""
    order = {table: list(getattr(recording, table)) for table in (*TABLES, "embeddings")}
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
    said = [path for path in folder.iterdir() if path.name == "annotation.json"]
    notes = {path: path.read_bytes() for path in said}
    for path in said:  # it lies outside the checksums
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
    for table in ("embeddings", *LARGE):
        for name in getattr(recording, table):
            getattr(recording, table)[name]
    for table in TOKEN_TABLES:
        for place, values in getattr(recording, table).items():
            n_heads = next(iter(recording.attention.values())).shape[2]
            if values.shape != (recording.n_layers, n_heads, len(recording.tokens[place])):
                raise MisfitError(f"{table} of item {place} has the shape {values.shape}")


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


def _origin_of(run: Mapping[str, Any]) -> Origin | None:
    return Origin.from_dict(run["origin"]) if run.get("origin") else None


def _read(folder: Path, key: str, check: _Checker) -> Recording:
    for name in (CONTENT, ARRAYS, RUN):
        check(folder / name)
    content, run = schemas.read_json(folder / CONTENT, MOST_BYTES[CONTENT]), _run_in(folder)
    CONTENT_SCHEMA(content)
    arrays = {name: np.asarray(values) for name, values in content["words"].items()}
    with safe_open(folder / ARRAYS, framework="numpy") as file:
        small = [name for name in file.keys() if not name.startswith(LARGE)]  # noqa: SIM118 - it is no mapping
        arrays |= {name: file.get_tensor(name) for name in small}
    order = {**dict.fromkeys(LATER, ()), **content["order"]}
    tables: dict[str, Any] = {table: StoredTable(folder / ARRAYS, table, order[table], check) for table in LARGE}
    tables |= {table: {name: arrays[f"{table}/{name}"] for name in order[table]} for table in TABLES[: -len(LARGE)]}
    if not set(order["embeddings"]) <= set(POOLINGS):  # they are names of files
        raise MisfitError("an unknown pooling")
    files = {pooling: folder / f"embeddings.{pooling}.safetensors" for pooling in order["embeddings"]}
    spec = RunSpec.from_dict(content["spec"])
    tables |= {table: StoredTable(folder / TOKENS, table, spec.attention_items, check) for table in TOKEN_TABLES}
    return Recording(
        spec=spec,
        key=key,
        spans=[[Span(*span) for span in item] for item in content["spans"]],
        query_start=arrays["query_start"],
        embeddings=StoredArrays(files, check),
        **{name: content[name] for name in TEXTS},
        timing=run["timing"],
        environment=run["environment"],
        origin=_origin_of(run),
        **tables,
    )


def _check_shapes(recording: Recording, folder: Path) -> None:
    """Refuse lists and arrays that do not belong together.

    Raises
    ------
    MisfitError: so.
    """
    n = recording.n_items
    if n < 1 or any(len(getattr(recording, name)) != n for name in (*TEXTS, "spans")):
        raise MisfitError("its lists have different lengths")
    if len(set(recording.item_ids)) != n:
        raise MisfitError("an item is there twice")
    for place in range(n):
        _check_item(recording, place)
    starts = recording.query_start
    longest = [len(ids) for ids in recording.prompt_ids]
    if starts.shape != (n,) or starts.dtype.kind not in "iu" or np.any((starts < 0) | (starts > longest)):
        raise MisfitError("a query begins outside its prompt")
    for table in TABLES[: -len(LARGE)]:
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


def _check_large(recording: Recording, folder: Path) -> None:
    """The shapes of the arrays that are left on disk, which their files' headers tell."""
    n = recording.n_items
    shapes = {name: shape for name, shape in _shapes(folder / ARRAYS) if name.startswith(LARGE)}
    named = {f"{table}/{role}" for table in LARGE for role in getattr(recording, table)}
    if not recording.attention or not {name.partition("/")[2] for name in named} <= set(ROLES) or named != set(shapes):
        raise MisfitError("its attention is not that of its roles")
    (first, *others) = set(shapes.values()) or {()}
    if others or len(first) != 3 or first[0] != n or not 1 <= first[1] <= MOST_LAYERS or first[2] < 1:
        raise MisfitError("its attention has another shape than its items")
    for pooling in recording.embeddings:
        sizes = dict(_shapes(folder / f"embeddings.{pooling}.safetensors"))
        shape = sizes.get("values", ())
        if len(shape) != 3 or shape[:2] != (n, first[1] + 1) or math.prod(shape) == 0:
            raise MisfitError(f"the embeddings {pooling} have the shape {shape}")


def _shapes(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    with safe_open(path, framework="numpy") as file:
        return [(name, tuple(file.get_slice(name).get_shape())) for name in file.keys()]  # noqa: SIM118
