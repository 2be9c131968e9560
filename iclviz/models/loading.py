"""Models loaded for running: weights on a device, ready for capture. The one place that calls `from_pretrained`.

Local folders, hub snapshots and `.gguf` files go the same way. On a CPU weights are float32 unless asked otherwise; on
a GPU they take the preset's type, or the type they are stored in. Code that comes with a model is never run unless
the option `trust_remote_code` says so.
"""

import json
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from iclviz.errors import ModelError, unknown
from iclviz.models.completing import needs_own_code, unknown_architecture
from iclviz.models.configuration import ModelFacts, model_facts
from iclviz.models.converted import keep, kept
from iclviz.models.gguf_header import read_header
from iclviz.models.identity import identity
from iclviz.models.locating import LocatedModel, download
from iclviz.models.options import check_options, check_trust
from iclviz.models.placing import input_device, placing
from iclviz.models.ranks import n_joined
from iclviz.models.shares import check_shares
from iclviz.models.tokenizing import converted_tokenizer, load_tokenizer, tokenizer_folder
from iclviz.places import cache_folder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# GGUF files whose vocabulary was learned on single digits; read without that split, two spaces before a digit differ.
_SINGLE_DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell"}
_NO_BLANK = {"prepend_scheme": "never", "add_prefix_space": False}
"""Settings of a tokenizer's parts that put no blank before a text."""
_OTHER_PURPOSE = re.compile(r"For(MaskedLM|MultipleChoice|QuestionAnswering|\w*Classification)$")
_CONSTANT = re.compile(r"\.(inv_freq|masked_bias)$")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run: in evaluation mode, gradients off.

    `device` is where token ids go, `dtype` the name of the weights' type, `seconds` what loading took; `scratch` holds
    weights that were put on the disk, and is removed with the model.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    facts: ModelFacts
    device: torch.device
    dtype: str
    seconds: float
    scratch: tempfile.TemporaryDirectory[str] | None = None


def load(
    located: LocatedModel,
    dtype: str | None = None,
    options: Mapping[str, Any] | None = None,
    device: str | None = None,
    memo: MutableMapping[str, Any] | None = None,
) -> LoadedModel:
    """Load a model, fetching it from the hub first if it is not on disk.

    Parameters
    ----------
    dtype: a name in `DTYPES`; None is float32 on a CPU, and the preset's or the stored type on a GPU.
    options: `model_options` of a spec; see `iclviz.models.options`.
    device: "cpu", "cuda", "cuda:1", ...; None is the option's, else a GPU where there is one.
    memo: remembers the identity of local files.

    Raises
    ------
    ModelError: files missing or damaged, an unknown architecture, option, type or device, or too little memory.
    """
    start = time.perf_counter()
    options = check_options(options or {})
    check_trust(located, options)
    place = pick_device(device or options.get("device"))
    trusted = bool(options.get("trust_remote_code", False))
    located = download(located)
    facts = model_facts(located, trusted)
    dtype = pick_dtype(dtype, place, located, facts)
    scratch = _offload_folder() if "device_map" in options else None
    placement = placing(options, place, DTYPES[dtype], scratch.name if scratch else None)
    with quietly(), _one_sentence(located, facts, place):
        tokenizer = ready_tokenizer(located, memo, trusted)
        model = _model(located, DTYPES[dtype], placement, trusted, memo)
    model.eval()
    model.requires_grad_(False)
    seconds = time.perf_counter() - start
    return LoadedModel(model, tokenizer, facts, input_device(model), dtype, seconds, scratch)


def _offload_folder() -> tempfile.TemporaryDirectory[str]:
    folder = cache_folder() / "offloaded"
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)


def pick_device(name: str | None = None) -> torch.device:
    """The device of that name; None is the first GPU where there is one, else the CPU.

    Raises
    ------
    ModelError: no such device here.
    """
    if name is None:
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"There is no device {name!r}.", 'Devices are "cpu", "cuda", "cuda:1" and so on.') from error
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= present.get(device.type, 0):
        raise ModelError(f"The device {name!r} is not present on this machine.", 'Leave it out, or take "cpu".')
    return device


def pick_dtype(dtype: str | None, device: torch.device, located: LocatedModel, facts: ModelFacts) -> str:
    """The name of the type to load weights in.

    Raises
    ------
    ModelError: a name that is not in `DTYPES`.
    """
    if dtype is not None:
        if dtype not in DTYPES:
            raise unknown(ModelError, "dtype", dtype, list(DTYPES))
        return dtype
    if device.type == "cpu":
        return "float32"
    stored = located.preset.dtype if located.preset else facts.dtype
    return stored if stored in DTYPES else "bfloat16"


def _model(
    located: LocatedModel,
    dtype: torch.dtype,
    placement: Mapping[str, Any],
    trusted: bool,
    memo: MutableMapping[str, Any] | None = None,
) -> PreTrainedModel:
    assert located.path is not None  # download() saw to it
    n = n_joined()
    if located.kind == "gguf" and n > 1:
        raise ModelError(
            f"{located.name} is a .gguf file, whose weights one process unpacks as a whole.",
            "Take the folder of the model's ordinary weights, or start without torchrun.",
        )
    path = located.path if located.kind != "gguf" else _kept_gguf(located, located.path, dtype, memo)
    if path is None:
        return unpacked_gguf(located.path, dtype, **placement)
    folder = str(path)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    _refuse_other_purposes(located, config)
    if n > 1:
        check_shares(located.name, config, n)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=dtype, trust_remote_code=trusted, output_loading_info=True, **placement
    )
    _refuse_misfit(located, model, info)
    return model


def _kept_gguf(
    located: LocatedModel, file: Path, dtype: torch.dtype, memo: MutableMapping[str, Any] | None
) -> Path | None:
    """The folder that holds the weights of a `.gguf` file in that type, unpacked first if they were not yet; None where
    there is no room for it.
    """
    name = f"{identity(located, memo)}-{str(dtype).removeprefix('torch.')}"
    size = sum(prod(tensor.shape) for tensor in read_header(file).tensors) * dtype.itemsize
    return kept(name) or keep(name, size, lambda folder: unpacked_gguf(file, dtype).save_pretrained(folder))


def _refuse_other_purposes(located: LocatedModel, config: PreTrainedConfig) -> None:
    """Models that do not continue text: loaded as one that does, they would lack a head or see what comes later."""
    made_for = next(iter(config.architectures or ()), type(config).__name__)
    both_ways = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if both_ways or _OTHER_PURPOSE.search(made_for):
        raise ModelError(
            f"{located.name} is a {made_for}, which was not trained to continue a text from left to right.",
            "Take a causal language model.",
        )


def unpacked_gguf(path: Path, dtype: torch.dtype = torch.float32, **placing: Any) -> PreTrainedModel:
    """The model in a `.gguf` file as plain weights of that type: an ordinary model, which can be saved.

    Packed weights would be computed by kernels that exist for some devices only, so results would differ.
    """
    model, info = AutoModelForCausalLM.from_pretrained(
        str(path.parent),
        gguf_file=path.name,
        dtype=dtype,
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
        **placing,
    )
    _refuse_misfit(LocatedModel(str(path), "gguf", path), model, info)
    # What is left of the quantisation refuses saving although nothing is packed any more.
    model.hf_quantizer = None
    model.is_quantized = False
    model.quantization_method = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model


def _refuse_misfit(located: LocatedModel, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Weights that are not in the files would be random numbers; those of blocks left out would be another model."""
    if missing := sorted(info.get("missing_keys", ())):
        raise ModelError(
            f"The files of {located.name} lack {len(missing)} of the model's weights, first {missing[0]}.",
            "Fetch or save the model again.",
        )
    blocks = [f".{name}" for name, part in model.named_modules() if isinstance(part, torch.nn.ModuleList)]
    unused = [name for name in sorted(info.get("unexpected_keys", ())) if _in_block(name, blocks)]
    if unused:
        raise ModelError(
            f"The configuration of {located.name} leaves out {len(unused)} of the weights in its blocks, "
            f"first {unused[0]}.",
            "Fetch the model again, or put its own config.json beside its weights.",
        )


def _in_block(weight: str, blocks: list[str]) -> bool:
    """Whether a weight that the model has no place for lies in one of its lists of blocks.

    Files saved without the head leave out the first part of the lists' names. Constants that older releases saved
    beside the weights are no loss.
    """
    inside = re.match(r"(.+?)\.\d+\.", weight)
    return inside is not None and not _CONSTANT.search(weight) and any(b.endswith(f".{inside[1]}") for b in blocks)


# Tokenizers that have to be converted first


def ready_tokenizer(
    located: LocatedModel, memo: MutableMapping[str, Any] | None = None, trusted: bool = False
) -> PreTrainedTokenizerFast:
    """The model's tokenizer, converted to `tokenizer.json` first if it was not yet.

    Raises
    ------
    ModelError: the tokenizer cannot be read or converted.
    """
    if tokenizer_folder(located, memo) is None:
        convert_tokenizer(located, memo, trusted)
    return load_tokenizer(located, memo)


def convert_tokenizer(
    located: LocatedModel, memo: MutableMapping[str, Any] | None = None, trusted: bool = False
) -> Path:
    """Write the model's tokenizer as `tokenizer.json` into the cache, under the model's identity; the folder.

    Raises
    ------
    ModelError: the model is not on disk, or its tokenizer has no fast form.
    """
    if located.path is None:
        raise ModelError(f"{located.name} is not on disk.", "Its first run fetches it.")
    if located.kind == "gguf":
        tokenizer = gguf_tokenizer(located.path)
    else:
        tokenizer = AutoTokenizer.from_pretrained(str(located.path), trust_remote_code=trusted)
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer of {located.name} has no fast form, which tells each token's place in the text.",
            "Put a tokenizer.json into the model's folder.",
        )
    target = converted_tokenizer(located, memo)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as work:
        fresh = Path(work) / target.name
        tokenizer.save_pretrained(fresh)
        try:
            os.replace(fresh, target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first, with the same files
                raise
    return target


def gguf_tokenizer(path: Path) -> Any:
    """The tokenizer that a `.gguf` file describes, splitting digits where its vocabulary was learned that way."""
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    metadata = read_header(path).metadata
    if metadata.get("tokenizer.ggml.add_space_prefix") is False:
        tokenizer = _without_space_prefix(tokenizer)
    if metadata.get("tokenizer.ggml.pre") in _SINGLE_DIGITS:
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    return tokenizer


def _without_space_prefix(tokenizer: Any) -> Any:
    """The tokenizer, except that it puts no blank before a text, and takes none from before one that it decodes."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    plain = {
        **described,
        **{name: _without_blank(described[name]) for name in ("normalizer", "pre_tokenizer", "decoder")},
    }
    if plain == described:
        return tokenizer
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(plain)),
        chat_template=tokenizer.chat_template,
        **tokenizer.special_tokens_map,
    )


def _without_blank(part: Any) -> Any:
    """A part of a tokenizer as its file describes it, without what puts a blank before a text or takes it away."""
    if isinstance(part, list):
        return [one for one in map(_without_blank, part) if one is not None]
    if not isinstance(part, dict):
        return part
    if part.get("type") == "Prepend" or (part.get("type") == "Strip" and part.get("content") == " "):
        return None
    settings = {name: value for name, value in _NO_BLANK.items() if name in part}
    return {**{name: _without_blank(value) for name, value in part.items()}, **settings}


# Quiet, and one sentence for each error


@contextmanager
def quietly() -> Iterator[None]:
    """Silence progress bars, warnings and log lines of transformers and the hub's client; all is put back."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers import modeling_gguf_pytorch_utils as gguf_utils
    from transformers.utils import logging

    verbosity, bars, hub_bars = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        not are_progress_bars_disabled(),
    )
    gguf_bar = gguf_utils.tqdm
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    gguf_utils.tqdm = logging.tqdm  # its own bar does not obey disable_progress_bar
    if hub_bars:
        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        gguf_utils.tqdm = gguf_bar
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            enable_progress_bars()


Sentence = Callable[[LocatedModel, ModelFacts, torch.device], ModelError]

_SENTENCES: tuple[tuple[str, Sentence], ...] = (
    (
        r"out of memory|can't allocate memory|OutOfMemory|MemoryError|not enough memory",
        lambda located, facts, device: ModelError(
            f"{located.name} does not fit into the memory of {device}.",
            "Take a smaller model, a 16-bit dtype or another device.",
        ),
    ),
    (
        r"trust_remote_code",
        lambda located, facts, device: needs_own_code(located.name),
    ),
    (
        r"does not recognize this architecture|Unrecognized model|Unrecognized configuration"
        r"|GGUF model with architecture|not supported yet|Architecture .* not supported",
        lambda located, facts, device: unknown_architecture(located.name, {"architectures": [facts.architecture]}),
    ),
    (
        r"size mismatch|mismatched|ignore_mismatched_sizes|SafetensorError|Error while deserializing|unexpected EOF"
        r"|UnpicklingError|PytorchStreamReader",
        lambda located, facts, device: ModelError(
            f"The weights of {located.name} do not fit its configuration or are damaged.",
            "Fetch or save the model again.",
        ),
    ),
)


@contextmanager
def _one_sentence(located: LocatedModel, facts: ModelFacts, device: torch.device) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        for pattern, sentence in _SENTENCES:
            if re.search(pattern, message):
                raise sentence(located, facts, device) from error
        first = message.strip().splitlines()[0]
        raise ModelError(
            f"{located.name} cannot be loaded ({first}).", "Look at its files, or take another model."
        ) from error
