"""What several processes do together, for the tests: `torchrun -m tests.capture.together TABLE`, a JSON file that says
where everything lies. The first process leaves what it found in a pickle; the others have a cache of their own, into
which nothing may be written.
"""

import json
import os
import pickle
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from iclviz.capture import hugging_face
from iclviz.capture.choosing import Chosen, choose_way
from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.errors import Cancelled, UserError
from iclviz.jobs.taking_part import take_part
from iclviz.recorders import asked
from iclviz.spec import POOLINGS, Demonstrations, RunSpec
from tests.capture.models import family, marked

DECODING = Decoding(4, frozenset([1]))
EAGER = "qwen2"
"""The architecture that is recorded eagerly, as those have to be that do not call the registered function."""

ACTING = (
    (),
    ({"kind": "ablate", "of": "head", "layers": [1, 2], "heads": [1, 3]},),
    ({"kind": "scale", "to": "demonstration", "by": 0.5, "heads": [2]},),
    ({"kind": "patch", "of": "head", "layers": [2], "heads": [0, 3], "shown": "random", "k": 2},),
    ({"kind": "function_vector", "sources": "1:0,2:3", "layers": [2], "shown": "correct", "k": 2},),
)
"""What is done to the model in runs."""


def spec_of(model, done=()):
    """A small run."""
    shown = Demonstrations("correct", 2)
    return RunSpec(model, "reading_comprehension", shown, 6, record=("trajectory",), interventions=done)


def plan_of(way):
    """Prompts, their plan, and what is kept of them."""
    prompts = [marked(prompt) for prompt in family()]
    settings = PlanSettings(4096, 1, way != "alone", pass_tokens=0)
    spec = RunSpec("model", "task", poolings=POOLINGS, attention_items=(0,), record=("trajectory",))
    return prompts, plan_prompts(prompts, DECODING, settings), asked([(spec, 0)] * len(prompts))


def captured_whole(folder, way):
    """What one process captures with the whole model."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts, plan, kept = plan_of(way)
    return list(Engine(model, way, 3).captures(prompts, plan, kept, DECODING))


def captured(folder):
    """What all processes capture: the way, its batches, and into how many parts the heads are shared."""
    from iclviz.capture.tensor_parallel import SharedModel
    from iclviz.models.locating import locate
    from iclviz.models.ranks import ranks_of

    shared = SharedModel(locate(folder), "float32", {}, None)
    ready = shared.ready([(30, 3)])
    way = ready.makers()["way"]
    prompts, plan, kept = plan_of(way)
    batches = ready.captures(prompts, plan, kept, DECODING, lambda: False, frozenset(), lambda tokens: None, (), None)
    return SimpleNamespace(way=way, batches=list(batches), shares=ranks_of(shared._own.loaded.model).n_shares)


def words_of(act):
    """What a user is told."""
    try:
        act()
    except UserError as error:
        return str(error)
    return "nothing was wrong"


def stopped_after_a_piece(spec):
    """The pieces that a run leaves which is cancelled."""
    from iclviz.jobs.computing import ModelKeeper, compute
    from iclviz.resolve import resolve
    from iclviz.store import Store

    store, resolved = Store(), resolve(spec)
    unfinished = store.unfinished(resolved.key)
    os.environ["ICLVIZ_TOKEN_BUDGET"] = "100"
    try:
        compute(resolved, store, ModelKeeper(), should_stop=lambda: bool(unfinished.pieces()))
    except Cancelled:
        return sorted(item for _, facts in unfinished.pieces() for item in facts["items"])
    finally:
        del os.environ["ICLVIZ_TOKEN_BUDGET"]
    raise AssertionError("the run was not stopped")


def did(table):
    """Everything that the tests look at, in turn, with the same processes."""
    import iclviz
    from iclviz.resolve import resolve

    tiny, found = table["tiny"], SimpleNamespace()
    found.captured = {name: captured(folder) for name, folder in table["models"].items()}
    found.refused = {
        name: words_of(lambda folder=folder: captured(folder)) for name, folder in table["refused"].items()
    }
    found.others = words_of(lambda: captured("mine"))
    split = spec_of(tiny).with_(model_options={"device_map": "auto"})
    found.with_option = words_of(lambda: iclviz.run_spec(split))
    found.broken = words_of(lambda: iclviz.run_spec(spec_of(table["broken"])))
    found.pieces = stopped_after_a_piece(spec_of(tiny))
    runs = iclviz.sweep([spec_of(tiny, done) for done in ACTING])
    found.keys = [run.key for run in runs]
    found.map = iclviz.effect_map(runs[0], "heads").key
    found.trace = words_of(lambda: iclviz.trace(runs[0], "head_catalogue"))
    # The launcher ends whoever is left when one process dies, and this one still has to say what it was told.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    dying = spec_of(tiny).with_(record=("dies",))
    found.died, found.dead = words_of(lambda: iclviz.run_spec(dying)), resolve(dying).key
    found.afterwards = words_of(lambda: iclviz.run_spec(spec_of(tiny).with_(seed=1)))
    return found


def main():
    table = json.loads(Path(sys.argv[1]).read_text())
    rank = int(os.environ["RANK"])
    os.environ["ICLVIZ_CACHE"] = table["caches"][rank]
    os.chdir(table["homes"][rank])
    hugging_face.choose_way = lambda model, *how: (
        Chosen("eager", 0.0) if model.config.model_type == EAGER else choose_way(model, *how)
    )
    take_part()
    Path(table["found"]).write_bytes(pickle.dumps(did(table)))


if __name__ == "__main__":
    main()
