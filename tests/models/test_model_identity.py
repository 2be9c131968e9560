import os
import shutil

import pytest

from iclviz.errors import ModelError
from iclviz.models.identity import BLOCK_BYTES, BLOCKS, identity
from iclviz.models.locating import LocatedModel, locate


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


@pytest.mark.parametrize("block", [1, BLOCKS // 2, BLOCKS - 1])
def test_large_weights_are_read_in_blocks_over_their_whole_length(gguf_file, block):
    size = 3 * BLOCKS * BLOCK_BYTES
    with gguf_file.open("ab") as file:
        file.truncate(size)
    located = LocatedModel("big", "gguf", gguf_file)
    before = identity(located)
    with gguf_file.open("r+b") as file:
        file.seek((size - BLOCK_BYTES) * block // (BLOCKS - 1))
        file.write(b"changed")
    assert identity(located) != before


def test_weights_that_became_longer_changed(gguf_file):
    located = locate(str(gguf_file))
    before = identity(located)
    with gguf_file.open("ab") as file:
        file.truncate(3 * BLOCKS * BLOCK_BYTES)
    longer = identity(located)
    with gguf_file.open("ab") as file:
        file.truncate(3 * BLOCKS * BLOCK_BYTES + 1)
    assert len({before, longer, identity(located)}) == 3


def test_the_memo_saves_reading_and_notices_a_change(model_folder, monkeypatch):
    located, memo = locate(str(model_folder)), {}
    before = identity(located, memo)
    assert all(len(entry) == 3 for entry in memo.values())
    with monkeypatch.context() as patch:
        patch.setattr("iclviz.models.identity._digest", lambda *args: pytest.fail("a file was read again"))
        assert identity(located, memo) == before
    config = model_folder / "config.json"
    config.write_text(config.read_text().replace("128", "256"))
    os.utime(config, ns=(1, 1))
    assert identity(located, memo) != before


def test_a_vanished_file_gets_a_sentence(gguf_file):
    located = locate(str(gguf_file))
    gguf_file.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        identity(located)
