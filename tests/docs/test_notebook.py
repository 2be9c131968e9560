import nbformat
import pytest
from nbclient import NotebookClient

from iclviz.places import checkout

NOTEBOOK = checkout() / "docs" / "analysis.ipynb"


@pytest.mark.long
def test_it_runs_from_its_first_cell_to_its_last(demo_model, tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", "")  # exports would draw every figure nine times
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "comparison.zip").is_file()


def test_it_is_kept_without_outputs():
    code = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
