"""Jobs that machines share a storage for: each is computed by one of them at a time."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from iclviz.jobs.queue import Wanted
from iclviz.store import Store


@contextmanager
def held_alone(store: Store, wanted: Mapping[str, Wanted], wait: float) -> Iterator[dict[str, Wanted]]:
    """Those of some jobs that no other machine computes while the block runs; wait: seconds to wait for each that does,
    or did before it was lost.
    """
    with ExitStack() as locks:
        yield {
            key: spec
            for key, spec in wanted.items()
            if store.holds(key) or locks.enter_context(store.storage.lock(f"running/locks/{key}", wait))
        }
