"""Shifts and bond lengths, known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.refinement.against_reference import (
    compare_structures,
    floating_shift,
    polar_directions,
)


def shifted(structure, shifts):
    moved = structure.deep_copy_scatterers()
    cell = moved.unit_cell()
    for scatterer, shift in zip(moved.scatterers(), shifts):
        site = np.array(cell.orthogonalize(scatterer.site)) + shift
        scatterer.site = cell.fractionalize(tuple(site))
    return moved


def test_a_float_along_a_polar_axis_is_no_shift(polar):
    assert polar_directions(polar.space_group()).tolist() == [[0, 1, 0]]
    along_b = compare_structures(shifted(polar, [[0, 0.4, 0]] * 8), polar)
    assert along_b.largest_shift() == pytest.approx(0, abs=1e-12)
    across = compare_structures(shifted(polar, [[0.4, 0.4, 0]] * 8), polar)
    assert across.mean_shift() == pytest.approx(0.4)


def test_no_float_where_the_origin_is_fixed(glycine):
    found = compare_structures(shifted(glycine, [[0, 0.4, 0]] * 10), glycine)
    assert found.mean_shift() == pytest.approx(0.4)
    assert np.isnan(found.shifts).sum() == 5
    assert found.bond_rms() == pytest.approx(0, abs=1e-12)
    assert floating_shift(np.ones((3, 3)), glycine).tolist() == [0, 0, 0]


def test_all_directions_float_in_p1(polar):
    p1 = polar.expand_to_p1()
    shift = np.array([0.3, -0.2, 0.1])
    assert floating_shift(np.tile(shift, (16, 1)), p1) == pytest.approx(shift)


def test_bond_lengths(glycine):
    sites = np.array(glycine.sites_cart())
    labels = [s.label for s in glycine.scatterers()]
    C1, C2 = labels.index("C1"), labels.index("C2")
    along = sites[C2] - sites[C1]
    shifts = np.zeros((10, 3))
    # The C-C bond of α-glycine becomes 0.1 Å longer.
    shifts[C2] = 0.1 * along / np.linalg.norm(along)
    found = compare_structures(shifted(glycine, shifts), glycine)
    assert len(found.bonds) == 4  # C-C, C-N, two C-O
    of_pair = {frozenset(b): d for b, d in zip(found.bonds, found.bond_differences)}
    assert of_pair[frozenset(("C1", "C2"))] == pytest.approx(0.1)
    assert of_pair[frozenset(("C1", "N1"))] == pytest.approx(0)
    rms = np.sqrt(np.mean(found.bond_differences**2))
    assert found.bond_rms() == pytest.approx(rms)


def test_bonds_across_a_special_position_count(truth):
    # Si-O within the asymmetric unit and to its neighbour: 1.61 Å both.
    quartz = truth("quartz")
    found = compare_structures(quartz, quartz)
    assert len(found.bonds) == 2
