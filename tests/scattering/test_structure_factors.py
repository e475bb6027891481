from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, xray

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure


def explicit_sum(structure, indices):
    """F by the textbook sum over all atoms of the cell, in numpy."""
    registry = structure.scattering_type_registry(table="electron")
    p1 = structure.expand_to_p1()
    stol_sq = structure.unit_cell().stol_sq
    result = np.zeros(len(indices), dtype=complex)
    for row, hkl in enumerate(indices):
        s = stol_sq(tuple(int(x) for x in hkl))
        for atom in p1.scatterers():
            f = registry.gaussian(atom.scattering_type).at_stol_sq(s)
            f *= atom.occupancy * np.exp(-8 * np.pi**2 * atom.u_iso * s)
            result[row] += f * np.exp(2j * np.pi * np.dot(hkl, atom.site))
    return result


def test_against_the_textbook_sum():
    structure = random_structure(np.random.default_rng(2))
    indices = np.random.default_rng(0).integers(-7, 8, size=(40, 3))
    expected = explicit_sum(structure, indices)
    np.testing.assert_allclose(
        structure_factors(structure, indices), expected, rtol=1e-9, atol=1e-9
    )


def test_carbon_forward_scattering():
    # f(0) of carbon is 2.5088 Å in International Tables C, table 4.3.1.1.
    symmetry = crystal.symmetry(
        unit_cell=(10,) * 3 + (90,) * 3, space_group_symbol="P1"
    )
    structure = xray.structure(crystal_symmetry=symmetry)
    structure.add_scatterer(xray.scatterer("C1", site=(0.3, 0.2, 0.1), u=0.0))
    f_000 = structure_factors(structure, np.zeros((1, 3)))[0]
    assert f_000 == pytest.approx(2.5088, rel=0.005)


def test_friedel_mates_and_repeats():
    structure = random_structure(np.random.default_rng(2))
    f = structure_factors(structure, [(1, 2, 3), (-1, -2, -3), (1, 2, 3)])
    assert f[0] == f[2]
    assert f[1] == pytest.approx(np.conj(f[0]))


def test_no_scatterers():
    symmetry = crystal.symmetry(
        unit_cell=(10,) * 3 + (90,) * 3, space_group_symbol="P1"
    )
    with pytest.raises(ValueError, match="no scatterers"):
        structure_factors(xray.structure(crystal_symmetry=symmetry), [(1, 0, 0)])


def test_beyond_the_form_factors():
    structure = random_structure(np.random.default_rng(2))
    with pytest.raises(ValueError, match="d = 0.146 Å"):
        structure_factors(structure, [(50, 0, 0), (0, 0, 1)])
