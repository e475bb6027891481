"""Bloch waves against another method: multislice in real space, written out here.

The potential is summed from atoms in real space, so that nothing is shared with the
Bloch waves but the form factors. It fixes the sign convention of U_g too: a conjugated
table gives the intensities of the enantiomorph.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cctbx import crystal, xray

from dials_spread.scattering.bloch import bloch_amplitudes, excitation_errors
from dials_spread.scattering.potential import (
    coupling_matrix,
    potential_table,
    relativistic_mass_ratio,
)

EDGES = np.array([5.1, 6.3, 4.2])
K = 1 / 0.02508
N_CELLS = 40
GRID = (40, 48, 12)


@pytest.fixture(scope="module")
def structure():
    symmetry = crystal.symmetry(
        unit_cell=(*EDGES, 90, 90, 90), space_group_symbol="P 1"
    )
    structure = xray.structure(crystal_symmetry=symmetry)
    for element, site in (
        ("P", (0.10, 0.20, 0.30)),
        ("S", (0.55, 0.31, 0.80)),
        ("O", (0.33, 0.72, 0.55)),
        ("C", (0.81, 0.64, 0.05)),
    ):
        structure.add_scatterer(
            xray.scatterer(element, site=site, u=0.03, scattering_type=element)
        )
    structure.scattering_type_registry(table="electron")
    return structure


def potential_on_grid(structure):
    """Reduced potential [1/Å²] from Gaussian atoms and their neighbours."""
    registry = structure.scattering_type_registry(table="electron")
    axes = [np.arange(n) / n for n in GRID]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    total = np.zeros(GRID)
    for atom in structure.scatterers():
        gaussian = registry.gaussian(atom.scattering_type)
        distance_sq = [
            np.sum(((points - atom.site + shift) * EDGES) ** 2, axis=-1)
            for shift in product((-1, 0, 1), repeat=3)
        ]
        for a, b in zip(gaussian.array_of_a(), gaussian.array_of_b()):
            width = b + 8 * np.pi**2 * atom.u_iso
            peak = a * (4 * np.pi / width) ** 1.5
            for r_sq in distance_sq:
                total += peak * np.exp(-4 * np.pi**2 * r_sq / width)
    return total * relativistic_mass_ratio(1 / K) / np.pi


def multislice(structure):
    """Intensities of the beams (h, k) of zone [001], as an array indexed by [h, k]."""
    # Projected along the beam, as the beams of the zero-order Laue zone see it.
    projected = potential_on_grid(structure).mean(axis=2)
    dz = EDGES[2] / GRID[2]
    phase = np.exp(1j * np.pi / K * (projected - projected.mean()) * dz)
    gx, gy = (np.fft.fftfreq(n, 1 / n) / e for n, e in zip(GRID[:2], EDGES[:2]))
    g_sq = gx[:, None] ** 2 + gy[None, :] ** 2
    propagator = np.exp(-1j * np.pi * dz / K * g_sq) * (g_sq < 2.6**2)
    wave = np.ones(GRID[:2], dtype=complex)
    for _ in range(N_CELLS * GRID[2]):
        wave = np.fft.ifft2(np.fft.fft2(wave * phase) * propagator)
    return np.abs(np.fft.fft2(wave) / wave.size) ** 2


def bloch(structure, conjugate=False):
    """The same by Bloch waves, the beams of the zone alone."""
    table = potential_table(structure, 1 / K, 1.9)
    limits = np.floor(1.9 * EDGES[:2]).astype(int)
    beams = np.array(
        [
            (h, k, 0)
            for h in range(-limits[0], limits[0] + 1)
            for k in range(-limits[1], limits[1] + 1)
            if (h / EDGES[0]) ** 2 + (k / EDGES[1]) ** 2 < 1.9**2
        ]
    )
    s = excitation_errors(beams / EDGES, np.array([[0.0, 0.0, K]]))[:, 0]
    coupling = coupling_matrix(np.conj(table) if conjugate else table, beams)
    origin = int(np.flatnonzero(~np.any(beams, axis=1))[0])
    thickness = np.array([N_CELLS * EDGES[2]])
    psi = bloch_amplitudes(coupling, s, K, thickness, origin=origin)[0]
    return beams, np.abs(psi) ** 2


def r1(observed, calculated):
    return np.sum(np.abs(np.sqrt(observed) - np.sqrt(calculated))) / np.sum(
        np.sqrt(calculated)
    )


def test_against_multislice(structure):
    beams, intensities = bloch(structure)
    expected = multislice(structure)[beams[:, 0], beams[:, 1]]
    assert expected.sum() == pytest.approx(1, abs=1e-3)
    assert intensities[np.all(beams == 0, axis=1)][0] < 0.6  # strongly dynamical
    assert r1(intensities, expected) < 0.002
    # The enantiomorph is another crystal.
    assert r1(bloch(structure, conjugate=True)[1], expected) > 0.1
