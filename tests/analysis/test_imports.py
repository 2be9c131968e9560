import subprocess
import sys

import iclviz.analysis


def test_every_public_name_is_there():
    for name in iclviz.analysis.__all__:
        assert callable(getattr(iclviz.analysis, name))


def test_only_probing_loads_scikit_learn_and_nothing_loads_torch_or_streamlit():
    code = """
import sys
from iclviz.analysis import alignment_test, attention_ratio, score_summary, join
assert not {"sklearn", "torch", "streamlit"} & set(sys.modules)
from iclviz.analysis import attention_ratio, probe
assert callable(attention_ratio)
assert not {"torch", "streamlit"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
