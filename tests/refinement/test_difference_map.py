"""What is missing stands out in the map, where it is missing and as high as it is."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, xray
from cctbx.array_family import flex
from cctbx.eltbx import e_scattering

from dials_spread.refinement.difference_map import difference_map, nearest
from dials_spread.refinement.model import electron_model


def test_a_missing_atom_is_the_highest_peak(glycine, intensities):
    f_sq = intensities(glycine, 0.8)
    labels = [s.label for s in glycine.scatterers()]
    without = glycine.select(flex.bool([x != "N1" for x in labels]))
    found = difference_map(without, f_sq)
    site = glycine.scatterers()[labels.index("N1")].site
    distance, _ = nearest(glycine, np.array([found.highest.site]), np.array([site]))
    assert distance[0] < 0.1
    assert found.highest.in_sigma > 10
    assert found.highest.height == pytest.approx(
        found.highest.in_sigma * found.sigma, rel=1e-6
    )


def test_an_atom_too_many_is_the_deepest_hole(glycine, intensities):
    labels = [s.label for s in glycine.scatterers()]
    without = glycine.select(flex.bool([x != "N1" for x in labels]))
    found = difference_map(glycine, intensities(without, 0.8))
    assert found.lowest.atom == "N1"
    assert found.lowest.distance < 0.1
    assert found.lowest.in_sigma < -10


def test_an_exact_model_leaves_nothing(glycine, intensities):
    found = difference_map(glycine, intensities(glycine, 0.8))
    assert found.sigma < 1e-6


def test_the_height_is_a_potential_in_volts():
    """A known phase problem: a heavy atom at an inversion centre, a light one beside."""
    symmetry = crystal.symmetry((9, 9, 9, 90, 90, 90), "P -1")
    atoms = [
        xray.scatterer("Pb", (0, 0, 0), u=0.05, scattering_type="Pb"),
        xray.scatterer("C", (0.31, 0.21, 0.37), u=0.05, scattering_type="C"),
    ]
    both, heavy = (
        electron_model(
            xray.structure(
                crystal_symmetry=symmetry, scatterers=flex.xray_scatterer(chosen)
            ),
            0.5,
        )
        for chosen in (atoms, atoms[:1])
    )
    F = both.structure_factors(d_min=0.5, algorithm="direct").f_calc()
    f_sq = abs(F).f_as_f_sq()
    found = difference_map(heavy, f_sq.customized_copy(sigmas=f_sq.data()))
    # Mott and Bethe: φ(0) = 47.878 V Å² ∫ f(s) exp(-B s²) d³g, with Gaussians in s = g/2
    # and B = 8π² U; F(000) is missing, and so the mean potential.
    gaussian = e_scattering.ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian("C")
    b = np.array(gaussian.array_of_b()) + 8 * np.pi**2 * 0.05
    a = np.array(gaussian.array_of_a())
    at_centre = 47.878 * np.sum(a * (4 * np.pi / b) ** 1.5)
    mean = 47.878 * 2 * a.sum() / 9**3
    assert found.highest.distance > 2  # not beside the lead
    assert found.highest.height == pytest.approx(at_centre - mean, rel=0.05)


def test_nearest_looks_at_symmetry_mates(glycine):
    site = np.array(glycine.scatterers()[0].site)
    for operator in glycine.space_group():
        mate = np.array(operator * tuple(site)) + [1, -2, 0]
        distance, which = nearest(glycine, mate[None], site[None])
        assert distance[0] == pytest.approx(0, abs=1e-9)
        assert which.tolist() == [0]
    distance, which = nearest(glycine, site[None], np.empty((0, 3)))
    assert np.isinf(distance[0]) and which[0] == -1
