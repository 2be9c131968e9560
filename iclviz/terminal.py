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
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(title, total=None, note="")

        def report(progress: Progress) -> None:
            is_known = progress.tokens_total or progress.items_total
            counted = f"{progress.items_done} of {progress.items_total} · " if progress.items_total else ""
            bars.update(bar, completed=progress.share, total=1 if is_known else None, note=f"{counted}{note(progress)}")

        yield report


def note(progress: Progress) -> str:
    """Stage, tokens, speed and time left in a few words."""
    parts = [progress.stage]
    if progress.tokens_total:
        parts.append(f"{progress.tokens_done:,} of {progress.tokens_total:,} tokens")
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.seconds_left is not None and progress.items_done < progress.items_total:
        parts.append(f"about {progress.seconds_left:,.0f} s left")
    return " · ".join(parts)
