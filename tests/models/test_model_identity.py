import os
import shutil

import pytest

from iclviz.errors import ModelError
from iclviz.models import identity as identities
from iclviz.models.identity import identity
from iclviz.models.locating import LocatedModel, locate


@pytest.fixture
def settled(monkeypatch):
    """Files are remembered however lately they were written."""
    monkeypatch.setattr(identities, "SETTLED_SECONDS", -1.0)


def put_back(path, change):
    """Change a file and give it back its former date, as tools do."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(path, place):
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def test_a_hub_model_is_its_commit():
    assert identity(LocatedModel("org/name", "hub", None, "org/name", "abc123")) == "abc123"


def test_a_copy_elsewhere_has_the_same_identity(model_folder, tmp_path):
    copy = shutil.copytree(model_folder, tmp_path / "copy")
    assert identity(locate(str(model_folder))) == identity(locate(str(copy)))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model-00001-of"])
def test_one_changed_byte_changes_it(model_folder, name):
    located = locate(str(model_folder))
    before = identity(located)
    file = next(model_folder.glob(f"{name}*"))
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    assert identity(located) != before


def test_a_file_added_or_renamed_changes_it(model_folder):
    located = locate(str(model_folder))
    before = identity(located)
    (model_folder / "chat_template.jinja").write_text("{{ messages }}")
    with_template = identity(located)
    (model_folder / "chat_template.jinja").rename(model_folder / "other.jinja")
    assert len({before, with_template, identity(located)}) == 3


def test_notes_and_hidden_files_do_not_count(model_folder):
    located = locate(str(model_folder))
    before = identity(located)
    (model_folder / "README.md").write_text("notes")
    (model_folder / ".complete.json").write_text("{}")
    assert identity(located) == before


@pytest.mark.parametrize(
    "name", ["modeling_mine.py", "parts/attention.py", "additional_chat_templates/tools.jinja", "x.bin"]
)
def test_code_templates_and_whatever_code_may_read_count(model_folder, name):
    located = locate(str(model_folder))
    identities_seen = [identity(located)]
    (model_folder / name).parent.mkdir(exist_ok=True)
    for text in ("one", "two"):
        (model_folder / name).write_text(text)
        identities_seen.append(identity(located))
    assert len(set(identities_seen)) == 3


def test_every_byte_of_the_weights_counts_wherever_it_lies(gguf_file, monkeypatch):
    monkeypatch.setattr(identities, "PIECE_BYTES", 1000)
    monkeypatch.setattr(identities, "BLOCK_BYTES", 300)
    located, size = locate(str(gguf_file)), gguf_file.stat().st_size
    seen = {identity(located)}
    places = [0, 299, 300, 999, 1000, size // 2, size - 1]
    for place in places:
        flip(gguf_file, place)
        seen.add(identity(located))
    assert len(seen) == 1 + len(places)


def test_pieces_and_blocks_of_any_size_read_all_of_a_file(gguf_file, monkeypatch):
    before = identity(locate(str(gguf_file)))
    monkeypatch.setattr(identities, "BLOCK_BYTES", 7)
    assert identity(locate(str(gguf_file))) == before


def test_weights_that_became_longer_changed(gguf_file):
    located = locate(str(gguf_file))
    before = identity(located)
    with gguf_file.open("ab") as file:
        file.write(b"\0")
    assert identity(located) != before


@pytest.mark.usefixtures("settled")
def test_the_memo_saves_reading_and_notices_a_change(model_folder, monkeypatch):
    located, memo = locate(str(model_folder)), {}
    before = identity(located, memo)
    assert all(len(entry) == 5 for entry in memo.values())
    with monkeypatch.context() as patch:
        patch.setattr(identities, "_piece", lambda *args: pytest.fail("a file was read again"))
        assert identity(located, memo) == before
    config = model_folder / "config.json"
    config.write_text(config.read_text().replace("128", "256"))
    os.utime(config, ns=(1, 1))
    assert identity(located, memo) != before


@pytest.mark.usefixtures("settled")
def test_weights_cut_in_place_and_given_back_their_date_are_others(model_folder):
    located, memo = locate(str(model_folder)), {}
    before = identity(located, memo)
    weights = next(model_folder.glob("model-00002*.safetensors"))
    put_back(weights, lambda path: flip(path, path.stat().st_size - 5))
    assert identity(located, memo) != before


@pytest.mark.usefixtures("settled")
def test_a_file_replaced_by_one_of_the_same_size_and_date_is_another(model_folder, tmp_path):
    located, memo = locate(str(model_folder)), {}
    before = identity(located, memo)
    weights = next(model_folder.glob("model-00001*.safetensors"))
    shutil.copy2(weights, tmp_path / "other")
    put_back(tmp_path / "other", lambda path: flip(path, path.stat().st_size - 5))
    os.replace(tmp_path / "other", weights)
    assert identity(located, memo) != before


def test_a_file_that_was_written_just_now_is_not_remembered(model_folder):
    """Its next change may fall into the same tick of the file system's clock."""
    memo = {}
    identity(locate(str(model_folder)), memo)
    assert memo == {}


@pytest.mark.usefixtures("settled")
def test_a_snapshot_of_links_is_told_by_what_they_lead_to(model_folder, tmp_path):
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for number, file in enumerate(sorted(model_folder.iterdir())):
        blob = shutil.copy(file, tmp_path / f"blob-{number}")
        (snapshot / file.name).symlink_to(blob)
    (snapshot / "self").symlink_to(snapshot)
    located, memo = locate(str(snapshot)), {}
    assert identity(located, memo) == identity(locate(str(model_folder)))
    weights = next(snapshot.glob("model-00001*.safetensors"))
    put_back(weights.resolve(), lambda path: flip(path, path.stat().st_size - 5))
    assert identity(located, memo) != identity(locate(str(model_folder)))


def test_reading_much_is_told_and_reading_little_is_not(model_folder, monkeypatch):
    told = []
    identity(locate(str(model_folder)), {}, lambda *read: told.append(read))
    assert told == []
    monkeypatch.setattr(identities, "SHOWN_BYTES", 1)
    identity(locate(str(model_folder)), {}, lambda *read: told.append(read))
    assert told[-1][0] == told[-1][1] > 0
    assert told == sorted(told)


def test_a_vanished_file_gets_a_sentence(gguf_file):
    located = locate(str(gguf_file))
    gguf_file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        identity(located)
