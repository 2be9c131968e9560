import html
import re
from dataclasses import replace

import pytest

from iclviz.errors import StoreError
from iclviz.reporting.export import answering
from iclviz.reporting.report import page, write_report
from iclviz.store import Store

FROM_ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="?(?:https?:)?//')


@pytest.fixture
def written(few_and_many, tmp_path):
    return write_report([one.key for one in few_and_many], tmp_path / "there" / "report.html").read_text()


def test_it_says_what_the_summary_says(written, few_and_many):
    from iclviz.analysis import compare, headline
    from iclviz.primary import primary_measuring
    from iclviz.reporting.first_glance import difference, link_line
    from iclviz.tasks import task

    the_task = task(few_and_many[0].spec.task)
    measuring = primary_measuring(the_task, few_and_many[0])
    found = headline(compare(*few_and_many), the_task.primary.score, measuring, the_task.contrast)
    for said in (difference(found, the_task.natural_unit(found.score)), link_line(found)):
        assert said in html.unescape(written)
    assert "typical error" in re.search('<p class="found">(.*?)</p>', written)[1]
    assert "correct, k = 2 (A) against correct, k = 4 (B)" in written


def test_it_holds_figures_items_methods_and_the_way_to_make_it_again(written, few_and_many):
    assert written.count("<figure>") >= 4
    assert all(item in written for item in few_and_many[0].item_ids)
    assert "<h2>Methods</h2>" in written
    assert "iclviz run --model" in written


def test_it_needs_no_network_and_brings_what_draws_it_once(written):
    assert not FROM_ELSEWHERE.search(written)
    assert written.count("plotly.js v") == 1


def test_texts_of_items_are_no_html(few_and_many):
    a, b = (replace(one, responses=["<script>x</script>"] * one.n_items) for one in few_and_many)
    text = page([a, b], answering(Store()))
    assert "<script>x</script>" not in text
    assert "&lt;script&gt;x&lt;/script&gt;" in text


def test_runs_that_are_no_two_conditions_have_their_figures_alone(few_and_many, tmp_path):
    text = write_report([few_and_many[0].key], tmp_path / "one.html").read_text()
    assert "<h1>Recorded runs</h1>" in text
    assert 'class="found"' not in text
    assert text.count("<figure>") >= 6


def test_a_key_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StoreError, match="no recording 'none'"):
        write_report(["none"], tmp_path / "none.html")
