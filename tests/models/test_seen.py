import shutil

import pytest

from iclviz.errors import ModelError
from iclviz.models.presets import DEMO_MODEL
from iclviz.models.seen import candidates, remember, the_model


@pytest.fixture
def memo():
    return {}


@pytest.fixture
def elsewhere(tiny_model, tmp_path):
    """A copy of the tiny model under its own name in another folder."""
    return shutil.copytree(tiny_model, tmp_path / "elsewhere" / tiny_model.name)


def changed(folder):
    """The folder with another model's weights in it."""
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-64, 2)
        file.write(bytes(64))


def seen(folder, memo):
    model = the_model(str(folder), memo)
    remember(model, memo)
    return model


def test_a_model_that_was_seen_is_found_by_its_name(tiny_model, memo):
    with pytest.raises(ModelError, match="There is no model 'tiny'"):
        the_model("tiny", memo)
    model = seen(tiny_model, memo)
    assert (model.name, model.by_files) == ("tiny", True)
    assert the_model("tiny", memo).located.path == tiny_model


def test_copies_of_one_model_are_one_model(tiny_model, elsewhere, memo):
    for folder in (tiny_model, elsewhere):
        seen(folder, memo)
    assert the_model("tiny", memo).located.path == elsewhere
    shutil.rmtree(elsewhere)
    assert the_model("tiny", memo).located.path == tiny_model


def test_two_models_of_one_name_are_told_with_their_folders(tiny_model, elsewhere, memo):
    changed(elsewhere)
    first, second = seen(tiny_model, memo), seen(elsewhere, memo)
    with pytest.raises(ModelError) as refusal:
        the_model("tiny", memo)
    where = f"those in {elsewhere} and {tiny_model}"
    assert str(refusal.value) == f"Several models are called tiny: {where}. Give the path of the one that you mean."
    assert {one.identity for one in candidates("tiny", memo)} == {first.identity, second.identity}
    assert the_model(str(tiny_model), memo).identity == first.identity


def test_other_files_in_its_folder_are_not_taken_for_a_model(elsewhere, memo):
    seen(elsewhere, memo)
    changed(elsewhere)
    with pytest.raises(ModelError, match=r"In .*elsewhere/tiny lies another model than the tiny that was run"):
        the_model("tiny", memo)
    seen(elsewhere, memo)
    assert the_model("tiny", memo).located.path == elsewhere


def test_a_folder_that_is_gone_is_named(elsewhere, memo):
    seen(elsewhere, memo)
    shutil.rmtree(elsewhere)
    with pytest.raises(ModelError, match=r"The model tiny is not in .*elsewhere/tiny any more. Give the path"):
        the_model("tiny", memo)


def test_a_folder_of_that_name_here_is_not_taken_for_another_that_was_seen(tiny_model, elsewhere, memo, monkeypatch):
    seen(tiny_model, memo)
    monkeypatch.chdir(elsewhere.parent)
    assert the_model("tiny", memo).located.path == elsewhere
    changed(elsewhere)
    with pytest.raises(ModelError, match="Several models are called tiny"):
        the_model("tiny", memo)


def test_a_folder_called_as_a_preset_is_no_preset(tiny_model, tmp_path, memo):
    folder = shutil.copytree(tiny_model, tmp_path / DEMO_MODEL)
    name = seen(folder, memo).name
    assert name == f"folder:{DEMO_MODEL}"
    assert the_model(name, memo).located.path == folder
