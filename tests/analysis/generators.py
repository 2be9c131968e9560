"""Synthetic data of which the truth is known: what the validity simulations and their quick tests draw.

A `Design` says how items come in groups and what groups have of their own, which has nothing to do with any hypothesis,
label or score; every draw comes from the generator that is handed in. Letters: n items, G groups, L layers, d width.
"""

from dataclasses import dataclass, replace

import numpy as np

from iclviz.analysis import rsms
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES
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
