from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from dials_spread.scattering import chebyshev
from dials_spread.scattering.bloch import (
    amplitudes_with_absorption,
    bloch_amplitudes,
    excitation_errors,
    kinematic_intensity,
)
from dials_spread.scattering.chebyshev import GROUP, propagate
from dials_spread.scattering.eigenvalue_bounds import (
    extreme_eigenvalues,
    spectral_interval,
)
from dials_spread.scattering.potential import (
    coupling_matrix,
    indices_within,
    mean_potential,
    potential_table,
)
from dials_spread.simulation.structures import random_structure

WAVELENGTH = 0.02508
K = 1 / WAVELENGTH
THICKNESSES = np.array([50.0, 400.0, 1500.0])


def many_beams(space_group, s_max=0.02, seed=1):
    """Coupling, indices and excitation errors of a random structure and direction."""
    rng = np.random.default_rng(seed)
    structure = random_structure(rng, space_group=space_group)
    table = potential_table(structure, WAVELENGTH, 1.0)
    beams = indices_within(structure.unit_cell(), 1.0)
    rows = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3)
    direction = rng.standard_normal(3)
    k = K * direction[None] / np.linalg.norm(direction)
    s = excitation_errors(beams @ rows, k)[:, 0]
    keep = np.abs(s) < s_max
    beams, s = beams[keep], s[keep]
    origin = int(np.flatnonzero(~np.any(beams, axis=1))[0])
    return coupling_matrix(table, beams), s, origin, mean_potential(table)


def two_beam(U, s, thickness):
    """The analytic two-beam intensity (Hirsch et al., eq. 8.21); ξ = K / |U|."""
    effective = np.sqrt(s**2 + (abs(U) / K) ** 2)
    return (abs(U) / K * np.sin(np.pi * thickness * effective) / effective) ** 2


def test_excitation_error_of_a_hand_made_case():
    # At normal incidence s = -g² / 2K, and it vanishes for k = -g/2 + anything normal.
    g = np.array([[0.5, 0, 0]])
    assert excitation_errors(g, np.array([[0, 0, -K]])) == pytest.approx(-0.125 / K)
    k = np.array([[-0.25, 0, -np.sqrt(K**2 - 0.0625)]])
    assert excitation_errors(g, k) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("space_group", ["P 1 21/c 1", "P 21 21 21"])
def test_no_electron_is_lost(space_group):
    coupling, s, origin, _ = many_beams(space_group)
    assert len(s) > 80
    psi = bloch_amplitudes(coupling, s, K, THICKNESSES, origin=origin)
    np.testing.assert_allclose(np.sum(np.abs(psi) ** 2, axis=1), 1, atol=1e-10)
    psi = propagate(coupling, s[:, None], K, THICKNESSES, origin=origin)
    np.testing.assert_allclose(np.sum(np.abs(psi) ** 2, axis=1), 1, atol=1e-10)


def test_two_beams_against_the_analytic_curve():
    U = 0.03 * np.exp(0.7j)
    coupling = np.array([[0, np.conj(U)], [U, 0]])
    for s in (-0.004, 0.0, 0.0013):
        psi = bloch_amplitudes(coupling, np.array([0.0, s]), K, THICKNESSES)
        expected = two_beam(U, s, THICKNESSES)
        np.testing.assert_allclose(np.abs(psi[:, 1]) ** 2, expected, atol=1e-12)


def test_symmetric_and_hermitian_paths_agree():
    """Moving the origin gives complex coefficients and leaves intensities alone."""
    coupling, s, origin, _ = many_beams("P 1 21/c 1")
    assert np.isrealobj(coupling)
    phases = np.exp(2j * np.pi * np.random.default_rng(3).random(len(s)))
    moved = phases[:, None] * coupling * np.conj(phases)
    for solve in (bloch_amplitudes, propagate):
        errors = s[:, None] if solve is propagate else s
        first = solve(coupling, errors, K, THICKNESSES, origin=origin)
        second = solve(moved, errors, K, THICKNESSES, origin=origin)
        np.testing.assert_allclose(np.abs(first), np.abs(second), atol=1e-10)


@pytest.mark.parametrize("space_group", ["P 1 21/c 1", "P 21 21 21"])
def test_chebyshev_agrees_with_diagonalisation(space_group):
    coupling, s, origin, _ = many_beams(space_group)
    rng = np.random.default_rng(2)
    # Not a multiple of those that are multiplied together.
    block = s[:, None] + 0.003 * rng.standard_normal((len(s), 2 * GROUP + 1))
    block[origin] = 0
    active = np.abs(block) < 0.015
    psi = propagate(coupling, block, K, THICKNESSES, active, origin=origin)
    assert not np.any(psi[:, ~active])
    for column in range(block.shape[1]):
        on = active[:, column]
        expected = bloch_amplitudes(
            coupling[np.ix_(on, on)],
            block[on, column],
            K,
            THICKNESSES,
            origin=int(on[:origin].sum()),
        )
        np.testing.assert_allclose(psi[:, on, column], expected, atol=1e-8)


def test_absorption():
    """Two beams at the Bragg angle: the thickness fringes are damped (Hirsch, ch. 9)."""
    U, U_0, ratio = 0.03, 0.07, 0.05
    coupling = np.array([[0.0, U], [U, 0.0]])
    options = {"absorption": ratio, "mean_potential": U_0}
    damping = np.exp(-2 * np.pi * ratio * U_0 * THICKNESSES / K)
    x = 2 * np.pi * U * THICKNESSES / K
    expected = damping * (np.cosh(ratio * x) - np.cos(x)) / 2
    psi = bloch_amplitudes(coupling, np.zeros(2), K, THICKNESSES, **options)
    np.testing.assert_allclose(np.abs(psi[:, 1]) ** 2, expected, atol=1e-12)
    psi = propagate(coupling, np.zeros((2, 1)), K, THICKNESSES, **options)
    np.testing.assert_allclose(np.abs(psi[:, 1, 0]) ** 2, expected, atol=1e-10)


def test_absorption_of_many_beams_in_first_order():
    coupling, s, origin, U_0 = many_beams("P 21 21 21")
    options = {"absorption": 0.02, "mean_potential": U_0, "origin": origin}
    first_order = bloch_amplitudes(coupling, s, K, THICKNESSES, **options)
    exact = propagate(coupling, s[:, None], K, THICKNESSES, **options)[..., 0]
    assert np.sum(np.abs(exact[2]) ** 2) < 0.99
    np.testing.assert_allclose(np.abs(first_order), np.abs(exact), atol=3e-3)


def test_thin_crystal_is_kinematic():
    coupling, s, origin, _ = many_beams("P 21 21 21")
    thickness = np.array([1.0])
    psi = bloch_amplitudes(coupling, s, K, thickness, origin=origin)[0]
    expected = np.abs(coupling[:, origin]) ** 2 * kinematic_intensity(s, thickness, K)
    strong = expected > 0.05 * expected.max()
    np.testing.assert_allclose(np.abs(psi[strong]) ** 2, expected[strong], rtol=0.03)


@pytest.mark.parametrize("space_group,differ", [("P -1", False), ("P 1", True)])
def test_friedel_mates(space_group, differ):
    """Along a zone axis both mates are excited alike; only the phases differ."""
    cell = (6.1, 7.3, 8.2, 90.0, 90.0, 90.0)
    structure = random_structure(np.random.default_rng(3), cell, space_group)
    table = potential_table(structure, WAVELENGTH, 1.0)
    beams = indices_within(structure.unit_cell(), 1.0)
    beams = beams[beams[:, 2] == 0]
    s = excitation_errors(beams / np.array(cell[:3]), np.array([[0.0, 0.0, -K]]))
    coupling = coupling_matrix(table, beams)
    # The list runs from -h to h, so that reversed it is the list of mates.
    assert np.array_equal(beams[::-1], -beams)
    origin = len(beams) // 2
    psi = bloch_amplitudes(coupling, s[:, 0], K, np.array([300.0]), origin=origin)[0]
    I = np.delete(np.abs(psi) ** 2, origin)
    difference = np.sum(np.abs(I - I[::-1])) / np.sum(I)
    assert difference > 0.02 if differ else difference < 1e-10


@pytest.mark.parametrize("strength", [0.0, 0.02, 1.0, 50.0])
@pytest.mark.parametrize("kind", [np.float64, np.complex64])
def test_the_interval_holds_all_eigenvalues(kind, strength):
    """Also where the coupling is of one sign, or of few beams; and it is narrow."""
    rng = np.random.default_rng(2)
    for n in (1, 2, 7, 60):
        made = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        for coupling in (made, np.abs(made), np.outer(made[0], made[0].conj())):
            coupling = coupling.astype(kind) if kind == np.complex64 else coupling.real
            coupling = strength * (coupling + coupling.conj().T)
            np.fill_diagonal(coupling, 0)
            diagonal = rng.uniform(-1, 1, size=(n, 3))
            coupling = coupling.astype(kind)
            extremes = extreme_eigenvalues(coupling)
            centre, radius = spectral_interval(coupling, diagonal, extremes)
            found = np.concatenate(
                [np.linalg.eigvalsh(coupling + np.diag(d)) for d in diagonal.T]
            )
            assert np.abs(found - centre).max() <= radius * (1 + 1e-6)
            radii = np.abs(coupling).sum(axis=1)
            assert radius <= (1 + 1e-6) * (np.abs(diagonal).max() + radii.max())


@pytest.mark.parametrize("strength,wide", [(0.001, False), (1.0, True), (30.0, True)])
def test_an_interval_that_is_too_narrow_is_widened(monkeypatch, strength, wide):
    """Eigenvalues far beyond those of the diagonal: waves are as by diagonalisation."""
    rng = np.random.default_rng(4)
    made = rng.normal(size=40) + 1j * rng.normal(size=40)
    coupling = strength * np.outer(made, made.conj()) / 40
    np.fill_diagonal(coupling, 0)
    s = rng.uniform(-0.01, 0.01, size=40)
    s[0] = 0
    asked = []

    def counted(*args):
        asked.append(spectral_interval(*args))
        return asked[-1]

    monkeypatch.setattr(chebyshev, "spectral_interval", counted)
    found = propagate(coupling, s[:, None], K, THICKNESSES)[..., 0]
    exact = bloch_amplitudes(coupling, s, K, THICKNESSES)
    np.testing.assert_allclose(found, exact, atol=1e-9)
    assert bool(asked) == wide


@pytest.mark.parametrize("precision,tolerance", [("double", 1e-9), ("single", 1e-5)])
def test_one_orientation_of_several_that_overflows_widens_the_interval(
    precision, tolerance
):
    """The others, which follow and stay within it, do not hide that it is no number."""
    coupling = np.zeros((4, 4), dtype=complex)
    coupling[1, 2] = coupling[2, 1] = coupling[0, 1] = coupling[1, 0] = 0.3
    s = np.zeros((4, 2))
    active = np.array([[True] * 3 + [False], [True] + [False] * 3]).T
    thicknesses = np.array([500.0, 30000.0])
    options = {"active": active, "precision": precision}
    psi = propagate(coupling, s, K, thicknesses, **options)
    exact = bloch_amplitudes(coupling[:3, :3], s[:3, 0], K, thicknesses)
    np.testing.assert_allclose(
        np.abs(psi[:, :3, 0]) ** 2, np.abs(exact) ** 2, atol=tolerance
    )
    np.testing.assert_allclose(np.abs(psi[:, 0, 1]) ** 2, 1.0, atol=tolerance)


@pytest.mark.parametrize("precision,tolerance", [("double", 1e-10), ("single", 2e-6)])
@pytest.mark.parametrize("absorption", [0.02, 0.1])
def test_strong_absorption_of_heavy_atoms(absorption, precision, tolerance):
    """Of waves at atoms nothing is left, those between them stay: beams are as exact."""
    h = np.arange(-25, 26)
    potential = 0.3 * np.exp(-(((h[:, None] - h) / 25.0) ** 2))
    coupling = potential - np.diag(np.diag(potential))
    s = -((h / 4.0) ** 2) / (2 * K)
    options = {"mean_potential": 0.3, "absorption": absorption, "origin": 25}
    thicknesses = np.array([100.0, 700.0, 3000.0])
    psi = propagate(
        coupling, s[:, None], K, thicknesses, precision=precision, **options
    )
    complete = (1 + 1j * absorption) * potential + np.diag(2 * K * s - 0.3)
    for t, found in zip(thicknesses, psi[..., 0]):
        expected = expm(1j * np.pi / K * t * complete)[:, 25]
        np.testing.assert_allclose(
            np.abs(found) ** 2, np.abs(expected) ** 2, atol=tolerance
        )


def test_absorption_without_approximation_of_some_beams():
    coupling, s, origin, U_0 = many_beams("P 21 21 21")
    block = s[:, None] + np.array([0.0, 1e-3])
    active = np.abs(block) < 0.02
    active[origin] = True
    times = np.pi / K * THICKNESSES[:, None] * np.array([1.0, 1.1])
    rows = np.flatnonzero(active.any(axis=1))[::2]
    found = amplitudes_with_absorption(
        coupling, 2 * K * block, times, active, 0.05, U_0, origin, rows
    )
    expected = propagate(
        coupling, block, K, times * K / np.pi, active, 0.05, U_0, origin
    )
    np.testing.assert_allclose(np.abs(found), np.abs(expected[:, rows]), atol=1e-10)
