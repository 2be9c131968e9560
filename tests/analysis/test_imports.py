import subprocess
import sys

import iclviz.analysis


def test_every_public_name_is_there():
    for name in iclviz.analysis.__all__:
        assert callable(getattr(iclviz.analysis, name))


def test_scikit_learn_is_loaded_by_probing_itself_and_nothing_loads_torch_or_streamlit():
    code = """
import sys
import iclviz.figures
from iclviz.analysis import alignment_test, attention_ratio, probe, score_summary
assert not {"sklearn", "torch", "streamlit"} & set(sys.modules)
assert all(callable(name) for name in (alignment_test, attention_ratio, probe, score_summary))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
