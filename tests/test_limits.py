"""What cannot be run is refused before prompts, a job or a model are made, whoever asks."""

import csv
import json
import sys
import time

import pytest

import iclviz
from iclviz import limits
from iclviz.cli import main
from iclviz.errors import SpecError
from iclviz.jobs import computing
from iclviz.jobs.queue import Queue
from iclviz.limits import check_possible, largest
from iclviz.models.configuration import model_facts
from iclviz.models.tokenizing import load_tokenizer
from iclviz.resolve import build, resolve, tokenized
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from tests.conftest import CONTEXT
from tests.pages.conftest import changed_model

MANY = 1_000_000


@pytest.fixture
def model(tiny_model):
    return str(tiny_model)


@pytest.fixture(autouse=True)
def nothing_is_made(monkeypatch):
    for made in ("iclviz.api.build", "iclviz.jobs.computing.build", "iclviz.models.loading.load"):
        monkeypatch.setattr(made, lambda *given, **named: pytest.fail("made"))


def needed(spec):
    """Positions of the longest item, counted the long way."""
    resolved = resolve(spec)
    tokenizer = load_tokenizer(resolved.located)
    prompts = tokenized(resolved, build(resolved), tokenizer, None)
    return max(len(prompt) for prompt in prompts) + resolved.spec.max_new_tokens


@pytest.mark.parametrize("kind", ["correct", "shuffled", "out-of-domain"])
def test_a_k_beyond_the_context_is_refused_at_once_and_the_largest_is_named(model, kind):
    load_tokenizer(resolve(RunSpec(model, "reading_comprehension")).located)
    start = time.perf_counter()
    with pytest.raises(SpecError, match=rf"k = 1,000,000 needs more than \d+ tokens; .* reads {CONTEXT}\.") as error:
        iclviz.run(model, "reading_comprehension", Demonstrations(kind, MANY))
    assert time.perf_counter() - start < 1
    assert Queue(Store()).jobs() == []
    fits = int(error.value.remedy.removeprefix("Take k <= ").rstrip("."))
    one = RunSpec(model, "reading_comprehension", Demonstrations(kind, fits))
    assert needed(one) <= CONTEXT < needed(one.with_(demonstrations=Demonstrations(kind, fits + 1)))


@pytest.mark.parametrize(
    ("task", "k", "said"),
    [
        ("linear_regression", MANY, r"k = 1000000 needs as many different x.*Take k <= 19"),
        ("own", MANY, r"k = 1000000 needs as many rows to show, and there are 8.*Take k <= 8"),
        ("own", 9, r"k = 9 needs as many rows"),
    ],
)
def test_more_demonstrations_than_a_task_has_are_refused_in_its_own_words(model, tmp_path, task, k, said):
    rows = [{"query": f"{number} ->", "answer": str(number % 3)} for number in range(20)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    name = str(tmp_path / "own.json") if task == "own" else task
    with pytest.raises(SpecError, match=said):
        iclviz.run(model, name, Demonstrations("correct", k), 12)
    assert Queue(Store()).jobs() == []


def test_more_items_than_a_task_has_are_refused_before_any_is_made(model, monkeypatch):
    monkeypatch.setattr("iclviz.tasks.linear_regression._grid", lambda *given: pytest.fail("made"))
    with pytest.raises(SpecError, match="n_items = 9000 is more than the 320 queries of 16 lines"):
        iclviz.run(model, "linear_regression", n_items=9000)


@pytest.mark.parametrize("k", [0, 1])
def test_a_response_beyond_the_context_is_refused(model, k):
    with pytest.raises(
        SpecError, match=rf"and 100,000 new ones are more than .* reads: {CONTEXT}\..*max_new_tokens <="
    ):
        iclviz.run(model, "reading_comprehension", Demonstrations("correct", k), max_new_tokens=100_000)


def test_the_command_line_refuses_the_same(model, capsys, monkeypatch):
    asked = ["run", "--model", model, "--task", "reading_comprehension", "--k", str(MANY)]
    monkeypatch.setattr(sys, "argv", ["iclviz", *asked])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "Take k <=" in capsys.readouterr().err


def test_a_sweep_with_one_that_cannot_be_runs_none(model):
    shown = [Demonstrations("correct", k) for k in (1, MANY)]
    with pytest.raises(SpecError, match="Take k <="):
        iclviz.sweep([RunSpec(model, "reading_comprehension", one, 4) for one in shown])
    assert iclviz.runs() == []


def own_rows(folder, answer):
    rows = [{"query": f"{number} ->", "answer": answer, "labels": {"kind": number % 2}} for number in range(12)]
    with (folder / "long.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["query", "answer", "label:kind"])
        table.writerows([row["query"], row["answer"], row["labels"]["kind"]] for row in rows)
    return str(folder / "long.csv")


def test_a_candidate_answer_beyond_the_positions_is_refused_like_a_prompt(model, tmp_path):
    task = own_rows(tmp_path, " ".join(["word"] * 300))
    with pytest.raises(SpecError, match=rf"and a candidate answer of [\d,]+ are more than .* reads: {CONTEXT}"):
        iclviz.run(model, task, Demonstrations("none"), 8, max_new_tokens=4)


def test_fewer_demonstrations_are_named_where_they_leave_room_for_the_answer(model, tmp_path):
    task = own_rows(tmp_path, " ".join(["word"] * 20))
    with pytest.raises(SpecError, match=r"Take k <= \d") as error:
        iclviz.run(model, task, Demonstrations("correct", 4), 8, max_new_tokens=4)
    fits = int(error.value.remedy.removeprefix("Take k <= ").rstrip("."))
    assert 0 <= fits < 4


def test_token_ids_beyond_the_embedding_are_named_with_their_item(tiny_model, tmp_path):
    small = changed_model(tiny_model, tmp_path / "small", vocab_size=270)
    resolved = resolve(RunSpec(str(small), "reading_comprehension", Demonstrations("none"), 8))
    built = build(resolved)
    said = r"Item '.*' has the token '.*' with the id \d+, and .* below 270: the tokenizer"
    with pytest.raises(SpecError, match=said):
        tokenized(resolved, built, load_tokenizer(resolved.located), model_facts(resolved.located))
    with pytest.raises(SpecError, match=said):
        iclviz.run(str(small), "reading_comprehension", Demonstrations("none"), 8)


def test_tokens_that_no_run_can_hold_are_refused_where_a_model_reads_any_number(model, monkeypatch):
    monkeypatch.setattr(limits, "MOST_TOKENS", 6_400)
    resolved = resolve(RunSpec(model, "reading_comprehension", Demonstrations("correct", MANY)))
    with pytest.raises(SpecError, match=r"a run of 64 items holds 100 of each\. Take k <= \d"):
        check_possible(resolved, load_tokenizer(resolved.located), None)
    without = resolve(RunSpec(model, "reading_comprehension", Demonstrations("none"), 640))
    with pytest.raises(SpecError, match=r"are too many: a run of 640 items holds 10 of each\. Take fewer items"):
        check_possible(without, load_tokenizer(without.located), None)


def test_without_a_tokenizer_only_what_the_task_has_is_asked(model):
    check_possible(resolve(RunSpec(model, "reading_comprehension", Demonstrations("correct", MANY))), None, None)
    with pytest.raises(SpecError, match="k = 1000000 needs"):
        check_possible(resolve(RunSpec(model, "linear_regression", Demonstrations("correct", MANY))), None, None)


def test_whoever_computes_a_job_asks_again_since_its_model_may_have_been_fetched_first(model):
    resolved = resolve(RunSpec(model, "reading_comprehension", Demonstrations("correct", MANY)))
    with pytest.raises(SpecError, match="Take k <="):
        computing.compute(resolved, Store(), computing.ModelKeeper())


@pytest.mark.parametrize("grows", [lambda k: 7 * k, lambda k: k**3, lambda k: 400 + int(k**0.5)])
@pytest.mark.parametrize("most", [-1, 0, 6, 400, 403, 900])
def test_the_largest_number_that_fits_is_found(grows, most):
    above = next(k for k in range(10**6) if grows(k) > most) + 50
    fits = largest(grows, most, above, grows(above))
    assert fits == max((k for k in range(above) if grows(k) <= most), default=-1)
