from dataclasses import replace
from itertools import zip_longest

import numpy as np
import pytest

import iclviz
from iclviz.errors import Cancelled, SpecError, StoreError, UserError
from iclviz.grids.attention import Attention
from iclviz.grids.competence import Competence
from iclviz.grids.demonstrations import Demonstrations as WithoutEach
from iclviz.grids.dose import Dose
from iclviz.grids.erase import LabelErased
from iclviz.grids.function_vector import FunctionVectors
from iclviz.grids.head_means import HeadMeans
from iclviz.grids.heads import Heads
from iclviz.grids.isolation import Isolation
from iclviz.grids.orders import Orders
from iclviz.grids.parts import Parts
from iclviz.grids.patch import Patched
from iclviz.grids.steer import LabelDosed
from iclviz.grids.task_vector import TaskVectors
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.function_vector import FunctionVector
from iclviz.interventions.knock_out import KnockOut
from iclviz.jobs.donors import groups_of
from iclviz.jobs.map_computing import compute_map, ranked_on_others
from iclviz.jobs.queue import Queue
from iclviz.jobs.worker import work
from iclviz.mapping import Axis, MapSpec, Shape, as_mapped
from iclviz.resolve import build, resolve_map
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from tests.analysis.generators import effect_map


@pytest.fixture
def spec(tiny_model):
    return RunSpec(str(tiny_model), "reading_comprehension", Demonstrations("correct", 2), 6)


def made(spec, grid, store, keeper):
    return compute_map(resolve_map(MapSpec(spec, grid), store.memo), store, keeper)


GRIDS = [
    Heads(), Heads(to="resample", draws=2), Heads(to="mean"), Parts(), Attention(), Attention(rows="query", window=2),
    WithoutEach(windows=2), Dose(steps=1), Patched(shown="none", k=0), Patched(shown="shuffled", k=2),
    TaskVectors(shown="none", k=0, draws=2), HeadMeans(shown="none", k=0),
    Isolation(width=1, draws=1), Competence(label="answer", control="position", every=1, random=1),
    LabelErased(label="answer", control="position", every=1, draws=2), LabelDosed(label="position", to="1", draws=1),
]  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_map_holds_at_each_site_what_a_run_with_the_same_done_to_it_holds(grid, spec, store, keeper):
    """Sites at the corners of the grid, each recorded as a run of its own."""
    found = made(spec, grid, store, keeper)
    shape = (len(found.axes[0].values), len(found.axes[1].values), grid.n_draws, 6)
    assert found.logprobs.shape[:-1] == shape
    plain = iclviz.run_spec(spec)
    np.testing.assert_allclose(found.base[:, 0], plain.scores["answer_logprob"], atol=1e-4)
    kinds = len(found.axes[0].values), len(found.axes[1].values)
    places = found.axes[0].values if found.axes[0].name == "place" else ()
    whole = Shape(3, 4, 2, places, ("none", "shuffled", "correct"))
    for row, column in {(0, 0), (kinds[0] - 1, kinds[1] - 1)}:
        site = grid.site(found.axes[0].values[row], found.axes[1].values[column], whole, grid.n_draws - 1)
        run = iclviz.run_spec(spec.with_(interventions=site))
        expected = run.scores["answer_logprob"]
        there = found.acted[row, column, -1] > 0
        np.testing.assert_allclose(found.logprobs[row, column, -1, there, 0], expected[there], atol=1e-4)
        assert (found.acted[row, column, -1] > 0).tolist() == (run.acted_places[:, 0] > 0).tolist()


def test_a_site_of_orders_is_what_a_run_with_those_demonstrations_holds(spec, store, keeper):
    spec = spec.with_(demonstrations=Demonstrations("correct", 3, 1))
    found = made(spec, Orders(sets=2, orders=3), store, keeper)
    assert found.axes == (Axis("set", (1, 2)), Axis("order", (1, 2, 3)))
    for row, column in np.ndindex(2, 3):
        shown = Demonstrations("correct", 3, 1 + row, order=column)
        run = iclviz.run_spec(spec.with_(demonstrations=shown))
        expected = run.scores["answer_logprob"]
        np.testing.assert_allclose(found.logprobs[row, column, 0, :, 0], expected, atol=1e-4)
        own = iclviz.run_spec(spec).prompt_ids
        differ = [sum(a != b for a, b in zip_longest(*pair)) for pair in zip(run.prompt_ids, own, strict=True)]
        assert found.acted[row, column, 0].tolist() == found.changed[row, column, 0].tolist() == differ
    assert not found.acted[0, 0].any()
    assert (found.acted[1:] > 0).all()


def test_orders_are_as_many_as_there_are_and_sets_where_a_seed_draws_them(spec, store, keeper):
    two = made(spec, Orders(sets=1, orders=4), store, keeper)
    assert two.axes[1].values == (1, 2)
    own = Demonstrations("custom", 3, 0, ("Mia is reading.", "Leo is baking.", "Ann is rowing."))
    assert made(spec.with_(demonstrations=own), Orders(), store, keeper).axes[0].values == (1,)
    with pytest.raises(SpecError, match="fewer than two demonstrations"):
        made(spec.with_(demonstrations=Demonstrations("correct", 1)), Orders(), store, keeper)


def test_orders_of_a_run_with_something_done_to_it_have_it_done_too_unless_it_is_of_other_items(spec, store, keeper):
    done = spec.with_(interventions=(KnockOut(to="demonstration:0"),))
    found = made(done, Orders(sets=1), store, keeper)
    run = iclviz.run_spec(done.with_(demonstrations=Demonstrations("correct", 2, order=1)))
    np.testing.assert_allclose(found.logprobs[0, 1, 0, :, 0], run.scores["answer_logprob"], atol=1e-4)
    with pytest.raises(SpecError, match="takes values of other items"):
        made(spec.with_(interventions=(Ablate(of="head", layers=2, heads=1, to="mean"),)), Orders(), store, keeper)


def test_what_is_written_at_each_site_has_the_score_of_a_run_with_the_same_done(spec, store, keeper):
    grid = Attention(rows="query", draws=1, responses=3)
    found = made(spec, grid, store, keeper)
    assert found.scores.shape == found.logprobs.shape[:-1]
    assert found.control_scores.shape == found.controls.shape[:-1]
    task = resolve_map(MapSpec(spec, grid), store.memo).run.task
    plain = iclviz.run_spec(spec.with_(max_new_tokens=3))
    np.testing.assert_allclose(found.base_scores, plain.scores[task.primary.score])
    place = found.axes[0].values[0]
    site = grid.site(place, 2, Shape(3, 4, 2, ()))
    run = iclviz.run_spec(spec.with_(interventions=site, max_new_tokens=3))
    np.testing.assert_allclose(found.scores[0, 1, 0], run.scores[task.primary.score])
    again = Store(store.folder).load_map(found.key)
    np.testing.assert_allclose(again.control_scores, found.control_scores)
    without = made(spec, Attention(rows="query", draws=1), store, keeper)
    assert without.scores is None
    np.testing.assert_allclose(without.logprobs, again.logprobs, atol=1e-4)
    with pytest.raises(SpecError, match="responses = -1 does not fit"):
        MapSpec(spec, Attention(responses=-1))


def test_function_vectors_are_of_the_heads_that_another_map_ranked_on_other_items(spec, store, keeper):
    without = spec.with_(demonstrations=Demonstrations("none", 0))
    grid = FunctionVectors(shown="correct", k=2, most=8)
    found = made(without, grid, store, keeper)
    assert found.axes[0].values == (1, 2, 4, 8, "shuffled")
    prior = resolve_map(grid.prior(without), store.memo)
    assert sorted(store.maps()) == sorted([found.key, prior.key])
    assert prior.spec.run.demonstrations == Demonstrations("shuffled", 2)
    ranked = ranked_on_others(store.load_map(prior.key), groups_of(build(prior.run)))
    assert len(set(ranked)) == 2
    assert all(sorted(one) == [(block, head) for block in (1, 2, 3) for head in range(4)] for one in ranked)
    for half in set(ranked):
        sources = ",".join(f"{block}:{head}" for block, head in half[:2])
        site = FunctionVector(sources=sources, shown="correct", k=2, layers=(2,))
        run = iclviz.run_spec(without.with_(interventions=(site,)))
        own = [one == half for one in ranked]
        expected = run.scores["answer_logprob"][own]
        np.testing.assert_allclose(found.logprobs[1, 1, 0, own, 0], expected, atol=1e-4)
    with_random = replace(site, random=0)
    run = iclviz.run_spec(without.with_(interventions=(with_random,)))
    np.testing.assert_allclose(found.controls[1, 1, 0, own, 0], run.scores["answer_logprob"][own], atol=1e-4)


def test_heads_are_ranked_by_the_rise_of_the_right_answer_in_the_other_half():
    rise = np.zeros((2, 3, 1, 8))
    rise[1, 2, 0, :4], rise[0, 0, 0, 4:] = 0.3, 0.3
    base = np.log(np.full((8, 2), 0.2))
    logprobs = np.log(np.stack([0.2 + rise, np.full(rise.shape, 0.2)], axis=-1))
    found = effect_map(base, logprobs, np.ones(rise.shape, dtype=int))
    for groups in (np.repeat([0, 1], 4), [0] * 8):
        ranked = ranked_on_others(found, groups)
        assert len(set(ranked)) <= 2
    ranked = ranked_on_others(found, np.repeat([0, 1], 4))
    assert [one[0] for one in ranked] == [(1, 0)] * 4 + [(3, 1)] * 4


def test_it_is_read_back_as_it_was_and_found_by_its_run_and_grid(spec, store, keeper):
    found = made(spec, Attention(), store, keeper)
    again = Store(store.folder).load_map(found.key)
    assert again.axes == found.axes
    assert again.spec == found.spec
    np.testing.assert_array_equal(again.logprobs, found.logprobs.astype(np.float32))
    np.testing.assert_array_equal(again.acted, found.acted)
    assert store.maps() == [found.key]
    longer = spec.with_(max_new_tokens=9, poolings=("last",), record=("trajectory",))
    assert resolve_map(MapSpec(longer, Attention()), store.memo).key == found.key
    others = [
        spec.with_(seed=3),
        spec.with_(interventions=(KnockOut(to="relevant"),)),
        as_mapped(spec).with_(n_items=7),
    ]
    keys = {resolve_map(MapSpec(one, Attention()), store.memo).key for one in others}
    keys |= {resolve_map(MapSpec(spec, grid), store.memo).key for grid in GRIDS if grid != Attention()}
    assert found.key not in keys
    assert len(keys) == len(others) + len(GRIDS) - 1


def test_one_that_was_stopped_goes_on_and_gives_the_same_bytes(spec, store, keeper, monkeypatch, tmp_path):
    monkeypatch.setenv("ICLVIZ_TOKEN_BUDGET", "300")
    monkeypatch.setattr("iclviz.jobs.map_computing.KEEP_SECONDS", 0.0)
    whole = made(spec, Heads(), Store(tmp_path / "other"), keeper)
    resolved = resolve_map(MapSpec(spec, Heads()), store.memo)
    left = store.unfinished_map(resolved.key)
    with pytest.raises(Cancelled):
        compute_map(resolved, store, keeper, should_stop=lambda: bool(left.pieces()))
    n_there = sum(len(arrays["rows"]) for arrays, _ in left.pieces())
    assert 0 < n_there < 12 * 6
    again = compute_map(resolved, store, keeper)
    files = [one.folder / "maps" / resolved.key / "arrays.safetensors" for one in (store, Store(tmp_path / "other"))]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not left.exists
    assert again.key == whole.key


def test_the_worker_makes_it_and_its_job_says_so(spec, store, keeper):
    resolved, queue = resolve_map(MapSpec(spec, Parts()), store.memo), Queue(store)
    queue.submit(resolved.spec, resolved.key)
    assert queue.get(resolved.key).spec == resolved.spec
    work(store, "cpu", once=True)
    assert queue.get(resolved.key).state == "done"
    assert store.has_map(resolved.key)


def test_a_map_and_a_run_are_never_one_sweep(spec, store):
    queue, resolved = Queue(store), resolve_map(MapSpec(spec, Parts()), store.memo)
    queue.submit(resolved.spec, resolved.key)
    queue.submit(resolved.run.spec, resolved.run.key)
    assert [job.key for job in queue.next_sweep()] == [resolved.key]
    queue.cancel(resolved.key)
    assert [job.key for job in queue.next_sweep()] == [resolved.run.key]


def test_what_acts_nowhere_in_a_run_is_refused_and_its_job_says_why(spec, store, keeper):
    without = spec.with_(demonstrations=Demonstrations("none", 0))
    with pytest.raises(SpecError, match="no demonstrations to keep out of sight"):
        made(without, WithoutEach(), store, keeper)
    with pytest.raises(SpecError, match="Nothing would change"):
        made(without, Patched(shown="none", k=0), store, keeper)
    with pytest.raises(UserError, match="Nothing would change"):
        iclviz.effect_map(without, "patch shown=none k=0")


def test_what_is_done_in_the_run_itself_is_done_everywhere_and_not_counted(spec, store, keeper):
    cut = spec.with_(interventions=(KnockOut(to="demonstration", rows="query"),))
    found = made(cut, Parts(), store, keeper)
    np.testing.assert_allclose(found.base[:, 0], iclviz.run_spec(cut).scores["answer_logprob"], atol=1e-4)
    assert set(found.acted.ravel().tolist()) == {1}


def test_flipped_bits_are_noticed_and_a_newer_format_is_named(spec, store, keeper):
    key = made(spec, Parts(), store, keeper).key
    place = store.map_place(key)
    for name in ("arrays.safetensors", "map.json", "run.json"):
        content = (place / name).read_bytes()
        middle = len(content) // 2
        (place / name).write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        with pytest.raises(StoreError, match="is damaged"):
            store.load_map(key)
        (place / name).write_bytes(content)
    content = (place / "map.json").read_text().replace('"format":2', '"format":9')
    (place / "map.json").write_text(content)
    with pytest.raises(StoreError, match="newer iclviz"):
        store.load_map(key)


def test_python_makes_it_once_and_records_its_run(spec, monkeypatch):
    first = iclviz.effect_map(spec, "parts rows=query")
    assert iclviz.runs()[0].spec.task == "reading_comprehension"
    monkeypatch.setattr("iclviz.api._compute_or_wait", lambda *arguments: pytest.fail("computed again"))
    recording = iclviz.load(iclviz.runs()[0].key)
    for one in (spec, recording, recording.key[:10]):
        assert iclviz.effect_map(one, {"kind": "parts", "rows": "query"}).key == first.key


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("heds", "Unknown map 'heds'"),
        ("attention rows=all", "Unknown value of rows 'all'"),
        ("attention window=0", "window = 0 does not fit"),
        ("heads to=nothing", "Unknown value of to 'nothing'"),
        ("heads to=resample rows=all", "no other item has"),
        ("patch", "The field shown of patch is missing"),
        ("demonstrations windows=-1", "windows = -1 does not fit"),
    ],
)
def test_a_map_that_is_none_says_what_is_wrong(typed, sentence, spec):
    with pytest.raises(SpecError, match=sentence):
        iclviz.effect_map(spec, typed)


def test_runs_can_have_what_other_items_or_conditions_have(spec):
    """A recording like any other, whose places are counted."""
    for one in (Ablate(to="resample", of="mlp", layers=(2,)), Ablate(to="mean", heads=(1,), layers=(3,))):
        run = iclviz.run_spec(spec.with_(interventions=(one,)))
        assert (run.acted_places[:, 0] > 0).all()
        assert run.scores["answer_logprob"].tolist() != iclviz.run_spec(spec).scores["answer_logprob"].tolist()
    patched = iclviz.run_spec(spec.with_(interventions=("patch layers=3 shown=none k=0",)))
    # All of the last state is the other run's, and so is what the last prompt token says.
    other = iclviz.run_spec(spec.with_(demonstrations=Demonstrations("none", 0)))
    assert np.abs(patched.embeddings["last"][:, 3] - other.embeddings["last"][:, 3]).max() < 1e-2
    assert replace(spec, interventions=patched.spec.interventions).interventions == patched.spec.interventions
