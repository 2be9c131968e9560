import pytest

from iclviz.tasks.doubles import near_copies

LONG = " ".join(f"word{number}" for number in range(30))


@pytest.mark.parametrize(
    "other",
    ["what is a DOG", "What is a dog ?", "a dog, what is?", "What\u00a0is a dog?", "What is a\u200b dog?"],
)
def test_case_punctuation_blanks_and_order_make_no_other_text(other):
    assert near_copies([("one", "What is a dog?"), ("two", "What is a hen?"), ("three", other)]) == (("one", "three"),)


def test_short_texts_of_one_template_are_no_copies():
    assert near_copies([(word, f"What is a {word}?") for word in ("dog", "hen", "cat")]) == ()


def test_long_texts_that_differ_in_a_word_are_copies():
    texts = [("one", LONG), ("two", LONG.replace("word3 ", "other ")), ("three", LONG.replace("word", "else"))]
    assert near_copies(texts) == (("one", "two"),)


def test_a_text_is_named_with_the_first_that_it_copies():
    assert near_copies([("a", "x y"), ("b", "y x"), ("c", "X Y!")]) == (("a", "b"), ("a", "c"))
