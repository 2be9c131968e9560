"""Running a model once and recording everything: token ids and spans in, pooled states and attention mass out.

Knows no task, no recording and no store; see `engine` for the algorithm.
"""
