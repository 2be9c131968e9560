"""Every test has a cache of its own; tiny random models and a tokenizer that tests make themselves."""

import shutil
import signal
import sys
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import local_script_runner
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from iclviz.models import identity
from iclviz.places import checkout
from iclviz.tasks import tasks

# A shell that puts the tests in the background has them ignore Ctrl-C, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

WIDTH, LAYERS, HEADS, CONTEXT = 32, 3, 4, 256
LONGEST_NAME = 120
LAST_LOOK = 0.1


def pytest_make_parametrize_id(val):
    """A test of a long text is called by its beginning: names travel between processes and stand in reports."""
    return repr(val[:LONGEST_NAME]) if isinstance(val, str | bytes) and len(val) > LONGEST_NAME else None


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("ICLVIZ_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def bucket():
    """A bucket of an S3 server on this machine, which can be stopped and started again."""
    from tests.storage.server import serving

    with serving() as found:
        yield found


@pytest.fixture(autouse=True, scope="session")
def components():
    """Streamlit reads what every installed package says of itself, for each page that a test opens: here once."""
    once = cache(manifest_scanner.scan_component_manifests)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(autouse=True, scope="session")
def pages_are_awaited():
    """Streamlit looks a thousand times a second whether a page that a test opens has ended: here that is waited for."""
    look = local_script_runner.require_widgets_deltas

    def wait(runner, timeout):
        runner._script_thread.join(timeout)
        look(runner, timeout=LAST_LOOK)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


@pytest.fixture(autouse=True, scope="session")
def demo_model_read_once():
    """The demo model is what a page begins with, and no cache of a test remembers its digests: here they are kept."""
    piece, folder = identity._piece, checkout() / "smollm2-135m-instruct"
    kept = cache(piece)

    def digest(path, start):
        return (kept if path.is_relative_to(folder) else piece)(path, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "_piece", digest)
        yield


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """Streamlit's AppTest leaves the page it ran as the main module, which a spawned process would run again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def corpus() -> list[str]:
    texts = []
    for task in tasks().values():
        options = task.resolve_options({}, "plain")
        texts += [item.query[-1].text + item.candidates[0] for item in task.data(16, 0, options).items]
    return [*texts, "Mary is reading. John is cooking. f: x = 12, y = 30\ng: x = 7, y = 5\n"]


def byte_level_tokenizer(**post) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(**post) if post else None
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(trim_offsets=True), bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, tokenizer) -> Path:
    """A tiny random Llama-shaped model as an ordinary Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def planted(tmp_path_factory) -> dict[str, Path]:
    """Name -> folder of each model that is built by hand; `tests.oracles.planted` says what is known of them."""
    from tests.oracles import planted

    folder = tmp_path_factory.mktemp("planted")
    made = (planted.induction_gpt2, planted.induction_llama, planted.direction_gpt2, planted.constant_gpt2)
    return {make.__name__: make(folder / make.__name__) for make in made}


@pytest.fixture(scope="session")
def cache_of_few_and_many(tiny_model, tmp_path_factory):
    """A cache that holds what `few_and_many` gives, and their keys."""
    import iclviz

    folder = tmp_path_factory.mktemp("few and many") / "cache"
    shown = [iclviz.Demonstrations("correct", k, 0) for k in (2, 4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(folder))
        options = {"distractor": True}
        return folder, [iclviz.run(str(tiny_model), "linear_regression", one, 12, 0, options).key for one in shown]


@pytest.fixture
def few_and_many(cache_of_few_and_many, own_cache):
    """Linear regression of twelve items with 2 and with 4 demonstrations, recorded in the test's cache."""
    import iclviz

    folder, keys = cache_of_few_and_many
    shutil.copytree(folder, own_cache, dirs_exist_ok=True)  # where a queue may lie already
    return [iclviz.load(key) for key in keys]


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The real demo model, which `make setup` puts into the checkout."""
    root = checkout()
    assert root is not None
    folder = root / "smollm2-135m-instruct"
    assert folder.is_dir(), "run `make setup` first: it fetches the demo model"
    return folder
