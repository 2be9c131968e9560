import json
import time
from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub import HfApi, constants, errors

from iclviz import places
from iclviz.errors import ModelError
from iclviz.models import locating
from iclviz.models.locating import LocatedModel, download, locate, on_disk, size_on_disk
from iclviz.models.presets import DEMO_MODEL, preset, presets

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def in_hub_cache(folder, hub_id, revision="main"):
    """Put a model folder into the hub's cache on this disk, as a download would."""
    repository = locating.Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / revision).write_text(COMMIT)
    (repository / "snapshots").mkdir()
    folder.rename(repository / "snapshots" / COMMIT)
    return repository / "snapshots" / COMMIT


def hub_answers(monkeypatch, answer):
    """The hub gives this answer: an exception to raise, or whether the model is gated."""

    def model_info(self, hub_id, revision=None, timeout=None):
        assert timeout == locating.HUB_SECONDS
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(sha=COMMIT, gated=answer)

    monkeypatch.setattr(HfApi, "model_info", model_info)


def refusal(kind, status):
    response = httpx2.Response(status, request=httpx2.Request("GET", "https://hub.invalid"))
    return kind("refused", response=response)


def test_a_folder_is_found_by_its_path(model_folder):
    assert locate(str(model_folder)) == LocatedModel(str(model_folder), "folder", model_folder.resolve())


def test_a_gguf_file_is_found_by_its_path(gguf_file):
    assert locate(str(gguf_file)).kind == "gguf"


def test_a_path_may_begin_at_home(model_folder, own_machine):
    model_folder.rename(own_machine / "tiny")
    assert locate("~/tiny").path == (own_machine / "tiny").resolve()


def test_a_folder_named_like_a_hub_id_comes_before_the_hub(model_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    model_folder.rename(tmp_path / "org" / "tiny")
    assert locate("org/tiny").kind == "folder"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smollm2-135m-instrukt", "Did you mean smollm2-135m-instruct"),
        ("zzz", "There is no model 'zzz'. `iclviz models` lists those known by a short name; a hub id"),
        ("/no/such/folder", "There is no folder /no/such/folder"),
        ("~/nothing", "There is no folder ~/nothing"),
        ("nothing.gguf", "There is no file nothing.gguf"),
        ("", "There is no model ''"),
        ("~nosuchuser/x", "There is no folder ~nosuchuser/x"),
        ("~nosuchuser/x.gguf", "There is no file ~nosuchuser/x.gguf"),
        ("a" * 300, f"There is no model '{'a' * 80} …'"),
        ("a/" + "b" * 5000, f"There is no model 'a/{'b' * 78} …'"),
        ("/" + "b" * 5000, f"There is no folder /{'b' * 79} …"),
        ("b" * 5000 + ".gguf", f"There is no file {'b' * 80} …"),
        ("ä" * 90 + "/" + "ä" * 90, "There is no model 'ä"),
        ("a\0b", r"There is no model 'a\\x00b'"),
    ],
)
def test_an_unknown_name_gets_a_sentence(name, said):
    with pytest.raises(ModelError, match=said):
        locate(name)


def test_a_folder_without_config_gets_a_sentence(model_folder):
    (model_folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"tiny has no config\.json"):
        locate(str(model_folder))


def test_a_config_that_is_no_json_gets_a_sentence(model_folder):
    (model_folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        locate(str(model_folder))


def test_a_folder_without_tokenizer_gets_a_sentence(model_folder):
    (model_folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        locate(str(model_folder))


def test_a_folder_without_weights_gets_a_sentence(model_folder):
    for file in [*model_folder.glob("*.safetensors"), model_folder / "model.safetensors.index.json"]:
        file.unlink()
    with pytest.raises(ModelError, match="has no weights"):
        locate(str(model_folder))


@pytest.mark.parametrize("index_too", [False, True])
def test_a_missing_shard_is_named(model_folder, index_too):
    shard = sorted(model_folder.glob("*.safetensors"))[1]
    shard.unlink()
    if index_too:
        (model_folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match=f"lacks 1 of its weight files, first {shard.name}"):
        locate(str(model_folder))


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_weight_file_cut_short_gets_a_sentence(model_folder, keep):
    shard = sorted(model_folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(ModelError, match=f"{shard.name} is damaged"):
        locate(str(model_folder))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"GGML" + data[4:], "does not begin with the letters GGUF"),
        (lambda data: b"", "does not begin with the letters GGUF"),
        (lambda data: data[:300], "ends inside its header"),
        (lambda data: data[:-64], "where tensor"),
        (lambda data: data[:4] + b"\x63" + data[5:], "its version is 99"),
        (lambda data: data[:4] + b"\xff" * 200 + data[204:], "damaged"),
        (lambda data: data[:24] + b"\xff" * 8 + data[32:], "ends inside its header"),
    ],
)
def test_a_damaged_gguf_gets_a_sentence(gguf_file, damage, said):
    gguf_file.write_bytes(damage(gguf_file.read_bytes()))
    with pytest.raises(ModelError, match=said):
        locate(str(gguf_file))


def test_a_gguf_that_counts_fewer_blocks_than_it_holds_gets_a_sentence(gguf_file):
    data = gguf_file.read_bytes()
    at = data.index(b"llama.block_count") + len(b"llama.block_count") + 4
    assert data[at] == 2
    gguf_file.write_bytes(data[:at] + b"\1" + data[at + 1 :])
    with pytest.raises(ModelError, match="counts 1 blocks and holds weights of 2"):
        locate(str(gguf_file))


def test_a_preset_in_the_hub_cache_needs_no_network(model_folder):
    folder = in_hub_cache(model_folder, "Qwen/Qwen3-0.6B")
    located = locate("qwen3-0.6b")
    assert (located.path, located.commit, located.preset) == (folder, COMMIT, presets()["qwen3-0.6b"])
    assert on_disk("qwen3-0.6b")
    assert size_on_disk("qwen3-0.6b") > 0
    assert located.notice is None


def test_a_hub_id_of_a_preset_brings_the_preset(model_folder):
    in_hub_cache(model_folder, "Qwen/Qwen3-0.6B")
    assert locate("Qwen/Qwen3-0.6B").preset is presets()["qwen3-0.6b"]


def test_an_adapter_from_the_hub_is_named_without_asking_again(model_folder):
    (model_folder / "adapter_config.json").write_text("{}")
    in_hub_cache(model_folder, "org/adapter")
    with pytest.raises(ModelError, match="holds an adapter"):
        locate("org/adapter")


def test_an_incomplete_snapshot_is_not_on_disk(model_folder, monkeypatch):
    next(model_folder.glob("*.safetensors")).unlink()
    in_hub_cache(model_folder, "Qwen/Qwen3-0.6B")
    hub_answers(monkeypatch, False)
    located = locate("qwen3-0.6b")
    assert (located.path, located.commit) == (None, COMMIT)
    assert not on_disk("qwen3-0.6b")
    assert "not on disk (about 1.2 GB)" in located.notice
    assert "hf download Qwen/Qwen3-0.6B" in located.notice


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(errors.RepositoryNotFoundError, 401), "holds no model org/name"),
        (refusal(errors.GatedRepoError, 403), "gated.*hf auth login"),
        (refusal(errors.RevisionNotFoundError, 404), "no revision 'main'"),
        (refusal(errors.HfHubHTTPError, 503), "status 503"),
        (httpx2.ConnectError("no route"), "the hub cannot be reached"),
        (OSError("name resolution"), "the hub cannot be reached"),
        (errors.HFValidationError("two dots"), "org/name is not a name that the hub takes"),
    ],
)
def test_what_the_hub_says_becomes_a_sentence(monkeypatch, answer, said):
    hub_answers(monkeypatch, answer)
    with pytest.raises(ModelError, match=said):
        locate("org/name")


def test_a_gated_model_without_access_says_what_to_do(monkeypatch):
    hub_answers(monkeypatch, "manual")
    asked = []

    def auth_check(self, hub_id):
        asked.append(hub_id)
        raise refusal(errors.GatedRepoError, 403)

    monkeypatch.setattr(HfApi, "auth_check", auth_check)
    with pytest.raises(ModelError, match=r"Accept it on .*meta-llama/Llama-2-7b-hf"):
        locate("llama-2-7b")
    assert asked == ["meta-llama/Llama-2-7b-hf"]


def test_a_silent_hub_is_given_up(monkeypatch):
    monkeypatch.setattr(locating, "HUB_SECONDS", 0.2)
    monkeypatch.setattr(HfApi, "model_info", lambda *args, **options: time.sleep(3))
    start = time.monotonic()
    with pytest.raises(ModelError, match="cannot be reached"):
        locate("org/name")
    assert time.monotonic() - start < 2


def test_offline_mode_asks_nobody(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(HfApi, "model_info", lambda *args, **options: pytest.fail("the hub was asked"))
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        locate("org/name")


def test_a_download_takes_safetensors_and_leaves_the_rest(model_folder, monkeypatch):
    asked = {}

    def snapshot_download(hub_id, **options):
        asked.update(options, hub_id=hub_id)
        return str(in_hub_cache(model_folder, hub_id))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr(HfApi, "list_repo_files", lambda *a, **k: ["model.safetensors", "pytorch_model.bin"])
    located = download(LocatedModel("org/name", "hub", None, "org/name", COMMIT))
    assert located.on_disk
    assert (asked["hub_id"], asked["revision"]) == ("org/name", COMMIT)
    assert "*.safetensors" in asked["allow_patterns"]
    assert not any("pytorch" in pattern for pattern in asked["allow_patterns"])


def test_a_download_without_network_gets_a_sentence(monkeypatch):
    def unreachable(*args, **options):
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr(HfApi, "list_repo_files", unreachable)
    with pytest.raises(ModelError, match="cannot be reached"):
        download(LocatedModel("org/name", "hub", None, "org/name", COMMIT))


def test_the_demo_model_is_found_in_the_users_folder(model_folder, own_machine):
    with pytest.raises(ModelError, match=r"Fetch it once .*python -m iclviz\.models\.demo"):
        locate(DEMO_MODEL)
    target = own_machine / ".cache" / "iclviz" / DEMO_MODEL
    target.parent.mkdir(parents=True)
    model_folder.rename(target)
    assert locate(DEMO_MODEL) == LocatedModel(DEMO_MODEL, "folder", target, preset=preset(DEMO_MODEL))
    assert on_disk(DEMO_MODEL)


def test_a_damaged_demo_model_does_not_hide_a_whole_one(model_folder, own_machine, monkeypatch, tmp_path):
    monkeypatch.setattr(places, "checkout", lambda: tmp_path / "checkout")
    damaged = tmp_path / "checkout" / DEMO_MODEL
    damaged.mkdir(parents=True)
    with pytest.raises(ModelError, match=r"smollm2-135m-instruct has no config\.json"):
        locate(DEMO_MODEL)
    assert not on_disk(DEMO_MODEL)
    target = own_machine / ".cache" / "iclviz" / DEMO_MODEL
    target.parent.mkdir(parents=True)
    model_folder.rename(target)
    assert locate(DEMO_MODEL).path == target
    assert on_disk(DEMO_MODEL)


def test_a_link_to_a_weight_file_that_is_gone_gets_a_sentence(model_folder):
    shard = sorted(model_folder.glob("*.safetensors"))[0]
    shard.unlink()
    shard.symlink_to(model_folder / "gone")
    with pytest.raises(ModelError, match=f"{shard.name} is damaged"):
        locate(str(model_folder))


def test_presets_are_consistent():
    for name, row in presets().items():
        assert row.name == name
        assert row.memory_gb > 0
        base = not any(word in row.source.lower() for word in ("instruct", "chat", "-it", "vicuna"))
        if row.source.startswith("Qwen/"):
            base = row.source.endswith("-Base")
        assert row.prompt_style == ("plain" if base or name == DEMO_MODEL else "chat"), name
        assert row.chat_template is None or row.chat_template.is_file()
    assert json.dumps(sorted(presets()))
    with pytest.raises(ModelError, match="Known: smollm2-135m-instruct"):
        preset("nothing")
