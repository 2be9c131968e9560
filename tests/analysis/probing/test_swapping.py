import numpy as np
import pytest

from iclviz.analysis.paired import standardised_p
from iclviz.analysis.probing.chance import Hat, balanced_accuracies, r_squares
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.row_space import gram, inner_products, rows
from iclviz.analysis.probing.swapping import swapped

GROUPS = np.repeat(np.arange(16), 3)


def sides(seed, strengths, classes=True, shift=0.0):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(16) % 3)[GROUPS] if classes else rng.normal(size=16)[GROUPS]
    values = np.eye(3)[y] if classes else y[:, None]
    directions = np.linalg.qr(rng.normal(size=(24, 3)))[0].T[: values.shape[1]]
    common = rng.normal(size=(48, 2, 24))
    a, b = (common + rng.normal(size=(48, 2, 24)) + s * (values @ directions)[:, None] for s in strengths)
    return a, (1 + shift) * b + shift, y.astype(str) if classes else y


@pytest.mark.parametrize("classes", [True, False])
def test_a_label_that_b_holds_more_of_is_found(classes):
    found = swapped(*sides(0, (0.0, 6.0), classes), GROUPS)
    assert standardised_p(found.observed, found.null)[1].max() < 0.02
    assert (found.difference > 0).all()


@pytest.mark.parametrize("classes", [True, False])
def test_the_difference_is_that_of_the_least_squares_probes(classes):
    a, b, y = sides(1, (2.0, 4.0), classes)
    found = swapped(a, b, y, GROUPS, n_permutations=9, seed=3)
    numbers = np.unique(y, return_inverse=True)[1] if classes else y

    def score(x):
        products, hat = gram(x), Hat.empty(2, 48)
        for train, test in group_folds(GROUPS, 5, 3):
            hat.add(train, test, rows(products, train), inner_products(products, train, test))
        if classes:
            return balanced_accuracies(hat, numbers[None])[0]
        return -np.log(1 - r_squares(hat, numbers[None])[0])

    np.testing.assert_allclose(found.difference, score(b) - score(a), atol=1e-6)


def test_a_common_shift_and_size_change_nothing():
    plain, moved = (swapped(*sides(2, (2.0, 2.0), shift=shift), GROUPS, n_permutations=19) for shift in (0.0, 3.0))
    np.testing.assert_allclose(plain.null, moved.null, atol=1e-9)


def test_swapping_all_turns_the_difference_round():
    a, b, y = sides(0, (0.0, 4.0))
    one, other = swapped(a, b, y, GROUPS, n_permutations=9), swapped(b, a, y, GROUPS, n_permutations=9)
    np.testing.assert_allclose(one.observed, -other.observed)


def test_few_or_very_unequal_groups_give_a_reason_and_no_null():
    a, b, y = sides(0, (0.0, 4.0), classes=False)
    few = swapped(a, b, y, GROUPS // 3)
    assert "too few groups" in few.reason
    assert not len(few.null)
