"""From a model's name to one model: what `locate` finds, and the folders where one of that name was last seen.

A folder that was seen counts for as long as the same files lie in it, so that another model of the same name is never
taken in its place.
"""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from iclviz import whereabouts
from iclviz.errors import ModelError
from iclviz.models.identity import Tell, identity
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.presets import presets

FOLDER = "folder:"
"""What stands before the name of a model of one's own that is called as a preset is."""

GIVE_PATH = "Give the path of the one that you mean."


@dataclass(frozen=True)
class FoundModel:
    """A model with the identity of its files.

    is_as_seen: whether these files were there when it was last seen.
    """

    located: LocatedModel
    identity: str
    is_as_seen: bool = True

    @property
    def by_files(self) -> bool:
        """Whether its files alone tell it, since it goes by a folder or file of this machine."""
        return self.located.preset is None and self.located.kind != "hub"

    @property
    def name(self) -> str:
        """What specs call it."""
        path = self.located.path
        if not self.by_files or path is None:
            return self.located.name
        return f"{FOLDER}{path.name}" if path.name in presets() else path.name


def the_model(name: str, memo: MutableMapping[str, Any], tell: Tell | None = None) -> FoundModel:
    """The one model that a name means.

    Parameters
    ----------
    memo: facts about files of this machine.
    tell: told how far reading the model's files is.

    Raises
    ------
    ModelError: there is none, it has changed or gone, or several models go by that name.
    """
    found = candidates(name, memo, tell)
    same = [one for one in found if one.is_as_seen]
    if not same:
        raise ModelError(f"In {found[0].located.path} lies another model than the {name} that was run.", GIVE_PATH)
    if len({one.identity for one in same}) > 1:
        places = " and ".join(str(one.located.path) for one in same)
        raise ModelError(f"Several models are called {name}: those in {places}.", GIVE_PATH)
    return same[0]


def candidates(name: str, memo: MutableMapping[str, Any], tell: Tell | None = None) -> list[FoundModel]:
    """Every model that a name may mean, at least one; a path, a preset and a hub id mean one alone.

    Raises
    ------
    ModelError: there is none.
    """
    try:
        located = locate(name)
    except ModelError:
        found = list(_seen(name, memo, tell))
        if not found:
            _say_where(name, memo)
            raise
        return found
    first = FoundModel(located, identity(located, memo, tell))
    return [first, *_seen(name, memo, tell)] if first.by_files else [first]


def remember(model: FoundModel, memo: MutableMapping[str, Any]) -> None:
    """Keep where a model of one's own lies; others are found by their names."""
    if model.by_files and model.located.path is not None:
        whereabouts.remember(model.located.path, model.identity, memo)


def _seen(name: str, memo: MutableMapping[str, Any], tell: Tell | None) -> Iterator[FoundModel]:
    """The models in folders where one of that name was seen, the last seen first."""
    for path, before in _places(name, memo):
        try:
            located = locate(path)
            now = identity(located, memo, tell)
        except ModelError:
            continue
        yield FoundModel(located, now, now == before)


def _say_where(name: str, memo: MutableMapping[str, Any]) -> None:
    """Refuse a model that is gone from where it was last seen; nothing where none of that name was."""
    for path, _ in _places(name, memo):
        raise ModelError(f"The model {name} is not in {path} any more.", "Give the path where it is now.")


def _places(name: str, memo: MutableMapping[str, Any]) -> list[tuple[str, str]]:
    """Path and identity of models that were seen under a name; none for what is more than the last part of a path."""
    return whereabouts.known(name.removeprefix(FOLDER), memo) if PurePath(name).name == name else []
