"""What breaks the program: processes killed at any moment, flipped bits, bad inputs, and many sessions at a time.

    python -m benchmarks.reliability kills --number 50       a run killed again and again ends with the same bytes
    python -m benchmarks.reliability flips --number 1000     one bit of one file changes: named, made anew, or harmless
    python -m benchmarks.reliability inputs --number 300     what is wrong is refused in a sentence
    python -m benchmarks.reliability plans                   the same spec alone and in a sweep
    python -m benchmarks.reliability sessions --number 20 --minutes 10    a real browser, every page in any order

Each prints its lines of the table; `--write FILE` also puts them into that file, between its marks. The demo model is
needed.
"""

import argparse
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import statistics
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import iclviz
from iclviz import owner
from iclviz.answers import Answers
from iclviz.curating import Annotation, annotate, annotation, annotation_problem
from iclviz.errors import UserError
from iclviz.jobs.queue import Queue
from iclviz.models.presets import DEMO_MODEL
from iclviz.questions import analyses
from iclviz.recorded import check_lazy
from iclviz.recording import Recording
from iclviz.reporting.bundles import import_bundle
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.store import Store
from iclviz.sweeping import read_specs
from iclviz.tasks import OwnTask, task
from iclviz.tasks.listing import Listed, listed
from iclviz.tasks.task_files import keep, parse
from iclviz.upkeep import check

OPTIONS = {"distractor": True}
N_ITEMS, PLANNED_ITEMS = 8, 16
OWN_TASK = b"query,answer,label:kind\n" + b"".join(b"What is %d?,a%d,k%d\n" % (n, n % 5, n % 2) for n in range(12))
SEED = 20
WRONG = [None, True, -1, 10**30, 1.5, float("nan"), "", "text", "\ud800", "../..", [], [[]], {}, {"a": {"b": []}}]

Lines = list[tuple[str, str]]
"""What was done, and what came of it."""


def demo(k: int, n_items: int = N_ITEMS) -> RunSpec:
    """Linear regression, as the first page offers it, of few items."""
    return RunSpec(DEMO_MODEL, "linear_regression", Demonstrations("correct", k), n_items, task_options=OPTIONS)


@contextmanager
def cache() -> Iterator[Path]:
    """An empty cache that is the program's while this lasts."""
    with tempfile.TemporaryDirectory(prefix="iclviz-reliability-", ignore_cleanup_errors=True) as folder:
        before = os.environ.get("ICLVIZ_CACHE")
        os.environ["ICLVIZ_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("ICLVIZ_CACHE")
            if before is not None:
                os.environ["ICLVIZ_CACHE"] = before


# Kills


def kills(number: int, minutes: float) -> Lines:
    """Kill a run at random moments; what it leaves is whole, and at last it ends with the bytes of one run.

    Each is a fork of this process, which has loaded the model, so that the kills meet the run and not its imports.
    """
    import torch

    torch.set_num_threads(1)  # threads do not outlive a fork
    rng = random.Random(SEED)
    os.environ["ICLVIZ_TOKEN_BUDGET"] = "2048"
    with cache() as undisturbed:
        iclviz.run_spec(demo(4), progress=False)
        start = time.monotonic()
        iclviz.run_spec(demo(5), progress=False)
        took = time.monotonic() - start
        wanted = _bytes(Store(undisturbed), demo(5))
    wrong, ended, same = 0, 0, 0
    with cache() as folder:
        for _ in range(number):
            ended += _killed(rng.uniform(0, 1.2) * took)
            store = Store(folder)
            wrong += len(check(store))
            if found := _bytes(store, demo(5)):
                same += found == wanted
                shutil.rmtree(folder / "recordings")
        iclviz.run_spec(demo(5), progress=False)
        last = _bytes(Store(folder), demo(5)) == wanted
    return [
        (f"{number} kills of a run of {took:.1f} s, at random moments", f"{wrong} left damage"),
        (
            "runs that had ended, or went on from what was killed before and ended",
            f"{ended}, {same} with the same bytes",
        ),
        ("the run after all of them", "the same bytes as undisturbed" if last else "OTHER BYTES"),
    ]


def _killed(seconds: float) -> bool:
    """Start the run, and kill it after a time; whether it had ended."""
    run = os.fork()
    if run == 0:
        with suppress(BaseException):
            iclviz.run_spec(demo(5), progress=False)
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(run, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    return False


def _bytes(store: Store, spec: RunSpec) -> dict[str, str]:
    """A digest of every file that two runs of a spec share; none where there is no recording of it."""
    return {
        path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
        for entry in store.summaries()
        if entry.spec.demonstrations == spec.demonstrations
        for path in store.place(entry.key).iterdir()
        if path.name not in ("run.json", "manifest.json")
    }


# Flips


def flips(number: int, minutes: float) -> Lines:
    """Flip one bit of one file, every kind of file as often, and use everything that the cache holds."""
    rng = random.Random(SEED)
    with cache() as folder:
        _fill(folder)
        before, kinds = used(folder), _kinds(folder)
        with tempfile.TemporaryDirectory() as kept:
            shutil.copytree(folder, kept, dirs_exist_ok=True)
            found: Counter[str] = Counter()
            for turn in range(number):
                path = rng.choice(kinds[sorted(kinds)[turn % len(kinds)]])
                _flip(path, rng)
                outcome = _outcome(folder, before)
                found[outcome] += 1
                if outcome not in ("named", "harmless"):
                    print(f"{outcome}: {path.relative_to(folder)}", flush=True)
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
    return [
        (f"{number} flipped bits over {len(kinds)} kinds of files", f"{found['named']} named or made anew"),
        ("of no consequence: nothing that is read differs", str(found["harmless"])),
        ("something else read without a word", str(found["unnoticed"])),
        (
            "another error than a sentence",
            str(sum(found.values()) - found["named"] - found["harmless"] - found["unnoticed"]),
        ),
    ]


def _fill(folder: Path) -> None:
    """A cache with something of every kind."""
    store = Store(folder)
    recordings = iclviz.sweep([demo(2, 4), demo(4, 4)], progress=False)
    annotate(store, recordings[0].key, Annotation("Few points", ("pilot",), "A note."))
    keep(parse(OWN_TASK, "mine.csv"))
    question = analyses.rsm_stack.of([recordings[0].key], "query_mean", "cosine", 0.0)
    Answers(store).put(question, question.answered(recordings[:1]))
    Queue(store).submit(demo(8), digest("waits"))
    facts = {
        "items": [0, 1],
        "response_ids": [[1, 2], [3]],
        "candidate_logprobs": [[-1.5], [-2.5]],
        "seconds": {"a": 1.0},
    }
    unfinished = store.unfinished(digest("waits"))
    unfinished.save_piece(0, {"embeddings/last": np.arange(500.0)}, facts)
    settings = {"token_budget": 4096, "threads": 1, "sharing": True, "pass_tokens": 64}
    unfinished.save_plan({"settings": settings, "makers": {"way": "eager"}})


def _kinds(folder: Path) -> dict[str, list[Path]]:
    """Files by kind: those of one name, digits aside."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size and path.suffix not in (".lock", ".db-shm", ".log"):
            place = path.relative_to(folder)
            name = re.sub(r"[0-9a-f]{2,}", "*", place.name)
            kinds.setdefault(f"{place.parts[0]}/{name}", []).append(path)
    return kinds


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _outcome(folder: Path, before: dict[str, Any]) -> str:
    try:
        now = used(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if now == before:
        return "harmless"
    named = now["named"]
    different = {name for name in before if now.get(name) != before[name] and name != "named"}
    gone = {name for name in different if name not in now}
    if different - gone:
        return "unnoticed"
    return (
        "named" if named or all(name.startswith(("answer", "piece", "plan", "memo")) for name in gone) else "unnoticed"
    )


def used(folder: Path) -> dict[str, Any]:
    """What is read of everything in a cache, and how many things are named as not readable."""
    store = Store(folder)
    with closing(_Opened(store)) as opened:
        readable, wrong = store.listing()
        found: dict[str, Any] = {f"summary {entry.key}": entry.to_dict() for entry in readable}
        named = [one.problem for one in wrong]
        for entry in readable:
            try:
                found[f"recording {entry.key}"] = _fingerprint(store.load(entry.key))
            except UserError as error:
                named.append(str(error))
            problem = annotation_problem(store, entry.key)
            named += [problem.problem] if problem else []
            if problem is None:
                found[f"annotation {entry.key}"] = annotation(store, entry.key)
        queue, answers = opened.queue, opened.answers
        named += [one.problem for one in queue.ailing()]
        found |= {f"job {job.key}": job.to_dict() for job in queue.jobs()}
        for entry in readable:
            question = analyses.rsm_stack.of([entry.key], "query_mean", "cosine", 0.0)
            with suppress(UserError):
                if (answer := answers.get(question)) is not None:
                    found[f"answer {entry.key}"] = _sum(answer)
        for one in listed():
            try:
                found[f"task {one.name}"] = _content(one)
            except UserError as error:
                named.append(str(error))
        unfinished = store.unfinished(digest("waits"))
        try:
            found |= {f"piece {place}": str(piece) for place, piece in enumerate(unfinished.pieces())}
            found |= {"plan": plan} if (plan := unfinished.plan()) else {}
        except UserError as error:
            named.append(str(error))
        aside = [path.name for path in folder.iterdir() if ".damaged-" in path.name]
    return {**found, "named": len(named) + len(aside)}


def _content(one: Listed) -> str:
    if one.problem:
        raise UserError(one.problem)
    own = task(one.name)
    assert isinstance(own, OwnTask)
    return str(own.file.content)


class _Opened:
    """The databases of a cache, closed again so that the next one's are read."""

    def __init__(self, store: Store) -> None:
        self.store, self.queue, self.answers = store, Queue(store), Answers(store)

    def close(self) -> None:
        for rows in (self.store.index, self.queue._jobs, self.answers._files):
            rows.close()


def _fingerprint(recording: Recording) -> str:
    check_lazy(recording)
    texts = [recording.prompts, recording.responses, recording.tokens, recording.item_ids, str(recording.spec)]
    arrays = {name: _sum(values) for name, values in [*recording.embeddings.items(), *recording.attention.items()]}
    scores = {name: _sum(values) for name, values in recording.scores.items()}
    return str((texts, arrays, scores, recording.timing, recording.environment))


def _sum(values: Any) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes()).hexdigest()


# Bad inputs


def inputs(number: int, minutes: float) -> Lines:
    """Give wrong specs, task files, sweeps, bundles and configurations; each is refused in a sentence, or taken."""
    rng = random.Random(SEED)
    found: Counter[str] = Counter()
    with cache() as folder:
        recording = iclviz.run_spec(demo(2), progress=False)
        exported = io.BytesIO(_bundle(folder, recording.key))
        makers = (_bad_spec, _bad_task, _bad_sweep, _bad_bundle(exported.getvalue()), _bad_configuration, _bad_note)
        for turn in range(number):
            what = makers[turn % len(makers)]
            try:
                what(rng, folder)
                found["taken"] += 1
            except UserError as error:
                found["refused" if str(error).strip() else "refused without a word"] += 1
            except Exception as error:
                found["another error"] += 1
                print(f"{getattr(what, '__name__', what)}: {type(error).__name__}: {error}", flush=True)
        left = check(Store(folder))
    return [
        (
            f"{number} bad specs, task files, sweeps, bundles, configurations and notes",
            f"{found['refused']} refused in a sentence",
        ),
        ("taken, since they were right enough", str(found["taken"])),
        ("another error", str(found["another error"] + found["refused without a word"])),
        ("the cache afterwards", "everything can be read" if not left else f"{len(left)} DAMAGED"),
    ]


def _bad_spec(rng: random.Random, folder: Path) -> None:
    values = demo(2).to_dict()
    where = values["demonstrations"] if rng.random() < 0.3 else values
    where[rng.choice([*where, "unknown"])] = rng.choice(WRONG)
    resolve(RunSpec.from_dict(values))


def _bad_task(rng: random.Random, folder: Path) -> None:
    data = bytearray(OWN_TASK)
    for _ in range(rng.randrange(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    task(
        keep(parse(bytes(data[: rng.randrange(len(data))]), f"mine.{rng.choice(['csv', 'json', 'jsonl', 'py'])}")).stem
    )


def _bad_sweep(rng: random.Random, folder: Path) -> None:
    path = folder / "sweep.yaml"
    values = rng.choice(WRONG)
    path.write_text(f"grid:\n  {rng.choice(['model', 'k', 'x'])}: {values!r}\n", errors="replace")
    for spec in read_specs(path):
        resolve(spec)


def _bundle(folder: Path, key: str) -> bytes:
    with tempfile.TemporaryDirectory() as to:
        Store(folder).export([key], Path(to))
        return Path(shutil.make_archive(str(folder / "bundle"), "zip", to)).read_bytes()


def _bad_bundle(whole: bytes) -> Callable[[random.Random, Path], None]:
    def bundle(rng: random.Random, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as elsewhere:
            import_bundle(Store(elsewhere), io.BytesIO(_changed(whole, rng)))

    return bundle


def _changed(whole: bytes, rng: random.Random) -> bytes:
    """A bundle with a wrong value in its JSON, a strange name, or other bytes."""
    if rng.random() < 0.4:
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.3 else data)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".json") and rng.random() < 0.6:
                values = json.loads(content)
                values[rng.choice([*values, "unknown"])] = rng.choice(WRONG)
                content = json.dumps(values).encode()
            odd = rng.choice(
                ["../" * 5 + name, "/" + name, name.replace("/", "\\"), "a/" * 30 + name, "x" * 500 + name]
            )
            new.writestr(odd if rng.random() < 0.2 else name, content)
    return made.getvalue()


def _bad_configuration(rng: random.Random, folder: Path) -> None:
    path = folder / "config.toml"
    path.write_text(
        f"{rng.choice(['trust_remote_code', 'x', '[dashboard]'])} = {rng.choice(WRONG)!r}", errors="replace"
    )
    os.environ["ICLVIZ_CONFIG"] = str(path)
    try:
        owner.owner()
    finally:
        del os.environ["ICLVIZ_CONFIG"]


def _bad_note(rng: random.Random, folder: Path) -> None:
    store = Store(folder)
    (entry,) = store.summaries()
    path = store.place(entry.key) / "annotation.json"
    path.write_text(json.dumps({"name": rng.choice(WRONG), "tags": rng.choice(WRONG), "note": rng.choice(WRONG)}))
    problem = annotation_problem(store, entry.key)
    annotation(store, entry.key)
    path.unlink()
    if problem:
        raise UserError(problem.problem)


# Plans


def plans(number: int, minutes: float) -> Lines:
    """Record a spec alone, and in a sweep with others; how far they differ."""
    with cache():
        alone = iclviz.run_spec(demo(2, PLANNED_ITEMS), progress=False)
        parts = _numbers(alone)
    with cache():
        together = iclviz.sweep([demo(k, PLANNED_ITEMS) for k in (2, 3, 4)], progress=False)[0]
        others = _numbers(together)
    said = [
        (f"{name}: largest difference, of values up to {np.abs(parts[name]).max():.3g}",
         f"{np.abs(parts[name] - others[name]).max():.2g}")
        for name in parts
    ]  # fmt: skip
    same = sum(one == other for one, other in zip(alone.responses, together.responses, strict=True))
    planned = len(together.environment["together"])
    return [
        ("a run alone and in a sweep of three", f"{same} of {PLANNED_ITEMS} responses are the same"),
        *said,
        ("what the recording of the sweep says", f"planned together with {planned - 1} others"),
    ]


def _numbers(recording: Recording) -> dict[str, Any]:
    """Every number of a recording by the kind of table."""
    tables = {"embeddings": recording.embeddings, "attention": recording.attention, "scores": recording.scores}
    joined = {name: [np.asarray(values, float).ravel() for values in table.values()] for name, table in tables.items()}
    return {name: np.nan_to_num(np.concatenate(parts)) for name, parts in joined.items()}


# Sessions


def sessions(number: int, minutes: float) -> Lines:
    """Open pages at random in many sessions of a real browser, over two recordings."""
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import installed_browser
    from tests.browser.dashboard import running, settled

    pages = ("summary", "compare", "prompts", "behaviour", "rsa", "probing", "attention", "runs", "glossary", "run")
    rng, waits, wrong = random.Random(SEED), [], 0
    with cache() as folder:
        iclviz.sweep([demo(2), demo(4)], progress=False)
        with running(folder) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=installed_browser(), args=["--no-sandbox"])
            opened = [browser.new_context().new_page() for _ in range(number)]
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                page, name = rng.choice(opened), rng.choice(pages)
                start = time.monotonic()
                try:
                    page.goto(f"{address}/{name}?items={N_ITEMS}&a_k=2&b_k=4")
                    settled(page, 120)
                    wrong += page.locator('[data-testid="stException"]').count()
                except Exception as error:
                    wrong += 1
                    print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
                waits.append(time.monotonic() - start)
            browser.close()
    slow = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
    return [
        (f"{number} sessions for {minutes:g} minutes", f"{len(waits)} pages opened, {wrong} went wrong"),
        ("until a page stood still", f"median {statistics.median(waits):.1f} s, 19 of 20 within {slow:.1f} s"),
    ]


WAYS: dict[str, Callable[[int, float], Lines]] = {
    "kills": kills,
    "flips": flips,
    "inputs": inputs,
    "plans": plans,
    "sessions": sessions,
}
NUMBERS = {"kills": 50, "flips": 1000, "inputs": 300, "plans": 1, "sessions": 20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--number", type=int)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background ignores Ctrl-C, and the dashboard would too
        signal.signal(number, signal.default_int_handler)
    lines = WAYS[given.way](given.number or NUMBERS[given.way], given.minutes)
    table = "\n".join(["| what | outcome |", "| --- | --- |", *(f"| {what} | {came} |" for what, came in lines)])
    print(table)
    if given.write:
        begin, end = f"<!-- {given.way} -->", f"<!-- /{given.way} -->"
        head, _, rest = given.write.read_text().partition(begin)
        given.write.write_text(f"{head}{begin}\n{table}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
