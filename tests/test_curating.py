import pytest

from iclviz.curating import Annotation, annotate, annotation, discard, discarded, empty, restore
from iclviz.errors import StoreError, UserError
from iclviz.store import Store
from tests.test_store import KEY, recording

SAID = Annotation("Few points", ("pilot", "k curve"), "The distractor was on.")


@pytest.fixture
def store(own_cache):
    made = Store(own_cache)
    made.save(recording(), "log_accuracy")
    return made


def test_an_annotation_is_kept_beside_the_recording_and_not_in_its_checked_bytes(store):
    assert annotation(store, KEY) == Annotation()
    annotate(store, KEY, SAID)
    assert annotation(Store(store.folder), KEY) == SAID
    store.verify(KEY)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 1}', '{"name": "a", "tags": 3, "note": ""}'])
def test_an_annotation_that_cannot_be_read_says_nothing(store, text):
    (store.place(KEY) / "annotation.json").write_text(text)
    assert annotation(store, KEY) == Annotation()


def test_nothing_is_said_of_a_recording_that_is_not_there(store):
    with pytest.raises(StoreError, match="Reload"):
        annotate(store, "0" * 32, SAID)


def test_a_discarded_recording_is_gone_and_comes_back_as_it_was(store):
    annotate(store, KEY, SAID)
    discard(store, KEY)
    assert KEY not in store
    assert store.summaries() == []
    assert list(discarded(store)) == [KEY]
    restore(store, KEY)
    store.verify(KEY)
    assert [entry.key for entry in store.summaries()] == [KEY]
    assert annotation(store, KEY) == SAID
    assert discarded(store) == {}


def test_a_recording_that_was_run_anew_is_not_replaced_by_the_discarded_one(store):
    annotate(store, KEY, SAID)
    discard(store, KEY)
    store.save(recording(), "log_accuracy")
    restore(store, KEY)
    assert annotation(store, KEY) == Annotation()


def test_what_was_discarded_twice_is_the_last(store):
    discard(store, KEY)
    store.save(recording(), "log_accuracy")
    annotate(store, KEY, SAID)
    discard(store, KEY)
    restore(store, KEY)
    assert annotation(store, KEY) == SAID


def test_emptied_is_for_good(store):
    discard(store, KEY)
    assert sum(discarded(store).values()) > 0
    empty(store)
    empty(store)
    with pytest.raises(StoreError, match="Run it again"):
        restore(store, KEY)


@pytest.mark.parametrize("key", ["../recordings", "a/b", ""])
def test_a_key_never_leads_out_of_the_cache(store, key):
    for action in (discard, restore, annotation):
        with pytest.raises(StoreError):
            action(store, key)


@pytest.mark.parametrize("said", [Annotation("n" * 61), Annotation("", ("short", "t" * 61))])
def test_a_name_or_tag_that_is_too_long_is_told_and_not_cut(store, said):
    with pytest.raises(UserError, match=r"has 61 characters. Take 60 or fewer"):
        annotate(store, KEY, said)
    assert annotation(store, KEY) == Annotation()
