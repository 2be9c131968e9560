import pytest

from iclviz.ui.terms import LINKED, glossary, with_terms


def test_every_word_leads_to_a_term_of_the_glossary():
    assert set(LINKED.values()) <= set(glossary())


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("a probe, a probe", "a [probe](glossary?find=Probe), a probe"),
        ("two probes", "two [probes](glossary?find=Probe)"),
        ("Alignment rose", "[Alignment](glossary?find=Alignment) rose"),
        ("p corrected over layers", "p [corrected over layers](glossary?find=p%20corrected%20over%20layers)"),
        ("rho = 0.2", "[rho](glossary?find=Rank%20correlation%20%28rho%29) = 0.2"),
        ("misalignment and probe-like text", "misalignment and probe-like text"),
        ("*starred* [brackets]", r"\*starred\* \[brackets\]"),
    ],
)
def test_the_first_of_each_word_leads_there_and_all_else_is_shown_as_it_is(sentence, shown):
    assert with_terms(sentence) == shown
