import iclviz
from iclviz.jobs.queue import Queue
from iclviz.mapping import MapSpec, grid, ready_maps
from iclviz.resolve import resolve_map
from iclviz.store import Store
from tests.pages.conftest import charts, labels, looked_further, opened, pressed, said, sections, text, the_run, widget


def acted(chosen, grid, sides="ab"):
    """Make the maps of the conditions."""
    kinds = {one.spec.demonstrations.k: one.key for one in iclviz.runs()}
    for side in sides:
        iclviz.effect_map(kinds[chosen[f"{side}_k"]], grid, progress=False)


def test_a_first_click_asks_for_the_standard_map_of_both_conditions(recorded):
    test = opened("causes", recorded)
    assert not test.exception
    assert "Which heads does the answer need? Not tried yet for A and B" in said(test)
    assert not charts(test)
    pressed(test, "Act on A and B")
    jobs = [job for job in Queue(Store()).jobs() if job.is_open]
    assert [type(job.spec) for job in jobs] == [MapSpec] * 2
    assert {str(job.spec.grid) for job in jobs} == {"heads"}
    assert {job.spec.run.demonstrations.k for job in jobs} == {0, 2}


def test_every_ready_map_can_be_asked_for(recorded):
    for title, typed in ready_maps().items():
        test = opened("causes", {**recorded, "act": typed})
        assert not test.exception, title
        assert not test.error, title
        wanted = "Act on B" if typed == "demonstrations" else "Act on A and B"
        assert wanted in labels(test) or typed == "demonstrations", title


def test_a_map_is_shown_with_a_sentence_and_every_section(recorded):
    acted(recorded, "heads")
    test = opened("causes", recorded)
    assert not test.exception
    assert len(charts(test)) == 1
    assert "A: " in text(test)
    assert "B: " in text(test)
    assert "of 12 sites" in text(test)
    for section in sections(test):
        looked_further(test, section)
        assert len(charts(test)) == 2 - (section in ("Share that comes back", "Foretold by gradients")), section
    looked_further(test, "Share that comes back")
    assert "puts nothing of the other condition in place" in said(test)


def test_of_a_map_that_puts_something_of_the_other_condition_in_place_a_share_comes_back(recorded):
    acted(recorded, "patch shown=correct k=2", "a")
    test = opened("causes", {**recorded, "act": "patch shown={shown} k={k} seed={seed}"})
    assert "Act on B" in labels(test)
    looked_further(test, "Share that comes back")
    assert not test.exception
    assert len(charts(test)) == 2


def test_where_one_condition_was_not_tried_the_other_is_shown_and_a_button_stays(recorded):
    acted(recorded, "parts", "b")
    test = opened("causes", {**recorded, "act": "parts"})
    assert len(charts(test)) == 1
    assert "Act on A" in labels(test)


def test_beyond_controls_and_the_outcome_are_choices(recorded):
    acted(recorded, "attention")
    test = opened("causes", {**recorded, "act": "attention"})
    widget(test.toggle, "Beyond controls").set_value(True).run()
    widget(test.selectbox, "Effect on").set_value("answer").run()
    assert not test.exception
    assert len(charts(test)) == 1


def test_a_map_of_orders_says_what_order_alone_does_beside_which_are_shown(recorded):
    acted(recorded, "orders sets=2", "b")
    test = opened("causes", {**recorded, "act": "orders", "act_options": "sets=2"})
    assert "fewer than two demonstrations" not in text(test)
    assert sections(test) == ["Order of demonstrations", "Strongest sites", "Items of one site"]
    for section in sections(test):
        looked_further(test, section)
        assert not test.exception
        assert len(charts(test)) == 2, section
    looked_further(test, "Order of demonstrations")
    assert "B: two orders of the same demonstrations change an item’s answer" in text(test)


def test_options_are_typed_and_a_wrong_one_says_what_is_wrong(recorded):
    acted(recorded, "heads rows=query")
    test = opened("causes", {**recorded, "act_options": "rows=query"})
    assert len(charts(test)) == 1
    test = opened("causes", {**recorded, "act_options": "rows=nowhere"})
    assert not test.exception
    assert "Unknown place 'nowhere'" in test.error[0].value


def test_what_lies_at_an_items_row_and_column_is_in_the_link(recorded):
    acted(recorded, "attention")
    chosen = {**recorded, "act": "attention", "section": "Items of one site", "row": "relevant", "column": "2"}
    test = opened("causes", chosen)
    assert not test.exception
    assert len(charts(test)) == 2
    assert widget(test.selectbox, "Place").value == "relevant"
    assert widget(test.selectbox, "Block").value == "2"


def test_the_summary_says_whether_acting_was_tried_and_what_it_showed(recorded):
    test = opened("summary", recorded)
    assert "Acting on the model** was not tried for this comparison" in text(test)
    assert "Act on the model" in labels(test)
    acted(recorded, "heads")
    test = opened("summary", recorded)
    assert "Every head — A: " in text(test)
    assert "because" not in text(test)


def test_patches_are_foretold_before_they_are_made_and_compared_with_true_ones_after(recorded):
    typed = "patch shown={shown} k={k} seed={seed}"
    shown = {**recorded, "act": typed}
    assert "A quick look first" in [one.value for one in opened("causes", shown).subheader]
    runs = {k: the_run(k) for k in (0, 2)}
    for k, other in ((0, 2), (2, 0)):
        kind = "correct" if other else "none"
        iclviz.trace(runs[k], f"attribution_patching shown={kind} k={other}", progress=False)
    test = opened("causes", shown)
    assert not test.exception
    assert len(charts(test)) == 1
    assert "No true patch stands beside it yet" in text(test)
    for k, other in ((0, 2), (2, 0)):
        iclviz.effect_map(runs[k], f"patch shown={'correct' if other else 'none'} k={other}", progress=False)
    test = opened("causes", {**shown, "section": "Foretold by gradients"})
    assert not test.exception
    assert len(charts(test)) == 2
    assert "agrees with true patches" in text(test)


def test_other_jobs_of_the_queue_are_counted_and_not_shown(recorded):
    queue = Queue(Store())
    other = resolve_map(MapSpec(iclviz.load(the_run(2)).spec, grid("parts")), Store().memo)
    queue.submit(other.spec, other.key)
    test = opened("causes", recorded)
    assert "1 other job in the queue" in " ".join(one.value for one in test.caption)
    assert "Blocks' parts" not in text(test)
