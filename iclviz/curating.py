"""What users do with the recordings of a cache: name, tag and note them, discard them and take that back.

An annotation lies beside the recording's files and outside its checksums, and goes with it into an export. What is
discarded is moved into the cache's `discarded/` folder, from which it can be restored until that is emptied.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from iclviz import schemas
from iclviz.disk import size_of
from iclviz.errors import StoreError, UserError
from iclviz.formats import Format, NewerError, unchanged
from iclviz.schemas import read_json
from iclviz.store import ANNOTATION, Ailing, Store

FILE = ANNOTATION
FORMAT = Format("annotation", (unchanged,))
MOST_BYTES = 2**20
MOST_NAME = 60
"""Characters of a name or tag."""
SCHEMA = schemas.fields(
    {
        "name": schemas.text(1000),
        "tags": schemas.list_of(schemas.text(1000), 1000),
        "note": schemas.text(MOST_BYTES),
    }
)


@dataclass(frozen=True)
class Annotation:
    """What a user says of a recording: a name of his own, tags and a note."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def annotation(store: Store, key: str) -> Annotation:
    """What is said of a recording; nothing where that cannot be read, which `annotation_problem` tells."""
    place = store.place(key, FILE)
    try:
        return _read(place)
    except StoreError:
        return Annotation()


def annotation_problem(store: Store, key: str) -> Ailing | None:
    """Why the annotation of a recording cannot be read, None where it can be or there is none."""
    place = store.place(key, FILE)
    try:
        _read(place)
    except StoreError as error:
        return Ailing("annotation", key, str(error), isinstance(error, NewerError), partial(store.detach, key, FILE))
    return None


def _read(folder: Path) -> Annotation:
    if not (folder / FILE).exists():
        return Annotation()
    try:
        fields = FORMAT.unsealed(read_json(folder / FILE, MOST_BYTES), folder.name)
        SCHEMA(fields)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"Name, tags and note of the recording {folder.name} are damaged ({error}).",
            "Remove them, and write them again.",
        ) from error
    return Annotation(fields["name"], tuple(fields["tags"]), fields["note"])


def annotate(store: Store, key: str, fields: Annotation) -> None:
    """Keep what a user says of a recording.

    Raises
    ------
    UserError: its name or a tag is too long.
    NewerError: a newer iclviz has said something that would be lost.
    StoreError: no such recording, or the cache cannot be written.
    """
    if key not in store:
        raise StoreError(f"The cache holds no recording {key!r}.", "Reload the page.")
    for what, text in [("name", fields.name), *(("tag", tag) for tag in fields.tags)]:
        if len(text) > MOST_NAME:
            raise UserError(f"The {what} has {len(text)} characters.", f"Take {MOST_NAME} or fewer: legends print it.")
    try:
        _read(store.place(key, FILE))
    except NewerError:
        raise
    except StoreError:  # what is damaged is written anew
        pass
    store.attach(key, FILE, FORMAT.sealed(asdict(fields)))


def inherit(store: Store, key: str) -> None:
    """Give a new recording what was said of one of the same run that keeps less.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    said = (annotation(store, lesser) for lesser in store.lesser(key, store.annotated()))
    if told := next((one for one in said if one != Annotation()), None):
        annotate(store, key, told)


def discard(store: Store, key: str) -> None:
    """Move a recording out of the way; `restore` brings it back.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    if key in store:
        store.discard(key)


def discarded(store: Store) -> dict[str, int]:
    """The keys of discarded recordings, with the bytes that each takes."""
    return {key: size_of(store.discarded_place(key)) for key in store.discarded()}


def restore(store: Store, key: str) -> None:
    """Bring a discarded recording back, unless it was run anew meanwhile.

    Raises
    ------
    StoreError: it was emptied, or the cache cannot be written.
    """
    if key in store:
        return
    if key not in store.discarded():
        raise StoreError("That recording is no longer among the discarded ones.", "Run it again.")
    store.restore(key)


def empty(store: Store) -> None:
    """Remove discarded recordings for good.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    for key in store.discarded():
        store.forget_discarded(key)


def forget_discarded(store: Store, key: str) -> None:
    """Remove one discarded recording for good.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    store.forget_discarded(key)
