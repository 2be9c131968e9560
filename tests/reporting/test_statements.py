from dataclasses import replace

import numpy as np
import pytest

from iclviz.analysis import compare, headline
from iclviz.reporting.scope import scope
from iclviz.reporting.statements import (
    Setting,
    contrast_note,
    differences,
    p_value,
    sentences,
    verdict,
)
from iclviz.spec import Demonstrations, RunSpec
from tests.analysis.conftest import recording  # noqa: F401
from tests.analysis.test_comparisons import GAIN, made  # noqa: F401

A = RunSpec("model", "linear_regression", Demonstrations("correct", 2))
B = RunSpec("model", "linear_regression", Demonstrations("correct", 16))
SHUFFLED = RunSpec("model", "linear_regression", Demonstrations("shuffled", 16))


def said(a, b, specs=(A, B)):
    return sentences(headline(compare(a, b), "main", n_permutations=499), "Main score", *specs)


def test_behaviour_comes_first(made):  # noqa: F811
    first = said(made(0), made(1, GAIN))[0]
    assert first.startswith("Behaviour improved: the mean of “Main score” is")
    assert first.endswith("for this demonstration set.")


def test_no_improvement_is_said_before_anything_else(made):  # noqa: F811
    assert said(made(0), made(1))[0].startswith("Behaviour was not found to improve:")


def test_a_loss_is_called_one(made):  # noqa: F811
    assert said(made(0, GAIN), made(1))[0].startswith("Behaviour did not improve but got worse:")


def test_links_are_said_with_their_uncertainty_or_as_not_found(made):  # noqa: F811
    found = next(line for line in said(made(0), made(1, GAIN, ratio=True)) if line.startswith("Within groups"))
    assert "the attention ratio of the last prompt token at block" in found
    assert "goes with the change of behaviour: rho = " in found
    assert "95 % interval" not in found
    nothing = next(line for line in said(made(0), made(1)) if line.startswith("Within groups"))
    assert "no measure's change was found to go with" in nothing


def test_no_sentence_speaks_of_causes(made):  # noqa: F811
    for line in said(made(0), made(1, GAIN, alignment=True, ratio=True)):
        assert not {"cause", "because", "leads", "drives", "due"} & set(line.lower().replace(",", " ").split())


def test_few_seeds_ask_for_more_and_five_do_not(made):  # noqa: F811
    assert "needs 5 demonstration seeds" in said(made(0), made(1))[-1]
    sides = [[made(seed) for seed in range(5)], [made(10 + seed, GAIN) for seed in range(5)]]
    found = headline(compare(*sides), "main", n_permutations=99)
    assert scope(found.n_seeds, A.demonstrations, B.demonstrations).startswith("over 5 demonstration seeds")
    assert "needs 5" not in " ".join(sentences(found, "Main score", A, B))


NONE = RunSpec("model", "linear_regression", Demonstrations("none", 0))
REORDERED = replace(B, demonstrations=replace(B.demonstrations, order=3))


@pytest.mark.parametrize(
    ("a", "b", "tokens", "note"),
    [
        (A, B, (20, 140), "20 and 140 tokens on average, so that length and position changed too"),
        (SHUFFLED, B, (140, 141), "about what the demonstrations hold, and hardly about length"),
        (SHUFFLED, B, (140, 141), "A shuffled answer usually does not stand in the text of its example"),
        (SHUFFLED, B, (140, 170), "length and position changed too"),
        (NONE, B, (10, 140), "demonstrations (none, then correct, k = 16)"),
        (A, replace(A, model="other"), (20, 20), "different models"),
        (A, A, (20, 20), "the same condition"),
        (A, replace(A, prompt_style="chat"), (20, 20), "prompt style (none, then chat)"),
        (A, replace(A, task_options={"noise": 1}), (20, 20), "noise (none, then 1)"),
        (A, replace(A, max_new_tokens=9), (20, 20), "longest response (none, then 9)"),
        (A, replace(A, dtype="bfloat16"), (20, 20), "arithmetic (none, then bfloat16)"),
        (A, replace(B, prompt_style="chat"), (20, 20), "prompt style"),
        (A, replace(A, demonstrations=Demonstrations("random", 2, 3)), (20, 20), "random, k = 2, seed 3"),
        (B, REORDERED, (140, 141), "demonstrations (correct, k = 16, then correct, k = 16, order 3)"),
        (B, REORDERED, (140, 141), "the same demonstrations: this contrast is about their order alone"),
    ],
)
def test_what_else_changed_is_said_from_specs_and_token_counts(a, b, tokens, note):
    assert note in contrast_note(a, b, tokens)


def test_a_contrast_that_differs_in_more_than_demonstrations_is_not_called_one_of_teaching():
    note = contrast_note(SHUFFLED, replace(B, prompt_style="chat"), (140, 141))
    assert "about what the demonstrations teach" not in note


def test_without_demonstrations_nothing_is_limited_to_a_set(made):  # noqa: F811
    found = headline(compare(made(0), made(1)), "main", n_permutations=19)
    assert scope(found.n_seeds, Demonstrations("none", 0), Demonstrations("correct", 0)) == "without demonstrations"


def test_p_values_are_written_as_papers_do():
    assert [p_value(p) for p in (0.0004, 0.0312, 0.04995, 0.05, np.nan)] == [
        "p < 0.001",
        "p = 0.031",
        "p = 0.04995",
        "p = 0.050",
        "no p",
    ]


def test_an_improvement_that_only_format_explains_says_so_first(made):  # noqa: F811
    read = ["yes" if item % 4 else None for item in range(32)]
    gain = np.where(np.arange(32) % 4, 0.0, 4.0)
    scores = np.random.default_rng(0).normal(size=(2, 32)) * 0.1
    a, b = made(0, parsed=read, scores={"main": scores[0]}), made(1, scores={"main": scores[1] + gain})
    assert said(a, b)[0].startswith(
        "Behaviour improved, but this was not found among items whose responses were read in both:"
    )


def test_what_too_few_groups_leave_untested_is_not_called_chance(made):  # noqa: F811
    read = ["yes" if item < 6 else None for item in range(32)]
    scores = np.random.default_rng(0).normal(size=(2, 32)) * 0.1
    a, b = made(0, parsed=read, scores={"main": scores[0]}), made(1, scores={"main": scores[1] + 4})
    verdict, parsing, *_ = said(a, b)
    assert verdict.startswith(
        "Behaviour improved, but among the items whose responses were read in A and in B this cannot be tested:"
    )
    assert "it cannot be tested there (too few groups" in parsing
    assert "beyond chance" not in verdict + parsing


def test_the_log_probability_stands_beside_that_over_other_answers(made):  # noqa: F811
    rng = np.random.default_rng(0)
    sides = [
        made(seed, scores={"main": rng.normal(size=32), "answer_logprob": rng.normal(size=32) + 5 * seed,
                           "logprob_margin": rng.normal(size=32)})
        for seed in (0, 1)
    ]  # fmt: skip
    line = next(line for line in said(*sides) if line.startswith("The right answer's log-probability"))
    assert "this is no test, since one demonstration set moves it for all items alike" in line
    assert "nats higher in B than in A; this is no test" in line
    assert (
        "Its margin over other answers, which a learned format does not raise, was not found to change for this" in line
    )


def test_over_several_demonstration_sets_the_log_probability_is_tested(made):  # noqa: F811
    rng = np.random.default_rng(0)
    sides = [
        [made(s + 9 * side, scores={"main": rng.normal(size=32), "answer_logprob": rng.normal(size=32) + 5 * side})
         for s in range(3)]
        for side in (0, 1)
    ]  # fmt: skip
    line = next(line for line in said(*sides) if line.startswith("The right answer's log-probability"))
    assert "rises with a learned format too, changed for these 3 demonstration sets: " in line


def test_a_hypothesis_that_the_text_alone_meets_is_said_to_test_nothing(made):  # noqa: F811
    a, b = made(0, alignment=True), made(1, GAIN, alignment=True)
    found = replace(headline(compare(a, b), "main", n_permutations=19), text_share=0.99)
    lines = sentences(found, "Main score", A, B, hypothesis="Same question")
    assert any(line.startswith("The prompts' words alone nearly give “Same question”") for line in lines)
    found = replace(found, text_share=0.8)
    assert not any("text alone" in line for line in sentences(found, "Main score", A, B, hypothesis="Same question"))


def test_log_probabilities_closer_than_the_arithmetic_holds_are_the_same(made):  # noqa: F811
    rng = np.random.default_rng(0)
    margin = rng.normal(size=32)
    sides = [
        made(seed, scores={"main": rng.normal(size=32), "answer_logprob": margin,
                           "logprob_margin": margin + seed * (1e-5 + 1e-5 * rng.random(32))})
        for seed in (0, 1)
    ]  # fmt: skip
    line = next(line for line in said(*sides) if line.startswith("The right answer's log-probability"))
    assert "is the same in A and B: no item differs by more than rounding" in line


def test_a_share_is_rounded_to_all_or_nothing_only_where_it_is(made):  # noqa: F811
    scores = {"main": np.zeros(32)}
    a = made(0, parsed=[None, *["yes"] * 31], scores=scores)
    assert "97 % in A and 100 % in B" in " ".join(said(a, made(1, scores=scores)))


def test_chance_is_named_and_a_gain_within_it_is_no_plain_improvement(made):  # noqa: F811
    gain = np.where(np.arange(32) % 2, 1.0, 0.0)
    noise = np.random.default_rng(0).random((2, 32)) < 0.05
    a, b = (made(seed, scores={"main": np.where(noise[seed], 1.0, seed * gain)}) for seed in (0, 1))
    first = sentences(headline(compare(a, b), "main", n_permutations=99), "Main score", A, B, Setting(chance=0.5))[0]
    assert first.startswith("Behaviour improved, but B was not found to be above chance: ")
    assert "Guessing reaches 0.5 on average; B's 95 % interval (" in first


def test_where_a_condition_is_a_floor_nothing_is_called_an_improvement(made):  # noqa: F811
    floor = Setting(floor="in A nothing is shown that an answer could be known from")
    first = sentences(headline(compare(made(0), made(1, GAIN)), "main", n_permutations=99), "Main score", A, B, floor)[
        0
    ]
    assert first.startswith("A and B are not comparable (in A nothing is shown")
    assert "improved" not in first


def test_what_was_not_found_comes_with_what_the_design_would_find(made):  # noqa: F811
    assert "About 80 % of such comparisons would find a true difference of " in said(made(0), made(1))[0]
    assert "This design finds" not in said(made(0), made(1, GAIN))[0]


def test_the_number_of_items_is_that_of_the_items_that_were_used(made):  # noqa: F811
    missing = np.where(np.arange(32) < 4, np.nan, np.random.default_rng(0).normal(size=32))
    first = said(made(0, scores={"main": missing}), made(1, GAIN))[0]
    assert "over 28 items in 14 independent groups" in first


def test_what_is_only_kept_of_two_runs_is_no_difference_and_what_changes_numbers_is_named_by_its_title():
    changed = {"max_new_tokens": 6, "first_token": "as is", "task_options": {"noise": 2}}
    found = differences(A, A.with_(poolings=("last",), attention_items=(1,), **changed))
    assert found == ["longest response (none, then 6)", "first token (none, then as is)", "noise (none, then 2)"]


def test_a_change_of_all_items_by_the_same_amount_is_no_sameness(made):  # noqa: F811
    """Over seeds its error is zero and its p unknown: that is not that nothing changed."""
    found = headline(compare(made(0), made(1, GAIN)), "main", n_permutations=19)
    alike = replace(found.change, estimate=np.ones(1), low=np.ones(1), high=np.ones(1), p=np.full(1, np.nan))
    assert verdict(replace(found, change=alike), Setting()) == "Behaviour changed alike in all items, so there is no p"
    same = replace(alike, estimate=np.zeros(1))
    assert verdict(replace(found, change=same), Setting()) == "Behaviour is the same in A and B"
