"""
Random numbers in compiled loops that hold no lock: one state a task, from a Generator.

Results do not depend on how many threads there are, as each pair or reflection has a
seed of its own.
"""

from __future__ import annotations

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def next_random(state):
    """
    One step of splitmix64 (Steele, Lea and Flood (2014), OOPSLA '14, 453).

    Args:
        state: uint64.

    Returns:
        The next state, and a value that is uniform over all uint64.
    """
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state, z ^ (z >> np.uint64(31))
