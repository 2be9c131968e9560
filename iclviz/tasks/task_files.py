"""Task files: reading and checking a user's own task, keeping it in the cache folder, and finding it again.

1. A file is JSON (a list of rows, or a table with the rows under `items`), JSONL (one row a line) or CSV (one column a
   field). Whatever the form, it becomes the same rows; text is data and is never run.
2. Every row is checked against `own_task.schema.json`, then by `own_rows`. Whatever is wrong is told with its line.
3. `keep` writes the task as `<cache folder>/tasks/<digest>.json`, a task file like any other, and the task's name
   becomes `<name>@<digest>`: equal content is the same task wherever its file lies, also when that file is gone.
   Files that users put into that folder themselves are found by their names without endings.
"""

import csv
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

from iclviz.disk import write_atomically, writing
from iclviz.errors import TaskFileError, UserError, unknown
from iclviz.formats import FIELD, SEAL, Format, unchanged
from iclviz.places import cache_folder
from iclviz.schemas import MisfitError
from iclviz.spec import canonical_json, digest
from iclviz.tasks.own_rows import (
    DIGEST_DIGITS,
    MOST_PROBLEMS,
    SCORING_REMEDY,
    WORDS,
    Problem,
    Row,
    TaskFile,
    default_scoring,
    label_kinds,
    problems,
    refusal,
    shown,
    without_blanks,
    wrong_scoring,
)
from iclviz.tasks.spelling import alike, visible

log = logging.getLogger(__name__)

FORMAT = Format("task file", (unchanged,))
HEAD_END = b',\n"items": [\n'
"""What stands between the head of a kept file and its rows."""

MOST_BYTES = 20_000_000
MOST_ROWS = 50_000
MOST_NAME = 40
SCHEMA = Path(__file__).with_name("own_task.schema.json")
BETWEEN_VALUES = " | "
"""What stands between several values in one cell of a CSV file."""

KEPT_NAME = re.compile(rf"[\w.-]{{1,40}}@([0-9a-f]{{{DIGEST_DIGITS}}})")
KEPT_FILE = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}\.json")
CSV_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
BLANK = re.compile(r"[ \t\n\r]*")
OTHER_ENDINGS = (".tsv", ".yaml", ".yml", ".py", ".txt", ".xlsx", ".zip", ".pkl", ".toml")
"""Endings that mean a file, of a form that is not read."""


@dataclass(frozen=True)
class Parts:
    """A file before it is checked: what stands around the rows, and the rows with their lines."""

    head: Mapping[str, Any]
    rows: list[tuple[int, Any]]


@dataclass(frozen=True)
class Kept:
    """A file of the tasks folder: the task in it, or why there is none."""

    place: Path
    file: TaskFile | None
    problem: str = ""


def parse(data: bytes, file_name: str) -> TaskFile:
    """The task in a file's bytes; the file's name says its form.

    Raises
    ------
    TaskFileError: it is no task file, or something in it is wrong; every mistake with its line.
    """
    if len(data) > MOST_BYTES:
        raise TaskFileError(
            f"{file_name} has {len(data):,} bytes.", f"A task file has at most {MOST_BYTES:,}: take fewer rows."
        )
    parts = _form(file_name)(_text(data, file_name), file_name)
    if len(parts.rows) > MOST_ROWS:
        raise TaskFileError(f"{file_name} has {len(parts.rows):,} rows.", f"Take {MOST_ROWS:,} or fewer.")
    return _checked(parts, file_name)


def _form(file_name: str) -> Callable[[str, str], Parts]:
    form = FORMS.get(Path(file_name).suffix.lower())
    if form is None:
        raise TaskFileError(
            f"{file_name} is no task file.",
            f"A task file holds data, never a program, and ends in {', '.join(FORMS)}.",
        )
    return form


def _text(data: bytes, file_name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refusal(file_name, [Problem(line, "this is not text in UTF-8.", "Save the file as UTF-8.")]) from error
    if not text.strip():
        raise TaskFileError(f"{file_name} is empty.", "Give one row for each query, with its answer.")
    return text


def _read_json(text: str, file_name: str) -> Parts:
    start = _blank(text, 0)
    try:
        if text[start] == "[":
            rows, end = _elements(text, start)
            parts = Parts({}, rows)
        else:
            parts, end = _table_of_rows(text, start)
        if _blank(text, end) < len(text):
            raise json.JSONDecodeError("the list of rows ends before", text, _blank(text, end))
    except json.JSONDecodeError as error:
        remedy = "Mend it there; a file with one row a line ends in .jsonl."
        raise refusal(file_name, [Problem(error.lineno, f"this is not JSON ({error.msg}).", remedy)]) from error
    return parts


def _elements(text: str, start: int) -> tuple[list[tuple[int, Any]], int]:
    """The elements of the list that opens at a place, with their lines, and where the list ends."""
    rows: list[tuple[int, Any]] = []
    line, counted = 1, 0
    at = _blank(text, start + 1)
    if text[at : at + 1] == "]":
        return rows, at + 1
    while True:
        line, counted = line + text.count("\n", counted, at), at
        value, at = _decoded(text, at)
        rows.append((line, value))
        at = _blank(text, at)
        if text[at : at + 1] == "]":
            return rows, at + 1
        at = _after(text, at, ",")


def _table_of_rows(text: str, start: int) -> tuple[Parts, int]:
    """The table that opens at a place, its rows with their lines, and where it ends."""
    head: dict[str, Any] = {}
    rows: list[tuple[int, Any]] = []
    at = _after(text, start, "{")
    while text[at : at + 1] != "}":
        name, end = _decoded(text, at)
        if not isinstance(name, str):
            raise json.JSONDecodeError("a field has no name", text, at)
        if name in head:
            raise json.JSONDecodeError(f"the field {name} is there twice", text, at)
        at = _after(text, _blank(text, end), ":")
        if name == "items" and text[at : at + 1] == "[":
            rows, at = _elements(text, at)
            head[name] = []
        else:
            head[name], at = _decoded(text, at)
        at = _blank(text, at)
        if text[at : at + 1] != "}":
            at = _after(text, at, ",")
    return Parts(head, rows), at + 1


def _after(text: str, at: int, mark: str) -> int:
    """The place of what follows a mark that must stand here."""
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"a {mark!r} is missing", text, at)
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    """Where the blanks end that begin at a place."""
    found = BLANK.match(text, at)
    return found.end() if found else at


def _decoded(text: str, at: int) -> tuple[Any, int]:
    """The JSON value at a place, and where it ends."""
    try:
        return DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError(str(error), text, at) from error
    except RecursionError as error:
        raise json.JSONDecodeError("too many brackets in each other", text, at) from error


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"the field {twice[0]} is there twice")
    return dict(pairs)


def _number(text: str) -> float:
    if abs(value := float(text)) == float("inf") or value != value:
        raise ValueError(f"{text[:20]} is no finite number")
    return int(text) if text.lstrip("-").isdigit() else value


DECODER = json.JSONDecoder(
    object_pairs_hook=_table, parse_int=_number, parse_float=_number, parse_constant=_number
)  # fmt: skip


def _read_lines(text: str, file_name: str) -> Parts:
    rows, wrong = [], []
    # Only "\n" ends a line: a JSON text may hold the other characters that Python counts as line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value, end = _decoded(line, _blank(line, 0))
            if _blank(line, end) < len(line):
                raise json.JSONDecodeError("more than one value", line, end)
            rows.append((number, value))
        except json.JSONDecodeError as error:
            text_of_row = 'Give one row a line, such as {"query": "…", "answer": "…"}.'
            wrong.append(Problem(number, f"this is not JSON ({error.msg}).", text_of_row))
    if wrong:
        raise refusal(file_name, wrong)
    return Parts({}, rows)


_CELLS = Lock()
"""One file at a time: the longest cell is a setting of the whole process."""


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """Cells as long as a file may be, instead of 131,072 characters; the setting is put back."""
    with _CELLS:
        before = csv.field_size_limit(MOST_BYTES)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _read_csv(text: str, file_name: str) -> Parts:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        with _cells_of_any_length():
            for cells in reader:
                if cells:
                    rows.append((line, cells))
                line = reader.line_num + 1
    except csv.Error as error:
        raise refusal(file_name, [Problem(line, f"this is not CSV ({error}).", "Mend the row's quotes.")]) from error
    header_line, header = rows[0]
    columns = list(map(_column, header))
    wrong = list(_wrong_columns(columns, header_line)) or list(_wrong_lengths(rows[1:], len(columns)))
    if wrong:
        raise refusal(file_name, wrong)
    numeric = _numeric_labels(columns, [cells for _, cells in rows[1:]])
    return Parts({}, [(line, _row_of_cells(columns, cells, numeric)) for line, cells in rows[1:]])


COLUMNS: Mapping[str, Callable[[str], Any]] = {
    "query": str,
    "answer": str.strip,
    "id": str.strip,
    "accepted": lambda cell: _values(cell),
    "candidates": lambda cell: _values(cell),
    "relevant": lambda cell: _values(cell),
    "irrelevant": lambda cell: _values(cell),
    "group": str.strip,
    "unit": str.strip,
    "use": alike,
}
"""Column of a CSV file -> how its cells are read."""

TABLE_COLUMNS: Mapping[str, str] = {"label": "labels", "group": "groups", "factor": "factors"}
"""What stands before the colon in a column's name -> the field that the column belongs to."""

NAMED_COLUMNS = ", ".join([*COLUMNS, *(f"{name}:NAME" for name in TABLE_COLUMNS)])


def _values(cell: str) -> list[str]:
    return [value.strip() for value in cell.split(BETWEEN_VALUES) if alike(value)]


def _column(cell: str) -> str:
    kind, colon, name = alike(cell).partition(":")
    return f"{kind.strip()}{colon}{name.strip()}"


def _wrong_columns(columns: list[str], line: int) -> Iterator[Problem]:
    counts = Counter(map(without_blanks, columns))
    for column in dict.fromkeys(columns):
        count = counts[without_blanks(column)]
        kind, colon, name = column.partition(":")
        if column not in COLUMNS and not (colon and kind in TABLE_COLUMNS and name.strip()):
            hint = "Put commas between the columns." if len(columns) == 1 else f"Known: {NAMED_COLUMNS}."
            yield Problem(line, f"unknown column {shown(column)}.", hint)
        elif count > 1:
            yield Problem(line, f"the column {column} is there {count} times, blanks aside.", "Give it once.")
    for column in ("query", "answer"):
        if column not in columns:
            yield Problem(
                line, f"the column {column} is missing.", f"Name the columns in line {line}: query, answer, …"
            )


def _wrong_lengths(rows: Iterable[tuple[int, list[str]]], length: int) -> Iterator[Problem]:
    for line, cells in rows:
        if len(cells) != length:
            remedy = "Put a text with commas or quotes between double quotes."
            yield Problem(line, f"the row has {len(cells)} cells, and the first row {length}.", remedy)


def _numeric_labels(columns: list[str], rows: list[list[str]]) -> set[int]:
    """The columns of labels and factors in which every cell that is not empty is a number, or some are: a mixture is
    refused later, where its line is known.
    """
    labels = [place for place, column in enumerate(columns) if column.startswith(("label:", "factor:"))]
    return {place for place in labels if any(_is_number(cells[place]) for cells in rows)}


def _is_number(cell: str) -> bool:
    return CSV_NUMBER.fullmatch(alike(cell)) is not None and abs(float(alike(cell))) < float("inf")


def _row_of_cells(columns: list[str], cells: list[str], numeric: set[int]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for place, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        if not alike(cell):
            continue
        if column in COLUMNS:
            row[column] = COLUMNS[column](cell)
            continue
        kind, _, name = column.partition(":")
        value = float(alike(cell)) if place in numeric and _is_number(cell) else cell.strip()
        row.setdefault(TABLE_COLUMNS[kind], {})[name] = value
    return row


FORMS: Mapping[str, Callable[[str, str], Parts]] = {".json": _read_json, ".jsonl": _read_lines, ".csv": _read_csv}
"""Ending of a file -> how it is read."""


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that task files are checked against."""
    return dict(json.loads(SCHEMA.read_text(encoding="utf-8")))


@cache
def _validator(part: str | None = None) -> Any:
    """A validator of whole files, or of one of the schema's definitions."""
    from jsonschema import Draft202012Validator  # here: only who reads a task file waits for it

    whole = schema()
    return Draft202012Validator(whole if part is None else {"$ref": f"#/$defs/{part}", "$defs": whole["$defs"]})


def _checked(parts: Parts, file_name: str) -> TaskFile:
    head = _current(parts.head, file_name)
    called = str(head.pop("called", ""))
    parts = Parts(_order_seen(head), [(line, _names_seen(row)) for line, row in parts.rows])
    wrong = [Problem(1, *problems) for problems in _misfits({"items": [], **parts.head}, None)]
    for line, values in parts.rows:
        wrong += [Problem(line, *problems) for problems in _misfits(values, "row")]
    if wrong:
        raise refusal(file_name, wrong)
    rows = [(line, Row.of(values)) for line, values in parts.rows]
    wrong = [Problem(line, *problems) for line, row in rows for problems in row.problems()]
    order, scoring = parts.head.get("labels", ()), parts.head.get("scoring")
    wrong += problems(rows, order, scoring)
    if wrong:
        raise refusal(file_name, wrong)
    only_rows = tuple(row for _, row in rows)
    return TaskFile(
        name=parts.head.get("name") or name_of(file_name),
        called=name_of(f"{called}.") if called else "",
        title=parts.head.get("title", "").strip(),
        description=parts.head.get("description", "").strip(),
        instruction=parts.head.get("instruction", ""),
        scoring=scoring or default_scoring(only_rows),
        labels=label_kinds(only_rows, order),
        rows=only_rows,
        **{name: parts.head.get(name, "").strip() for name in WORDS},
    )


def _order_seen(head: dict[str, Any]) -> dict[str, Any]:
    """A head whose labels are named without characters that nobody sees."""
    if not isinstance(names := head.get("labels"), list):
        return head
    return {**head, "labels": [visible(name) if isinstance(name, str) else name for name in names]}


def _names_seen(values: Any) -> Any:
    """A row whose labels, groups and factors have names without characters that nobody sees; as it is where two of one
    table would be one.
    """
    if not isinstance(values, Mapping):
        return values
    tables = {
        field: {visible(name): value for name, value in values[field].items()}
        for field in TABLE_COLUMNS.values()
        if isinstance(values.get(field), Mapping)
    }
    return {**values, **{field: table for field, table in tables.items() if len(table) == len(values[field])}}


def _current(head: Mapping[str, Any], file_name: str) -> dict[str, Any]:
    """The head as today's format has it."""
    try:
        return {name: value for name, value in FORMAT.current(dict(head), file_name).items() if name != SEAL}
    except MisfitError as error:
        raise refusal(file_name, [Problem(1, f"{error}.", "Leave the format out.")]) from error


def name_of(file_name: str) -> str:
    """The file's name without ending, as far as it can stand in a task's name."""
    return re.sub(r"[^\w.-]+", "-", Path(file_name).stem)[:MOST_NAME].strip("-.") or "task"


def shortened(file_name: str, file: TaskFile) -> str:
    """A sentence where a task goes by less than its file's name, "" where it does not."""
    if len(Path(file_name).stem) <= MOST_NAME or file.name != name_of(file_name):
        return ""
    return f"The file's name is too long: the task is called {file.name}, its first {MOST_NAME} characters."


def _misfits(value: Any, part: str | None) -> Iterator[tuple[str, str]]:
    """Where a value does not fit the schema: what is wrong, and what to do about it."""
    stray = next((text for text in _texts(value) if not _is_clean(text)), None)
    if stray is not None:
        yield f"{shown(stray)} holds a character that is no text.", "Write it without stray bytes."
        return
    problems = (_SAID.get(error.validator, _does_not_fit)(error) for error in _validator(part).iter_errors(value))
    yield from dict.fromkeys(chain.from_iterable(problems))  # each missing field is an error that names them all


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield name
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _is_clean(text: str) -> bool:
    """Whether a text can be written and stored: no half of a surrogate pair, no NUL."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _does_not_fit(error: Any) -> Iterator[tuple[str, str]]:
    field = ".".join(str(part) for part in error.absolute_path if not isinstance(part, int))
    yield f"{field or 'the row'} = {shown(error.instance)} does not fit.", error.schema.get("description", "")


def _missing(error: Any) -> Iterator[tuple[str, str]]:
    for name in error.validator_value:
        if name not in error.instance:
            yield f"{name} is missing.", error.schema["properties"][name]["description"]


def _unknown(error: Any) -> Iterator[tuple[str, str]]:
    known = error.schema["properties"]
    for name in error.instance:
        if name not in known:
            yield f"unknown field {shown(name)}.", unknown(TaskFileError, "field", name, list(known)).remedy


_SAID: Mapping[str, Callable[[Any], Iterator[tuple[str, str]]]] = {
    "required": _missing,
    "additionalProperties": _unknown,
}
"""Keyword of the schema -> what is said where a value breaks it; `_does_not_fit` of all others."""


def check_scoring(file: TaskFile, scoring: str) -> None:
    """Refuse a way of scoring that the file's answers do not have.

    Raises
    ------
    TaskFileError: an answer cannot be scored so.
    """
    for row in file.queries:
        if text := wrong_scoring(row, scoring):
            raise TaskFileError(f"scoring = {scoring!r} does not fit {file.name}: {text}", SCORING_REMEDY[scoring])


def read(path: Path) -> TaskFile:
    """The task in a file; read once for as long as the file does not change.

    Raises
    ------
    TaskFileError: there is no such file, it cannot be read, or something in it is wrong.
    """
    _form(path.name)
    try:
        facts = path.stat()
        if not path.is_file():
            raise TaskFileError(f"{path} is no file.", "Give the path of a task file.")
        if facts.st_size > MOST_BYTES:
            raise TaskFileError(
                f"{path.name} has {facts.st_size:,} bytes.", f"A task file has at most {MOST_BYTES:,}: take fewer rows."
            )
        return _read(path.resolve(), facts.st_mtime_ns, facts.st_size)
    except FileNotFoundError as error:
        raise TaskFileError(
            f"There is no task file {str(path)!r}.", "Give its path, from the folder you are in."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TaskFileError(f"The task file {str(path)!r} cannot be read ({reason}).", "Give another path.") from error


@lru_cache(maxsize=64)
def _read(path: Path, modified: int, size: int) -> TaskFile:
    return parse(path.read_bytes(), path.name)


def tasks_folder() -> Path:
    """Where tasks are kept, and where users may put task files."""
    return cache_folder() / "tasks"


def keep(file: TaskFile, renames: bool = True) -> Path:
    """Write a task into the tasks folder, unless it is there unharmed; where it lies.

    Content that is there already stays the task that it was, whose name stands in specs, and is called as it is given
    now, unless `renames` leaves what it is called.

    Raises
    ------
    NewerError: a newer iclviz has kept it.
    StoreError: the folder cannot be written.
    """
    path = tasks_folder() / f"{file.digest}.json"
    with writing(path.parent, "The folder of tasks"):
        before = _kept_at(path, file.digest)
        if before is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, written(file))
        elif renames and (before.called or before.name) != (called := file.called or file.name):
            write_atomically(path, written(replace(before, called=called)))
    return path


def _kept_at(path: Path, content: str) -> TaskFile | None:
    """The task of a kept file that is what its name says."""
    try:
        found = read(path) if path.is_file() else None
    except TaskFileError:
        return None
    return found if found and found.digest == content else None


def written(file: TaskFile) -> bytes:
    """A task as the JSON file that is kept, one row a line."""
    told = {"name": file.name, **({"called": file.called} if file.called else {})}
    head = {FIELD: FORMAT.today, SEAL: seal(told, file.digest), **told, **file.content}
    fields = [f"{json.dumps(name)}: {canonical_json(value)}" for name, value in head.items() if name != "items"]
    rows = ",\n".join(canonical_json(row.to_dict()) for row in file.rows)
    return '{{\n{},\n"items": [\n{}\n]\n}}\n'.format(",\n".join(fields), rows).encode()


def seal(head: Mapping[str, str], content: str) -> str:
    """What tells that a kept file's names and content, given as a digest, are those that were written; before format 2
    there was one name.
    """
    return digest([*(head[name] for name in ("name", "called") if name in head), content])


def find(name: str) -> TaskFile | None:
    """The kept task of that name, or the task in the file of that path or name, which is then kept; None where the
    name means no file.

    Raises
    ------
    TaskFileError: there is no such file, it cannot be read, or something in it is wrong.
    StoreError: the task cannot be kept.
    """
    if named := KEPT_NAME.fullmatch(name):
        return _kept(name, named[1])
    if _is_path(name):
        path = _expanded(name)
        dropped = tasks_folder() / path.name
        given = dropped if path.name == name and not _exists(path) and _exists(dropped) else path
        file = read(given)
        if told := shortened(given.name, file):
            log.warning("%s", told)
        return _keeping(file)
    named_so = [path for path in files() if path.stem == name]
    return _keeping(read(named_so[0])) if named_so else None


def _keeping(file: TaskFile) -> TaskFile:
    """The task as it is kept; what its reader should know of it is said in the log, which is standard error."""
    for two in file.spellings.twice[:MOST_PROBLEMS]:
        log.warning("%s: %s", file.name, two)
    return read(keep(file))


def _is_path(name: str) -> bool:
    return "/" in name or "\\" in name or Path(name).suffix.lower() in (*FORMS, *OTHER_ENDINGS)


def _expanded(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # the home folder of a user that does not exist
        return Path(name)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _kept(name: str, content: str) -> TaskFile:
    path = tasks_folder() / f"{content}.json"
    if not _exists(path):
        put_there = [one.file for one in kept() if one.file is not None and one.file.digest == content]
        if not put_there:
            raise TaskFileError(f"The cache keeps no task {name!r}.", "Give the path of its file again.")
        return _keeping(put_there[0])
    file = read(path)
    if file.digest != content:
        raise TaskFileError(f"The kept task {path} was changed.", "Give its file again: that puts it back.")
    return file


def files() -> list[Path]:
    """The files of the tasks folder: kept ones, then those that users put there."""
    try:
        found = [path for path in tasks_folder().iterdir() if path.suffix.lower() in FORMS and path.name[0] != "."]
    except OSError:
        return []
    return sorted(found, key=lambda path: (KEPT_FILE.fullmatch(path.name) is None, path.name))


def kept() -> list[Kept]:
    """Every task of the tasks folder, once, and every file there that is none."""
    found: dict[str, Kept] = {}
    for path in files():
        try:
            file = read(path)
        except UserError as error:
            found[str(path)] = Kept(path, None, str(error))
            continue
        found.setdefault(file.digest, Kept(path, file))
    return list(found.values())
