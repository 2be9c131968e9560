"""Synthetic data of which the truth is known: what the validity simulations and their quick tests draw.

A `Design` says how items come in groups and what groups have of their own, which has nothing to do with any hypothesis,
label or score; every draw comes from the generator that is handed in. Letters: n items, G groups, L layers, d width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from iclviz.analysis import rsms
from iclviz.grids.heads import Heads
from iclviz.keys import Origin
from iclviz.mapping import Axis, Grid, MapSpec, Tracer
from iclviz.maps import EffectMap, Trace
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES
from iclviz.spec import RunSpec
from tests.analysis.conftest import make_recording


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.normal(size=shape)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_t(3, size=shape) / np.sqrt(3)


def _skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.exponential(size=shape) - 1


NOISES = {"normal": _normal, "heavy": _heavy, "skewed": _skewed}


@dataclass(frozen=True)
class Design:
    """How items come in groups.

    Attributes
    ----------
    sizes: items of each group.
    identity: how much groups differ, beside a standard deviation of 1 within them.
    uneven: how many times as noisy the noisiest group is as the quietest.
    noise: "normal", "heavy" (Student's with 3 degrees of freedom) or "skewed" (exponential).
    copies: how often each item is there, as it is.
    surface: how strongly embeddings hold a number of the item's text, such as its length, that groups share in part.
    """

    sizes: tuple[int, ...]
    identity: float = 0.0
    uneven: float = 1.0
    noise: str = "normal"
    copies: int = 1
    surface: float = 0.0

    @property
    def codes(self) -> Array:
        """(n,) the group of each item."""
        return np.repeat(np.arange(len(self.sizes)), np.array(self.sizes) * self.copies)

    @property
    def groups(self) -> Array | None:
        """(n,) the same as an analysis is told it, None where every item is its own."""
        return None if len(self.sizes) == len(self.codes) else self.codes

    def many(self, times: int) -> "Design":
        """The same with so many times its groups: what a truth is read from."""
        return replace(self, sizes=self.sizes * times)

    def by_group(self, rng: np.random.Generator, *shape: int) -> Array:
        """(n, ...) standard noise that is the same for all items of a group."""
        return NOISES[self.noise](rng, (len(self.sizes), *shape))[self.codes]

    def by_item(self, rng: np.random.Generator, *shape: int) -> Array:
        """(n, ...) noise of each item, and none that copies do not share."""
        groups = np.repeat(np.arange(len(self.sizes)), self.sizes)
        loud = np.geomspace(1.0, self.uneven, len(self.sizes))
        scale = (loud / np.sqrt((loud**2).mean()))[groups].reshape(-1, *[1] * len(shape))
        return np.repeat(scale * NOISES[self.noise](rng, (len(groups), *shape)), self.copies, axis=0)

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """(n, ...) a group's identity and an item's noise."""
        return self.identity * self.by_group(rng, *shape) + self.by_item(rng, *shape)


@dataclass(frozen=True)
class Factored:
    """A design with factors: groups, factors name -> (n,), what these add to every quantity, (n,), and to each its own.

    `own` draws what a quantity alone has beside its groups' identity, (n,).
    """

    design: Design
    factors: Mapping[str, Array]
    added: Array
    own: Callable[[np.random.Generator], Array] | None = None

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """(n, ...) a group's identity, an item's noise and what factors add."""
        values = self.design.draw(rng, *shape) + self.added.reshape(-1, *[1] * len(shape))
        return values if self.own is None else values + self.own(rng).reshape(-1, *[1] * len(shape))

    def without(self, items: Array) -> "tuple[Array, Array, dict[str, Array]]":
        """Which items are kept when some are missing, their groups and factors."""
        kept = np.setdiff1d(np.arange(len(self.added)), items)
        return kept, self.design.codes[kept], {name: values[kept] for name, values in self.factors.items()}


def positions(rng: np.random.Generator, n_positions: int = 2, noise: str = "normal") -> Factored:
    """16 sets, each asked about each of its positions, of which the first is easy."""
    position = np.tile(np.arange(n_positions), 16)
    design = Design((n_positions,) * 16, identity=1.5, noise=noise)
    return Factored(design, {"position": position.astype(str)}, 2.0 * position)


def repeated_positions(rng: np.random.Generator) -> Factored:
    """16 sets of four items, two at each of two positions."""
    position = np.tile([0, 0, 1, 1], 16)
    return Factored(Design((4,) * 16, identity=1.5), {"position": position.astype(str)}, 2.0 * position)


def random_levels(rng: np.random.Generator, n_levels: int = 4) -> Factored:
    """16 groups of three items, each at a level of a factor that nobody balanced."""
    level = rng.integers(n_levels, size=48)
    effect = np.array([-2.0, 0.0, 1.0, 4.0, 2.0, -4.0])[level]
    return Factored(Design((3,) * 16, identity=1.5), {"level": level.astype(str)}, effect)


def lines(rng: np.random.Generator) -> Factored:
    """16 lines asked at two places x, which are easier the larger they are, and less so towards the end."""
    x = np.concatenate([rng.permutation(20)[:2] for _ in range(16)]).astype(float)
    return Factored(Design((2,) * 16, identity=1.5), {"x": x}, 1.5 * np.log1p(x))


def documents(rng: np.random.Generator) -> Factored:
    """24 wordings in one document each and 12 in two, every document in three versions; wordings act unlike."""
    wording = np.concatenate([np.repeat(np.arange(12), 2), np.arange(12, 36)])
    document, version = np.repeat(np.arange(48), 3), np.tile(np.arange(3), 48)
    of_item = wording[document]

    def own(rng: np.random.Generator) -> Array:
        """A document's identity, and how much a wording does where it is injected."""
        return rng.normal(size=48)[document] + 1.5 * rng.normal(size=36)[of_item] * (version == 1)

    sizes = tuple(int(size) for size in np.bincount(of_item))
    names = {"document": document.astype(str), "version": version.astype(str)}
    return Factored(Design(sizes, identity=1.0), names, np.array([0.0, -2.0, 0.5])[version], own)


FACTORED: Mapping[str, Callable[[np.random.Generator], Factored]] = {
    "two positions": positions,
    "three positions": partial(positions, n_positions=3),
    "two positions, heavy tails": partial(positions, noise="heavy"),
    "positions that repeat": repeated_positions,
    "levels that nobody balanced": random_levels,
    "six levels that nobody balanced": partial(random_levels, n_levels=6),
    "x within a line": lines,
    "documents that share wordings": documents,
}

DESIGNS = {
    "items without groups": Design((1,) * 32),
    "groups": Design((3,) * 16, identity=1.5),
    "unequal groups": Design((1, 2, 3, 4, 5, 6) * 2 + (1, 2, 3, 4), identity=1.5),
    "one large group": Design((20, *[2] * 15), identity=1.5),
    "uneven noise": Design((3,) * 16, identity=1.0, uneven=8.0),
    "heavy tails": Design((3,) * 16, identity=1.0, noise="heavy"),
    "skewed noise": Design((3,) * 16, identity=1.0, noise="skewed"),
    "copied items": Design((1, 2) * 8, identity=1.0, copies=2),
    "shared surface": Design((3,) * 16, identity=1.0, surface=4.0),
    "eight groups": Design((4,) * 8, identity=1.5),
    "seven groups": Design((4,) * 7, identity=1.5),
    "groups of 1 and 40": Design((40, *[1] * 15), identity=1.5),
}


def along_layers(steps: Array, memory: float = 0.9) -> Array:
    """Independent layers (n, L, ...) made to follow one another, as a residual stream does."""
    layers = [steps[:, 0]]
    for layer in range(1, steps.shape[1]):
        layers.append(memory * layers[-1] + np.sqrt(1 - memory**2) * steps[:, layer])
    return np.stack(layers, axis=1)


def embeddings(design: Design, rng: np.random.Generator, n_layers: int = 4, d: int = 48, memory: float = 0.9) -> Array:
    """(n, L, d) embeddings without structure but the groups' own, of unequal dimensions, around a common mean."""
    scale = 1 / np.sqrt(1 + np.arange(d) / 4)
    x = 3.0 + scale * along_layers(design.draw(rng, n_layers, d), memory)
    return planted(x, design.draw(rng), design.surface, of=1) if design.surface else x


def directions(n_layers: int, d: int, count: int = 1, of: int = 0) -> Array:
    """(count, L, d) directions of length 1 that are the same in every sample; another `of`, other directions."""
    drawn = np.random.default_rng(of).normal(size=(count, 1, d)) + np.zeros((1, n_layers, 1))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=2, keepdims=True))


def planted(x: Array, values: Array, strengths: Array | float, of: int = 0) -> Array:
    """Embeddings (n, L, d) with values (n,) or (n, C) of each item along directions, so strongly in each layer (L,)."""
    values = values[:, None] if values.ndim == 1 else values
    along = np.einsum("nc,cld->nld", values, directions(*x.shape[1:], values.shape[1], of))
    return np.asarray(x + along * np.broadcast_to(np.asarray(strengths, dtype=float), x.shape[1])[None, :, None])


def one_hot(labels: Array) -> Array:
    """(n, C)."""
    return np.eye(int(labels.max()) + 1)[labels]


def nearness(values: Array) -> Array:
    """(n, n) minus the absolute difference of values (n,)."""
    return -np.abs(np.subtract.outer(values, values)).astype(float)


def sameness(labels: Array) -> Array:
    """(n, n) 1 where labels (n,) are the same."""
    return (labels[:, None] == labels[None, :]).astype(float)


def classes_of_groups(design: Design, rng: np.random.Generator, n_classes: int = 4) -> Array:
    """(n,) a class of each group, as evenly as can be."""
    return rng.permutation(np.arange(len(design.sizes)) % n_classes)[design.codes]


def classes_within(design: Design, rng: np.random.Generator, n_classes: int = 3) -> Array:
    """(n,) classes in random order within each group, as versions of a document."""
    parts = [rng.permutation(np.arange(size * design.copies) % n_classes) for size in design.sizes]
    return np.concatenate(parts)


def paired_rsms(design: Design, rng: np.random.Generator, values: Array, strength: Array | float,
                n_layers: int = 3, shared: float = 0.8) -> tuple[Array, Array]:  # fmt: skip
    """RSMs of A and B (L, n, n): the same items, most of whose noise both sides share, with values (n,) in both."""
    common, a, b = (embeddings(design, rng, n_layers) for _ in range(3))
    sides = (np.sqrt(shared) * common + np.sqrt(1 - shared) * own for own in (a, b))
    first, second = (rsms(planted(side, values, strength)) for side in sides)
    return first, second


def synthetic_recording(
    design: Design,
    key: str,
    x: Array,
    log_ratio: Array,
    score: Array,
    *,
    hypothesis: Array | None = None,
    label: Array | None = None,
    position: Array | None = None,
) -> Recording:
    """A recording with embeddings x (n, L + 1, d), log attention ratios (n, L), a score, a hypothesis and a label."""
    n, n_layers = log_ratio.shape
    irrelevant = np.full((n, n_layers, 2), 0.02) * np.array([0.5, 1.5])
    relevant = irrelevant * np.exp(np.clip(log_ratio, -3, 3))[:, :, None]
    masses = {role: np.zeros((n, n_layers, 2), dtype=np.float32) for role in ROLES}
    masses |= {"relevant": relevant.astype(np.float32), "irrelevant": irrelevant.astype(np.float32)}
    masses["special"] = (1 - relevant - irrelevant).astype(np.float32)
    labels = {"label": label, "position": position}
    hypotheses = {} if hypothesis is None else {"hypothesis": hypothesis}
    there = {name: values for name, values in labels.items() if values is not None}
    return make_recording(
        n, n_layers, 2, key=key, embeddings={"query_mean": x.astype(np.float32)}, attention=masses,
        attention_last=masses, scores={"main": score}, labels=there, hypotheses=hypotheses,
        groups=dict.fromkeys([*there, *hypotheses], design.codes),
    )  # fmt: skip


def recording(x: Array, **fields: object) -> Recording:
    """A recording of embeddings (n, L + 1, d) as `query_mean`, with the fields that are given."""
    return make_recording(len(x), x.shape[1] - 1, embeddings={"query_mean": x}, **fields)


def effect_map(
    base: Array, logprobs: Array, acted: Array, controls: Array | None = None, grid: Grid | None = None
) -> EffectMap:
    """A map of n items over heads and blocks, as arrays with the axes of `EffectMap`; those without an effect stay."""
    n_first, n_second, _, n, n_candidates = logprobs.shape
    grid = grid or Heads()
    none = np.zeros((n_first, n_second, 0, n, n_candidates))
    beside = none if controls is None else controls
    return EffectMap(
        spec=MapSpec(RunSpec("model", "task", n_items=n), grid),
        key="f" * 32,
        item_ids=[f"item-{place}" for place in range(n)],
        axes=(Axis("head", tuple(range(n_first))), Axis("block", tuple(range(1, n_second + 1)))),
        base=base,
        logprobs=logprobs,
        controls=beside,
        acted=acted,
        changed=acted,
        acted_controls=np.ones(beside.shape[:-1], dtype=int),
        origin=Origin("task", "model", False, {"task": 1, "prompts": 1, "capture": 1}),
    )


def trace(of: Tracer, arrays: Mapping[str, Array]) -> Trace:
    """A trace of n items as arrays (n, ...), named as its tracer says."""
    n = len(next(iter(arrays.values())))
    return Trace(
        spec=MapSpec(RunSpec("model", "task", n_items=n), of),
        key="e" * 32,
        item_ids=[f"item-{place}" for place in range(n)],
        arrays=arrays,
        origin=Origin("task", "model", False, {"task": 1, "prompts": 1, "capture": 1}),
    )
