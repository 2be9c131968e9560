import numpy as np
import pytest

import iclviz
from iclviz import analysis
from iclviz.errors import Cancelled, SpecError, StoreError, UserError
from iclviz.jobs.queue import Queue
from iclviz.jobs.trace_computing import compute_trace
from iclviz.jobs.worker import work
from iclviz.mapping import MapSpec, grid_or_tracer, tracer, tracers
from iclviz.resolve import resolve_map
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store

FLOW, CATALOGUE = "information_flow", "head_catalogue n=4 sequences=10"


@pytest.fixture
def spec(tiny_model):
    return RunSpec(str(tiny_model), "reading_comprehension", Demonstrations("correct", 2), 12)


def wanted(spec, typed, store):
    return resolve_map(MapSpec(spec, tracer(typed)), store.memo)


@pytest.mark.parametrize("typed", [FLOW, CATALOGUE])
def test_it_is_read_back_as_it_was_and_found_by_its_run(typed, spec, store, keeper):
    made = compute_trace(wanted(spec, typed, store), store, keeper)
    again = Store(store.folder).load_trace(made.key)
    assert again.spec == made.spec
    for name, values in made.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], values.astype(np.float32))
    recording = iclviz.run_spec(spec)
    assert store.map_of(recording, tracer(typed)) == made.key
    assert store.maps_of(recording) == [made.key]
    with pytest.raises(StoreError, match="is a trace, and no map"):
        store.load_map(made.key)


def test_what_is_of_the_model_is_the_same_of_all_its_runs(spec, store, keeper):
    others = [spec.with_(n_items=5), spec.with_(task="linear_regression"), spec.with_(seed=3)]
    keys = {wanted(one, CATALOGUE, store).key for one in (spec, *others)}
    assert len(keys) == 1
    assert len({wanted(one, FLOW, store).key for one in (spec, *others)}) == 4
    assert wanted(spec, "head_catalogue n=5 sequences=10", store).key not in keys
    assert wanted(spec.with_(dtype="bfloat16"), CATALOGUE, store).key not in keys


def test_one_that_was_stopped_goes_on_and_gives_the_same_bytes(spec, store, keeper, tmp_path):
    other = Store(tmp_path / "other")
    compute_trace(wanted(spec, FLOW, other), other, keeper)
    resolved = wanted(spec, FLOW, store)
    left = store.unfinished_map(resolved.key)
    told = []
    with pytest.raises(Cancelled):
        compute_trace(resolved, store, keeper, told.append, lambda: any(one.items_done == 9 for one in told))
    assert sum(len(arrays["rows"]) for arrays, _ in left.pieces()) == 9
    compute_trace(resolved, store, keeper)
    files = [one.folder / "maps" / resolved.key / "arrays.safetensors" for one in (store, other)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not left.exists


def test_the_worker_makes_it_and_its_job_says_so(spec, store):
    resolved, queue = wanted(spec, CATALOGUE, store), Queue(store)
    queue.submit(resolved.spec, resolved.key)
    assert queue.get(resolved.key).spec == resolved.spec
    work(store, "cpu", once=True)
    assert queue.get(resolved.key).state == "done"
    assert store.has_map(resolved.key)


def test_analyses_say_what_it_holds(spec, store):
    recording = iclviz.run_spec(spec.with_(record=("demonstration_attention",)))
    flow = analysis.flow_by_block((iclviz.trace(recording, FLOW), recording))
    assert flow.estimate.shape == (3, recording.n_layers)
    np.testing.assert_allclose(flow.estimate.sum(axis=0), 1)
    assert ((flow.low <= flow.estimate) & (flow.estimate <= flow.high)).all()
    assert flow.total.max() == 1
    maps = [iclviz.effect_map(recording, "heads"), iclviz.effect_map(recording, "head_means shown=none k=0")]
    found = analysis.head_scores([iclviz.trace(recording, CATALOGUE), recording, *maps])
    assert list(found.scores) == ["induction", "previous", "duplicate", "answers", "effect", "function_vector"]
    assert {values.shape for values in found.scores.values()} == {found.shape}
    answers = np.nansum(recording.demonstration_answer_attention, axis=-1).mean(axis=0)
    np.testing.assert_allclose(found.scores["answers"], answers, rtol=1e-5)
    assert len(found.rows()) == found.shape[0] * found.shape[1]


def test_a_run_without_demonstrations_has_no_flow_and_says_why(spec, store):
    with pytest.raises(UserError, match="no flow goes through one"):
        iclviz.trace(spec.with_(demonstrations=Demonstrations("none", 0)), FLOW)


def test_what_is_followed_under_other_demonstrations_too_is_kept_and_said(spec, store):
    recording = iclviz.run_spec(spec)
    foretold = iclviz.trace(recording, "attribution_patching shown=shuffled k=2")
    assert foretold.arrays["effect"].shape == (recording.n_items, 3, recording.n_layers)
    assert np.isfinite(foretold.arrays["effect"][:, 0]).all()
    patches = iclviz.effect_map(recording, "patch shown=shuffled k=2")
    found = analysis.foretold_patches([foretold, recording, patches])
    assert found.agreement[0] > 0.5
    learned = iclviz.trace(recording, "reweighting epochs=1")
    gain = analysis.gain_by_reweighting((learned, recording))
    assert gain.factor.shape == next(iter(recording.attention.values())).shape[1:]
    assert gain.base == pytest.approx(np.mean(learned.arrays["margin"]))


def test_kinds_are_read_as_they_are_typed():
    assert set(tracers()) == {"attribution_patching", "head_catalogue", "information_flow", "reweighting"}
    assert grid_or_tracer("head_catalogue n=7") == tracer({"kind": "head_catalogue", "n": 7})
    assert grid_or_tracer("heads").kind == "heads"
    with pytest.raises(SpecError, match="Unknown trace 'nothing'"):
        tracer("nothing")
    with pytest.raises(SpecError, match="n = 1 does not fit"):
        tracer("head_catalogue n=1")
