import pytest
from hypothesis import example
from hypothesis import given as drawn
from hypothesis import strategies as st

from iclviz.tasks.matching import Phrases, given, mention, normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  The  ANSWER, is: Blue!", "the answer is blue"),
        ("1,234.50 euros", "1234.5 euros"),
        ("1'234 and 12,15", "1234 and 12 15"),
        ("$42 or -$5", "42 or -5"),
        ("US$42", "us 42"),
        ("−7 or –7", "-7 or -7"),
        ("10-12", "10 12"),
        ("covid-19", "covid 19"),
        ("3.0 and .5 and -.50", "3 and 0.5 and -0.5"),
        ("at 7:30am", "at 7:30 am"),
        ("42kg, 7%", "42 kg 7"),
        ("room B12", "room b12"),
        ("version 1.10.0", "version 1.10.0"),
        ("It isn't Anna's", "it is not anna s"),
        ("٤٢", "42"),
        ("४२ रुपये", "42 रुपये"),
        ("12", "12"),
        ("١٬٢٣٤٫٥", "1234.5"),
        ("星期四", "星 期 四"),
        ("Cafe\u0301", "café"),
        ("zero\u200bwidth", "zerowidth"),
        ("Straße", "strasse"),
        ("แมวกินปลา", "แ ม ว กิ น ป ล า"),
        ("ຄົນ, ខ្មែរ a", "ຄົ ນ ខ្ មែ រ a"),
        ("မြန်မာ", "မြ န် မာ"),
        ("soft\u00adhyphen \ufeffand ❤\ufe0f", "softhyphen and ❤"),
        ("C++, C# (C), F#.", "c++ c# c f#"),
        ("A+ A- A* A, **A** *A*", "a+ a- a* a a a"),
        ("C++17 and .NET or Node.js", "c++17 and .net or node.js"),
        ("It is blue.The end", "it is blue the end"),
        ("x^2 x^{-2} 1/2", "x^2 x^-2 1/2"),
        ("a < b >= c", "a < b > = c"),
        ("1+1=2, +5", "1 + 1 = 2 5"),
        ("I like 👍, not C♯ ❤️", "i like 👍 not c♯ ❤"),
        ("007 and 000", "007 and 000"),
        ("1e5, 1E5, 1e-07, 1.5e+3", "100000 100000 0.0000001 1500"),
        ("10^{5} 10^5 10⁵ $10^{5}$", "100000 100000 100000 100000"),
        (r"3 \times 10^{5}, 3×10⁻², 3*10^2", "300000 0.03 300"),
        (r"1{,}000 1\,000 1,000, 2", "1000 1000 1000 2"),
        ("1,00,000 and 12,34,567.5", "100000 and 1234567.5"),
        ("3,5 and 1,000,2", "3 5 and 1 000 2"),
        (r"\boxed{\text{C++}}", "c++"),
        ("", ""),
        ("…!?", ""),
    ],
)
def test_one_form_for_texts_and_phrases(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("I think it is the blue one.", "blue"),
        ("A Blue.", "the blue"),
        ("the lord of the rings", "Lord of Rings"),
        ("Lord of Rings", "The Lord of the Rings"),
        ("1,000", "1000"),
        ("€ 42.00", "42"),
        ("New  York", "new-york"),
        ("今天是星期四。", "星期四"),
        ("A", "A"),
        ("I would say A, because", "A"),
        ("not guilty", "not guilty"),
        ("not Monday; Monday week", "Monday"),
        ("คำตอบคือแมวครับ", "แมว"),
        ("ຄໍາຕອບແມ່ນແມວ", "ແມວ"),
        ("ចម្លើយគឺឆ្មា។", "ឆ្មា"),
        ("အဖြေကကြောင်ပါ", "ကြောင်"),
        ("ཞི་མི་རེད།", "ཞི་མི"),
    ],
)
def test_a_phrase_is_found_as_whole_words(text, phrase):
    assert mention(text, [phrase]) is not None


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("bluebell", "blue"),
        ("-42", "42"),
        ("42", "-42"),
        ("42.5", "42"),
        ("142", "42"),
        ("7:30", "7"),
        ("not blue", "blue"),
        ("It isn't the blue one", "blue"),
        ("not on Monday", "Monday"),
        ("not in the garden", "garden"),
        ("instead of Monday", "Monday"),
        ("blue", ""),
        ("", "blue"),
        ("blue", "…"),
        ("C++ is", "C"),
        ("C is", "C++"),
        ("C#", "C"),
        ("A+", "A"),
        ("Node.js", "Node"),
        ("1/2", "1"),
        ("Vitamin C", "Vitamin A"),
        ("Plan B", "Plan A"),
        ("น้ำ", "น"),
    ],
)
def test_parts_of_words_other_numbers_and_denied_phrases_are_no_mention(text, phrase):
    assert mention(text, [phrase]) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("blue", "first"),
        ("red, or blue", "second"),
        ("blue, or red", "first"),
        ("not red but blue", "first"),
        ("scarlet and blue", "second"),
        ("green", None),
        ("", None),
    ],
)
def test_the_answer_mentioned_first_is_the_one_given(text, name):
    assert given(text, {"first": ["blue"], "second": ["red", "scarlet"]}) == name


@drawn(st.text(alphabet="Ca1e5,.+-#*^/{}\\$ (x10⁵>", max_size=12))
@example("10\\⁵")
@example("^1e1")
@example("10^1C")
def test_the_form_is_its_own_form(text):
    assert normalise(normalise(text)) == normalise(text)


def test_of_two_answers_at_one_place_the_longer_is_given():
    answers = {"short": ["New"], "long": ["New York"], "end": ["York"]}
    assert given("New York", answers) == "long"
    assert given("York", answers) == "end"


@pytest.mark.parametrize(
    "text",
    ["B", "b", " B ", "(B)", "[b]", "B.", "B:", "b)", "B, because", "**B**", "`B`", "“B”", "B. a dog", "B: a dog",
     "B) A dog", "answer: B", "Answer: b.", "The answer is B", "the answer is B dog", "Option B is right", "option: B",
     "I think (B) a dog", "It's B.", "I choose B!", "A dog, so B", "B is correct", "B - a dog", "not A but B",
     r"\boxed{B}", "答案是B。", "B：狗"],
)  # fmt: skip
def test_a_letter_is_read_where_it_is_written_as_a_choice(text):
    assert mention(text, ["B"]) is not None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A dog", "A"),
        ("It is a dog.", "A"),
        ("answer: A dog", "A"),
        ("The answer is a dog", "A"),
        ("I think so", "I"),
        ("I, however, do", "I"),
        ("It is I.", "I"),
        ("I'm sure", "I"),
        ("Anna's", "S"),
        ("isn't", "T"),
        ("the U.S. and the U.K.", "S"),
        ("at 5 p.m.", "M"),
        ("Plan B", "B"),
        ("vitamin C.", "C"),
        ("e.g. this", "E"),
        ("y después", "Y"),
        ("not B", "B"),
        ("A+", "A"),
        ("B-side", "B"),
    ],
)
def test_letters_of_a_sentence_are_no_choices(text, letter):
    assert mention(text, [letter]) is None


def test_the_first_choice_is_the_one_given_and_the_article_is_none():
    letters = {letter: [letter] for letter in "ABCDI"}
    assert given("A dog is what I see: (C)", letters) == "C"
    assert given("A or B", letters) == "A"
    assert given("It isn't A. I say B.", letters) == "B"
    assert given("I. Paris", letters) == "I"
    assert given("A dog", letters) is None


@pytest.mark.parametrize(
    ("text", "phrase", "is_said"),
    [
        ("New York", "York", False),
        ("not New York but York", "York", True),
        ("York, not New York", "York", True),
        ("not New York", "York", False),
        ("not obeyed", "obeyed", False),
        ("it was obeyed", "obeyed", True),
        ("not obeyed", "not obeyed", True),
        ("東京都です", "京都", False),
        ("京都です", "京都", True),
        ("the blue of the whale", "blue", True),
        ("a blue whale", "blue", False),
        ("a Blue, a whale", "whale", False),
    ],
)
def test_what_stands_in_a_longer_answer_that_is_known_is_not_said(text, phrase, is_said):
    known = Phrases(["New York", "York", "obeyed", "not obeyed", "東京都", "京都", "blue", "the blue whale", "whale"])
    assert (mention(text, [phrase], known) is not None) is is_said
