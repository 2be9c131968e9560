"""What long commands show on a terminal: one bar, with the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iclviz.jobs.table import Progress


@contextmanager
def showing(title: str, wanted: bool | None = None) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on standard error while a run goes on; None shows it where standard error is a terminal."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(title, total=None, note="")

        def report(progress: Progress) -> None:
            bars.update(bar, completed=progress.items_done, total=progress.items_total or None, note=note(progress))

        yield report


def note(progress: Progress) -> str:
    """Stage, speed and time left in a few words."""
    parts = [progress.stage]
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.seconds_left is not None and progress.items_done < progress.items_total:
        parts.append(f"about {progress.seconds_left:,.0f} s left")
    return " · ".join(parts)
