"""What analyses read of one recording: embeddings, hypotheses, RSMs, and which labels can be probed."""

import numpy as np

from iclviz.analysis.rsa import Metric, rsm, rsms
from iclviz.analysis.text_ceiling import share_of_largest
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording


def embeddings(recording: Recording, pooling: str) -> Array:
    """(n, L + 1, d) embeddings of a pooling, in the type that keeps them, float16 or float32.

    Raises
    ------
    AnalysisError: the recording does not keep that pooling.
    """
    if pooling not in recording.embeddings:
        raise unknown(AnalysisError, "pooling of this recording", pooling, list(recording.embeddings))
    return np.asarray(recording.embeddings[pooling])


def hypothesis_of(recording: Recording, hypothesis: str) -> Array:
    """(n, n) one of the recording's hypotheses.

    Raises
    ------
    AnalysisError: no such hypothesis.
    """
    if hypothesis not in recording.hypotheses:
        raise unknown(AnalysisError, "hypothesis", hypothesis, list(recording.hypotheses))
    return np.asarray(recording.hypotheses[hypothesis])


@of_recording
def recording_rsms(
    recording: Recording, pooling: str = "query_mean", metric: Metric = "cosine", drop_largest: float = 0.0
) -> Array:
    """(L + 1, n, n) RSMs of a recording."""
    return rsms(embeddings(recording, pooling), metric, drop_largest=drop_largest)


def text_share(recording: Recording, hypothesis: str, pooling: str, metric: Metric = "cosine") -> float:
    """How far the prompts' text alone, layer 0, is aligned with a hypothesis, as a share of the largest alignment.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    return share_of_largest(rsm(embeddings(recording, pooling)[:, 0], metric), hypothesis_of(recording, hypothesis))


def probed_labels(recording: Recording) -> list[str]:
    """Labels that have fold groups; one without would be read off shared text."""
    return [label for label in recording.labels if label in recording.groups]


def is_number(recording: Recording, label: str) -> bool:
    """Whether a label is a number, and so probed by ridge and R2."""
    return bool(np.issubdtype(np.asarray(recording.labels[label]).dtype, np.floating))
