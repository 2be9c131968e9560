import numpy as np

from iclviz.analysis.near_copies import near_copies


def copied(recording, spread=0.02, **fields):
    """Twelve things asked about twice, in groups of two things."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(12, 4, 16)), 2, axis=0) + spread * rng.normal(size=(24, 4, 16))
    given = {
        "embeddings": {"query_mean": x.astype(np.float16), "last": x.astype(np.float16)},
        "groups": {"label": np.arange(24) // 4},
        "covariates": {"row": np.arange(24.0)},
    }
    return recording(24, **{**given, **fields})


def test_items_of_one_group_that_the_model_hardly_tells_apart_are_named(recording):
    assert near_copies(copied(recording)) == tuple((f"item-{i}", f"item-{i + 1}") for i in range(0, 24, 2))


def test_items_that_differ_are_no_copies(recording):
    assert near_copies(copied(recording, spread=0.8)) == ()


def test_alike_in_one_embedding_alone_is_no_copy(recording):
    one = copied(recording)
    other = np.random.default_rng(1).normal(size=(24, 4, 16))
    assert near_copies(copied(recording, embeddings={**one.embeddings, "last": other})) == ()


def test_where_the_file_names_units_or_the_task_is_no_file_nothing_is_said(recording):
    assert near_copies(copied(recording, factors={"unit": np.arange(24) // 2})) == ()
    assert near_copies(copied(recording, covariates={})) == ()


def test_copies_in_two_groups_are_two(recording):
    assert near_copies(copied(recording, groups={"label": np.tile(np.arange(2), 12)})) == ()
