"""The processes that compute one model together by tensor parallelism, each a share of its heads and of its weights.

A launcher such as torchrun starts them all alike. They speak over two groups. Tensors go over nccl on GPUs and over
gloo elsewhere, and a process that does not come within `patience` is taken for lost; words go over gloo, and are waited
for as long as the first process works. That one decides: what the others do, which token comes next, when to stop.

1. `join` makes the groups, in every process.
2. The first process calls `tell`, and the others, which wait in `heard`, then all do the same.
3. Whatever may differ between them is asked of the first one alone (`Ranks.agreed`); heads are brought together where
   somebody wants all of them (`Ranks.whole`).

A process that is told something else while it waits for a decision lets go of what it does (`ToldOtherwise`), so that
the first one may end a capture at any batch. One that fails by itself leaves its words for the others and ends: tensors
of two different things are never taken for each other's.
"""

import pickle
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from iclviz.errors import ModelError, UserError
from iclviz.models.completing import shape
from iclviz.models.configuration import facts_from
from iclviz.models.launched import forget_launch, launched, patience
from iclviz.models.shares import splits_heads

T = TypeVar("T")
LONG = timedelta(days=365)
GRACE_SECONDS = 3.0
"""How long a process that failed leaves the first one to say so before the launcher ends them all."""

_TOLD = ("told", "farewell")
"""Kinds of words that are no decisions."""

ENDED = "another one ended, or does not answer"
_LOST = re.compile(r"gloo|nccl|connection|socket|broken pipe|timed? ?out", re.IGNORECASE)


class ToldOtherwise(BaseException):
    """The first process went on to something else; what: that, as it was told, None where it ends."""

    def __init__(self, what: bytes | None) -> None:
        self.what = what
        super().__init__()


class DecidedOtherwise(Exception):
    """The first process came to no decision."""


class Ranks:
    """One process that computes a whole model.

    Attributes
    ----------
    n: processes.
    n_here: of them those that share this machine's memory.
    n_shares: into how many parts heads are shared, 1 where every process computes all of them.
    """

    n = n_here = n_shares = 1

    def agreed(self, decide: Callable[[], T]) -> T:
        """What the first process decides."""
        return decide()

    def least(self, number: int) -> int:
        """The least of every process's numbers."""
        return number

    def whole(self, of_heads: torch.Tensor) -> torch.Tensor:
        """(B, H, ...) of all heads, of what this process has of its own (B, h, ...)."""
        return of_heads

    def own(self, of_heads: torch.Tensor) -> torch.Tensor:
        """The way back: (B, h, ...) of (B, H, ...)."""
        return of_heads


ALONE = Ranks()


@dataclass(frozen=True)
class _Groups:
    """The groups of this process: its rank among n, whom words go over, and where last words are left."""

    rank: int
    n: int
    n_here: int
    words: Any
    store: Any


_joined: _Groups | None = None
"""Groups are this process's own for as long as it lives, as those of torch.distributed are."""


def join() -> int:
    """Meet the other processes, once; this one's rank.

    Raises
    ------
    ModelError: there is no GPU for this process, or the others do not come.
    """
    global _joined
    if _joined is None:
        _joined = _met()
    return _joined.rank


def n_joined() -> int:
    """The processes that compute together, 1 where this one has met no others."""
    return 1 if _joined is None else _joined.n


def _met() -> _Groups:
    found = launched()
    assert found is not None  # nobody joins who was started alone
    on_gpus, limit = torch.cuda.is_available(), timedelta(seconds=patience())
    if on_gpus and found.here >= torch.cuda.device_count():
        raise ModelError(
            f"Process {found.rank} of {found.n} has no GPU of its own: this machine has {torch.cuda.device_count()}.",
            "Start as many processes as there are GPUs.",
        )
    device = torch.device("cuda", found.here) if on_gpus else None
    if device is not None:
        torch.cuda.set_device(device)
    try:
        store, rank, n = next(dist.rendezvous("env://", timeout=limit))
        dist.init_process_group(
            "nccl" if on_gpus else "gloo", store=store, rank=rank, world_size=n, timeout=limit, device_id=device
        )
        words = dist.new_group(backend="gloo", timeout=LONG)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"Process {found.rank} of {found.n} does not reach the others ({_in_a_line(error)}).",
            "Start all of them with torchrun, and on several machines give its --rdzv-endpoint.",
        ) from error
    forget_launch()
    return _Groups(rank, n, found.n_here, words, store)


def ranks_of(model: Any) -> Ranks:
    """The processes that share a loaded model."""
    if _joined is None or (getattr(model, "tp_size", None) or 1) == 1:
        return ALONE
    heads = facts_from(shape(model.config)).n_heads if splits_heads(model.tp_plan) else None
    return _Several(_joined, heads)


class _Several(Ranks):
    def __init__(self, groups: _Groups, n_heads: int | None) -> None:
        """n_heads: of the model; None where every process has all of them."""
        self._groups, self._n_heads = groups, n_heads
        self.n, self.n_here, self.n_shares = groups.n, groups.n_here, 1 if n_heads is None else groups.n

    def agreed(self, decide: Callable[[], T]) -> T:
        """What the first process decides.

        Raises
        ------
        ToldOtherwise, DecidedOtherwise: in the others, where the first one decides no more.
        Exception: in the first one, what deciding raised.
        """
        if self._groups.rank:
            kind, what = _heard(self._groups)
            if kind in _TOLD:
                raise ToldOtherwise(what)
            if kind == "raised":
                raise DecidedOtherwise(what)
            decided: T = what
            return decided
        try:
            found = decide()
        except Exception as error:
            _say(self._groups, "raised", _in_a_line(error))
            raise
        _say(self._groups, "decided", found)
        return found

    def least(self, number: int) -> int:
        found = torch.tensor([number])
        dist.all_reduce(found, dist.ReduceOp.MIN, group=self._groups.words)
        return int(found)

    def whole(self, of_heads: torch.Tensor) -> torch.Tensor:
        if self._n_heads is None:
            return of_heads
        if of_heads.shape[1] * self.n != self._n_heads:
            raise ModelError(
                f"A block computes {of_heads.shape[1]} heads in each of {self.n} processes, and the model has "
                f"{self._n_heads}, so they cannot be told apart.",
                "Run it in one process, over several GPUs by the model option device_map.",
            )
        mine = of_heads.contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.n)]
        dist.all_gather(parts, mine)
        return torch.cat(parts, dim=1)

    def own(self, of_heads: torch.Tensor) -> torch.Tensor:
        if self._n_heads is None:
            return of_heads
        size = self._n_heads // self.n
        return of_heads.narrow(1, self._groups.rank * size, size)


def _say(groups: _Groups, kind: str, what: Any) -> None:
    dist.broadcast_object_list([(kind, what)], src=0, group=groups.words)


def _heard(groups: _Groups) -> tuple[str, Any]:
    found: list[Any] = [None]
    dist.broadcast_object_list(found, src=0, group=groups.words)
    kind, what = found[0]
    return kind, what


# Doing the same


def tell(what: Any) -> None:
    """Have the other processes do something; returns when each of them is about to.

    Raises
    ------
    ModelError: one of them is lost.
    """
    groups = _here()
    with in_step():
        _say(groups, "told", pickle.dumps(what))
        dist.barrier(group=groups.words)


def heard(otherwise: ToldOtherwise | None = None) -> bytes | None:
    """What the first process wants done next, pickled, since what it names may have to be loaded first; None where it
    ends.

    otherwise: what was told already, while something else was done.
    """
    groups = _here()
    kind, what = _heard(groups) if otherwise is None else ("told", otherwise.what)
    while kind not in _TOLD:  # decisions of something that this process has let go of
        kind, what = _heard(groups)
    if what is None:
        _part()
        return None
    dist.barrier(group=groups.words)
    told: bytes = what
    return told


def bid_farewell() -> None:
    """The others may end: the first process does."""
    if _joined is not None and not _joined.rank:
        with suppress(Exception):
            _say(_joined, "farewell", None)
        _part()


def check_all_did(error: Exception | None) -> None:
    """Every process says whether it could do what it was told; error: what kept this one.

    Raises
    ------
    ModelError: what kept another process, where nothing kept this one.
    """
    groups = _here()
    said: list[str | None] = [None] * groups.n
    dist.all_gather_object(said, None if error is None else _in_a_line(error), group=groups.words)
    for rank, words in enumerate(said):
        if words is not None and error is None:
            raise ModelError(f"Process {rank} of {groups.n} could not go on: {words}", "Mend that on its machine.")


@contextmanager
def in_step(known: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """What ends in the first process by a fault that the others do not share ends for all of them.

    known: kinds of errors to which all processes come alike, beside those of users.

    Raises
    ------
    ModelError: a process is lost, or has no room.
    """
    try:
        yield
    except Exception as error:
        words, is_known = _last_words(), isinstance(error, (UserError, *known))
        if is_known and not words:
            raise
        _part()
        if words or _is_loss(error):
            raise _lost(words or ENDED) from error
        if _is_out_of_memory(error):
            raise ModelError(
                "A batch does not fit into the memory of the first process, and several cannot halve it together.",
                "Set ICLVIZ_TOKEN_BUDGET to less, and start all of them again: what is finished is kept.",
            ) from error
        raise


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def leave(error: BaseException) -> None:
    """End this process, which is not the first, since it cannot go on; the others are told why."""
    assert _joined is not None
    name = f"process {_joined.rank} of {_joined.n}"
    if _is_loss(error):
        words = f"{name}: {ENDED}"
    else:
        words = f"{name}: {_in_a_line(error)}"
        with suppress(Exception):
            _joined.store.set(_words_of(_joined.rank), words)
    print(f"iclviz ends, {words}", file=sys.stderr, flush=True)
    _part()
    time.sleep(GRACE_SECONDS)
    sys.exit(1)


def _last_words() -> str:
    """What a process said that ended by itself."""
    if _joined is None:
        return ""
    with suppress(Exception):
        for name in map(_words_of, range(1, _joined.n)):
            if _joined.store.check([name]):
                found: str = _joined.store.get(name).decode()
                return found
    return ""


def _words_of(rank: int) -> str:
    return f"words of {rank}"


def _is_loss(error: BaseException) -> bool:
    return _LOST.search(str(error)) is not None


def _lost(words: str) -> ModelError:
    return ModelError(
        f"Not all of the processes that share the model are there any more ({words}).",
        "Start all of them again: what is finished is kept.",
    )


def _here() -> _Groups:
    if _joined is None or not dist.is_initialized():
        raise _lost("they have parted")
    return _joined


def _part() -> None:
    """No process takes this one for being there any more."""
    if dist.is_initialized():
        with suppress(Exception):
            dist.destroy_process_group()


def _in_a_line(error: BaseException) -> str:
    words = " ".join(str(error).split())[:300]
    return words if isinstance(error, UserError) else f"{type(error).__name__}: {words}"
