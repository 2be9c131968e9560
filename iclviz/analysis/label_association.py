"""How far two labels go together: Cramer's V, 0 where one tells nothing of the other and 1 where it tells all."""

import numpy as np
from scipy.stats.contingency import association as of_table

from iclviz.recording import Array


def association(first: Array, second: Array) -> float:
    """Cramer's V of two labels (n,) of classes or of few numbers, with the correction of Bergsma (2013) for small
    samples; NaN where one of them is the same for all items.
    """
    one, other = (np.unique(np.asarray(label), return_inverse=True)[1] for label in (first, second))
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1), dtype=int)
    np.add.at(table, (one, other), 1)
    rows, columns = table.shape
    if min(rows, columns) < 2:
        return float("nan")
    n = len(one)
    raw = float(of_table(table, method="cramer")) ** 2 * (min(rows, columns) - 1)
    free = max(0.0, raw - (rows - 1) * (columns - 1) / (n - 1))
    left = min(size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)) - 1
    return float(np.sqrt(free / left)) if left > 0 else float("nan")
