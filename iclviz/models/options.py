"""The options of loading a model, `model_options` of a spec: a table, and its check. Needs no torch.

Options at their defaults say nothing, so they are dropped: with and without them it is the same run.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iclviz.errors import ModelError, unknown
from iclviz.models.locating import LocatedModel
from iclviz.owner import owner, owner_file

_MEMORY = re.compile(r"\s*(\d+|cpu)=\d+(\.\d+)?[KMGT]i?B\s*(,\s*(\d+|cpu)=\d+(\.\d+)?[KMGT]i?B\s*)*")
_DEVICE = re.compile(r"cpu|mps|cuda(:(0|[1-9]\d{0,2}))?")


@dataclass(frozen=True)
class ModelOption:
    """One option.

    Attributes
    ----------
    kind: the type of its values.
    default: what leaving it out, or None, means.
    wanted: the values it takes, in words.
    fits: whether a value of the right type is one of them.
    """

    kind: type
    default: Any
    wanted: str
    fits: Callable[[Any], bool] = lambda value: True


OPTIONS: Mapping[str, ModelOption] = {
    "device": ModelOption(
        str,
        None,
        '"cpu", "cuda", "cuda:1" and so on, or "mps"',
        lambda name: _DEVICE.fullmatch(name) is not None,
    ),
    "device_map": ModelOption(str, None, '"auto": over all GPUs, then memory, then disk', lambda name: name == "auto"),
    "max_memory": ModelOption(
        str,
        None,
        'the most for each place, as in "0=70GiB, 1=70GiB, cpu=100GiB"',
        lambda text: _MEMORY.fullmatch(text) is not None,
    ),
    "quantization": ModelOption(str, None, '"8bit" or "4bit"', lambda name: name in ("8bit", "4bit")),
    "trust_remote_code": ModelOption(bool, False, "true or false"),
}


def check_trust(located: LocatedModel, options: Mapping[str, Any]) -> None:
    """Refuse to run code that a model brings along, unless the owner of this machine has allowed it.

    Raises
    ------
    ModelError: nobody has.
    """
    if options.get("trust_remote_code") and not any(_names(one, located) for one in owner().trusted):
        raise ModelError(
            f"Code that {located.name} brings along is not run: the owner's configuration does not allow it.",
            f'If you trust that code, write trust_remote_code = ["{located.name}"] into {owner_file()}.',
        )


def _names(trusted: str, located: LocatedModel) -> bool:
    """Whether what the owner wrote is the model, by its name or by its path."""
    path = Path(trusted).expanduser()
    return trusted == located.name or (path.is_absolute() and path.resolve() == located.path)


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from their defaults, sorted by name, each known and of its form.

    Whether a device is there is not asked here.

    Raises
    ------
    ModelError: an unknown option, listing the known ones, or a value that it does not take.
    """
    checked = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise unknown(ModelError, "model option", name, sorted(OPTIONS))
        option = OPTIONS[name]
        if value is None:
            continue
        if not isinstance(value, option.kind) or not option.fits(value):
            raise ModelError(f"The model option {name} = {value!r} does not fit.", f"Give {option.wanted}.")
        if value != option.default:
            checked[name] = value
    return dict(sorted(checked.items()))
