import pytest

from iclviz.errors import SpecError
from iclviz.models.presets import DEMO_MODEL
from iclviz.places import checkout
from iclviz.spec import Demonstrations
from iclviz.sweeping import read_specs


def written(tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return path


def test_a_grid_stands_for_every_combination(tmp_path):
    specs = read_specs(
        written(
            tmp_path,
            """
task: linear_regression
n_items: 32
demonstrations: {kind: shuffled}
grid:
  demonstrations.k: [2, 4]
  demonstrations.seed: [0, 1, 2]
  task_options.distractor: [true]
""",
        )
    )
    assert [(spec.demonstrations.k, spec.demonstrations.seed) for spec in specs] == [
        (2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (4, 2),
    ]  # fmt: skip
    assert {spec.demonstrations.kind for spec in specs} == {"shuffled"}
    assert all(spec.task_options == {"distractor": True} for spec in specs)
    assert {(spec.model, spec.n_items) for spec in specs} == {(DEMO_MODEL, 32)}


def test_orders_of_demonstrations_are_a_field_of_a_grid(tmp_path):
    specs = read_specs(written(tmp_path, "task: a\ngrid: {demonstrations.order: [0, 2]}"))
    assert [spec.demonstrations for spec in specs] == [Demonstrations(), Demonstrations(order=2)]


def test_a_field_may_be_a_list_of_places(tmp_path):
    (spec,) = read_specs(written(tmp_path, "task: a\nattention_items: [3, 0]"))
    assert spec.attention_items == (0, 3)
    specs = read_specs(written(tmp_path, "task: a\ngrid: {attention_items: [[], [1]]}"))
    assert [spec.attention_items for spec in specs] == [(), (1,)]


def test_a_point_leads_into_a_table_whatever_the_order(tmp_path):
    text = "{task: a, demonstrations.k: 3, demonstrations: {kind: shuffled}}"
    (spec,) = read_specs(written(tmp_path, text))
    assert (spec.demonstrations.k, spec.demonstrations.kind) == (3, "shuffled")


def test_the_example_of_the_documents_is_a_grid_of_eight():
    specs = read_specs(checkout() / "docs" / "examples" / "sweep.yaml")
    assert len(specs) == 8
    assert {(spec.task, spec.model) for spec in specs} == {("linear_regression", DEMO_MODEL)}


def test_a_list_keeps_its_order_and_each_spec_once(tmp_path):
    text = "[{task: a, model: m}, {task: b, model: m}, {task: a, model: m}]"
    assert [spec.task for spec in read_specs(written(tmp_path, text))] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "sweep.yaml holds no runs"),
        ("- task: a\n- {}", "entry 2: The field task of the spec is missing"),
        ("3", "entry 1: 3 is no spec"),
        ("task: a\nn_itmes: 3", r"Unknown field of the spec 'n_itmes'. Did you mean n_items\? Known: model, "),
        ("task: a\nk: 3", r"Did you mean demonstrations\.k\?"),
        ("task: a\ndemo_seed: 3", r"Did you mean demonstrations\.seed\?"),
        ("task: a\ngird: {seed: [3]}", r"Did you mean grid\?"),
        ("task: a\ngrid: {k: [3]}", r"entry 1: Unknown field of the spec 'k'. Did you mean demonstrations\.k\?"),
        ("task: a\ngrid: {demonstrations.kinds: [b]}", r"of the demonstrations 'kinds'. Did you mean kind\?"),
        ("task: a\ngrid: {grid: [3]}", "Unknown field of the spec 'grid'"),
        ("task: a\ngrid: 3", "grid = 3 is no grid"),
        ("task: a\ngrid: {n_items: 3}", "is no grid"),
        ("task: a\ngrid: {task.x: [3]}", "task = 'a' is no table"),
        ("task: a\n1: 2", "Unknown field of the spec 1"),
        ("{", "cannot be read"),
        ("!!python/object/apply:os.getcwd []", "cannot be read"),
        (f"task: a\ngrid: {{seed: {list(range(101))}, n_items: {list(range(2, 102))}}}", "stands for 10,100 runs"),
    ],
)
def test_a_mistake_names_the_entry(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        read_specs(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_specs(tmp_path / "none.yaml")
