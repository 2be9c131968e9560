import json
import math

import pytest

from iclviz import schemas
from iclviz.schemas import MisfitError, read_json

TABLE = schemas.fields(
    {
        "name": schemas.text(5, 1),
        "count": schemas.whole(0, 10),
        "share": schemas.number(0, 1),
        "key": schemas.hexadecimal(4),
        "flags": schemas.list_of(schemas.flag, 2),
    },
    {"state": schemas.maybe(schemas.one_of("queued", "done")), "rest": schemas.table_of(schemas.plain(1), 2)},
)
RIGHT = {"name": "a", "count": 3, "share": 0.5, "key": "00ff", "flags": [True]}


def test_what_fits_is_taken():
    TABLE(RIGHT)
    TABLE({**RIGHT, "state": None, "rest": {"a": [1]}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "too long"), ("name", 3), ("name", "\ud800"), ("name", None),
        ("count", True), ("count", 1.0), ("count", "3"), ("count", 11), ("count", -1), ("count", 10**4000),
        ("share", math.nan), ("share", math.inf), ("share", 2), ("share", "0.5"), ("share", 10**400), ("share", False),
        ("key", "00FF"), ("key", "00f"), ("key", 0),
        ("flags", [1]), ("flags", [True] * 3), ("flags", {"a": True}), ("flags", "tt"),
        ("state", "gone"), ("state", 0),
        ("rest", {"a": [[1]]}), ("rest", {"a": "\udfff"}), ("rest", dict.fromkeys("abc")), ("rest", []),
        ("unknown", 1),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(MisfitError, match=field):
        TABLE({**RIGHT, field: value})


@pytest.mark.parametrize("value", [None, [], "text", 3, {}])
def test_what_is_no_such_table_is_refused(value):
    with pytest.raises(MisfitError):
        TABLE(value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}", b"\x00" * 9, b"nul"]
)
def test_a_file_that_is_no_json_is_one_kind_of_error(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(MisfitError):
        read_json(tmp_path / "file", 10**6)


def test_a_file_that_is_too_large_or_no_file_is_not_read(tmp_path):
    (tmp_path / "file").write_text(json.dumps("x" * 100))
    with pytest.raises(MisfitError, match="bytes"):
        read_json(tmp_path / "file", 10)
    with pytest.raises(MisfitError):
        read_json(tmp_path, 10)
