"""The ways through the house, counted: how many files a run and a figure pass through, and by which hops.

    python -m docs.building.way MODEL

traces a worker that computes one run, and then the export of it as a ZIP file. A file counts where a function of it is
called; a hop is a call into another file. At a named function the whole stack is printed, from its first file on.
"""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import iclviz
from iclviz.cli import export
from iclviz.jobs.queue import Queue
from iclviz.jobs.worker import work
from iclviz.resolve import resolve
from iclviz.store import Store

PACKAGE = f"{Path(iclviz.__file__).parent}/"
POINTS = ("_take", "states", "_write_manifest", "alignment_test")
IS_FUNCTION = 1
"""Flag of code that is no module's or class's body."""


def traced(name: str, way: Callable[[], object]) -> None:
    """Go a way and print its files, its functions, and the hops to the points on it."""
    files: set[str] = set()
    functions: set[tuple[str, str]] = set()
    hops: dict[str, list[str]] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or not frame.f_code.co_flags & IS_FUNCTION or (file := _file(frame)) is None:
            return
        files.add(file)
        functions.add((file, frame.f_code.co_qualname))
        point = f"{file}: {frame.f_code.co_name}"
        if frame.f_code.co_name in POINTS and point not in hops:
            hops[point] = _hops(frame)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        way()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    print(f"{name}: {len(files)} files, {len(functions)} functions")
    for point, passed in hops.items():
        print(f"  {len(passed) - 1} hops to {point}\n    {' > '.join(passed)}")


def _hops(frame: FrameType | None) -> list[str]:
    """The files of a stack, from its beginning, each as often as it is entered."""
    passed: list[str] = []
    while frame is not None:
        file = _file(frame)
        if file is not None and passed[-1:] != [file]:
            passed.append(file)
        frame = frame.f_back
    return passed[::-1]


def _file(frame: FrameType) -> str | None:
    path = frame.f_code.co_filename
    return path.removeprefix(PACKAGE) if path.startswith(PACKAGE) else None


def main(model: str) -> None:
    """Count both ways with a model, in a cache of their own."""
    with TemporaryDirectory() as folder:
        os.environ |= {"ICLVIZ_CACHE": folder, "BROWSER_PATH": ""}
        shown = iclviz.Demonstrations("correct", 4)
        run = resolve(iclviz.RunSpec(model, "linear_regression", shown, 12, 0, {"distractor": True}))
        store = Store()
        Queue(store).submit(run.spec, run.key)
        traced("a run", lambda: work(store, "cpu", once=True))
        with TemporaryDirectory() as to:
            traced("a ZIP file", lambda: export([run.key], str(Path(to, "comparison.zip"))))


if __name__ == "__main__":
    main(sys.argv[1])
