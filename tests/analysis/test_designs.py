import numpy as np
import pytest

from iclviz.analysis import linked
from iclviz.analysis.designs import Design

SETS = np.repeat(np.arange(16), 2)
POSITION = np.tile(["first", "second"], 16)
LEVELS = np.array([f"level {n // 2 % 4 if n % 2 else 4 + n // 8}" for n in range(32)])
"""No two sets have the same two."""


def moved_by_position(seed, strength=3.0):
    """A change and a score that have nothing in common but the position."""
    rng = np.random.default_rng(seed)
    easy = strength * (POSITION == "second")
    return rng.normal(size=(32, 2)) + easy[:, None], rng.normal(size=32) + easy


def test_a_position_that_moves_both_is_no_link_within_sets():
    plain, apart = [], []
    for seed in range(40):
        change, score = moved_by_position(seed)
        options = {"n_permutations": 99, "n_bootstrap": 0}
        plain.append(linked({"m": change}, score, SETS, **options)["m"].p[0] < 0.05)
        apart.append(linked({"m": change}, score, SETS, factors={"position": POSITION}, **options)["m"].p[0] < 0.05)
    assert np.mean(plain) > 0.8
    assert np.mean(apart) < 0.2


def test_a_link_beside_a_position_is_found():
    change, score = moved_by_position(0)
    change[:, 1] += 3 * (score - 3.0 * (POSITION == "second"))
    link = linked({"m": change}, score, SETS, factors={"position": POSITION}, n_permutations=499, n_bootstrap=200)["m"]
    assert link.p_corrected[1] < 0.01
    assert link.moved == "groups' contrasts"
    assert link.low[1] < link.estimate[1] < link.high[1]


@pytest.mark.parametrize(
    ("groups", "factors", "moved"),
    [
        (SETS, {}, "items within groups"),
        (SETS, {"position": POSITION}, "groups' contrasts"),
        (np.repeat(np.arange(8), 4), {"position": POSITION}, "items within groups"),
        (SETS, {"x": np.random.default_rng(0).permutation(32).astype(float)}, "items within groups"),
        (
            SETS,
            {"level": LEVELS},
            "what factors leave of items within groups",
        ),
    ],
    ids=["none", "one item each", "positions that repeat", "a number", "hardly two groups alike"],
)
def test_what_moves_follows_the_design(groups, factors, moved):
    change, score = moved_by_position(0)
    link = linked({"m": change}, score, groups, factors=factors, n_permutations=19, n_bootstrap=0)["m"]
    assert link.moved == moved
    assert link.reason is None


def test_levels_of_one_group_only_are_the_smallest_thing_that_items_share():
    wording = np.repeat(np.arange(8), 6)
    document = np.array([f"document {n}" for n in np.repeat(np.arange(16), 3)])
    version = np.tile(["clean", "injected", "harmless"], 16)
    design = Design.of(48, wording, {"document": document, "version": version})
    assert (design.n_groups, int(design.blocks.max()) + 1, int(design.cells.max()) + 1) == (8, 16, 3)
    values = np.random.default_rng(0).normal(size=48)
    left = design.without_factors(values, within=True)
    for part in (document, version):
        np.testing.assert_allclose([left[part == level].sum() for level in np.unique(part)], 0, atol=1e-9)


def test_groups_move_as_a_whole_to_groups_of_the_same_make_up():
    position = np.array(["a", "b"] * 10 + ["a", "a", "b"] * 4)
    groups = np.concatenate([np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 14), 3)])
    design = Design.of(32, groups, {"position": position})
    values = np.random.default_rng(0).normal(size=(1, 32))
    places = design.groups_moved(values, 50, np.random.default_rng(1))
    for order in places:
        assert sorted(order) == list(range(32))
        assert (position[order] == position).all()
        assert ((order < 20) == (np.arange(32) < 20)).all()
        for group in np.unique(groups):
            assert len(np.unique(groups[order][groups == group])) == 1


def test_a_partial_link_has_its_own_p():
    rng = np.random.default_rng(0)
    difficulty, score = rng.normal(size=32), rng.normal(size=32)
    score = difficulty + 0.1 * score
    change = np.column_stack([difficulty + 0.1 * rng.normal(size=32), rng.normal(size=32)])
    link = linked({"m": change}, score, SETS, covariates={"difficulty": difficulty}, n_bootstrap=0)["m"]
    assert link.p[0] < 0.01
    assert link.partial_p[0] > 0.05
    assert (link.partial_p_corrected >= link.partial_p).all()


def test_without_covariates_there_is_no_partial_p():
    change, score = moved_by_position(0)
    link = linked({"m": change}, score, SETS, n_permutations=19, n_bootstrap=0)["m"]
    assert np.isnan(link.partial_p).all()


def test_between_very_unequal_groups_there_is_no_p():
    sizes = [40, *[1] * 15]
    groups = np.repeat(np.arange(16), sizes)
    rng = np.random.default_rng(0)
    link = linked({"m": rng.normal(size=(55, 2))}, rng.normal(size=55), groups, level="between", n_bootstrap=0)["m"]
    assert np.isnan(link.p).all()
    assert "too unequal (the smallest has 1 item, the largest 40 items)" in link.reason
