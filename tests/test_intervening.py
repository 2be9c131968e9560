import json

import pytest

from iclviz.errors import SpecError, UserError
from iclviz.intervening import intervention, kinds, place_words
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.knock_out import KnockOut
from iclviz.interventions.scale import Scale
from iclviz.spec import RunSpec

SOME = [
    KnockOut(to="relevant"),
    KnockOut(to="answer:*", rows="query", layers=(12, 13, 14, 20), heads=(0,)),
    Scale(to="demonstration:3", by=-0.5, rows="all"),
    Ablate(),
    Ablate(of="mlp", layers=(1,), rows="response"),
    Ablate(heads=(), rows="query"),
]


@pytest.mark.parametrize("one", SOME)
def test_one_is_the_same_from_its_table_its_json_and_its_text(one):
    assert intervention(one.to_dict()) == intervention(json.loads(json.dumps(one.to_dict()))) == one
    assert intervention(str(one)) == intervention(one) == one


def test_ranges_are_typed_as_such():
    assert str(SOME[1]) == "knock_out rows=query layers=12-14,20 heads=0 to=answer:*"
    assert intervention("knock_out to=relevant layers=12-14,3").layers == (3, 12, 13, 14)


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_has_an_example_and_reads_in_a_sentence(kind):
    one = intervention(kinds()[kind].example)
    assert one.kind == kind
    assert one.sentence()
    assert one.short


def test_sentences_say_what_is_done_where():
    assert [one.sentence() for one in SOME] == [
        "attention from the last prompt token to relevant text knocked out in all blocks",
        "attention from the query to the demonstrations' answers knocked out in head 0 of blocks 12 to 14, 20",
        "attention from every token to demonstration 4 times 0.607 in all blocks",
        "the heads' outputs set to zero at the last prompt token in all blocks",
        "the MLP's output set to zero at the response in block 1",
        "the heads' outputs set to zero at the query in no head of all blocks",
    ]
    assert place_words("demonstration:*") == "the demonstrations"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("knockout to=relevant", "knock_out"),
        ({"kind": "knock_out"}, "The field to of knock_out is missing"),
        ({"kind": "knock_out", "to": "relevnt"}, "relevant"),
        ({"kind": "knock_out", "to": "answer:x"}, "place"),
        ({"kind": "knock_out", "to": "relevant", "layer": 3}, "layers"),
        ({"kind": "knock_out", "to": "relevant", "layers": [0]}, "layers holds 0"),
        ({"kind": "ablate", "of": "mlp", "heads": [1]}, "acts on no heads"),
        ({"kind": "ablate", "of": "mpl"}, "mlp"),
        ({"kind": "scale", "to": "relevant", "by": "much"}, "by = 'much' is no number"),
        ("ablate mlp", "Write it as"),
        ("", "Known: ablate"),
        ("ablate layers=14-12", "runs backwards"),
        (3, "Write it as"),
        ("ablate layers=1-99999999", "too many"),
    ],
)
def test_what_is_no_intervention_is_a_sentence(value, sentence):
    with pytest.raises(SpecError, match=sentence):
        intervention(value)


def test_they_are_part_of_a_spec_and_never_run_with_others():
    plain = RunSpec("model", "linear_regression")
    acted = plain.with_(interventions=("knock_out to=relevant", {"kind": "ablate"}))
    assert acted.interventions == (KnockOut(to="relevant"), Ablate())
    assert RunSpec.from_dict(json.loads(json.dumps(acted.to_dict()))) == acted
    assert "interventions" not in plain.to_dict()
    assert not acted.may_run_with(plain)
    assert acted.may_run_with(acted.with_(n_items=8))
    assert hash(acted) != hash(plain)


def test_a_kind_of_ones_own_is_found_and_an_unfit_file_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "interventions"
    folder.mkdir()
    monkeypatch.setenv("ICLVIZ_EXTENSIONS", str(tmp_path))
    (folder / "doubled.py").write_text(
        "from iclviz.interventions.ablate import Ablate\n\n\nclass Doubled(Ablate):\n    kind = 'doubled'\n\n"
        "    def change(self, values, at):\n        return 2 * values\n\n\nINTERVENTION = Doubled\n"
    )
    assert intervention("doubled of=mlp").kind == "doubled"
    (folder / "broken.py").write_text("INTERVENTION = 3\n")
    with pytest.raises(UserError, match=r"The intervention of broken.py .* does not fit"):
        kinds()
