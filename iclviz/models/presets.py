"""The models that the program knows by a short name: one row each, or a file `presets/NAME.py` of one's own that says
`PRESET = Preset(...)`.

`memory_gb` is what the weights take in the row's dtype (2 bytes a parameter in bfloat16 and float16, 4 in float32);
attention caches and activations come on top. Commits are not pinned here: a model's identity, and so each run's key,
is the commit that was fetched.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import get_args

from iclviz import extensions
from iclviz.errors import ModelError, UserError, unknown
from iclviz.extensions import Parts
from iclviz.spec import Dtype, PromptStyle

DEMO_MODEL = "smollm2-135m-instruct"
TEMPLATES = Path(__file__).parent / "templates"
_META = "Meta's community licence"


@dataclass(frozen=True)
class Preset:
    """A model with its defaults.

    Attributes
    ----------
    name: the short name that specs and pages use.
    title: the name as a paper prints it.
    source: the hub id, or a folder's absolute path; for the demo model, the name of its folder.
    parameters: number of parameters, in billions.
    prompt_style: the default; the user may choose the other.
    dtype: what the weights are loaded in on a GPU.
    licence: the licence's name.
    gated: whether the hub asks to accept the licence first.
    revision: the hub's branch, tag or commit.
    chat_template: a Jinja file for a model that ships none.
    """

    name: str
    title: str
    source: str
    parameters: float
    prompt_style: PromptStyle
    licence: str
    dtype: Dtype = "bfloat16"
    gated: bool = False
    revision: str = "main"
    chat_template: Path | None = None

    @property
    def memory_gb(self) -> float:
        """Gigabytes (1e9 bytes) that the weights take in `dtype`."""
        return round(self.parameters * (4 if self.dtype == "float32" else 2), 1)

    @property
    def local(self) -> bool:
        """Whether the model comes from a local folder instead of the hub."""
        return "/" not in self.source or self.folder is not None

    @property
    def folder(self) -> Path | None:
        """The folder that `source` names, whether or not it is there; None for the hub and the demo model."""
        path = Path(self.source).expanduser()
        return path if path.is_absolute() else None


_ROWS = (
    # The demo model answers in sentences through its chat template, and the effect of demonstrations goes: plain.
    Preset(DEMO_MODEL, "SmolLM2 135M Instruct", DEMO_MODEL, 0.135, "plain", "Apache-2.0", dtype="float32"),
    Preset("llama-2-7b", "Llama 2 7B", "meta-llama/Llama-2-7b-hf", 6.74, "plain", _META, "float16", gated=True),
    Preset("llama-2-7b-chat", "Llama 2 7B Chat", "meta-llama/Llama-2-7b-chat-hf", 6.74, "chat", _META, "float16", True),
    Preset("llama-2-13b", "Llama 2 13B", "meta-llama/Llama-2-13b-hf", 13.02, "plain", _META, "float16", gated=True),
    Preset(
        "llama-2-13b-chat", "Llama 2 13B Chat", "meta-llama/Llama-2-13b-chat-hf", 13.02, "chat", _META, "float16", True
    ),
    Preset("llama-2-70b", "Llama 2 70B", "meta-llama/Llama-2-70b-hf", 68.98, "plain", _META, "float16", gated=True),
    Preset(
        "llama-2-70b-chat", "Llama 2 70B Chat", "meta-llama/Llama-2-70b-chat-hf", 68.98, "chat", _META, "float16", True
    ),
    Preset(
        "vicuna-13b-v1.3",
        "Vicuna 13B v1.3",
        "lmsys/vicuna-13b-v1.3",
        13.02,
        "chat",
        "non-commercial (LLaMA)",
        "float16",
        chat_template=TEMPLATES / "vicuna-v1.1.jinja",
    ),
    Preset("qwen3-0.6b-base", "Qwen3 0.6B Base", "Qwen/Qwen3-0.6B-Base", 0.6, "plain", "Apache-2.0"),
    Preset("qwen3-0.6b", "Qwen3 0.6B", "Qwen/Qwen3-0.6B", 0.6, "chat", "Apache-2.0"),
    Preset("qwen3-1.7b-base", "Qwen3 1.7B Base", "Qwen/Qwen3-1.7B-Base", 1.72, "plain", "Apache-2.0"),
    Preset("qwen3-1.7b", "Qwen3 1.7B", "Qwen/Qwen3-1.7B", 1.72, "chat", "Apache-2.0"),
    Preset("qwen3-4b-base", "Qwen3 4B Base", "Qwen/Qwen3-4B-Base", 4.02, "plain", "Apache-2.0"),
    Preset("qwen3-4b", "Qwen3 4B Instruct", "Qwen/Qwen3-4B-Instruct-2507", 4.02, "chat", "Apache-2.0"),
    Preset("qwen3-8b-base", "Qwen3 8B Base", "Qwen/Qwen3-8B-Base", 8.19, "plain", "Apache-2.0"),
    Preset("qwen3-8b", "Qwen3 8B", "Qwen/Qwen3-8B", 8.19, "chat", "Apache-2.0"),
    Preset("qwen3-32b", "Qwen3 32B", "Qwen/Qwen3-32B", 32.76, "chat", "Apache-2.0"),
    Preset("gemma-3-270m", "Gemma 3 270M", "google/gemma-3-270m", 0.27, "plain", "Gemma", gated=True),
    Preset("gemma-3-1b", "Gemma 3 1B", "google/gemma-3-1b-pt", 1.0, "plain", "Gemma", gated=True),
    Preset("gemma-3-1b-it", "Gemma 3 1B Instruct", "google/gemma-3-1b-it", 1.0, "chat", "Gemma", gated=True),
    Preset("gemma-3-4b", "Gemma 3 4B", "google/gemma-3-4b-pt", 4.3, "plain", "Gemma", gated=True),
    Preset("gemma-3-4b-it", "Gemma 3 4B Instruct", "google/gemma-3-4b-it", 4.3, "chat", "Gemma", gated=True),
    Preset("mistral-7b-v0.3", "Mistral 7B v0.3", "mistralai/Mistral-7B-v0.3", 7.25, "plain", "Apache-2.0"),
    Preset(
        "mistral-7b-instruct-v0.3",
        "Mistral 7B Instruct v0.3",
        "mistralai/Mistral-7B-Instruct-v0.3",
        7.25,
        "chat",
        "Apache-2.0",
    ),
    Preset("llama-3.2-1b", "Llama 3.2 1B", "meta-llama/Llama-3.2-1B", 1.24, "plain", _META, gated=True),
    Preset(
        "llama-3.2-1b-instruct",
        "Llama 3.2 1B Instruct",
        "meta-llama/Llama-3.2-1B-Instruct",
        1.24,
        "chat",
        _META,
        gated=True,
    ),
    Preset("llama-3.2-3b", "Llama 3.2 3B", "meta-llama/Llama-3.2-3B", 3.21, "plain", _META, gated=True),
    Preset(
        "llama-3.2-3b-instruct",
        "Llama 3.2 3B Instruct",
        "meta-llama/Llama-3.2-3B-Instruct",
        3.21,
        "chat",
        _META,
        gated=True,
    ),
    Preset("llama-3.1-8b", "Llama 3.1 8B", "meta-llama/Llama-3.1-8B", 8.03, "plain", _META, gated=True),
    Preset(
        "llama-3.1-8b-instruct",
        "Llama 3.1 8B Instruct",
        "meta-llama/Llama-3.1-8B-Instruct",
        8.03,
        "chat",
        _META,
        gated=True,
    ),
    Preset("olmo-2-1b", "OLMo 2 1B", "allenai/OLMo-2-0425-1B", 1.48, "plain", "Apache-2.0"),
    Preset("olmo-2-1b-instruct", "OLMo 2 1B Instruct", "allenai/OLMo-2-0425-1B-Instruct", 1.48, "chat", "Apache-2.0"),
    Preset("olmo-2-7b", "OLMo 2 7B", "allenai/OLMo-2-1124-7B", 7.3, "plain", "Apache-2.0"),
    Preset("olmo-2-7b-instruct", "OLMo 2 7B Instruct", "allenai/OLMo-2-1124-7B-Instruct", 7.3, "chat", "Apache-2.0"),
)

_KNOWN: dict[str, Preset] = {row.name: row for row in _ROWS}


def presets() -> dict[str, Preset]:
    """Every preset by name: the rows here, then those of files of one's own."""
    return _parts().found


def problems() -> dict[str, UserError]:
    """Why files of one's own hold no preset, by their names."""
    return _parts().problems


def _parts() -> Parts[Preset]:
    return extensions.parts("presets", _KNOWN, _of_module)


def _of_module(module: ModuleType) -> dict[str, Preset]:
    row = getattr(module, "PRESET", None)
    if not isinstance(row, Preset):
        raise TypeError("it has no PRESET = Preset(...)")
    for name, known in (("prompt_style", get_args(PromptStyle)), ("dtype", get_args(Dtype))):
        if getattr(row, name) not in known:
            raise ValueError(f"its {name} is {getattr(row, name)!r}; known: {', '.join(known)}")
    return {row.name: row}


def model_title(name: str) -> str:
    """A preset's title; other models are called by their name."""
    known = presets()
    return known[name].title if name in known else name


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises
    ------
    ModelError: there is none; the message lists those that there are.
    UserError: the file of one's own of that name holds none.
    """
    every = _parts()
    if name in every.problems:
        raise every.problems[name]
    if name not in every.found:
        raise unknown(ModelError, "model preset", name, list(every.found))
    return every.found[name]
