"""Which changes of the code no test notices: mutants by cosmic-ray, a sample of them, each with the tests beside it.

    python -m pip install cosmic-ray            once, beside the project's own environment
    python -m benchmarks.mutation --number 200  mutants of analyses, statements, methods, Python, jobs and store

Every mutant of these modules is listed, and a sample is drawn by a fixed seed. Each is applied to a copy of the
checkout, whose tests of that module are run, and, where those pass, the other tests of its package. What passes all of
them has survived: it is printed with its difference, to be read by somebody who knows whether it matters.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTATED = ("analysis", "statements.py", "methods.py", "api.py", "jobs", "store.py")
OPERATORS = (
    "core/ReplaceBinaryOperator", "core/ReplaceComparisonOperator", "core/ReplaceUnaryOperator", "core/AddNot",
    "core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue",
    "core/NumberReplacer", "core/ReplaceBreakWithContinue", "core/ReplaceContinueWithBreak",
    "core/ZeroIterationForLoop",
)  # fmt: skip
CONFIG = """[cosmic-ray]
module-path = {paths}
timeout = {seconds}.0
excluded-modules = []
test-command = "true"
[cosmic-ray.distributor]
name = "local"
"""
OF_TYPES = "_BitOr_"
"""The operator of annotations, whose mutants fail at import."""

SEED = 0
SECONDS = 600


def copied(folder: Path) -> Path:
    """The checkout's committed files."""
    place = folder / "checkout"
    subprocess.run(["git", "clone", "-q", ROOT, place], check=True)
    return place


def mutants(place: Path, cosmic_ray: str) -> list[dict[str, object]]:
    """Every mutation of the modules, in the order in which cosmic-ray lists them."""
    config, session = place.parent / "config.toml", place.parent / "session.sqlite"
    config.write_text(CONFIG.format(paths=json.dumps([f"iclviz/{name}" for name in MUTATED]), seconds=SECONDS))
    subprocess.run([cosmic_ray, "init", config, session], cwd=place, check=True)
    listed = subprocess.run([cosmic_ray, "dump", session], cwd=place, check=True, capture_output=True, text=True)
    items = [json.loads(line)[0] for line in listed.stdout.splitlines()]
    found = [one for item in items for one in item["mutations"]]
    names = [str(one["operator_name"]) for one in found]
    return [one for one, name in zip(found, names, strict=True) if name.startswith(OPERATORS) and OF_TYPES not in name]


def tests_of(module: Path) -> Iterator[list[str]]:
    """The tests beside a module, and those of its package."""
    folder = "tests" / module.relative_to("iclviz").parent
    mirror = folder / f"test_{module.stem}.py"
    if (ROOT / mirror).exists():
        yield [str(mirror)]
    wider = ["tests/reporting/test_statements.py", "tests/reporting/test_methods.py", "tests/test_api.py"]
    yield [str(folder), *wider] if folder != Path("tests") else [*wider, "tests/test_store.py", "tests/jobs"]


def passes(place: Path, tests: list[str]) -> bool:
    """Whether the tests notice nothing; one that never ends has noticed something."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    surroundings = {
        **os.environ,
        "PYTHONPATH": str(place),
        "OMP_NUM_THREADS": "1",
        "ICLVIZ_CACHE": str(place / "cache"),
    }
    try:
        ran = subprocess.run(command, cwd=place, env=surroundings, timeout=SECONDS, capture_output=True)
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0


def survives(place: Path, mutant: dict[str, object], cosmic_ray: str) -> str:
    """The difference that no test noticed, "" where one did."""
    module = str(mutant["module_path"])
    arguments = ["apply", module, str(mutant["operator_name"]), str(mutant["occurrence"])]
    subprocess.run([cosmic_ray, *arguments], cwd=place, check=True, capture_output=True)
    difference = subprocess.run(["git", "diff", "-U0"], cwd=place, check=True, capture_output=True, text=True).stdout
    try:
        return difference if difference and all(passes(place, tests) for tests in tests_of(Path(module))) else ""
    finally:
        subprocess.run(["git", "checkout", "-q", "--", module], cwd=place, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200, help="mutants")
    parser.add_argument("--cosmic-ray", default="cosmic-ray", metavar="COMMAND")
    asked = parser.parse_args()
    counts: Counter[tuple[str, bool]] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        place = copied(Path(folder))
        every = mutants(place, asked.cosmic_ray)
        chosen = random.Random(SEED).sample(every, min(asked.number, len(every)))
        for done, mutant in enumerate(chosen, 1):
            survivor = survives(place, mutant, asked.cosmic_ray)
            counts[str(mutant["module_path"]).split("/")[1], bool(survivor)] += 1
            said = f"SURVIVED\n{survivor}" if survivor else "noticed"
            print(f"{done} of {len(chosen)}: {mutant['module_path']} {said}", flush=True)
    print(f"| of {len(every):,} mutants of | tried | noticed |\n| --- | --- | --- |")
    for part in dict.fromkeys(name for name, _ in counts):
        noticed, survived = counts[part, False], counts[part, True]
        print(f"| `{part}` | {noticed + survived} | {noticed} |")
    total = sum(counts.values())
    print(f"| all | {total} | {sum(n for (_, survived), n in counts.items() if not survived)} |")


if __name__ == "__main__":
    main()
