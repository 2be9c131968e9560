"""What a model's files must be before anything is loaded: checked by name, size and header, without torch.

A folder is one that `save_pretrained` writes: `config.json`, safetensors (or PyTorch) weights, one file or shards with
an index, and the tokenizer's files. A `.gguf` file holds all three.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

from iclviz.errors import ModelError
from iclviz.models.gguf_header import DamagedGguf, GgufHeader, read_header

FAST_TOKENIZER = "tokenizer.json"
SLOW_TOKENIZERS = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
_GGUF_BLOCK = re.compile(r"blk\.(\d+)\.")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`.

    Raises
    ------
    ModelError: the file is missing or holds no JSON object.
    """
    try:
        if not path.is_file():
            raise ModelError(
                f"The model folder {path.parent} has no {path.name}.", "Give a folder saved by save_pretrained."
            )
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}).", "Fetch or save the model again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no table of values.", "Fetch or save the model again.")
    return value


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a folder, sorted: safetensors where there are any, else PyTorch's."""
    found = (sorted(folder.glob(pattern)) for pattern in WEIGHTS)
    return next((files for files in found if files), [])


def check_folder(folder: Path) -> None:
    """Refuse a folder that could not be loaded.

    Raises
    ------
    ModelError: no config, weights missing or cut short, no tokenizer, or an adapter.
    """
    refuse_adapter(folder)
    read_json(folder / "config.json")
    _check_weights(folder)
    if not any((folder / name).is_file() for name in (FAST_TOKENIZER, *SLOW_TOKENIZERS)):
        raise ModelError(f"The model folder {folder} has no tokenizer.", f"Put the model's {FAST_TOKENIZER} into it.")


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder with an adapter: it changes the base model beside it, or needs one from elsewhere.

    Raises
    ------
    ModelError: there is one.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"The model folder {folder} holds an adapter (adapter_config.json), which is not applied here.",
            "Merge it into its base model (peft: merge_and_unload, then save_pretrained) and give that folder; for the "
            "base model alone, take the adapter's files out.",
        )


def is_loadable(folder: Path) -> bool:
    """Whether `check_folder` finds nothing wrong."""
    try:
        check_folder(folder)
    except ModelError:
        return False
    return True


def _check_weights(folder: Path) -> None:
    files = weight_files(folder)
    missing = sorted(_expected(folder, files) - {file.name for file in files})
    if missing:
        raise ModelError(
            f"The model folder {folder} lacks {len(missing)} of its weight files, first {missing[0]}.",
            "Fetch or copy the model again.",
        )
    if not files:
        raise ModelError(f"The model folder {folder} has no weights.", "Put its .safetensors files into it.")
    for file in files:
        if file.suffix == ".safetensors":
            safetensors_header(file)


def _expected(folder: Path, files: list[Path]) -> set[str]:
    """The names of the weight files that an index, or a shard's own name, promises."""
    kind = files[0].suffix if files else ""
    for index in map(folder.joinpath, INDEXES):
        if index.is_file() and kind in ("", Path(index.name.removesuffix(".index.json")).suffix):
            return set(read_json(index).get("weight_map", {}).values())
    expected = set()
    for file in files:
        if shard := _SHARD.fullmatch(file.name):
            stem, _, total, suffix = shard.groups()
            expected |= {f"{stem}-{number:05d}-of-{total}{suffix}" for number in range(1, int(total) + 1)}
    return expected


def safetensors_header(file: Path) -> bytes:
    """The JSON header of a safetensors file, as bytes.

    Raises
    ------
    ModelError: the header cannot be read, or the file ends before the tensors that it lists.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > size:
                raise ValueError("its header is longer than the file")
            header = stream.read(length)
        tensors = [value for name, value in json.loads(header).items() if name != "__metadata__"]
        end = 8 + length + max((tensor["data_offsets"][1] for tensor in tensors), default=0)
        if end > size:
            raise ValueError(f"it holds {size:,} bytes where its tensors end at byte {end:,}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise ModelError(f"The weight file {file} is damaged: {error}.", "Fetch or copy it again.") from error
    return header


def check_gguf(path: Path) -> None:
    """Refuse a `.gguf` file that could not be loaded.

    Raises
    ------
    ModelError: the file is no GGUF file, is cut short, or holds no whole language model with a tokenizer.
    """
    try:
        header = read_header(path)
    except (DamagedGguf, OSError, OverflowError, MemoryError) as error:
        raise ModelError(f"The file {path} is damaged or no GGUF file: {error}.", "Fetch it again.") from error
    if (count := header.metadata.get("split.count", 1)) > 1:
        number = header.metadata.get("split.no", 0) + 1
        raise ModelError(
            f"The file {path} is part {number} of {count} of a model.",
            "Join the parts first: llama-gguf-split --merge FIRST_PART.gguf WHOLE.gguf",
        )
    for key, what in (("general.architecture", "architecture"), ("tokenizer.ggml.model", "tokenizer")):
        if key not in header.metadata:
            raise ModelError(f"The file {path} names no {what}.", "Take a .gguf file of a whole language model.")
    _check_block_count(path, header)


def _check_block_count(path: Path, header: GgufHeader) -> None:
    """Refuse weights of blocks that the metadata do not count: loading would leave them out and say nothing."""
    counted = header.get("block_count")
    numbers = [int(found[1]) for tensor in header.tensors if (found := _GGUF_BLOCK.match(tensor.name))]
    if isinstance(counted, int) and max(numbers, default=-1) >= counted:
        raise ModelError(
            f"The file {path} counts {counted} blocks and holds weights of {max(numbers) + 1}.", "Fetch it again."
        )
