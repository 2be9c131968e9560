import pytest

from iclviz.errors import UserError
from iclviz.owner import Owner, owner


@pytest.fixture
def config(tmp_path, monkeypatch):
    path = tmp_path / "config.toml"
    monkeypatch.setenv("ICLVIZ_CONFIG", str(path))
    return path


def test_without_a_file_nothing_is_allowed(config):
    assert owner() == Owner()


def test_a_file_says_what_is_allowed_and_is_read_again_when_it_changes(config):
    config.write_text('trust_remote_code = ["org/name"]\n[dashboard]\npassword = "long enough"\nhosts = ["lab"]')
    assert owner() == Owner(("org/name",), "long enough", False, ("lab",))
    config.write_text("")
    assert owner() == Owner()


@pytest.mark.parametrize(
    "text",
    [
        "trust_remote_code = true",
        "trust_remote_code = [1]",
        "[dashboard]\npassword = 'short'",
        "other = 1",
        "= 1",
        "\0",
    ],
)
def test_a_wrong_file_is_one_sentence_and_allows_nothing(config, text):
    config.write_text(text)
    with pytest.raises(UserError, match=r"config\.toml is wrong"):
        owner()
