"""Operators against cctbx for all 230 space groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cctbx import miller, sgtbx, uctbx
from cctbx.array_family import flex

from dials_spread.orientation import reciprocal_basis
from dials_spread.symmetry import indexing_choices, laue_operators, same_group

# Orders of the eleven Laue groups and of the point groups, International Tables A.
LAUE_ORDERS = {
    **{"-1": 2, "2/m": 4, "mmm": 8, "4/m": 8, "4/mmm": 16, "-3": 6, "-3m": 12},
    **{"6/m": 12, "6/mmm": 24, "m-3": 24, "m-3m": 48},
}
HKL = np.array([(3, 1, 2), (1, -4, 7), (0, 2, 5), (-6, 1, 1), (2, 2, -3)])


def group_and_basis(number):
    info = sgtbx.space_group_info(number)
    cell = info.any_compatible_unit_cell(volume=1000)
    return info.group(), reciprocal_basis(cell)


@pytest.mark.parametrize("friedel", [True, False])
def test_operators_of_all_space_groups(friedel):
    for number in range(1, 231):
        group, basis = group_and_basis(number)
        operators = laue_operators(group, basis, friedel)
        assert_group(operators)
        assert_metric(operators, basis)
        assert_same_equivalents(operators, group, friedel)


def assert_group(operators):
    """The identity first; products and inverses belong to the group."""
    w = operators.on_indices
    np.testing.assert_array_equal(w[0], np.eye(3))
    known = {m.tobytes(): i for i, m in enumerate(w)}
    assert len(known) == len(w) == len({*operators.symbols})
    for m in w:
        assert {(m @ other).tobytes() for other in w} == known.keys()
    undone = np.einsum("nij,njk->nik", w, w[operators.inverse])
    np.testing.assert_array_equal(undone, np.broadcast_to(np.eye(3), w.shape))


def assert_metric(operators, basis):
    """G is orthogonal, and G (B h) = B (W h)."""
    g = operators.on_directions
    product = np.einsum("nij,nkj->nik", g, g)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), g.shape), atol=1e-9)
    one = np.einsum("nij,jk,mk->nmi", g, basis, HKL)
    two = np.einsum("ij,njk,mk->nmi", basis, operators.on_indices, HKL)
    np.testing.assert_allclose(one, two, atol=1e-9)


def assert_same_equivalents(operators, group, friedel):
    """cctbx lists the same symmetry-equivalent indices."""
    for h in HKL:
        ours = {tuple(v) for v in (operators.on_indices @ h).tolist()}
        theirs = miller.sym_equiv_indices(group, tuple(h.tolist())).indices()
        expected = {tuple(e.h()) for e in theirs}
        if friedel:
            expected |= {tuple(-i for i in e) for e in expected}
        assert ours == expected


def test_orders_are_those_of_the_tables():
    for number in range(1, 231):
        group, basis = group_and_basis(number)
        laue = sgtbx.space_group_info(number).group().laue_group_type()
        assert len(laue_operators(group, basis, True)) == LAUE_ORDERS[laue]
        expected = group.order_p() if not group.is_centric() else LAUE_ORDERS[laue]
        assert len(laue_operators(group, basis, False)) == expected


def test_symbols_say_what_the_operators_do():
    group, basis = group_and_basis(152)  # P 31 2 1
    operators = laue_operators(group, basis, True)
    for symbol, w in zip(operators.symbols, operators.on_indices):
        for h, k, l in HKL.tolist():
            expected = eval(symbol, {"h": h, "k": k, "l": l})
            np.testing.assert_array_equal(w @ (h, k, l), expected)


def test_unique_indices_agree_with_the_operators():
    """Two indices have one unique index where an operator links them, and only there."""
    from dials_spread.observations import unique_indices

    rng = np.random.default_rng(0)
    for number in (1, 2, 4, 14, 19, 62, 92, 152, 167, 176, 198, 225):
        group, basis = group_and_basis(number)
        hkl = rng.integers(-3, 4, (60, 3))
        for friedel in (True, False):
            unique, where = unique_indices(hkl, group, friedel)
            w = laue_operators(group, basis, friedel).on_indices
            linked = np.einsum("nij,aj->nai", w, hkl)
            same = (linked[:, :, None, :] == hkl[None, None]).all(axis=-1).any(axis=0)
            np.testing.assert_array_equal(same, where[:, None] == where[None])
            mapped = flex.miller_index([tuple(h) for h in hkl.tolist()])
            miller.map_to_asu(group.type(), not friedel, mapped)
            np.testing.assert_array_equal(unique[where], np.array(mapped))


@pytest.mark.parametrize(
    ("symbol", "cell", "choices"),
    [
        ("P 1", (7, 8, 9, 80, 95, 103), 1),
        ("P 31 2 1", (4.9, 4.9, 5.4, 90, 90, 120), 2),  # quartz: 622 on 32
        ("P 21 21 21", (5.48, 8.22, 12.15, 90, 90, 90), 1),
        ("P 21 3", (96, 96, 96, 90, 90, 90), 2),  # 432 on 23
        ("P 1 21 1", (7, 8, 9, 90, 90.3, 90), 2),  # beta near 90°
        ("P 1 21 1", (7, 8, 9, 90, 104, 90), 1),
        ("P 6 2 2", (7, 7, 9, 90, 90, 120), 1),
    ],
)
def test_known_indexing_ambiguities(symbol, cell, choices):
    group = sgtbx.space_group_info(symbol).group()
    assert indexing_choices(group, uctbx.unit_cell(cell)) == choices


def test_groups_that_differ_by_their_origin_are_one():
    for number in range(1, 231, 6):
        group = sgtbx.space_group_info(number).group()
        shift = sgtbx.change_of_basis_op("x+1/4,y+1/4,z+1/3")
        assert same_group(group, group.change_basis(shift))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P 1 21/c 1", "P 1 21/n 1"),
        ("C 1 2 1", "I 1 2 1"),
        ("P 31", "P 32"),
        ("P 41 21 2", "P 43 21 2"),
        ("R 3 :H", "R 3 :R"),
        ("P 2 2 21", "P 21 2 2"),
        ("P 31 2 1", "P 31 1 2"),
        ("P n a 21", "P b n 21"),
    ],
)
def test_other_settings_and_enantiomorphs_are_not(one, other):
    first, second = (sgtbx.space_group_info(s).group() for s in (one, other))
    assert not same_group(first, second) and not same_group(second, first)


@pytest.mark.parametrize("number", [4, 14, 15, 19, 33, 60, 92, 146, 152, 198, 205, 220])
def test_same_groups_are_those_that_some_shift_brings_together(number):
    """All shifts by twelfths that may matter, tried one by one."""
    group = sgtbx.space_group_info(number).group()
    shifts = [f"x+{i}/12,y+{j}/12,z+{k}/12" for i, j, k in itertools.product(
        (0, 2, 3, 4, 6, 9), repeat=3)]  # fmt: skip
    moved = [group.change_basis(sgtbx.change_of_basis_op(s)) for s in shifts]
    for change in ("b,c,a", "b,a,-c", "-a,-b,c", "a,-b,-c"):
        try:
            other = group.change_basis(sgtbx.change_of_basis_op(change))
        except RuntimeError:  # no such basis of this lattice
            continue
        assert same_group(group, other) == (other in moved)
