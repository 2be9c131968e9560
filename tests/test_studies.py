from dataclasses import replace

import pytest

import iclviz
from iclviz.errors import SpecError, StoreError
from iclviz.figures import table
from iclviz.models.seen import the_model
from iclviz.recorded import Summary
from iclviz.reporting.study_bundle import drawn
from iclviz.resolve import resolve
from iclviz.store import Store
from iclviz.studies import Kept, every_kept, keep, kept, register, registered_of, state_of
from iclviz.study import study


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "cache"))
    return Store()


@pytest.fixture
def asked(tiny_model):
    return study(
        {
            "study": "small",
            "models": [str(tiny_model)],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8, "max_new_tokens": 1}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]}},
            "seeds": [0, 1],
            "maps": ["demonstrations windows=0", "isolation width=1"],
            "primary": {"a": "none", "b": "correct, k = 2"},
        }
    )


def test_it_runs_what_is_missing_and_goes_on_where_it_was(asked, store):
    iclviz.run_spec(asked.cells[0].spec)
    before = state_of(Kept(asked), store)
    assert (before.n_there, len(before.missing)) == (1, 4)
    state = iclviz.run_study(asked, progress=False)
    assert state.is_complete
    assert len(store.maps()) == 2 * 4
    assert [line.partition(":")[0] for line in state.left_out] == [
        "demonstrations windows=0 of reading, none", "isolation width=1 of reading, none",
    ]  # fmt: skip
    again = iclviz.run_study(asked, progress=False)
    assert [one.resolved.key for one in again.cells] == [one.resolved.key for one in state.cells]
    assert every_kept(store) == ["small"]
    (curve,) = [one for one in state.curves() if one.name == "correct"]
    assert (curve.ks, curve.n) == ((1, 2), (2, 2))
    assert all(least <= mean <= most for least, mean, most in zip(curve.least, curve.mean, curve.most, strict=True))
    rows = table(drawn(state))
    assert sorted(set(rows["series"])) == ["correct", "none"]
    assert (set(rows["study"]), set(rows["digest"])) == ({"small"}, {asked.digest})


def test_it_is_registered_before_its_first_run_alone(asked, store):
    found = register(asked, store)
    assert found.registered == asked.digest
    assert asked.digest in found.words
    assert register(asked, store) == found
    iclviz.run_study(asked, progress=False)
    assert kept("small", store).words == found.words
    other = replace(asked, seeds=(0,))
    assert "differs from what was registered" in keep(other, store).words
    with pytest.raises(SpecError, match="asks for something else now"):
        register(other, store)
    with pytest.raises(SpecError, match="recorded already"):
        register(replace(asked, name="late"), store)


def test_a_damaged_file_is_refused(asked, store):
    keep(asked, store)
    (store.folder / "studies" / "small.json").write_text("{}")
    with pytest.raises(StoreError, match="is damaged"):
        kept("small", store)


def test_a_measure_that_there_is_not_is_refused_with_the_nearest(asked, store):
    for wanted in (keep, register):
        with pytest.raises(SpecError, match=r"Unknown measure of the study 'alignmen'. Did you mean alignment\?"):
            wanted(replace(asked, measures=("alignmen",)), store)
    assert every_kept(store) == []


def test_models_are_looked_for_once_whatever_the_runs(asked, store, monkeypatch):
    looked = []
    monkeypatch.setattr("iclviz.resolve.the_model", lambda name, *rest: looked.append(name) or the_model(name, *rest))
    state = state_of(Kept(asked), store)
    assert looked == list(asked.models)
    assert [one.resolved for one in state.cells] == [resolve(cell.spec, store.memo) for cell in asked.cells]


def of_runs(asked, store, missing=(), **changes):
    """A state whose runs are all there but those of some conditions, without any recording."""
    asked = replace(asked, **changes)
    there = state_of(Kept(asked), store)

    def recorded(one):
        own = {"n_layers": 3, "main_score": "score", "mean_score": one.cell.seed + 1.0, "by_sample": False}
        return Summary(one.resolved.key, one.cell.spec, created=0.0, size=0, **own)

    cells = [one if one.cell.condition in missing else replace(one, summary=recorded(one)) for one in there.cells]
    return replace(there, cells=tuple(cells))


def test_the_comparison_that_was_meant_pairs_seeds_of_the_first_order(asked, store):
    state = of_runs(asked, store, orders=(3, 0))
    (model,), (name,) = asked.models, asked.tasks
    pairs = [(a.cell, b.cell) for a, b in state.primary_pairs(model, name)]
    assert [(a.condition, a.seed, b.condition, b.seed, b.order) for a, b in pairs] == [
        ("none", 0, "correct, k = 2", 0, 3), ("none", 0, "correct, k = 2", 1, 3),
    ]  # fmt: skip
    assert of_runs(asked, store, missing=["none"]).primary_pairs(model, name) == []
    assert of_runs(asked, store, primary=None).primary_pairs(model, name) == []


def test_the_grid_says_means_and_how_many_are_there(asked, store):
    assert of_runs(asked, store, missing=["none"]).grid() == {
        "condition": ["none", "correct, k = 1", "correct, k = 2"], "reading": ["– (0/1)", "1.500", "1.500"],
    }  # fmt: skip


def test_while_names_are_hidden_no_order_tells_them(asked, store):
    state = of_runs(asked, store, missing=["none"], hidden=True)
    numbers = [f"condition {place}" for place in (1, 2, 3)]
    assert state.grid()["condition"] == numbers
    assert list(dict.fromkeys(row["condition"] for row in state.rows())) == numbers
    (model,), (name,) = asked.models, asked.tasks
    assert state.primary_pairs(model, name) == []
    assert of_runs(asked, store, hidden=True).grid()["condition"] == [one.name for one in asked.conditions]


def test_every_row_says_of_which_study_it_is(asked, store):
    state = of_runs(asked, store)
    told = {"study": "small", "digest": asked.digest, "registered": ""}
    assert all(row.items() >= told.items() for row in state.rows())
    found = register(asked, store)
    assert found.told == {**told, "registered": found.at}
    assert Kept(replace(asked, seeds=(0,)), found.registered, found.at).told["registered"] == ""
    assert "was registered before its first run" in found.sentence
    assert "asks for something else" in Kept(replace(asked, seeds=(0,)), found.registered, found.at).sentence


def test_registered_studies_are_known_by_their_runs(asked, store):
    register(asked, store)
    keep(replace(asked, name="not-registered"), store)
    keys = [one.resolved.key for one in state_of(Kept(asked), store).cells]
    assert [one.study.name for one in registered_of(keys[:2], store)] == ["small"]
    assert registered_of([*keys[:1], "another"], store) == []
    assert registered_of([], store) == []
    (store.folder / "studies" / "small.json").write_text("{}")
    assert registered_of(keys[:2], store) == []
