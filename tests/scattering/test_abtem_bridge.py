"""The solution here against abTEM's, where that is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cctbx import crystal, xray

from dials_spread.scattering import abtem_bridge
from dials_spread.scattering.bloch import bloch_amplitudes, excitation_errors
from dials_spread.scattering.electrons import wavelength_of
from dials_spread.scattering.potential import coupling_matrix, potential_table
from dials_spread.simulation.structures import random_structure

ENERGY = 200e3
K = 1 / wavelength_of(ENERGY)
THICKNESSES = np.array([100.0, 500.0])
RECTANGULAR = (6.1, 7.3, 8.2, 90, 90, 90)
MONOCLINIC = (6.1, 7.3, 8.2, 90, 105, 90)
# The unique axis b of a monoclinic cell along the beam.
ALONG_B = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

needs_abtem = pytest.mark.skipif(
    importlib.util.find_spec("abtem") is None,
    reason="abTEM is an optional extra and is not installed",
)


def intensities_here(structure, orientation, hkl, g_max, conjugate=False):
    """By diagonalisation, the same beams; and the components of g along the beam."""
    table = potential_table(structure, 1 / K, g_max)
    basis = np.array(structure.unit_cell().fractionalization_matrix()).reshape(3, 3)
    g = hkl @ basis @ orientation.T
    s = excitation_errors(g, np.array([[0, 0, K]]))[:, 0]
    coupling = coupling_matrix(np.conj(table) if conjugate else table, hkl)
    origin = int(np.flatnonzero(~np.any(hkl, axis=1))[0])
    psi = bloch_amplitudes(coupling, s, K, THICKNESSES, origin=origin)
    return np.abs(psi) ** 2, g[:, 2]


def r1(observed, calculated):
    F_o, F_c = np.sqrt(observed), np.sqrt(calculated)
    return np.sum(np.abs(F_o - F_c)) / np.sum(F_c)


@pytest.mark.skipif(
    importlib.util.find_spec("abtem") is not None, reason="abTEM is installed"
)
def test_without_abtem_one_line_says_what_to_do():
    with pytest.raises(ImportError, match=r"pip install dials_spread\[abtem\]") as info:
        abtem_bridge.import_abtem()
    assert "\n" not in str(info.value)


def test_abtem_is_imported_only_where_it_is_used():
    code = "import sys, dials_spread.scattering.abtem_bridge; print('ase' in sys.modules or 'abtem' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "False", result.stderr


@needs_abtem
def test_abtem_in_the_two_beam_case():
    """The oracle itself: thickness fringes at the Bragg angle, Hirsch et al. eq. 8.21."""
    import ase

    abtem = abtem_bridge.import_abtem()
    atom = ase.Atoms("C", cell=[4, 4, 4], pbc=True)
    factors = abtem.bloch.StructureFactor(atom, g_max=0.6, centering="P").build(
        lazy=False
    )
    bragg = np.arcsin(0.25 / (2 * K))
    waves = abtem.bloch.BlochWaves(
        factors,
        energy=ENERGY,
        sg_max=3e-4,
        g_max=0.3,
        orientation_matrix=Rotation.from_rotvec([0, bragg, 0]).as_matrix(),
    )
    assert sorted(waves.hkl.tolist()) == [[0, 0, 0], [1, 0, 0]]
    U = abs(factors.to_dict()[1, 0, 0]) * (1 + ENERGY / 510998.95) / np.pi
    thicknesses = np.array([300.0, 900.0, 2500.0])
    pattern = waves.calculate_diffraction_patterns(list(thicknesses), lazy=False)
    found = np.asarray(pattern.array)[:, waves.hkl.tolist().index([1, 0, 0])]
    np.testing.assert_allclose(found, np.sin(np.pi * U * thicknesses / K) ** 2, 1e-3)


@needs_abtem
@pytest.mark.parametrize(
    "cell,space_group,orientation",
    [
        (RECTANGULAR, "P 21 21 21", np.eye(3)),
        (RECTANGULAR, "P m n 21", np.eye(3)),
        (MONOCLINIC, "P 1 21 1", ALONG_B),
        (MONOCLINIC, "P 1 21/c 1", ALONG_B),
    ],
)
def test_bloch_waves_along_a_zone_axis(cell, space_group, orientation):
    """The same problem there: in the zero-order zone abTEM's matrix is ours."""
    structure = random_structure(np.random.default_rng(3), cell, space_group)
    hkl, found = abtem_bridge.bloch_intensities(
        structure, orientation, ENERGY, THICKNESSES, 0.03, 1.2
    )
    expected, along = intensities_here(structure, orientation, hkl, 1.2)
    assert len(hkl) > 150 and np.max(np.abs(along)) < 1e-9
    strong = expected > 0.001 * expected.max()
    assert np.count_nonzero(strong) > 10
    np.testing.assert_allclose(found[strong], expected[strong], rtol=1e-6)


@needs_abtem
@pytest.mark.parametrize("cell", [RECTANGULAR, MONOCLINIC])
def test_bloch_waves_in_a_general_orientation(cell):
    """
    abTEM weights beams by 1 / sqrt(1 + g_z / K), which is left out here.

    It changes amplitudes by 0.05 %; the enantiomorph would do so by far more.
    """
    structure = random_structure(np.random.default_rng(3), cell, "P 1")
    orientation = Rotation.from_rotvec([0.4, 0.7, 0.2]).as_matrix()
    hkl, found = abtem_bridge.bloch_intensities(
        structure, orientation, ENERGY, THICKNESSES, 0.03, 1.2
    )
    expected, _ = intensities_here(structure, orientation, hkl, 1.2)
    other, _ = intensities_here(structure, orientation, hkl, 1.2, conjugate=True)
    strong = expected > 0.01 * expected.max()
    np.testing.assert_allclose(found[strong], expected[strong], rtol=2e-3)
    assert r1(found, expected) < 1e-3 < 0.02 < r1(found, other)


@needs_abtem
def test_orientation_is_that_of_the_scan():
    """Turned as in a data set, abTEM's beams have the excitation errors of here."""
    structure = random_structure(np.random.default_rng(3), MONOCLINIC, "P 1 21 1")
    cell = structure.unit_cell()
    basis = np.array(cell.fractionalization_matrix()).reshape(3, 3).T
    A = Rotation.random(random_state=1).as_matrix() @ basis
    k = Rotation.random(random_state=2).apply([0.0, 0.0, K])
    orientation = abtem_bridge.orientation_matrix(A, k, cell)
    np.testing.assert_allclose(orientation @ orientation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(orientation) == pytest.approx(1)
    hkl, _ = abtem_bridge.bloch_intensities(
        structure, orientation, ENERGY, THICKNESSES, 0.02, 1.0
    )
    s = excitation_errors(hkl @ A.T, k[None])[:, 0]
    assert len(hkl) > 20 and np.max(np.abs(s)) <= 0.02 + 1e-6


@needs_abtem
def test_multislice():
    structure = random_structure(np.random.default_rng(3), RECTANGULAR, "P 21 21 21")
    n_cells = 40
    hkl, found = abtem_bridge.multislice_intensities(structure, ENERGY, n_cells)
    assert found.sum() == pytest.approx(1, abs=1e-4)
    table = potential_table(structure, 1 / K, 2.0)
    s = excitation_errors(hkl / np.array(RECTANGULAR[:3]), np.array([[0, 0, K]]))[:, 0]
    origin = int(np.flatnonzero(~np.any(hkl, axis=1))[0])
    scores = []
    for U in (table, np.conj(table)):
        psi = bloch_amplitudes(
            coupling_matrix(U, hkl), s, K, np.array([n_cells * 8.2]), origin=origin
        )
        scores.append(r1(np.abs(psi[0]) ** 2, found))
    assert scores[0] < 0.05 < 0.1 < r1(kinematic(table, hkl, s, n_cells * 8.2), found)


def kinematic(table, hkl, s, thickness):
    middle = (np.array(table.shape) - 1) // 2
    U = table[tuple((hkl + middle).T)]
    U[~np.any(hkl, axis=1)] = 0
    return np.abs(np.pi / K * thickness * U * np.sinc(s * thickness)) ** 2


@needs_abtem
def test_parametrizations_of_abtem():
    """Its Peng form factors are nearly ours (cctbx), in a crystal with a hand."""
    structure = random_structure(np.random.default_rng(3), RECTANGULAR, "P 21 21 21")
    arguments = (structure, np.eye(3), ENERGY, THICKNESSES, 0.03, 1.0)
    own = abtem_bridge.bloch_intensities(*arguments)[1]
    for name, limit in (("peng", 0.02), ("lobato", 0.1), ("kirkland", 0.1)):
        other = abtem_bridge.bloch_intensities(*arguments, parametrization=name)[1]
        assert r1(other, own) < limit, name


@needs_abtem
@pytest.mark.parametrize("space_group", ["P 1 21/c 1", "R 3 :H", "C 1 2 1", "P c a b"])
def test_atoms_give_the_same_structure_factors(space_group):
    """Summed over abTEM's atoms, with cctbx's form factors: all settings, occupancies."""
    cell = (
        (9.1, 9.1, 12.3, 90, 90, 120) if "R" in space_group else (9, 10, 11, 90, 90, 90)
    )
    structure = random_structure(np.random.default_rng(1), cell, space_group)
    structure.scatterers()[0].occupancy = 0.4
    atoms, sigma, occupancy = abtem_bridge.atoms_of(structure)
    hkl = np.array([[1, 2, 3], [2, -1, 4], [0, 3, 2]])
    registry = structure.scattering_type_registry(table="electron")
    d_star_sq = [structure.unit_cell().d_star_sq(tuple(h.tolist())) for h in hkl]
    F = np.zeros(len(hkl), dtype=complex)
    for symbol, x, u, q in zip(
        atoms.get_chemical_symbols(), atoms.get_scaled_positions(), sigma, occupancy
    ):
        f = np.array([registry.gaussian(symbol).at_d_star_sq(x) for x in d_star_sq])
        B = np.exp(-2 * np.pi**2 * u**2 * np.array(d_star_sq))
        F += q * f * B * np.exp(2j * np.pi * hkl @ x)
    from dials_spread.scattering.structure_factors import structure_factors

    np.testing.assert_allclose(
        F, structure_factors(structure, hkl), rtol=1e-8, atol=1e-8
    )


@needs_abtem
def test_multislice_of_an_oblique_cell_is_refused():
    structure = random_structure(np.random.default_rng(3), MONOCLINIC, "P 1 21 1")
    with pytest.raises(ValueError, match="105"):
        abtem_bridge.multislice_intensities(structure, ENERGY, 2)


def test_carbon_atom_is_heavier_for_faster_electrons():
    symmetry = crystal.symmetry(
        unit_cell=(4, 4, 4, 90, 90, 90), space_group_symbol="P1"
    )
    structure = xray.structure(crystal_symmetry=symmetry)
    structure.add_scatterer(xray.scatterer("C", site=(0, 0, 0), u=0.02))
    slow, fast = (
        potential_table(structure, wavelength_of(E), 1.0).real.max() for E in (8e4, 3e5)
    )
    # γ = 1 + E / 511 keV
    assert fast / slow == pytest.approx((1 + 300 / 510.999) / (1 + 80 / 510.999))
