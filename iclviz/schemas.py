"""What JSON from a disk or a bundle may hold: types, ranges, sizes and lengths, checked before it is believed.

A check takes a value and raises `MisfitError` where the value is not what it may be; checks are put together like the
values that they describe.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Check = Callable[[Any], None]

MOST_TEXT = 10_000_000
MOST_DEPTH = 32
SHOWN = 40


class MisfitError(ValueError):
    """A value is not what it may be; the text says where and why."""


def read_json(path: Path, most_bytes: int) -> Any:
    """The JSON value in a file.

    Raises
    ------
    OSError: it cannot be read.
    ValueError: it is no file, too large, or no JSON.
    """
    if not path.is_file():  # a pipe would be waited for
        raise MisfitError(f"{path.name} is missing")
    if (size := path.stat().st_size) > most_bytes:
        raise MisfitError(f"{path.name} has {size:,} bytes, more than {most_bytes:,}")
    return parsed(path.read_bytes(), path.name)


def parsed(data: bytes, name: str) -> Any:
    """The JSON value in some bytes.

    Raises
    ------
    ValueError: they are no JSON.
    """
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MisfitError(f"{name} is no JSON") from error


def _refuse(value: Any, wanted: str) -> MisfitError:
    shown = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return MisfitError(f": {shown[:SHOWN]} is not {wanted}")


def text(most: int = MOST_TEXT, least: int = 0) -> Check:
    """A text in Unicode of so many characters."""

    def check(value: Any) -> None:
        if type(value) is not str or not least <= len(value) <= most:
            raise _refuse(value, f"a text of {least} to {most:,} characters")
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _refuse(value, "a text in Unicode")

    return check


def hexadecimal(digits: int) -> Check:
    """So many hexadecimal digits."""

    def check(value: Any) -> None:
        if type(value) is not str or len(value) != digits or not set(value) <= set("0123456789abcdef"):
            raise _refuse(value, f"{digits} hexadecimal digits")

    return check


def whole(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: Any) -> None:
        if type(value) is not int or not least <= value <= most:
            raise _refuse(value if type(value) is not int or value.bit_length() < 100 else "a huge number",
                          f"a whole number from {least} to {most}")  # fmt: skip

    return check


def number(least: float = -math.inf, most: float = math.inf, missing: bool = False) -> Check:
    """A number in a range; `missing`: it may be NaN."""

    def check(value: Any) -> None:
        try:
            fits = type(value) in (int, float) and (least <= float(value) <= most or (missing and math.isnan(value)))
        except OverflowError:
            fits = False
        if not fits:
            raise _refuse(value if type(value) is not int else "a huge number", f"a number from {least:g} to {most:g}")

    return check


def flag(value: Any) -> None:
    """True or false."""
    if type(value) is not bool:
        raise _refuse(value, "true or false")


def one_of(*known: Any) -> Check:
    """One of some values."""

    def check(value: Any) -> None:
        if not any(type(value) is type(one) and value == one for one in known):
            raise _refuse(value, f"one of {', '.join(map(str, known))}")

    return check


def maybe(of: Check) -> Check:
    """None, or what fits."""

    def check(value: Any) -> None:
        if value is not None:
            of(value)

    return check


def list_of(of: Check, most: int, least: int = 0) -> Check:
    """A list of so many values."""

    def check(value: Any) -> None:
        if type(value) is not list or not least <= len(value) <= most:
            raise _refuse(value, f"a list of {least} to {most:,} values")
        for place, entry in enumerate(value):
            try:
                of(entry)
            except MisfitError as error:
                raise MisfitError(f"[{place}]{error}") from error

    return check


def table_of(of: Check, most: int = 1000) -> Check:
    """A table with at most so many names."""
    name_fits = text(1000)

    def check(value: Any) -> None:
        if type(value) is not dict or len(value) > most:
            raise _refuse(value, f"a table of at most {most:,} entries")
        for name, entry in value.items():
            try:
                name_fits(name)
                of(entry)
            except MisfitError as error:
                raise MisfitError(f".{name[:SHOWN]}{error}") from error

    return check


def fields(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, rest: Check | None = None
) -> Check:
    """A table with these fields; `rest`: what others may hold, None where there are none."""
    known = {**required, **(optional or {})}

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise _refuse(value, "a table")
        if missing := required.keys() - value.keys():
            raise MisfitError(f": the field {min(missing)} is missing")
        for name, entry in value.items():
            fits = known.get(name, rest)
            if fits is None:
                raise MisfitError(f": unknown field {name[:SHOWN]!r}")
            try:
                fits(entry)
            except MisfitError as error:
                raise MisfitError(f".{name}{error}") from error

    return check


def plain(depth: int = MOST_DEPTH) -> Check:
    """Any JSON value that is not nested deeper, whose texts are Unicode."""
    text_fits = text()

    def check(value: Any) -> None:
        if isinstance(value, str):
            text_fits(value)
        elif isinstance(value, dict | list):
            if depth == 0:
                raise _refuse(value, f"nested at most {MOST_DEPTH} deep")
            deeper = plain(depth - 1)
            for name in value if isinstance(value, dict) else ():
                text_fits(name)
            for entry in value.values() if isinstance(value, dict) else value:
                deeper(entry)

    return check
