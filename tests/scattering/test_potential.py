from __future__ import annotations

import numpy as np
import pytest

from dials_spread.scattering.potential import (
    coupling_matrix,
    indices_within,
    mean_potential,
    potential_table,
    relativistic_mass_ratio,
)
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure

WAVELENGTH = 0.02508


def test_relativistic_mass_ratio():
    # 1 + E / 511 keV, with the wavelengths of Williams & Carter, table 1.2.
    assert relativistic_mass_ratio(0.0370) == pytest.approx(1.196, abs=0.001)
    assert relativistic_mass_ratio(0.0251) == pytest.approx(1.391, abs=0.001)
    assert relativistic_mass_ratio(0.0197) == pytest.approx(1.587, abs=0.001)


def test_indices_within_a_sphere_of_an_oblique_cell():
    structure = random_structure(
        np.random.default_rng(1), (6.1, 7.2, 9.8, 97, 104, 112), "P -1"
    )
    cell = structure.unit_cell()
    inside = {tuple(row) for row in indices_within(cell, 0.8).tolist()}
    axis = range(-9, 10)
    brute = {
        (h, k, l)
        for h in axis
        for k in axis
        for l in axis
        if cell.d_star_sq((h, k, l)) <= 0.64
    }
    assert inside == brute


def test_coefficients_and_coupling():
    structure = random_structure(np.random.default_rng(1))
    table = potential_table(structure, WAVELENGTH, 0.5)
    beams = indices_within(structure.unit_cell(), 0.5)
    coupling = coupling_matrix(table, beams)
    np.testing.assert_allclose(coupling, coupling.conj().T, atol=1e-15)
    assert not np.any(np.diag(coupling))
    factor = relativistic_mass_ratio(WAVELENGTH) / (
        np.pi * structure.unit_cell().volume()
    )
    for i, j in [(0, 5), (17, 40), (60, 3)]:
        F = structure_factors(structure, [beams[i] - beams[j]])[0]
        assert coupling[i, j] == pytest.approx(factor * np.conj(F), rel=1e-12)
    # The mean inner potential of organic crystals is 5 to 8 V; U = 2 m e V / h².
    volts = mean_potential(table) / relativistic_mass_ratio(WAVELENGTH) * 150.4
    assert 4 < volts < 9


@pytest.mark.parametrize(
    "space_group,edges", [("C 1 2 1", (9, 10, 7, 90, 99, 90)),
    ("R 3 :H", (9, 9, 10, 90, 90, 120)), ("I b a m", (9, 10, 11, 90, 90, 90)),
    ("F d d 2", (9, 10, 11, 90, 90, 90))],
)  # fmt: skip
def test_centred_cells(space_group, edges):
    """The same atoms in P 1 have the same potential: absent coefficients vanish."""
    structure = random_structure(np.random.default_rng(1), edges, space_group)
    table = potential_table(structure, WAVELENGTH, 0.4)
    expected = potential_table(structure.expand_to_p1(), WAVELENGTH, 0.4)
    assert np.count_nonzero(np.abs(expected) < 1e-12) > table.size / 3
    np.testing.assert_allclose(table, expected, atol=1e-12)


def test_centrosymmetric_coupling_is_real():
    beams = indices_within(random_structure(np.random.default_rng(1)).unit_cell(), 0.4)
    for space_group, real in (("P 1 21/c 1", True), ("P 21 21 21", False)):
        structure = random_structure(np.random.default_rng(1), space_group=space_group)
        coupling = coupling_matrix(potential_table(structure, 0.0251, 0.4), beams)
        assert np.isrealobj(coupling) is real
