"""What traces say in a sentence."""

import numpy as np

from iclviz.analysis.own_answer import OwnAnswer
from iclviz.reporting.trace_recipes import own_answer_sentence


def test_attention_that_reaches_chance_everywhere_foretells_nothing():
    area = np.array([0.7, 0.6])
    nothing = OwnAnswer(area, area - 0.3, area + 0.2, area[None], ("good",), 24, 12)
    assert "in none of 2 blocks" in own_answer_sentence({"B: correct": nothing})
    some = OwnAnswer(area, area - 0.15, area + 0.2, area[None], ("good",), 24, 12)
    said = own_answer_sentence({"B: correct": some})
    assert said.startswith("B: attention to an answer foretells the model's own in 1 of 2 blocks")
    assert "block 1: AUROC 0.70 (0.55 to 0.90)" in said
