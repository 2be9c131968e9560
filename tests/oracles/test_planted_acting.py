"""Acting on the planted models finds the planted parts and nothing else; what it cannot see is held too."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

import iclviz
from iclviz import analysis
from iclviz.analysis.effect_maps import item_effects
from iclviz.capture.tracers.information_flow import InformationFlow
from iclviz.capture.tracing import Traced
from iclviz.errors import UserError
from iclviz.interventions.ablate import Ablate
from iclviz.mapping import Texts
from iclviz.spans import Mark
from iclviz.spec import Demonstrations
from tests.capture.models import random_prompt
from tests.oracles.planted import READ_LAYER, WORDS, cue_rows, induction_gpt2, name_rows, task_file

NONE = Demonstrations("none")
INDUCTION = {"induction_gpt2": 0, "induction_llama": 2}
"""Model -> its induction head in block 2; the head that looks at the token before is head 0 of block 1."""


@pytest.fixture(params=INDUCTION)
def named(request):
    return request.param


@pytest.fixture
def recorded(planted, named, tmp_path):
    """Rows of which the colour of whoever is asked for stands in the text."""
    rows = [row for row in name_rows() if row["query"].count(row["query"].split()[-1]) == 2]
    return iclviz.run(str(planted[named]), task_file(rows, tmp_path, "names"), NONE, len(rows), max_new_tokens=1)


def where_anything_happens(recording, grid):
    """(first, second) of each site at which any item's answer changes."""
    made = iclviz.effect_map(recording, grid)
    moved = np.abs(np.nan_to_num(item_effects(made))).max(axis=-1) > 1e-4
    return {(made.axes[0].values[a], made.axes[1].values[b]) for a, b in np.argwhere(moved)}


def test_at_the_last_token_the_induction_head_alone_matters(recorded, named):
    assert where_anything_happens(recorded, "heads") == {(INDUCTION[named], 2)}


def test_everywhere_the_head_before_it_matters_too(recorded, named):
    assert where_anything_happens(recorded, "heads rows=all") == {(INDUCTION[named], 2), (0, 1)}


def test_the_answer_comes_from_the_relevant_text_in_block_2(recorded):
    made = iclviz.effect_map(recorded, "attention draws=3")
    places = dict(zip(made.axes[0].values, np.moveaxis(item_effects(made), -1, 0).mean(axis=0), strict=True))
    assert places["relevant"][1] < -1
    assert np.abs(places["relevant"][0]) < 1e-4
    found = analysis.effect_of_sites((made, recorded), beyond=True)
    at = made.axes[0].values.index("relevant")
    assert found.p_corrected[at, 1] < 0.05
    # Blind to the question in block 1, the last token notes several tokens at once as the one before it, among them the
    # one that the induction head looks for: it then looks at itself.
    expected = {(place, 2) for place in places} | {("question", 1)}
    assert where_anything_happens(recorded, "attention draws=0") <= expected


def test_heads_that_matter_are_those_that_attend(recorded, named):
    found = analysis.effect_of_sites((iclviz.effect_map(recorded, "heads"), recorded))
    (first, *_) = found.strongest()
    assert (found.first[first[0]], found.second[first[1]]) == (INDUCTION[named], 2)
    assert (found.chosen[0].first, found.chosen[0].second) == (INDUCTION[named], 2)


@pytest.fixture
def cued(planted, tmp_path):
    return iclviz.run(
        str(planted["direction_gpt2"]), task_file(cue_rows(), tmp_path, "cues"), NONE, 24, max_new_tokens=1
    )


def test_the_block_that_reads_the_cue_and_the_one_that_says_it_are_found(cued):
    assert where_anything_happens(cued, "parts") == {("attention", 2), ("mlp", 3)}
    assert where_anything_happens(cued, "heads") == {(0, 2)}


def test_another_items_values_move_the_answer_only_where_the_class_is(cued):
    """Of another group with the other class the answer turns; of the same class nothing happens."""
    assert where_anything_happens(cued, "parts to=resample draws=4") == {("attention", 2), ("mlp", 3)}
    made = iclviz.effect_map(cued, "parts to=resample draws=8")
    effects = item_effects(made)[0, 1]
    assert effects.min() < -1
    assert np.abs(item_effects(made)[0, 0]).max() < 1e-4


def test_a_state_from_the_read_layer_on_carries_the_answer(cued, planted, tmp_path):
    """With another cue before it the last token's state is the other run's: from the layer on at which it is read."""
    task = task_file(cue_rows(), tmp_path, "cues")
    run = iclviz.run(
        str(planted["direction_gpt2"]), task, Demonstrations("custom", 1, examples=("moon , , ann dark\n",)), 24,
        max_new_tokens=1,
    )  # fmt: skip
    made = iclviz.effect_map(run, "patch shown=none k=0")
    last = item_effects(made)[0]
    assert np.abs(last[: READ_LAYER - 1]).max() < 1e-4
    differs = np.abs(last[READ_LAYER - 1 :]).max(axis=-1)
    assert (differs > 1).all()


def test_resampling_where_all_items_have_the_same_text_is_refused(planted, tmp_path):
    """What resampling cannot see: a place in demonstrations that all items share."""
    shown = Demonstrations("custom", 2, examples=("ann red , bob blue , ann red\n", "bob blue , cat red , bob blue\n"))
    rows = name_rows()
    run = iclviz.run(str(planted["induction_gpt2"]), task_file(rows, tmp_path, "names"), shown, 12, max_new_tokens=1)
    for to in ("resample", "mean"):
        with pytest.raises(UserError, match="Nothing would change"):
            iclviz.run_spec(run.spec.with_(interventions=(Ablate(to=to, rows="demonstration"),)))


def test_the_catalogue_names_the_planted_heads_and_no_others(recorded, named):
    found = analysis.head_scores([iclviz.trace(recorded, "head_catalogue n=5 sequences=8")])
    assert found.scores["previous"][0, 0] == pytest.approx(1, abs=1e-5)
    others = np.delete(found.scores["previous"].ravel(), 0)
    assert others.max() < 0.3
    highest = np.unravel_index(int(found.scores["induction"].argmax()), found.scores["induction"].shape)
    assert highest == (1, INDUCTION[named])
    assert found.scores["induction"][highest] > 3 * np.sort(found.scores["induction"].ravel())[-2]
    assert found.controls["induction"][highest] < 0.2
    assert found.controls["previous"][0, 0] == pytest.approx(1, abs=1e-5)
    assert ("Induction", pytest.approx(found.scores["induction"][highest]), 1) in found.of_head(2, INDUCTION[named])


def flow_of(model):
    """(2, 3) the flow of one text: an example, and a question whose name was there once."""
    text = "<s> cat red , dan blue , cat red ann green , bob grey , ann"
    ids = [WORDS.index(word) for word in text.split()]
    prompt = replace(
        random_prompt(np.random.default_rng(0), len(ids)), ids=ids, marks=[Mark("answer:0", 8, 9)],
        candidates=[[*ids, WORDS.index(colour)] for colour in ("green", "grey")],
    )  # fmt: skip
    subject = Traced(model, None, 2, 2, torch.device("cpu"), "interface")
    ((_, row),) = InformationFlow().traced(subject, Texts([prompt], range(9)), frozenset())
    return row["flow"]


def test_a_saturated_head_hides_what_feeds_it(planted, tmp_path, monkeypatch):
    """The head that looks at the token before is needed in both models, and has no flow where the next is saturated."""
    soft = flow_of(GPT2LMHeadModel.from_pretrained(planted["induction_gpt2"]))
    assert soft[0].sum() > 1e-3 * soft[1].sum() > 0
    monkeypatch.setattr("tests.oracles.planted.MATCH", math.exp(60))
    hard = flow_of(GPT2LMHeadModel.from_pretrained(induction_gpt2(tmp_path / "hard")))
    assert hard[1].sum() > 0
    assert hard[0].sum() < 1e-6 * hard[1].sum()


def test_a_task_vector_of_the_cue_is_another_items_class(cued):
    """From the layer on at which the class is read, another item's state says that item's class."""
    made = iclviz.effect_map(cued, {"kind": "task_vector", "shown": "none", "k": 0, "draws": 4})
    effects = item_effects(made)[0]
    assert np.abs(effects[: READ_LAYER - 1]).max() < 1e-4
    assert (effects[READ_LAYER - 1 :].min(axis=-1) < -1).all()


def test_a_function_vector_of_the_reading_head_is_its_mean_and_of_others_nothing(cued):
    """The mean over items of other groups holds both classes: added, it moves items to the one that is more often."""
    of_reader = iclviz.run_spec(cued.spec.with_(interventions=("function_vector sources=2:0 layers=2 shown=none k=0",)))
    of_other = iclviz.run_spec(cued.spec.with_(interventions=("function_vector sources=1:1 layers=2 shown=none k=0",)))
    moved = np.abs(of_reader.scores["logprob_margin"] - cued.scores["logprob_margin"])
    assert moved.max() > 0.1
    np.testing.assert_allclose(of_other.scores["logprob_margin"], cued.scores["logprob_margin"], atol=1e-3)


def test_a_moved_class_is_the_answer_from_the_layer_on_at_which_it_is_read(cued):
    """Before it the state knows nothing of the class; the name, which nothing reads, moves nothing anywhere."""
    made = iclviz.effect_map(cued, "competence label=kind control=name every=1")
    found = analysis.competence_by_block((made, cued))
    moved, stayed, both = found.estimate
    np.testing.assert_allclose(moved[: READ_LAYER - 1], found.before, atol=1e-3)
    assert (moved[READ_LAYER - 1 :] > 0.95).all()
    assert (stayed > 0.95).all()
    assert found.chosen >= READ_LAYER
    assert found.of_chosen[0] > 0.95
    np.testing.assert_allclose(both, (moved + stayed) / 2)


def test_a_gradient_foretells_nothing_before_the_read_layer_and_the_true_way_from_there_on(cued, planted, tmp_path):
    task = task_file(cue_rows(), tmp_path, "cues")
    shown = Demonstrations("custom", 1, examples=("moon , , ann dark\n",))
    run = iclviz.run(str(planted["direction_gpt2"]), task, shown, 24, max_new_tokens=1)
    patches = iclviz.effect_map(run, "patch shown=none k=0")
    found = analysis.foretold_patches([iclviz.trace(run, "attribution_patching shown=none k=0"), run, patches])
    assert np.abs(found.estimate[0, : READ_LAYER - 1]).max() < 1e-4
    moves = np.abs(found.true[0]) > 1e-3
    assert (np.sign(found.estimate[0, moves]) == np.sign(found.true[0, moves])).all()


def test_isolated_answers_matter_where_they_gather_and_where_they_are_read_and_nowhere_else(planted, named, tmp_path):
    """An answer notes the name before it in block 1, and is read by whoever asks for that name in block 2."""
    rows = [row for row in name_rows() if row["query"].count(row["query"].split()[-1]) == 2]
    shown = {"id": "shown", "query": "cat grey , dan pink , ann", "answer": "black", "candidates": ["grey"]}
    path = task_file([*rows, shown | {"use": "demonstration"}], tmp_path, "shown")
    run = iclviz.run(str(planted[named]), path, Demonstrations("correct", 1), len(rows), max_new_tokens=1)
    assert where_anything_happens(run, "isolation width=1 draws=0") == {("gathering", "1 to 1"), ("read", "2 to 2")}
    followed = iclviz.trace(run, "reweighting epochs=2 rate=0.1")
    factor = analysis.gain_by_reweighting((followed, run)).factor
    assert np.unravel_index(int(np.abs(np.log(factor)).argmax()), factor.shape) == (1, INDUCTION[named])
