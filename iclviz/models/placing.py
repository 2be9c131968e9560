"""Where a model's weights go: one device, several, or partly the disk; or a share to each of several processes; whole
or packed into fewer bits.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.distributed import DistributedConfig

from iclviz.errors import ModelError
from iclviz.models.ranks import n_joined


def placing(
    options: Mapping[str, Any], device: torch.device, dtype: torch.dtype, offload_folder: str | None
) -> dict[str, Any]:
    """What `from_pretrained` is told about the place of the weights.

    Parameters
    ----------
    options: checked model options.
    device: where a model goes that is not split.
    offload_folder: where a split model may put what fits into no memory.

    Raises
    ------
    ModelError: options that exclude or need each other, or need a package or a device that is not here.
    """
    _check_together(options)
    if (n := n_joined()) > 1:
        return _shared(options, n)
    arguments: dict[str, Any] = {}
    if device.type != "cpu":
        # Each weight goes to the GPU as it is read, instead of a whole copy in memory first.
        arguments["device_map"] = {"": device}
    if "device_map" in options:
        arguments |= {"device_map": "auto", "offload_folder": offload_folder}
        if "max_memory" in options:
            arguments["max_memory"] = _memory(options["max_memory"])
    if "quantization" in options:
        arguments["quantization_config"] = _packed(options["quantization"], device, dtype)
        arguments.setdefault("device_map", {"": device})
    return arguments


def _shared(options: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Of a model that n processes share by tensor parallelism, each on its device."""
    for option in ("device", "device_map", "quantization"):
        if option in options:
            raise ModelError(
                f"The model option {option} does not go with {n} processes that share the model.",
                "Leave it out, or start without torchrun.",
            )
    return {"distributed_config": DistributedConfig(tp_plan="auto", tp_size=n)}


def input_device(model: PreTrainedModel) -> torch.device:
    """Where token ids have to be for a model that may be split: the first device that computes."""
    placed = getattr(model, "hf_device_map", {}).values()
    computing = [place for place in placed if place not in ("cpu", "disk")]
    if computing:
        return torch.device("cuda", computing[0]) if isinstance(computing[0], int) else torch.device(computing[0])
    embeddings: torch.device = model.get_input_embeddings().weight.device
    return torch.device("cpu") if embeddings.type == "meta" else embeddings


def _check_together(options: Mapping[str, Any]) -> None:
    if "device" in options and "device_map" in options:
        raise ModelError("The model options device and device_map exclude each other.", "Give one of them.")
    if "max_memory" in options and "device_map" not in options:
        raise ModelError("The model option max_memory needs device_map.", 'Give device_map = "auto" too.')


def _memory(text: str) -> dict[int | str, str]:
    """The text `0=70GiB, cpu=100GiB` as accelerate takes it."""
    entries = (entry.strip().split("=") for entry in text.split(","))
    return {int(place) if place.isdecimal() else place: amount for place, amount in entries}


def _packed(name: str, device: torch.device, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(f"Weights of {name} need the package bitsandbytes.", "Install it: pip install bitsandbytes")
    if device.type != "cuda":
        raise ModelError(f"Weights of {name} need an NVIDIA GPU, and the device is {device}.", "Leave the option out.")
    if name == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype)
