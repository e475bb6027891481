"""Crystals on other bases, made by hand from random intensities."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cctbx import crystal, sgtbx, uctbx
from cctbx.array_family import flex

from dials_spread.observations.exchanged_axes import (
    describe_exchanged,
    find_exchanged,
)
from dials_spread.observations.table import unique_indices

SWAP = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FLIP = np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]])
TURN = np.array([[-1, 0, 0], [0, -1, 0], [0, 0, 1]])
CASES = {
    "P 21 21 21": ((9, 9.6, 14, 90, 90, 90), SWAP),
    "P 1 21 1": ((8, 9, 11, 90, 90.5, 90), FLIP),
    "P 4": ((9, 9, 14, 90, 90, 90), SWAP),
    "P 3": ((9, 9, 12, 90, 90, 120), TURN),
    "P 21 3": ((11, 11, 11, 90, 90, 90), SWAP),
}


def observed(
    name, n=4, true=None, exchanged=(), matrix=None, part=0.35, seed=0, noise=0.1,
    agree=True,
):  # fmt: skip
    """
    Wedges of crystals of random orientation, with intensities of Wilson's distribution.

    Args:
        name: Space group.
        n: Number of crystals.
        true: Space group of the intensities, where it is higher.
        exchanged: Crystals on another basis.
        matrix: That takes them there.
        part: Of the half turn that each covers.
        seed: Of all that is random.
        noise: Relative error.
        agree: Whether crystals have anything in common.
    """
    rng = np.random.default_rng(seed)
    group, cell = sgtbx.space_group_info(name).group(), uctbx.unit_cell(CASES[name][0])
    every = crystal.symmetry(cell, "P 1").build_miller_set(True, d_min=1.3).indices()
    every = every.select(~group.is_sys_absent(every))
    hkl = every.as_vec3_double().as_numpy_array().astype(int)
    of_truth = sgtbx.space_group_info(true).group() if true else group
    number = unique_indices(hkl, of_truth, True)[1]
    r = hkl @ np.reshape(cell.fractionalization_matrix(), (3, 3))
    intensity = rng.exponential(size=number.max() + 1)[number]
    intensity *= np.exp(-2 * np.sum(r**2, axis=1))
    crystals, indices, values = [], [], []
    for k in range(n):
        e = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        angle = np.arctan2(r @ e[0], r @ e[1])
        own = np.abs(angle) < part * np.pi / 2
        true_values = intensity[own] if agree else rng.exponential(size=own.sum())
        values.append(np.exp(rng.normal()) * true_values)
        values[-1] *= 1 + noise * rng.normal(size=own.sum())
        indices.append(
            hkl[own] @ (matrix.T if k in exchanged else np.eye(3, dtype=int))
        )
        crystals.append(np.full(own.sum(), k))
    indices = np.concatenate(indices)
    unique_index, unique = unique_indices(indices, group, True)
    d_star_sq = cell.d_star_sq(flex.miller_index(unique_index.tolist()))
    return SimpleNamespace(
        crystal=np.concatenate(crystals),
        unique=unique,
        unique_index=unique_index,
        n_unique=len(unique_index),
        d_star_sq=d_star_sq.as_numpy_array(),
        intensity=np.concatenate(values),
        unit_cell=cell,
        space_group=group,
        n_crystals=n,
        n_experiments=n,
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("n", "exchanged"), [(2, (1,)), (4, (2, 3)), (7, (0, 4))])
def test_exchanged_axes_are_found_and_mended(name, n, exchanged):
    group, matrix = sgtbx.space_group_info(name).group(), CASES[name][1]
    found = find_exchanged(observed(name, n, None, exchanged, matrix))
    assert tuple(e.crystal for e in found) == exchanged
    for one in found:
        assert one.cc_before < 0.4 < 0.9 < one.cc_after
        # The operator undoes what was done, up to the symmetry of the crystal.
        hkl = np.array([[1, 2, 3], [4, -1, 2], [2, 5, -3]])
        moved = flex.miller_index((hkl @ matrix.T).tolist())
        change = sgtbx.change_of_basis_op(one.operator)
        again = np.array(change.apply(moved))
        _, number = unique_indices(np.concatenate([hkl, again]), group, True)
        np.testing.assert_array_equal(number[:3], number[3:])


@pytest.mark.parametrize(
    ("name", "true"),
    [("P 21 21 21", None), ("P 4", None), ("P 4", "P 4 2 2"), ("P 3", "P 6 2 2")],
)
@pytest.mark.parametrize("seed", range(2))
def test_crystals_on_one_basis_are_not_accused(name, true, seed):
    """Nor where both are as good, and where nothing agrees at all."""
    for n, part, noise, agree in (
        (5, 0.35, 0.1, True),
        (3, 0.35, 0.6, True),
        (5, 0.2, 0.1, False),
    ):
        given = observed(name, n, true, (), None, part, seed, noise, agree)
        assert find_exchanged(given) == ()


def test_one_crystal_or_little_in_common_is_no_evidence():
    assert find_exchanged(observed("P 4", n=1)) == ()
    few = observed("P 4", 2, None, (1,), SWAP, part=0.04)
    assert find_exchanged(few) == ()


def test_the_words():
    found = find_exchanged(observed("P 21 21 21", 5, None, (1, 3), SWAP))
    told = describe_exchanged(found)
    assert f"better of crystals 1, 3 after {found[0].operator} (median" in told
    assert describe_exchanged(()) == ""
    assert "of crystal 1 after" in describe_exchanged(found[:1])
