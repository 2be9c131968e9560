"""Small results of every kind, as analyses give them, and each figure drawn from them."""

from dataclasses import replace

import numpy as np

from iclviz.analysis.acting_on_item import ChangedItem
from iclviz.analysis.attention import LogRatioSummary, RoleShares, TextAttention
from iclviz.analysis.behaviour import ScoreSummary
from iclviz.analysis.change import Difference
from iclviz.analysis.competence import Competence
from iclviz.analysis.composites import CompositeToSimple
from iclviz.analysis.effect_maps import ChosenSite, EffectOnItems, SiteEffects
from iclviz.analysis.every_head import HeadScores
from iclviz.analysis.foretold import Foretold
from iclviz.analysis.head_links import HeadLink
from iclviz.analysis.information_flow import Flow
from iclviz.analysis.item_maps import item_map
from iclviz.analysis.link import Link
from iclviz.analysis.measure import ByLayer
from iclviz.analysis.order_shares import Components, OrderShare
from iclviz.analysis.outcomes import OutcomeCounts
from iclviz.analysis.own_answer import OwnAnswer
from iclviz.analysis.paired import PairedTest
from iclviz.analysis.probing import Probe, Transfer
from iclviz.analysis.recovered import ChosenShare, Recovered
from iclviz.analysis.reliability import NoiseCeiling
from iclviz.analysis.reweighted import Reweighted
from iclviz.analysis.right_and_wrong import RightAgainstWrong
from iclviz.analysis.rsa import AlignmentTest
from iclviz.analysis.score_changes import ScorePairs
from iclviz.analysis.seeds import over_seeds
from iclviz.analysis.surface import SurfaceControl
from iclviz.analysis.trajectory import ByOutcome, ItemTrajectory, LayerMeans, OverCandidates
from iclviz.figures import FIGURES
from iclviz.grids.patch import PLACES
from iclviz.natural_units import NaturalUnit
from iclviz.points import ItemPoints
from iclviz.spans import ROLES
from iclviz.study import Curve

A, B = "A: no demonstrations", "B: 8 correct"


def score(mean=1.0, seed=0, n=24):
    values = np.random.default_rng(seed).normal(mean, 0.4, size=n)
    ids = tuple(f"item-{i}" for i in range(n))
    return ScoreSummary("main", mean, mean - 0.2, mean + 0.2, n, 2, 8, False, values, ids)


def outcomes(more=0):
    counts = np.array([[0, 12 - more, 4 + more], [9 - more, 3 + more, 4]])
    return OutcomeCounts(("clean", "injected"), ("obeyed", "right", "neither"), counts)


def score_pairs(n=24):
    unit = NaturalUnit("typical error", "negative log", floor=0.1)
    rng = np.random.default_rng(5)
    a, b = rng.uniform(4, 20, n), rng.uniform(1, 12, n)
    mean = np.array([a.mean(), b.mean()])
    ids = tuple(f"item-{i}" for i in range(n))
    return ScorePairs(unit, ids, np.arange(n) % 8, a, b, mean, mean - 1, mean + 1, 8, 1)


def alignment_result(peak=0.4, n_layers=13, reason=None, **fields):
    estimate = peak * np.sin(np.linspace(0, 3, n_layers))
    estimate[0] = np.nan
    # Alone more layers stand out than after correction: whoever draws the wrong one is found out.
    p, corrected = np.where(estimate > 0.1, 0.01, 0.4), np.where(estimate > 0.2, 0.01, 0.4)
    p[0] = corrected[0] = np.nan
    test = AlignmentTest(
        estimate=estimate,
        low=estimate - 0.1,
        high=estimate + 0.1,
        null_mean=np.full(n_layers, np.nan if reason else 0.07),
        p=p,
        p_corrected=corrected,
        p_fdr=p,
        n_permutations=1000,
        n_bootstrap=1000,
        n_units=16,
        unit="groups",
        method="spearman",
        reason=reason,
        missing={0: "all items have the same embedding, but for rounding"},
    )
    return replace(test, **fields)


def probe_result(peak=0.5, n_layers=13, **fields):
    rise = peak * np.sin(np.linspace(0, 3, n_layers))
    p, corrected = np.where(rise > 0.1, 0.01, 0.4), np.where(rise > 0.2, 0.01, 0.4)
    s = 0.25 + rise
    result = Probe(
        measure="balanced accuracy",
        estimate=s,
        low=s - 0.1,
        high=s + 0.1,
        accuracy=s + 0.02,
        least_squares=s - 0.03,
        chance=np.full(n_layers, 0.25),
        p=p,
        p_corrected=corrected,
        p_fdr=p,
        n_permutations=1000,
        n_units=16,
        n_folds=5,
        n_classes=4,
        unit="groups",
        reason=None,
        missing={},
    )
    return replace(result, **fields)


def log_ratio(*shape, seed=0, shift=0.5):
    mean = np.random.default_rng(seed).normal(shift, 0.5, size=shape)
    return LogRatioSummary(mean, mean - 0.2, mean + 0.2, np.full(shape, 24), np.zeros(shape, dtype=int), 8)


def similarities(n=24, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 10)) + 2 * np.eye(10)[np.arange(n) % 4]
    x -= x.mean(axis=0)
    return np.corrcoef(x)


def split(n_layers=12, seed=0):
    shares = np.random.default_rng(seed).dirichlet([8, 1, 2, 2, 1, 1, 2], size=n_layers)
    return {role: shares[:, place] for place, role in enumerate(ROLES)}


def shares(seed=0):
    mean = np.random.default_rng(seed).dirichlet([8, 1, 2])
    tokens = np.array([1.0, 26.5, 28])
    return RoleShares(mean, mean - 0.01, mean + 0.01, ("special", "relevant", "irrelevant"), tokens, 24, 8)


def on_text(roles=("special", "relevant", "irrelevant", "relevant", "question", "response"), seed=0):
    mass = np.random.default_rng(seed).dirichlet(np.arange(len(roles), 0, -1))
    sinks, looking = np.array(roles) == "special", np.array(roles) == "response"
    rank = np.argsort(np.argsort(-mass)) + 1
    tokens = ("<s>", " <b>x</b>", "\n", '"y"', " =", " 3")[: len(roles)]
    return TextAttention(tokens, roles, mass, dict(zip(roles, mass.tolist(), strict=True)), rank, sinks, looking)


GROUPS = np.arange(24) % 4


def changed(*shape, seed=0, reason=None):
    mean = np.random.default_rng(seed).normal(0.3, 0.4, size=shape)
    p = np.full(shape, np.nan) if reason else np.where(np.abs(mean) > 0.6, 0.01, 0.4)
    return PairedTest(mean, mean - 0.2, mean + 0.2, p, p, p, np.full(shape, 24), 16, 1000, reason)


def difference(n_layers=13, seed=1):
    one = changed(n_layers, seed=seed)
    return Difference(one.estimate, one.low, one.high, one.p, one.p, one.p, 16, 5, 1000, None)


def link(seed=0, n_layers=13, reason=None):
    one = changed(n_layers, seed=seed, reason=reason)
    rho = np.tanh(one.estimate)
    tests = (one.p, rho / 2, one.p, one.p)
    return Link(
        rho, rho - 0.1, rho + 0.1, one.p, one.p, "within", *tests, 24, 12, 1, 1000, 38, "items within groups", reason,
        np.isnan(rho),
    )  # fmt: skip


def contrasts(seed=0):
    one = changed(13, seed=seed)
    return CompositeToSimple(one.estimate, one.low, one.high, one.p, one.p, one.p, np.zeros((24, 13)), 12, 1000, None)


def transfer():
    score = probe_result().score
    return Transfer(score, score - 0.1, score + 0.1, "balanced accuracy", 16, 5, None, {})


def surface():
    rise = alignment_result().estimate
    of_rsms = np.vstack([rise / 2, rise / 3])
    names, of_hypothesis = ("tokens of the span", "mean y"), np.array([0.2, 0.1])
    return SurfaceControl(names, of_hypothesis, of_rsms, rise, rise / 2, rise / 3)


def seeds(seed, n_layers=13, n_seeds=5):
    values = np.random.default_rng(seed).normal(0.3, 0.1, size=(n_seeds, n_layers))
    return over_seeds(values, values - 0.1, values + 0.1)


def one_seed():
    test = alignment_result()
    return over_seeds([test.estimate], [test.low], [test.high])


def by_layer(peak=1.0, n_layers=13, tested=True):
    test = alignment_result(peak, n_layers)
    p = test.p if tested else np.full(n_layers, np.nan)
    reference = np.full(n_layers, 0.1 if tested else np.nan)
    return ByLayer(test.estimate, test.low, test.high, p, p, reference, 16, None, test.missing)


def told_apart(seed=0, n_layers=13):
    area = np.random.default_rng(seed).uniform(0.4, 0.8, size=n_layers)
    return RightAgainstWrong(area, area - 0.1, area + 0.1, 20, 12, 16)


def layer_means(peak=2.0, quantity="margin", n_layers=13):
    mean = peak * np.linspace(0.1, 1, n_layers) ** 3
    mean[0] = np.nan
    return LayerMeans(mean, mean - 0.2, mean + 0.2, quantity, np.full(n_layers, 24), 8)


def by_outcome(peak=2.0):
    right, wrong = layer_means(peak), layer_means(-peak)
    difference = right.mean - wrong.mean
    return ByOutcome("prefers_right", right, wrong, difference, difference - 0.5, difference + 0.5, 15, 9)


def one_item(n_layers=13):
    rise = np.linspace(-9, -1, n_layers)
    logprobs = np.column_stack([rise, rise - 1, np.full(n_layers, np.nan)])
    return ItemTrajectory("item-3", (" Paris", " London", "Rome"), logprobs, np.ones(n_layers), -rise, -rise - 1)


def site_effects(size=1.0, reason=None, **fields):
    """Effects of 3 heads in 5 blocks: alone more stand out than after correction."""
    estimate = size * np.linspace(-0.5, 0.5, 15).reshape(3, 5)
    p, corrected = np.where(np.abs(estimate) > 0.2, 0.01, 0.4), np.where(np.abs(estimate) > 0.4, 0.01, 0.4)
    found = SiteEffects(
        estimate,
        estimate - 0.1,
        estimate + 0.1,
        p,
        corrected,
        kind="heads",
        outcome="margin",
        beyond="",
        axes=("head", "block"),
        first=(0, 1, 2),
        second=(1, 2, 3, 4, 5),
        n=np.full((3, 5), 24),
        unchanged=np.zeros((3, 5), dtype=int),
        between_draws=np.full((3, 5), 0.02),
        base=0.7,
        right=np.full((3, 5), 0.6),
        right_base=0.7,
        n_units=12,
        n_items=24,
        reason=reason,
        chosen=(
            ChosenSite(0, 1, -0.6, -0.4, -0.6, -0.2, 0.01, 0.02),
            ChosenSite(2, 5, 0.5, 0.1, -0.1, 0.3, 0.2, 0.4),
        ),
        chosen_reason=None,
    )
    return replace(found, **fields)


def effect_on_items(seed=0, n=24):
    rng = np.random.default_rng(seed)
    ids = tuple(f"item-{i}" for i in range(n))
    acted = np.full(n, 3)
    return EffectOnItems(rng.normal(size=n), rng.normal(size=n), None, ids, acted, acted, "head 0, block 1")


def head_link(seed=0):
    rng = np.random.default_rng(seed)
    return HeadLink(
        rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), -0.31, -0.5, -0.1, -0.2, 0.03, n_units=12, reason=None
    )


def recovered(size=1.0, reason=None):
    """Shares of 3 lines in 5 blocks."""
    estimate = size * np.linspace(-0.2, 1.1, 15).reshape(3, 5)
    control = np.full((3, 5), np.nan)
    control[0] = 0.1
    return Recovered(
        estimate,
        estimate - 0.2,
        estimate + 0.3,
        outcome="margin",
        axes=("vector", "block"),
        first=("demonstrations", "shuffled", "random"),
        second=(1, 2, 3, 4, 5),
        control=control,
        base=-1.0,
        gain=2.0,
        gain_low=1.5,
        gain_high=2.5,
        n_items=24,
        n_units=12,
        reason=reason,
        chosen=(ChosenShare("demonstrations", 5, 0.6, 0.4, 0.2, 0.7),),
    )


def every_head():
    rng = np.random.default_rng(2)
    amounts = {name: rng.uniform(0, 0.9, (5, 3)) for name in ("induction", "previous", "duplicate", "answers")}
    signed = {name: rng.normal(0, 0.3, (5, 3)) for name in ("effect", "function_vector")}
    return HeadScores({**amounts, **signed}, {}, 16, 24)


def flow(seed=0):
    share = np.random.default_rng(seed).dirichlet(np.ones(3), size=6).T
    share[:, 5] = np.nan
    total = np.array([0.1, 0.4, 1.0, 0.3, 0.02, 1e-6])
    return Flow(share, share - 0.05, share + 0.05, share[:, ::-1], total, 24, 12)


def competent(seed=0):
    rng = np.random.default_rng(seed)
    both = rng.random((2, 6))
    scores = np.vstack([both, both.mean(axis=0)])
    blocks, judged = (5, 10, 15, 20, 25, 30), (0.9, 0.8, 0.95)
    low, high, random = scores - 0.05, scores + 0.05, scores[:, ::-1]
    return Competence(scores, low, high, random, 0.4, "answer", "name", blocks, 24, 12, 25, judged)


def foretold(with_true=True):
    effect = np.random.default_rng(0).normal(size=(3, 6))
    effect[2] = np.nan
    true = effect + 0.1 if with_true else np.full((3, 6), np.nan)
    agreement = np.array([0.9, 0.4, np.nan]) if with_true else np.full(3, np.nan)
    p = np.full((3, 6), 0.1)
    return Foretold(
        effect, effect - 0.2, effect + 0.2, p, p, PLACES, true, agreement, agreement, 24, 12, None,
    )  # fmt: skip


def learned(seed=0):
    gain, p = np.array([0.05, -0.02, 0.07]), np.full(3, 0.02)
    factor = np.exp(np.random.default_rng(seed).normal(size=(6, 4)) / 4)
    return Reweighted(gain, gain - 0.04, gain + 0.04, p, p, factor, 0.6, 0.4, 0.7, 0.6, 24, 12, None)


def foretelling(seed=0):
    area = np.random.default_rng(seed).random(6)
    return OwnAnswer(area, area - 0.1, area + 0.1, area[None], ("good", "bad"), 24, 12)


def changed_item():
    change = {"relevant": [0.1, -0.2, 0.0], "question": [0.0, 0.1, 0.05]}
    return ChangedItem(["reading", "running"], [0.7, 0.3], [0.4, 0.6], 0.8, -0.4, change)


def order_share(share=0.4, reason=None):
    """Three sets in four orders."""
    means = np.random.default_rng(3).normal(size=(3, 4))
    of_items, of_mean = Components(0.4, 0.6, share, 0.1, 0.9), Components(0.2, 0.2, 0.5, 0.1, 0.95)
    return OrderShare(
        "margin", of_items, of_mean, 0.3, 0.5, (1, 2, 3), (1, 2, 3, 4), means, np.full((3, 4), 0.5), 0.2, 0.5, 24, 12,
        reason,
    )  # fmt: skip


def curves():
    places = [("a model", "reading"), ("a model", "regression"), ("another", "reading")]
    return [
        Curve(model, task, kind, (0, 8), (0.2, level), (0.2, level - 0.1), (0.2, level + 0.1), (1, 3))
        for model, task in places for kind, level in (("correct", 0.7), ("shuffled", 0.35))
    ]  # fmt: skip


DRAWN = {
    "study-curves": lambda draw: draw(curves(), study="kinds", there=10, asked=21, registered="Registered."),
    "order-share": lambda draw: draw({A: order_share(0.5), B: order_share()}, blind="A few sets are few draws."),
    "attention-and-effect": lambda draw: draw({A: head_link(0), B: head_link(1)}),
    "recovered-share": lambda draw: draw(
        {A: recovered(0.5), B: recovered()},
        title="Task vectors: how much comes back",
        done="the state after each block was set to another item's",
        blind="A vector that brings little may have met a model that computed all else without it.",
    ),
    "head-scores": lambda draw: draw(every_head(), model="a model", run=B),
    "information-flow": lambda draw: draw(
        {A: flow(), B: flow(1)}, blind="Nothing flows back through the scores of a head whose attention is saturated."
    ),
    "competence": lambda draw: draw(
        {A: competent(), B: competent(1)}, blind="A label that the answer does not follow may be written elsewhere."
    ),
    "patches-foretold": lambda draw: draw(
        {A: foretold(), B: foretold(False)}, donor="no demonstrations", blind="A gradient is the tangent."
    ),
    "re-weighting": lambda draw: draw({A: learned(), B: learned(1)}, blind="Factors are learned on half of few items."),
    "own-answer": lambda draw: draw({A: foretelling(), B: foretelling(1)}),
    "live-candidates": lambda draw: draw(changed_item(), done="blind to relevant text"),
    "live-attention": lambda draw: draw(changed_item(), done="blind to relevant text"),
    "effect-map": lambda draw: draw(
        {A: site_effects(0.5), B: site_effects()},
        title="Heads ablated",
        done="each head's output was set to zero at the last prompt token",
        blind="Heads that others make up for show less than they do.",
    ),
    "effect-chosen": lambda draw: draw({A: site_effects(0.5), B: site_effects()}, title="Heads ablated"),
    "effect-on-items": lambda draw: draw({A: effect_on_items(0), B: effect_on_items(1)}, outcome="margin"),
    "measure-by-layer": lambda draw: draw(
        {A: by_layer(0.5), B: by_layer(1.0, tested=False)},
        measure="the intrinsic dimension",
        value="Dimension",
        about="How many directions items differ in.",
    ),
    "right-against-wrong": lambda draw: draw({A: told_apart(), B: told_apart(1)}, measure="intrinsic dimension"),
    "item-points": lambda draw: draw(
        ItemPoints(((1.0, 5.0), (3.0, 9.0)), ((2.0, 4.0),), ((2.0, 3.0), (1.0, 2.0)), 6.0, 15.0),
        condition=A,
        item="y = 2x + 3 at 6",
        answer=14.0,
    ),
    "outcome-counts": lambda draw: draw({A: outcomes(), B: outcomes(3)}, by="Version"),
    "score-pairs": lambda draw: draw(score_pairs()),
    "changes-inside": lambda draw: draw(
        {"alignment": difference(), "attention_ratio": difference(12, 2)}, first={"attention_ratio": 1}
    ),
    "score-by-condition": lambda draw: draw({A: score(0.5), B: score(1.2, 1)}, score="Closeness", unit="decades"),
    "score-over-k": lambda draw: draw(
        {
            "correct": {k: score(0.3 + 0.1 * k) for k in (0, 2, 4, 8)},
            "shuffled": {k: score(0.3 + 0.02 * k) for k in (0, 2, 4, 8)},
        },
        score="Closeness",
    ),
    "score-distribution": lambda draw: draw({A: score(0.5), B: score(1.2, 1)}, score="Closeness", unit="decades"),
    "similarity-matrices": lambda draw: draw(
        {A: similarities(seed=0), B: similarities(seed=1)},
        (GROUPS[:, None] == GROUPS[None, :]).astype(float),
        item_ids=[f"item-{i}" for i in range(24)],
        groups=np.array(["flat", "rising", "steep", "falling"])[GROUPS],
        hypothesis_title="Same slope",
        group_title="slope",
        layer=7,
    ),
    "similarity-play": lambda draw: draw(
        {A: np.stack([similarities(seed=layer) for layer in range(4)]), B: np.stack([similarities(seed=9)] * 4)},
        item_ids=[f"item-{i}" for i in range(24)],
        item_texts=[f"x = {i}" for i in range(24)],
        groups=GROUPS,
        layer=2,
    ),
    "similarity-difference": lambda draw: draw(
        similarities(seed=1) - similarities(),
        item_ids=[f"item-{i}" for i in range(24)],
        clustered=np.arange(24)[::-1],
        values="percentile",
        layer=7,
    ),
    "similarity-by-layer": lambda draw: draw(
        {layer: similarities(seed=layer) for layer in (0, 3, 6, 9, 12)},
        condition=A,
        item_ids=[f"item-{i}" for i in range(24)],
        groups=GROUPS,
        group_title="slope",
    ),
    "similarity-by-condition": lambda draw: draw(
        {f"k = {k}": similarities(seed=k) for k in range(8)},
        layer=7,
        item_ids=[f"item-{i}" for i in range(24)],
        groups=GROUPS,
        group_title="slope",
    ),
    "measure-of-set": lambda draw: draw(
        {A: seeds(0), B: seeds(1), "8 shuffled": one_seed()}, measure="Alignment with “Same slope”", value="Alignment"
    ),
    "score-of-set": lambda draw: draw(
        {f"k = {k}": seeds(k, 1, 5) for k in (0, 2, 4, 8)}, score="Closeness", better="higher"
    ),
    "item-map": lambda draw: draw(
        {A: item_map(similarities(), "cosine"), B: item_map(similarities(seed=1), "cosine")},
        np.array(["flat", "rising", "steep", "falling"])[GROUPS],
        item_ids=[f"item-{i}" for i in range(24)],
        label="Slope",
        layer=7,
    ),
    "alignment-by-layer": lambda draw: draw(
        {A: alignment_result(0.1), B: alignment_result(0.6)}, hypothesis="same slope"
    ),
    "probe-by-layer": lambda draw: draw({A: probe_result(0.1), B: probe_result(0.6)}, label="slope"),
    "attention-ratio-by-layer": lambda draw: draw({A: log_ratio(12), B: log_ratio(12, seed=1, shift=1.0)}),
    "attention-ratio-by-head": lambda draw: draw({A: log_ratio(12, 9), B: log_ratio(12, 9, seed=1)}),
    "attention-ratio-over-items": lambda draw: draw(
        {A: np.log(np.arange(1, 25.0)), B: np.where(np.arange(24) == 3, np.nan, 1.0)},
        block=3,
        item_ids={A: [f"item-{i}" for i in range(24)], B: [f"item-{i}" for i in range(24)]},
    ),
    "selectivity-by-layer": lambda draw: draw(
        {A: probe_result(0.1, selectivity=np.full(13, 0.1), control_score=np.full(13, 0.3))}, label="slope"
    ),
    "probe-by-parameter": lambda draw: draw(
        {A: {"0.1": probe_result(0.1), "1": probe_result(0.2)}, B: {"0.1": probe_result(0.4), "1": probe_result(0.6)}},
        label="slope",
        parameter="Strength",
        layer=7,
    ),
    "transfer-by-layer": lambda draw: draw({"A to B": transfer()}, label="slope"),
    "change-by-layer": lambda draw: draw({"B − A": difference()}, measure="alignment with “same slope”"),
    "change-by-head": lambda draw: draw(changed(12, 9), measure="log attention ratio"),
    "composite-to-simple": lambda draw: draw({A: contrasts(), B: contrasts(1)}),
    "link-by-layer": lambda draw: draw({"Alignment": link(0), "Probe": link(1)}, score="Closeness"),
    "link-scatter": lambda draw: draw(
        np.arange(24.0),
        np.arange(24.0) % 5,
        item_ids=[f"item-{i}" for i in range(24)],
        measure="alignment, layer 7",
        score="Closeness",
        groups=GROUPS,
    ),
    "conditions-scatter": lambda draw: draw(
        {"k = 2": (0.1, 0.3), "k = 8": (0.2, 0.5), "k = 16": (0.2, 0.6)},
        measure="Alignment",
        score="Closeness",
        coefficient=0.87,
    ),
    "second-order": lambda draw: draw(similarities(12), measure="Debiased linear CKA"),
    "layer-transfer": lambda draw: draw(
        0.25 + 0.1 * similarities(12), label="slope", measure="Balanced accuracy", chance=0.25
    ),
    "confusion": lambda draw: draw(np.diag([5.0, 4, 6]) + 1, ["low", "mid", "high"], label="slope", layer=7),
    "surface-control": lambda draw: draw(surface(), hypothesis="same slope", condition=A),
    "noise-ceiling": lambda draw: draw({A: NoiseCeiling(np.full(13, 0.5), np.full(13, 0.7), 5)}),
    "attention-of-head": lambda draw: draw({A: shares(), B: shares(1)}, block=3, head=2, rows="last"),
    "attention-on-text": lambda draw: draw(
        {A: on_text(), B: on_text(("relevant", "question", "response"), seed=1)},
        item="line <1>",
        block=3,
        by="token",
        most={A: 0.2, B: 0.9},
    ),
    "trajectory-by-layer": lambda draw: draw({A: layer_means(0.5), B: layer_means(3.0)}),
    "trajectory-right-wrong": lambda draw: draw({A: by_outcome(0.5), B: by_outcome()}, score="Right answer preferred"),
    "trajectory-over-candidates": lambda draw: draw(
        OverCandidates({" yes": layer_means(-3.0, "answer"), " no": layer_means(-5.0, "answer")}), condition=B
    ),
    "trajectory-of-item": lambda draw: draw(one_item(), condition=B),
    "attention-split": lambda draw: draw({A: split(seed=0), B: split(seed=1)}),
}


def drawn(name):
    return DRAWN[name](FIGURES[name])
