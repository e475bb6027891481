"""Which beams matter to an observation."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from dials_spread.with_structure.local_beams import beams_of


def test_ties_are_ties_whatever_the_last_digit_of_a_cell():
    """A crystal that is sent as its matrix comes back with a cell off by 1e-16."""
    candidates = np.array(list(product(range(-4, 5), repeat=3)))
    # The strength falls with |h| alone: along a zone axis beams come in fours and eights.
    size = np.sum(np.array(list(product(range(-8, 9), repeat=3))) ** 2, axis=1)
    table = np.exp(-0.2 * size).reshape(17, 17, 17).astype(complex)
    middle = np.array([8, 8, 8])
    turn = Rotation.from_rotvec([0.3, -0.7, 0.5]).as_matrix()
    k = turn @ np.array([0.0, 0.0, -1 / 0.0251])
    rng = np.random.default_rng(1)
    chosen = []
    for _ in range(40):
        A = turn * 0.11 * (1 + 4e-16 * rng.standard_normal((3, 3)))
        own = beams_of(np.array([2, 0, 0]), A, k, candidates, 0.05, 18, table, middle)
        chosen.append(own.tolist())
    assert len(chosen[0]) == 18
    assert all(own == chosen[0] for own in chosen)
    scored = candidates[chosen[0]]
    assert scored[0].tolist() == [0, 0, 0] and scored[1].tolist() == [2, 0, 0]
