"""A configuration under the library's own names and with its class's defaults.

The library's configuration classes import torch, so pages have a process of its own read a configuration, once: the
answer is kept in the cache folder under a digest of what was read.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from iclviz import places
from iclviz.errors import ModelError
from iclviz.owner import owner_file

NAMES = ("num_hidden_layers", "num_attention_heads", "hidden_size", "max_position_embeddings", "vocab_size")
"""What every class of the library calls by these names, whatever its files do."""


def completed(
    values: Mapping[str, Any], name: str, folder: Path | None = None, trusted: bool = False
) -> dict[str, Any]:
    """The values of `NAMES`, `architectures` and `dtype` of a language model, or of a wrapper's language model.

    Parameters
    ----------
    values: what `config.json` holds; folder: where it lies, and with it the model's own code, run only if `trusted`.

    Raises
    ------
    ModelError: the library knows no such configuration.
    """
    if set(NAMES) <= {key for key, value in values.items() if value is not None} and "text_config" not in values:
        return dict(values)  # nothing is left out, and no class calls these otherwise
    if "torch" in sys.modules:
        return _read(values, name, folder, trusted)
    kept = _kept(values)
    if trusted or not kept.is_file():
        answer = _elsewhere(values, name, folder, trusted)
        if trusted:  # code beside the configuration decides too
            return answer
        _keep(answer, kept)
        return answer
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def shape(config: Any) -> dict[str, Any]:
    """What an object of a configuration class says."""
    text = config.get_text_config(decoder=True)
    dtype = next((one.dtype for one in (text, config) if getattr(one, "dtype", None) is not None), None)
    found = {attribute: getattr(text, attribute, None) for attribute in NAMES}
    return {**found, "architectures": config.architectures or [config.model_type], "dtype": dtype and str(dtype)}


def _read(values: Mapping[str, Any], name: str, folder: Path | None, trusted: bool) -> dict[str, Any]:
    return shape(config_of(values, name, folder, trusted))


def config_of(values: Mapping[str, Any], name: str, folder: Path | None = None, trusted: bool = False) -> Any:
    """The library's own object of a configuration; loads torch. Arguments and errors as of `completed`."""
    from transformers import CONFIG_MAPPING, AutoConfig

    if trusted and folder is not None and "auto_map" in values:
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=True)
    kind = values.get("model_type") or _kind_of((values.get("architectures") or [""])[0])
    if kind not in CONFIG_MAPPING:
        raise needs_own_code(name) if "auto_map" in values else unknown_architecture(name, values)
    try:
        return CONFIG_MAPPING[kind].from_dict(_with_plain_types(values))
    except Exception as error:  # each class checks its values in its own way
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"The configuration of {name} cannot be read ({reason}).", "Fetch the model again.") from error


def _with_plain_types(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, types of weights without the module's name, as older releases wrote it."""
    return {
        name: _with_plain_types(value)
        if isinstance(value, Mapping)
        else value.removeprefix("torch.")
        if isinstance(value, str)
        else value
        for name, value in values.items()
    }


def _kind_of(architecture: str) -> str:
    """The type of configuration of a model class, for files that name the class alone."""
    from transformers.models.auto import modeling_auto

    tables = (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    return next((kind for table in tables for kind, made in table.items() if made == architecture), "")


def needs_own_code(name: str) -> ModelError:
    """The error of a model that only its own code reads."""
    return ModelError(
        f"{name} is only usable with code that it brings along.",
        f"If you trust that code, allow it in {owner_file()} and set the model option trust_remote_code = true.",
    )


def unknown_architecture(name: str, values: Mapping[str, Any]) -> ModelError:
    """The error of a model that the library does not know."""
    kind = (values.get("architectures") or [values.get("model_type") or "unknown"])[0]
    return ModelError(
        f"{name} has the architecture {kind}, which is not known here as a language model.",
        "Take another model, or a newer release of transformers.",
    )


def _kept(values: Mapping[str, Any]) -> Path:
    read = json.dumps([values, version("transformers")], sort_keys=True)
    return (
        places.cache_folder() / "configurations" / f"{hashlib.blake2b(read.encode(), digest_size=16).hexdigest()}.json"
    )


def _keep(answer: Mapping[str, Any], path: Path) -> None:
    """Write an answer whole; where it cannot be kept it is asked again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(answer, file)
        os.replace(file.name, path)
    except OSError:
        return


def _elsewhere(values: Mapping[str, Any], name: str, folder: Path | None, trusted: bool) -> dict[str, Any]:
    asked = json.dumps([values, name, folder and str(folder), trusted])
    done = subprocess.run([sys.executable, "-m", __name__], input=asked, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ModelError(f"The configuration of {name} cannot be read ({reason}).", "Fetch the model again.") from error
    if "problem" in answer:
        raise ModelError(answer["problem"], answer["remedy"])
    return dict(answer)


def main() -> None:
    """Read a configuration from standard input, and write what it says as the last line of the output."""
    values, name, folder, trusted = json.loads(sys.stdin.read())
    try:
        answer = _read(values, name, Path(folder) if folder else None, trusted)
    except ModelError as error:
        answer = {"problem": error.problem, "remedy": error.remedy}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
