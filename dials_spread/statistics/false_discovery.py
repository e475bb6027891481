"""
How many of what is called significant are false.
"""

from __future__ import annotations

import numpy as np


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """
    Give the false discovery rate at which each pair would just be accepted.

    Benjamini and Hochberg (1995), J. R. Stat. Soc. B 57, 289.

    Args:
        p: Shape (n,), p-values; nan values do not count.

    Returns:
        Shape (n,), nan where p is.
    """
    q = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return q
