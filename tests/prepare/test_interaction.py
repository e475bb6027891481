from __future__ import annotations

import numpy as np
import pytest

from dials_spread.prepare.normalisation import (
    fit_interaction,
    generic_intensity,
    normalise,
    potentials,
)
from dials_spread.scattering.electrons import relativistic_mass_ratio
from dials_spread.scattering.potential import indices_within
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure

WAVELENGTH = 0.02508


def test_generic_intensity_at_rest_is_the_sum_over_tabulated_atoms():
    # f(0) of C, N, O, H [Å]: International Tables C, table 4.3.2.2 (sums of a_i).
    squares = 0.75 * 2.509**2 + 0.12 * 2.211**2 + 0.13 * 1.983**2 + 0.8 * 0.529**2
    assert generic_intensity(0.0, 1800.0) == pytest.approx(100 * squares, rel=2e-3)


@pytest.mark.parametrize(
    "space_group, cell, U_iso",
    [
        ("P 1", (9, 10, 11, 82, 95, 101), 0.03),
        ("P 21 21 21", (7.3, 10.2, 12.4, 90, 90, 90), 0.05),
        ("C 1 2 1", (16, 7.5, 9, 90, 104, 90), 0.02),
    ],
)
def test_strength_and_B_of_random_structures(space_group, cell, U_iso):
    strength, B = [], []
    for seed in range(4):
        structure = random_structure(
            np.random.default_rng(seed), cell, space_group, u_iso=(U_iso, U_iso)
        )
        hkl = indices_within(structure.unit_cell(), 1 / 0.85)
        hkl = hkl[len(hkl) // 2 + 1 :]
        group = structure.space_group()
        indices = [tuple(int(x) for x in h) for h in hkl]
        present = np.array([not group.is_sys_absent(h) for h in indices])
        epsilon = np.array([group.epsilon(h) for h in indices])[present]
        hkl = hkl[present]
        rows = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3)
        d_star_sq = np.sum((hkl @ rows) ** 2, axis=1)
        I = np.abs(structure_factors(structure, hkl)) ** 2
        interaction = fit_interaction(
            # On any scale: nothing but the fall-off is used.
            normalise(1e4 * I, d_star_sq, epsilon.astype(float)),
            structure.unit_cell().volume(),
            WAVELENGTH,
            group.n_ltr(),
        )
        gamma, volume = relativistic_mass_ratio(WAVELENGTH), interaction.volume
        U = gamma * np.sqrt(I) / (np.pi * volume)
        outer = d_star_sq > 0.1
        found = interaction.U_rms(d_star_sq, epsilon)
        ratio = np.mean(found[outer] ** 2) / np.mean(U[outer] ** 2)
        strength.append(np.sqrt(ratio))
        B.append(interaction.B)
        assert interaction.misfit < 0.3
    # The composition is drawn at random, its mean is the generic one.
    assert np.mean(strength) == pytest.approx(1, abs=0.1)
    assert np.max(np.abs(np.array(strength) - 1)) < 0.2
    assert np.mean(B) == pytest.approx(8 * np.pi**2 * U_iso, abs=0.5)


def test_the_mass_of_the_electron_is_in_it():
    normalisation = normalise(np.ones(200), np.linspace(0.1, 1.2, 200), np.ones(200))
    slow = fit_interaction(normalisation, 500.0, 0.0370)
    fast = fit_interaction(normalisation, 500.0, 0.0197)
    expected = relativistic_mass_ratio(0.0197) / relativistic_mass_ratio(0.0370)
    assert fast.U_rms(0.5) / slow.U_rms(0.5) == pytest.approx(expected)
    # 300 kV and 100 kV: 1 + 300/511 and 1 + 100/511.
    assert expected == pytest.approx((1 + 300 / 511) / (1 + 100 / 511), rel=1e-3)


def test_potentials_are_capped():
    np.testing.assert_allclose(potentials(np.array([0.5, 9.0]), 2.0), [1.0, 10.0])
