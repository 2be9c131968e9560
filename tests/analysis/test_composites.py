import numpy as np
import pytest

from iclviz.analysis import composite_to_simple, joint_rsms, rsm
from iclviz.errors import AnalysisError

SETS = np.repeat(np.arange(12), 2)


def made(strength=0.0, seed=0, sets=SETS):
    """Composite items that hold all statements of their set, and more of their own in layer 1."""
    rng = np.random.default_rng(seed)
    simple = rng.normal(size=(len(sets), 3, 40))
    together = np.stack([simple[sets == code].sum(axis=0) for code in sets])
    composite = together + rng.normal(size=simple.shape)
    composite[:, 1] += strength * simple[:, 1]
    return composite, simple


def test_a_planted_resemblance_is_found_in_its_layer():
    found = composite_to_simple(*made(1.0), SETS)
    assert found.p_corrected[1] < 0.01
    assert (found.p_corrected[[0, 2]] > 0.05).all()
    assert 0 < found.low[1] < found.estimate[1] < found.high[1]
    assert found.n_units == 12


def test_a_contrast_is_the_right_prompt_less_the_mean_of_the_others():
    sets = np.repeat(np.arange(8), 3)
    composite, simple = made(0.5, sets=sets)
    found = composite_to_simple(composite, simple, sets, n_permutations=9, n_bootstrap=9)
    similar = joint_rsms(composite, simple)[1][:24, 24:]
    assert found.contrasts[4, 1] == pytest.approx(similar[4, 4] - similar[4, [3, 5]].mean())


def test_one_rsm_holds_both_kinds_each_around_its_own_mean():
    composite, simple = made()
    joint = joint_rsms(composite + 100, simple)
    centred = np.vstack([composite[:, 0] - composite[:, 0].mean(axis=0), simple[:, 0] - simple[:, 0].mean(axis=0)])
    np.testing.assert_allclose(joint[0], rsm(centred, center=False), atol=1e-6)


def test_a_set_of_one_item_has_no_contrast():
    sets = np.concatenate([SETS[:-2], [50, 51]])
    found = composite_to_simple(*made(sets=sets), sets, n_permutations=9, n_bootstrap=9)
    assert np.isnan(found.contrasts[-2:]).all()
    assert found.n_units == 11


def test_a_constant_layer_has_no_contrast():
    composite, simple = made()
    composite[:, 0] = 1
    found = composite_to_simple(composite, simple, SETS, n_permutations=19, n_bootstrap=9)
    assert np.isnan(found.estimate[0])
    assert np.isfinite(found.p_corrected[1:]).all()


def test_too_few_sets_give_no_p():
    sets = np.repeat(np.arange(4), 2)
    found = composite_to_simple(*made(sets=sets), sets)
    assert "too few groups" in found.reason
    assert np.isnan(found.p).all()


def test_other_shapes_are_refused():
    with pytest.raises(AnalysisError, match="same items"):
        composite_to_simple(np.ones((4, 2, 3)), np.ones((5, 2, 3)), np.arange(4))
