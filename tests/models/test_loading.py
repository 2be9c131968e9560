import json
import shutil
import warnings

import numpy as np
import pytest
import sentencepiece
import torch
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from iclviz.errors import ModelError
from iclviz.models import converted, loading
from iclviz.models.loading import convert_tokenizer, load, pick_device, pick_dtype, quietly
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.presets import preset
from iclviz.models.tokenizing import load_tokenizer

CPU = torch.device("cpu")


def change_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_folder_loads_ready_to_run(model_folder):
    loaded = load(locate(str(model_folder)), device="cpu")
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert (loaded.dtype, loaded.device, loaded.facts.n_layers) == ("float32", CPU, 2)
    assert loaded.seconds > 0
    ids = loaded.tokenizer("the cat", return_tensors="pt").input_ids
    expected = AutoModelForCausalLM.from_pretrained(model_folder)(ids).logits
    torch.testing.assert_close(loaded.model(ids).logits, expected)


def test_sixteen_bits_only_when_asked(model_folder):
    assert next(load(locate(str(model_folder)), "bfloat16", device="cpu").model.parameters()).dtype == torch.bfloat16


def test_a_hub_snapshot_loads_by_the_same_code(model_folder):
    located = LocatedModel("org/name", "hub", model_folder, "org/name", "abc")
    assert load(located, device="cpu").facts.d_model == 32


def test_a_gguf_file_loads_as_a_plain_model(gguf_file, tmp_path):
    loaded = load(locate(str(gguf_file)), device="cpu")
    assert next(loaded.model.parameters()).dtype == torch.float32
    loaded.model.save_pretrained(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = loaded.tokenizer("x = 12", return_tensors="pt").input_ids
    torch.testing.assert_close(loaded.model(ids).logits, again(ids).logits)


def test_a_gguf_tokenizer_is_converted_once_and_found_by_pages(gguf_file):
    located, memo = locate(str(gguf_file)), {}
    folder = convert_tokenizer(located, memo)
    assert convert_tokenizer(located, memo) == folder
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    tokenizer = load_tokenizer(located, memo)
    assert tokenizer.chat_template
    # Each digit apart, and both spaces before one in one piece: as the vocabulary was learned.
    assert tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12") == [
        ("a", (0, 1)),
        ("ĠĠ", (1, 3)),
        ("1", (3, 4)),
        ("2", (4, 5)),
    ]


def spm_gguf(path, **told):
    """A tiny `.gguf` file whose tokenizer is of SentencePiece's kind."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abc", "▁a", "ab", "▁ab"]
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256, *[1] * (len(tokens) - 259)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, value in told.items():
        getattr(writer, name)(value)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(("prefix", "first"), [(None, "▁ab"), (True, "▁ab"), (False, "ab")])
def test_a_gguf_tokenizer_puts_a_blank_before_a_text_unless_the_file_says_no(tmp_path, prefix, first):
    told = {} if prefix is None else {"add_add_space_prefix": prefix}
    located = locate(str(spm_gguf(tmp_path / "spm.gguf", **told)))
    convert_tokenizer(located)
    tokenizer = load_tokenizer(located)
    ids = tokenizer("ab a", add_special_tokens=False).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == [first, "▁a"]
    assert tokenizer.decode(ids) == "ab a"
    assert tokenizer.bos_token == "<s>"


def test_a_part_of_a_split_gguf_is_named(tmp_path):
    path = tmp_path / "x-00002-of-00003.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_uint16("split.no", 1)
    writer.add_uint16("split.count", 3)
    writer.add_tensor("x", np.zeros((4,), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"part 2 of 3 of a model\. Join the parts first"):
        locate(str(path))


@pytest.mark.parametrize("beside", [True, False])
def test_an_adapter_is_refused_with_or_without_its_base_beside_it(model_folder, beside):
    (model_folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    if not beside:
        (model_folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"holds an adapter .*not applied here.*merge_and_unload"):
        locate(str(model_folder))


def test_a_gguf_file_is_unpacked_once_and_loads_like_a_folder_after_that(gguf_file, monkeypatch):
    located, memo = locate(str(gguf_file)), {}
    first = load(located, device="cpu", memo=memo)
    monkeypatch.setattr(loading, "unpacked_gguf", lambda *given, **named: pytest.fail("it was unpacked again"))
    again = load(located, device="cpu", memo=memo)
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(first.model(ids).logits, again.model(ids).logits)
    assert again.tokenizer("x = 12").input_ids == first.tokenizer("x = 12").input_ids


def test_unpacked_weights_belong_to_a_file_and_a_type_and_damaged_ones_are_made_again(gguf_file):
    located = locate(str(gguf_file))
    load(located, device="cpu")
    assert load(located, "bfloat16", device="cpu").model.dtype == torch.bfloat16
    folders = sorted(converted.weights_folder().iterdir())
    assert [folder.name.rpartition("-")[2] for folder in folders] == ["bfloat16", "float32"]
    weights = folders[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert load(located, device="cpu").facts.n_layers == 2


def test_the_longest_unused_make_room_and_what_is_larger_than_the_limit_is_not_kept(gguf_file, monkeypatch):
    located = locate(str(gguf_file))
    load(located, device="cpu")
    (one,) = converted.weights_folder().iterdir()
    size = sum(file.stat().st_size for file in one.iterdir())
    monkeypatch.setattr(converted, "MOST_BYTES", int(1.2 * size))
    load(located, "bfloat16", device="cpu")
    assert [folder.name.rpartition("-")[2] for folder in converted.weights_folder().iterdir()] == ["bfloat16"]
    monkeypatch.setattr(converted, "MOST_BYTES", 1)
    assert load(located, device="cpu").facts.n_layers == 2
    assert not [folder for folder in converted.weights_folder().iterdir() if folder.name.endswith("float32")]


def test_a_sentencepiece_folder_is_converted_once(model_folder, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(["the cat is sleeping on a mat", "x = 3, y = 19", "Anna reads a book"] * 50))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "spm"),
        vocab_size=80,
        model_type="bpe",
        byte_fallback=False,
        minloglevel=2,
    )
    (model_folder / "tokenizer.json").unlink()
    shutil.copy(tmp_path / "spm.model", model_folder / "tokenizer.model")
    (model_folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    located = locate(str(model_folder))
    with pytest.raises(ModelError, match="after the model's first run"):
        load_tokenizer(located)
    loaded = load(located, device="cpu")
    reference = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spm.model"))
    text = "the cat is sleeping"
    assert loaded.tokenizer(text, add_special_tokens=False).input_ids == reference.encode(text)
    assert load_tokenizer(located)(text).input_ids == loaded.tokenizer(text).input_ids


def test_an_unknown_architecture_gets_a_sentence(model_folder):
    change_config(model_folder, model_type="brandnew", architectures=["BrandNewForCausalLM"])
    with pytest.raises(ModelError, match="architecture BrandNewForCausalLM, which is not known here"):
        load(locate(str(model_folder)), device="cpu")


def test_a_model_that_writes_no_text_gets_a_sentence(model_folder):
    change_config(model_folder, model_type="vit", architectures=["ViTModel"])
    with pytest.raises(ModelError, match="ViTModel, which is not known here as a language model"):
        load(locate(str(model_folder)), device="cpu")


def test_code_that_a_model_brings_is_not_run_unasked(model_folder):
    (model_folder / "configuration_own.py").write_text("raise SystemExit('code was run')")
    change_config(model_folder, model_type="own", auto_map={"AutoConfig": "configuration_own.OwnConfig"})
    with pytest.raises(ModelError, match="trust_remote_code = true"):
        load(locate(str(model_folder)), device="cpu")


def test_only_the_owner_of_the_machine_lets_a_model_run_its_code(model_folder, tmp_path, monkeypatch):
    from iclviz.resolve import resolve
    from iclviz.spec import RunSpec

    ran = tmp_path / "ran"
    (model_folder / "configuration_own.py").write_text(f"open({str(ran)!r}, 'w').close()")
    change_config(model_folder, model_type="own", auto_map={"AutoConfig": "configuration_own.OwnConfig"})
    told = {"trust_remote_code": True}
    monkeypatch.setenv("ICLVIZ_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(ModelError, match="the owner's configuration"):
        load(locate(str(model_folder)), options=told, device="cpu")
    with pytest.raises(ModelError, match="the owner's configuration"):
        resolve(RunSpec(str(model_folder), "linear_regression", model_options=told))
    assert not ran.exists()
    (tmp_path / "config.toml").write_text(f'trust_remote_code = ["{model_folder}"]')
    with pytest.raises(Exception):  # noqa: B017, PT011 - its code is run, and makes no configuration
        load(locate(str(model_folder)), options=told, device="cpu")
    assert ran.exists()


def test_weights_that_are_not_in_the_files_are_refused(model_folder):
    shard = next(file for file in model_folder.glob("*.safetensors") if "lm_head.weight" not in load_file(file))
    tensors = load_file(shard)
    lost = sorted(tensors)[0]
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, shard, {"format": "pt"})
    with pytest.raises(ModelError, match=f"lack 1 of the model's weights, first {lost}"):
        load(locate(str(model_folder)), device="cpu")


def rename_weights(folder, renamed):
    """Save the folder's weights again as one file, each under the name that `renamed` gives it."""
    tensors = {}
    for file in [*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"]:
        if file.suffix == ".safetensors":
            tensors |= load_file(file)
        file.unlink()
    save_file(
        {renamed(name): tensor for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"}
    )


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_a_configuration_with_fewer_blocks_than_the_weights_is_refused(model_folder, prefix):
    rename_weights(model_folder, lambda name: name.replace("model.", prefix))
    change_config(model_folder, num_hidden_layers=1)
    said = rf"leaves out 9 of the weights in its blocks, first {prefix}layers\.1\..*its own config\.json"
    with pytest.raises(ModelError, match=said):
        load(locate(str(model_folder)), device="cpu")


def test_a_bias_that_the_configuration_leaves_out_is_refused(model_folder):
    shard = next(model_folder.glob("*.safetensors"))
    save_file({**load_file(shard), "model.layers.0.self_attn.q_proj.bias": torch.ones(32)}, shard, {"format": "pt"})
    with pytest.raises(
        ModelError, match=r"1 of the weights in its blocks, first model\.layers\.0\.self_attn\.q_proj\.bias"
    ):
        load(locate(str(model_folder)), device="cpu")


def test_weights_beside_the_blocks_and_old_constants_are_no_loss(model_folder):
    shard = next(model_folder.glob("*.safetensors"))
    others = ("vision_tower.encoder.layers.5.weight", "model.layers.0.self_attn.masked_bias", "value_head.0.weight")
    save_file({**load_file(shard), **{name: torch.ones(1) for name in others}}, shard, {"format": "pt"})
    assert load(locate(str(model_folder)), device="cpu").facts.n_layers == 2


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("bert", "BertModel"), ("bert", "BertForMaskedLM"), ("roberta", "RobertaForMaskedLM"),
     ("llama", "LlamaForSequenceClassification"), ("qwen2", "Qwen2ForTokenClassification")],
)  # fmt: skip
def test_a_model_that_does_not_continue_text_gets_a_sentence(model_folder, model_type, architecture):
    change_config(model_folder, model_type=model_type, architectures=[architecture])
    with pytest.raises(ModelError, match=f"is a {architecture}, which was not trained to continue a text"):
        load(locate(str(model_folder)), device="cpu")


def test_weights_of_another_shape_get_a_sentence(model_folder):
    change_config(model_folder, intermediate_size=48)
    with pytest.raises(ModelError, match="do not fit its configuration or are damaged"):
        load(locate(str(model_folder)), device="cpu")


def test_too_little_memory_gets_a_sentence(model_folder, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(loading, "_model", full)
    with pytest.raises(ModelError, match="does not fit into the memory of cpu"):
        load(locate(str(model_folder)), device="cpu")


def test_options_are_checked_before_anything_is_loaded(model_folder, monkeypatch):
    monkeypatch.setattr(loading, "_model", lambda *arguments: pytest.fail("the model was loaded"))
    with pytest.raises(ModelError, match="device = 'gpu' does not fit"):
        load(locate(str(model_folder)), options={"device": "gpu"})


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta"])
def test_an_absent_device_gets_a_sentence(name):
    with pytest.raises(ModelError, match=f"evice .*{name}"):
        pick_device(name)


def test_types_follow_the_device(model_folder):
    located = locate(str(model_folder))
    facts = load(located, device="cpu").facts
    gpu = torch.device("cuda", 0)
    assert pick_dtype(None, CPU, located, facts) == "float32"
    assert pick_dtype("float16", CPU, located, facts) == "float16"
    assert pick_dtype(None, gpu, located, facts) == "float32"
    known = LocatedModel("llama-2-7b", "hub", model_folder, "x/y", "abc", preset("llama-2-7b"))
    assert pick_dtype(None, gpu, known, facts) == "float16"
    with pytest.raises(ModelError, match="Known: float32, bfloat16, float16"):
        pick_dtype("int8", CPU, located, facts)


def test_loading_is_silent_and_changes_nothing_global(model_folder, gguf_file, capfd):
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled(), list(warnings.filters), torch.get_rng_state())
    load(locate(str(model_folder)), device="cpu")
    load(locate(str(gguf_file)), device="cpu")
    after = (logging.get_verbosity(), logging.is_progress_bar_enabled(), list(warnings.filters), torch.get_rng_state())
    assert before[:3] == after[:3]
    assert torch.equal(before[3], after[3])
    assert capfd.readouterr() == ("", "")


def test_quiet_ends_with_an_error():
    bars = logging.is_progress_bar_enabled()
    with pytest.raises(KeyError), quietly():
        raise KeyError
    assert logging.is_progress_bar_enabled() == bars


def test_the_fast_tokenizer_class_is_the_one_pages_use(model_folder):
    assert isinstance(load(locate(str(model_folder)), device="cpu").tokenizer, PreTrainedTokenizerFast)
