"""Which beams matter to an observation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dials_spread.with_structure.local_beams import beams_of, lines_of


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
        own = beams_of(
            np.array([2, 0, 0]), A, k, candidates, lines_of(candidates), 0.05, 18, table, middle
        )  # fmt: skip
        chosen.append(own.tolist())
    assert len(chosen[0]) == 18
    assert all(own == chosen[0] for own in chosen)
    scored = candidates[chosen[0]]
    assert scored[0].tolist() == [0, 0, 0] and scored[1].tolist() == [2, 0, 0]


@pytest.mark.parametrize("turned", [0.0, 0.3, 1.1, 1.57])
def test_all_indices_near_the_sphere_are_looked_at(turned):
    """Along lines of indices, whatever their direction: against all of them, one by one."""
    radius = np.array(list(product(range(-9, 10), range(-7, 8), range(-12, 13))))
    candidates = radius[np.sum((radius / (9, 7, 12)) ** 2, axis=1) <= 1]
    table = np.ones((39, 31, 51), complex)
    A = Rotation.from_rotvec([turned, 0.2, -turned]).as_matrix() * (0.1, 0.13, 0.07)
    g = candidates @ A.T
    K, hkl = 1 / 0.0251, np.array([0, 1, 0])
    # A wave vector for which the reflection is on the sphere.
    k = np.cross(A @ hkl, [0.1, 0.7, 0.2])
    k *= np.sqrt(K**2 - np.sum((A @ hkl) ** 2) / 4) / np.linalg.norm(k)
    k -= A @ hkl / 2
    errors = -g @ k / K - np.sum(g**2, axis=1) / (2 * K)
    expected = np.flatnonzero(np.abs(errors) <= 0.02)
    found = beams_of(
        hkl, np.ascontiguousarray(A), k, candidates, lines_of(candidates), 0.02,
        len(candidates), table, np.array([19, 15, 25]),
    )  # fmt: skip
    assert sorted(found.tolist()) == expected.tolist()
