"""From a model's name to its files: presets, `.gguf` files, folders, and the hub's cache on this disk.

A name is tried in this order: a preset, a `.gguf` file, a folder, a hub id ("org/name"). Only a hub id whose snapshot
is not complete on this disk asks the hub, for at most `HUB_SECONDS`. Nothing here imports torch or transformers.
"""

import difflib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from iclviz import places
from iclviz.errors import ModelError, UserError
from iclviz.models.folders import check_folder, check_gguf, is_loadable, refuse_adapter, weight_files
from iclviz.models.presets import DEMO_MODEL, Preset, preset, presets, problems

Kind = Literal["folder", "gguf", "hub"]
HUB_SECONDS = 5.0
SHOWN = 80
DEMO_COMMAND = "python -m iclviz.models.demo"
_HUB_ID = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}", re.ASCII)  # the hub's own limit is 96
_PATH_LIKE = re.compile(r"^[~./\\]|^[A-Za-z]:[/\\]|/.*/|\\|/$")


@dataclass(frozen=True)
class LocatedModel:
    """Where a model is.

    Attributes
    ----------
    name: as the user gave it.
    kind: "folder", "gguf" or "hub".
    path: the folder or `.gguf` file on this disk; None for a hub model that is still to be downloaded.
    hub_id: "org/name" of a hub model.
    commit: the commit of a hub model.
    preset: the preset that the name, or the hub id, belongs to.
    """

    name: str
    kind: Kind
    path: Path | None
    hub_id: str | None = None
    commit: str | None = None
    preset: Preset | None = None

    @property
    def on_disk(self) -> bool:
        """Whether the model can be loaded without network."""
        return self.path is not None

    @property
    def notice(self) -> str | None:
        """One sentence about what a run has to fetch first; None if nothing."""
        if self.on_disk:
            return None
        size = f" (about {self.preset.memory_gb:g} GB)" if self.preset else ""
        return f"{self.hub_id} is not on disk{size}; the first run fetches it, as does: hf download {self.hub_id}"


def locate(model_name: str) -> LocatedModel:
    """Where the model of that name is, checked as far as that goes without loading it.

    Raises
    ------
    ModelError: no such model, files missing or damaged, a licence to accept first, or a hub that cannot be reached.
    """
    name, known = model_name.strip(), presets()
    if name in known:
        return _locate_preset(known[name])
    if name.lower().endswith(".gguf"):
        return _locate_gguf(name)
    if name and (folder := _existing(name, Path.is_dir)):
        check_folder(folder)
        return LocatedModel(name, "folder", folder.resolve())
    if _PATH_LIKE.search(name):
        raise ModelError(f"There is no folder {_shown(name)}.", "Give the path of a folder that holds a model.")
    if _HUB_ID.fullmatch(name):
        return _locate_hub(name, name, next((row for row in known.values() if row.source == name), None))
    raise _unknown_name(name)


def _existing(name: str, is_there: Callable[[Path], bool]) -> Path | None:
    """The path of that name; None where there is nothing, or where no path can have that name.

    The home of an unknown user and a name longer than the file system takes raise errors of their own.
    """
    try:
        path = Path(name).expanduser()
        return path if is_there(path) else None
    except (OSError, RuntimeError, ValueError):
        return None


def _shown(name: str) -> str:
    """The name as messages show it: a long one cut."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]} …"


def _locate_preset(row: Preset) -> LocatedModel:
    if not row.local:
        return _locate_hub(row.name, row.source, row)
    folder = _files_of(row)
    if folder is None:
        for damaged in filter(Path.is_dir, _local_folders(row)):
            check_folder(damaged)  # says what is wrong with it
        if row.folder:
            raise ModelError(f"There is no folder {row.source}, where {row.name} should lie.", "Mend its preset.")
        raise ModelError(f"The demo model {row.name} is not on disk.", f"Fetch it once (93 MB): {DEMO_COMMAND}")
    return LocatedModel(row.name, "folder", folder, preset=row)


def _locate_gguf(name: str) -> LocatedModel:
    path = _existing(name, Path.is_file)
    if path is None:
        raise ModelError(f"There is no file {_shown(name)}.", "Give the path of an existing .gguf file.")
    check_gguf(path)
    return LocatedModel(name, "gguf", path.resolve())


def _locate_hub(name: str, hub_id: str, row: Preset | None) -> LocatedModel:
    revision = row.revision if row else "main"
    if cached := _snapshot(hub_id, revision):
        return LocatedModel(name, "hub", cached, hub_id, cached.name, row)
    return LocatedModel(name, "hub", None, hub_id, _ask_hub(hub_id, revision), row)


def _unknown_name(name: str) -> UserError:
    if name in problems():
        return problems()[name]
    close = difflib.get_close_matches(name.lower(), presets(), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return ModelError(
        f"There is no model {_shown(name)!r}.",
        f"{hint}`iclviz models` lists those known by a short name; "
        "a hub id (org/name), a folder or a .gguf file also does.",
    )


# The demo model and the presets on this disk


def demo_folders() -> list[Path]:
    """Where the demo model may lie, the first place first."""
    parents = [places.checkout(), places.user_folder()]
    return [parent / DEMO_MODEL for parent in parents if parent is not None]


def converted_folder() -> Path:
    """Where tokenizers lie that were converted once: `models/` in the cache folder."""
    return places.cache_folder() / "models"


def on_disk(model: Preset | str) -> bool:
    """Whether a preset's files are complete on this disk; asks no network."""
    return _files_of(model) is not None


def size_on_disk(model: Preset | str) -> int:
    """Bytes that a preset's files take on this disk; 0 where they are not complete."""
    folder = _files_of(model)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder else 0


def _files_of(model: Preset | str) -> Path | None:
    row = preset(model) if isinstance(model, str) else model
    if not row.local:
        return _snapshot(row.source, row.revision)
    return next((folder for folder in _local_folders(row) if is_loadable(folder)), None)


def _local_folders(row: Preset) -> list[Path]:
    return [row.folder] if row.folder else demo_folders()


# The hub


def _snapshot(hub_id: str, revision: str) -> Path | None:
    """The complete snapshot of that revision in the hub's cache on this disk, named after its commit."""
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = repository / "snapshots" / commit
    refuse_adapter(folder)  # fetching it again would not help
    return folder if is_loadable(folder) else None


def _ask_hub(hub_id: str, revision: str) -> str:
    """The commit that the hub holds under that revision, if this user may download it."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise ModelError(
            f"{hub_id} is not on disk, and the hub is switched off by HF_HUB_OFFLINE.",
            f"Unset HF_HUB_OFFLINE, or fetch it elsewhere: hf download {hub_id}",
        )

    def ask() -> str:
        api = HfApi()
        info = api.model_info(hub_id, revision=revision, timeout=HUB_SECONDS)
        if info.gated:
            api.auth_check(hub_id)
        return str(info.sha)

    try:
        return _within(HUB_SECONDS, ask)
    except Exception as error:
        raise _hub_error(hub_id, revision, error) from error


def _within(seconds: float, call: Callable[[], str]) -> str:
    """The call's result, given up after so many seconds: the hub's own limits hold for each connection, not in all."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:g} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return str(outcome[0])


def _hub_error(hub_id: str, revision: str, error: Exception) -> ModelError:
    from huggingface_hub import errors

    page = f"https://huggingface.co/{hub_id}"
    sentences: list[tuple[type[Exception], str, str]] = [
        (
            errors.GatedRepoError,
            f"{hub_id} is gated: its licence has to be accepted first.",
            f"Accept it on {page}, then log in with: hf auth login",
        ),
        (
            errors.RevisionNotFoundError,
            f"{hub_id} has no revision {revision!r}.",
            f"See {page} for its branches.",
        ),
        (
            errors.RepositoryNotFoundError,
            f"The hub holds no model {hub_id}, or it is private.",
            "Check the spelling; for a private model log in with: hf auth login",
        ),
        (errors.HFValidationError, f"{hub_id} is not a name that the hub takes.", "Check the spelling."),
        (errors.HfHubHTTPError, f"The hub would not answer for {hub_id} ({_status(error)}).", "Try again later."),
    ]
    for kind, problem, remedy in sentences:
        if isinstance(error, kind):
            return ModelError(problem, remedy)
    return ModelError(
        f"{hub_id} is not on disk, and the hub cannot be reached.",
        "Connect to the network, or choose a model that is on disk.",
    )


def _status(error: Exception) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    return f"status {code}" if code else "no status"


def download(located: LocatedModel) -> LocatedModel:
    """The same model with its files on this disk; a download that was broken off goes on where it stopped.

    Raises
    ------
    ModelError: the hub cannot be reached, the licence is not accepted, the disk is full, or files are missing.
    """
    if located.path is not None or located.hub_id is None:
        return located
    from huggingface_hub import snapshot_download

    try:
        # Original checkpoints, ONNX and GGUF copies lie beside the weights in many repositories and double the size.
        folder = Path(
            snapshot_download(
                located.hub_id,
                revision=located.commit,
                allow_patterns=["*.json", "*.jinja", "*.model", "*.txt", "*.py", _weights_pattern(located)],
                ignore_patterns=["original/*", "onnx/*", "consolidated*", "*/*"],
                etag_timeout=HUB_SECONDS,
            )
        )
    except OSError as error:
        if error.errno is not None and error.filename is not None:
            raise ModelError(
                f"{located.hub_id} cannot be written to disk ({error}).", "Make room and try again."
            ) from error
        raise _hub_error(located.hub_id, located.commit or "main", error) from error
    except Exception as error:
        raise _hub_error(located.hub_id, located.commit or "main", error) from error
    check_folder(folder)
    return LocatedModel(located.name, "hub", folder, located.hub_id, folder.name, located.preset)


def fetch_configuration(located: LocatedModel) -> LocatedModel:
    """The same model with its configuration and its tokenizer on this disk; its weights need not be there.

    Raises
    ------
    ModelError: the hub cannot be reached, or the licence is not accepted.
    """
    if located.path is not None or located.hub_id is None:
        return located
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "tokenizer*", "special_tokens_map.json", "*.jinja"]
    try:
        folder = snapshot_download(
            located.hub_id, revision=located.commit, allow_patterns=wanted, etag_timeout=HUB_SECONDS
        )
    except Exception as error:
        raise _hub_error(located.hub_id, located.commit or "main", error) from error
    return replace(located, path=Path(folder))


def locate_configuration(model_name: str) -> LocatedModel:
    """Where the model of that name is, or a folder that holds its configuration without weights or tokenizer.

    Raises
    ------
    ModelError: as `locate`, where there is no such folder.
    """
    try:
        return locate(model_name)
    except ModelError:
        folder = _existing(model_name.strip(), Path.is_dir)
        if folder is None or not (folder / "config.json").is_file() or weight_files(folder):
            raise
        refuse_adapter(folder)
        return LocatedModel(model_name.strip(), "folder", folder.resolve())


def _weights_pattern(located: LocatedModel) -> str:
    from huggingface_hub import HfApi

    names = HfApi().list_repo_files(str(located.hub_id), revision=located.commit)
    return "*.safetensors" if any(name.endswith(".safetensors") for name in names) else "pytorch_model*"
