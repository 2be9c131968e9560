import numpy as np
import pytest

from iclviz.analysis import compare, headline, measure_effect, score_effect
from iclviz.analysis.effects import pairs_of
from iclviz.analysis.measure import Measuring
from iclviz.contrasts import Contrast
from iclviz.errors import AnalysisError
from iclviz.spans import ROLES
from tests.analysis.conftest import make_recording

CONTRAST = Contrast("version", "injected", "harmless", "document", "injected minus harmless")
VERSION = np.tile(["clean", "injected", "harmless"], 16)
DOCUMENT = np.repeat([f"document {n}" for n in range(16)], 3)
INJECTED = VERSION == "injected"


def injected(seed, hurt, documents=DOCUMENT, versions=VERSION):
    """Documents whose injected version scores so much less than the harmless one, and gets more attention."""
    rng = np.random.default_rng(seed)
    of_document = rng.normal(size=16).repeat(3)
    score = of_document - hurt * INJECTED - 0.5 * (VERSION == "clean") + 0.1 * rng.normal(size=48)
    mass = {role: rng.uniform(0.9, 1.1, size=(48, 3, 2)).astype(np.float32) for role in ROLES}
    mass["relevant"] *= np.exp(-hurt * INJECTED)[:, None, None].astype(np.float32)
    return make_recording(
        48, attention=mass, attention_last=mass, scores={"right": score}, parsed=["yes"] * 48,
        groups={"same": DOCUMENT}, factors={"version": versions, "document": documents},
        hypotheses={"same": np.equal.outer(DOCUMENT, DOCUMENT).astype(float)},
        embeddings={"query_mean": rng.normal(size=(48, 4, 8)).astype(np.float32)},
    )  # fmt: skip


def test_an_effect_is_the_difference_of_pairs_and_not_of_all_items():
    effect = score_effect(compare(injected(0, 2.0), injected(1, 0.5)), CONTRAST, "right")
    assert effect.n == 16
    assert float(effect.a.estimate[0]) == pytest.approx(-2.0, abs=0.1)
    assert float(effect.b.estimate[0]) == pytest.approx(-0.5, abs=0.1)
    assert float(effect.change.estimate[0]) == pytest.approx(1.5, abs=0.15)
    assert effect.change.p[0] < 0.01
    assert effect.change.n_units == 16


def test_an_effect_on_a_measure_is_by_layer():
    effect = measure_effect(compare(injected(0, 1.0), injected(1, 0.0)), CONTRAST, "attention_ratio", Measuring())
    assert effect.a.estimate == pytest.approx([-1.0] * 3, abs=0.1)
    assert effect.b.estimate == pytest.approx([0.0] * 3, abs=0.1)
    assert (effect.change.p_corrected < 0.01).all()


def test_items_without_a_pair_are_left_out():
    kept = np.arange(3, 48)
    pairs = pairs_of({"version": VERSION[kept], "document": DOCUMENT[kept]}, CONTRAST)
    assert len(pairs.level) == len(pairs.against) == 15


def test_items_that_have_no_such_factor_are_refused_in_words():
    with pytest.raises(AnalysisError, match="no version and document"):
        pairs_of({}, CONTRAST)


def test_a_headline_of_effects_rests_on_pairs_and_tells_every_level():
    found = headline(
        compare(injected(0, 2.0), injected(1, 0.5)), "right", None, CONTRAST, n_permutations=99, n_bootstrap=9
    )
    assert found.n_items == 16
    assert set(found.by_level) == {"clean", "injected", "harmless"}
    assert float(found.change.estimate[0]) == pytest.approx(1.5, abs=0.15)
    assert found.links["within"]["attention_ratio"].n == 32
    assert found.links["within"]["attention_ratio"].moved == "groups' contrasts"


def test_where_recordings_have_no_factors_a_headline_takes_items_as_they_are():
    plain = [make_recording(48, scores={"right": np.random.default_rng(seed).normal(size=48)}) for seed in (0, 1)]
    found = headline(compare(*plain), "right", None, CONTRAST, n_permutations=19, n_bootstrap=9)
    assert found.effect is None
    assert found.n_items == 48
