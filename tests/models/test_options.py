import subprocess
import sys
from pathlib import Path

import pytest

from iclviz.errors import ModelError
from iclviz.models.options import check_options

ROOT = Path(__file__).parents[2]


def test_options_at_their_defaults_say_nothing():
    assert check_options({"trust_remote_code": False, "device": None}) == check_options({}) == {}
    assert check_options({"trust_remote_code": None}) == {}


def test_other_options_are_kept():
    given = {"device": "cpu", "max_memory": "0=70GiB, cpu=1.5TB", "quantization": "8bit", "trust_remote_code": True}
    assert check_options(given) == given


@pytest.mark.parametrize("name", ["cpu", "mps", "cuda", "cuda:0", "cuda:15"])
def test_devices_are_known_by_their_form(name):
    assert check_options({"device": name}) == {"device": name}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"device_mapp": "auto"},
            "Unknown model option 'device_mapp'. Did you mean device_map? "
            "Known: device, device_map, max_memory, quantization, trust_remote_code.",
        ),
        (
            {"trust_remote_code": "yes"},
            "The model option trust_remote_code = 'yes' does not fit. Give true or false.",
        ),
        (
            {"device": 3},
            'The model option device = 3 does not fit. Give "cpu", "cuda", "cuda:1" and so on, or "mps".',
        ),
    ],
)
def test_a_refusal_says_what_to_give(options, said):
    with pytest.raises(ModelError) as refusal:
        check_options(options)
    assert str(refusal.value) == said


@pytest.mark.parametrize(
    "options",
    [
        {"trust_remote_code": 0},
        {"trust_remote_code": 1},
        {"device": ["cpu"]},
        {"device_map": "balanced"},
        {"quantization": "3bit"},
        *({"max_memory": text} for text in ("", "0", "0=70", "gpu=3GiB", "0=70GiB,,1=3GiB")),
        {"device": ""},
        *({"device": name} for name in ("gpu", "CUDA", "cuda:", "cuda:-1", "cuda:01", "cuda:x", "cpu:0", "cpu\n")),
    ],
)
def test_values_of_another_form_are_refused(options):
    with pytest.raises(ModelError, match="does not fit"):
        check_options(options)


def test_checking_needs_no_torch():
    code = "import sys; from iclviz.models import options; options.check_options({}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
