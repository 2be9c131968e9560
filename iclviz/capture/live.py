"""One prompt whose keys and values stay, so that what is done to the model shows at once: what is before the first
token that is acted on is never read again.
"""

from collections.abc import Sequence

import torch

from iclviz.capture.cache import Prefix
from iclviz.capture.decoding import Captured, Decoding
from iclviz.capture.engine import Engine, Held, PlanRun, Read
from iclviz.capture.plan import BatchRow, Group, Leaf
from iclviz.capture.sites import Donors
from iclviz.intervening import Intervention
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import Asked


class LivePrompt:
    """A prompt that was read once with nothing done to the model."""

    def __init__(self, engine: Engine, prompt: TokenizedPrompt) -> None:
        self._engine, self._prompt, self._end = engine, prompt, len(prompt) - 1
        self._prefix: Prefix | None = None
        if self._end and engine.way != "alone":
            row = BatchRow(0, self._end, (0,), None)
            run = PlanRun(
                engine, [prompt], {}, Decoding(0), lambda: False, lambda tokens: None, engine.acting((), [prompt])
            )
            with torch.inference_mode():
                self._prefix = run.read((row,), {})[row].prefix

    def captured(
        self, asked: Asked, decoding: Decoding, done: Sequence[Intervention], donors: Donors | None = None
    ) -> Captured:
        """What the prompt leaves while something is done.

        Raises
        ------
        NoNumberError: what would be recorded is no number.
        UserError: what is to be done cannot be done to this model.
        """
        engine, prompts = self._engine, [self._prompt]
        values = engine.values_of(donors, lambda: False) if donors and donors.of else None
        acting = engine.acting([done], prompts, values)
        first = min(acting.first_token(0), self._end) if self._prefix else 0
        held: Held = {}
        before = BatchRow(0, first, (0,), None) if first else None
        if before is not None and self._prefix is not None:
            held[before] = Read(_beginning(self._prefix, first), {}, 0)
        rest = BatchRow(first, self._end, (0,), before) if first < self._end else None
        run = PlanRun(engine, prompts, asked, decoding, lambda: False, lambda tokens: None, acting)
        group = Group(((rest,),) if rest else (), (Leaf(0, rest or before),))
        (captured,) = run.under(group, held, frozenset())
        return captured


def _beginning(prefix: Prefix, length: int) -> Prefix:
    """The first tokens of a prefix of one row."""
    keys, values = ([layer[:, :, :length] for layer in side] for side in (prefix.keys, prefix.values))
    return Prefix(keys, values, [length])
