from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.analysis.order_shares import NOTHING, ONE_SET, TAILS, components, variances
from iclviz.errors import AnalysisError
from iclviz.grids.orders import Orders
from iclviz.mapping import Axis
from iclviz.questions.codec import decode, encode
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map

GROUPS = np.repeat(np.arange(16), 3)
N = len(GROUPS)


def map_of(margins, groups=GROUPS, base=0.0):
    """A map of orders with the margins (S, O, n) of two candidates, and the recording of its run."""
    n_sets, n_orders, n = margins.shape
    logprobs = np.stack([margins - 1, np.full(margins.shape, -1.0)], axis=-1)[:, :, None]
    made = effect_map(
        np.stack([np.full(n, base - 1.0), np.full(n, -1.0)], axis=-1), logprobs,
        np.ones((n_sets, n_orders, 1, n), dtype=int), grid=Orders(sets=n_sets, orders=n_orders),
    )  # fmt: skip
    axes = Axis("set", tuple(range(1, n_sets + 1))), Axis("order", tuple(range(1, n_orders + 1)))
    return replace(made, axes=axes), make_recording(n, groups={"label": groups})


def planted(between_orders, between_sets, n_sets=4, n_orders=4, common=0.0, n=N, seed=0):
    """Margins (S, O, n) with these variances, so much of them the same for all items."""
    rng = np.random.default_rng(seed)

    def drawn(*shape):
        return np.sqrt(common) * rng.normal(size=(*shape, 1)) + np.sqrt(1 - common) * rng.normal(size=(*shape, n))

    return np.sqrt(between_orders) * drawn(n_sets, n_orders) + np.sqrt(between_sets) * drawn(n_sets, 1)


def test_the_share_is_that_of_a_hand_computation():
    one, other = np.array([[0.0, 2.0], [4.0, 8.0]]), np.array([[1.0, 1.0], [3.0, 1.0]])
    found = analysis.order_share(map_of(np.stack([one, other], axis=-1), groups=np.arange(2)), "margin")
    # of the first item orders vary by (2 + 8) / 2 = 5 and sets by 25 / 2 - 5 / 2 = 10, of the second by 1 and 0
    assert found.of_items.between_orders == pytest.approx(3)
    assert found.of_items.between_sets == pytest.approx(5)
    assert found.of_items.share == pytest.approx(3 / 8)
    means = np.array([[0.5, 1.5], [3.5, 4.5]])
    np.testing.assert_allclose(found.means, means)
    assert found.of_mean.between_orders == pytest.approx(0.5)
    assert found.of_mean.between_sets == pytest.approx(9 / 2 - 0.5 / 2)
    assert found.ranges.tolist() == [1, 1]
    assert (found.best, found.worst) == ((1, 1), (0, 0))
    np.testing.assert_allclose(found.right, [[0.5, 1], [1, 1]])
    assert "too few groups of items (2 < 8)" in found.reason
    assert np.isnan([found.low, found.high]).all()


def test_it_is_how_far_orders_of_a_set_are_apart_over_how_far_sets_are():
    values = planted(1.0, 2.0)
    between_orders, between_sets = variances(values)
    pairs = [(s, o, t, p) for s in range(4) for o in range(4) for t in range(4) for p in range(4) if (s, o) < (t, p)]
    half = {same: [(values[s, o] - values[t, p]) ** 2 / 2 for s, o, t, p in pairs if (s == t) is same]
            for same in (True, False)}  # fmt: skip
    np.testing.assert_allclose(between_orders, np.mean(half[True], axis=0))
    np.testing.assert_allclose(between_orders + between_sets, np.mean(half[False], axis=0))


@pytest.mark.parametrize(("orders", "sets"), [(1.0, 1.0), (0.2, 1.0), (1.0, 0.0), (0.0, 1.0)])
def test_planted_variances_are_found(orders, sets):
    found = analysis.order_share(map_of(planted(orders, sets, 12, 6, seed=1)), "margin")
    share = orders / (orders + sets)
    assert found.of_items.between_orders == pytest.approx(orders, abs=0.1)
    assert found.of_items.between_sets == pytest.approx(sets, abs=0.15)
    assert found.of_items.share == pytest.approx(share, abs=0.1)
    assert found.low <= found.of_items.share <= found.high
    assert found.of_items.low <= share + 1e-9
    assert found.of_items.high >= share - 1e-9
    assert decode(encode(found)).of_items == found.of_items


def test_what_moves_single_items_both_ways_is_gone_in_the_mean():
    of_each = analysis.order_share(map_of(planted(1.0, 1.0)), "margin")
    of_all = analysis.order_share(map_of(planted(1.0, 1.0, common=1.0)), "margin")
    assert of_each.of_mean.between_orders < 0.1 * of_each.of_items.between_orders
    assert of_all.of_mean.between_orders == pytest.approx(of_all.of_items.between_orders)


def test_the_interval_over_draws_is_that_of_the_f_distribution_and_more_items_do_not_narrow_it():
    values = planted(1.0, 1.0, common=1.0)
    found, many = components(values), components(np.repeat(values, 5, axis=-1))
    assert (found.low, found.high) == pytest.approx((many.low, many.high))
    rng, freedom = np.random.default_rng(0), (3 / TAILS, 12 / TAILS)
    ratio = rng.chisquare(freedom[0], 400_000) / freedom[0] / (rng.chisquare(freedom[1], 400_000) / freedom[1])
    observed = 1 + 4 * found.between_sets / found.between_orders
    inside = np.quantile(1 / (1 + np.maximum(observed / ratio - 1, 0) / 4), [0.025, 0.975])
    np.testing.assert_allclose(inside, [found.low, found.high], atol=0.01)


def test_one_set_alone_has_no_share_but_says_how_far_orders_move_the_mean():
    found = analysis.order_share(map_of(planted(1.0, 1.0, n_sets=1, common=1.0)), "margin")
    assert found.reason == ONE_SET
    assert np.isnan([found.of_items.share, found.of_mean.share, found.low]).all()
    assert found.of_items.between_orders > 0
    assert found.ranges[0] == pytest.approx(np.ptp(found.means))


def test_differences_that_arithmetic_does_not_hold_are_none():
    found = analysis.order_share(map_of(1e-7 * planted(1.0, 1.0)), "margin")
    assert found.reason == NOTHING
    assert np.isnan(found.of_items.share)


def test_another_kind_of_map_is_refused():
    made = effect_map(np.zeros((4, 2)), np.zeros((2, 2, 1, 4, 2)), np.ones((2, 2, 1, 4), dtype=int))
    with pytest.raises(AnalysisError, match="not over orders"):
        analysis.order_share((made, make_recording(4)))
