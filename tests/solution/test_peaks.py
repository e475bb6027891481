from __future__ import annotations

import numpy as np
import pytest

from cctbx import crystal, uctbx, xray
from cctbx.array_family import flex

from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.solution.peaks import apart, highest_peaks


def test_atoms_are_the_highest_peaks_in_an_oblique_cell():
    sites = [(0.1, 0.2, 0.3), (0.4, 0.75, 0.62), (0.83, 0.05, 0.94)]
    structure = xray.structure(
        crystal_symmetry=crystal.symmetry((7, 9, 8, 75, 100, 115), "P 1"),
        scatterers=flex.xray_scatterer(
            [
                xray.scatterer("O1", sites[0], u=0.02),
                xray.scatterer("Fe1", sites[1], u=0.02),
                xray.scatterer("C1", sites[2], u=0.02),
            ]
        ),
    )
    points = structure.build_miller_set(d_min=0.9, anomalous_flag=False)
    index = np.array(list(points.indices()))
    F = structure_factors(structure, index)
    found, heights = highest_peaks(structure.unit_cell(), index, F, 3)
    assert (np.diff(heights) <= 0).all()
    distance = apart(structure.unit_cell(), found[None], np.array(sites)[:, None])
    assert distance.min(axis=1) == pytest.approx(np.zeros(3), abs=0.06)
    assert distance[1].argmin() == 0, "iron is the highest"


def test_peaks_agree_with_the_search_of_cctbx(kinematic):
    from cctbx import maptbx

    _, structure = kinematic("glycine")
    in_p1 = structure.expand_to_p1()
    in_p1.scattering_type_registry(table="electron")
    f_calc = in_p1.structure_factors(
        d_min=0.9, anomalous_flag=False, algorithm="direct"
    ).f_calc()
    index = np.array(list(f_calc.indices()))
    F = f_calc.data().as_numpy_array()
    mine, _ = highest_peaks(in_p1.unit_cell(), index, F, 20)
    search = maptbx.peak_search_parameters(
        min_distance_sym_equiv=0.7, min_cross_distance=0.7, max_clusters=20
    )
    fft_map = f_calc.fft_map(
        resolution_factor=0.2, symmetry_flags=maptbx.use_space_group_symmetry
    )
    theirs = fft_map.peak_search(search, verify_symmetry=False).all().sites()
    distance = apart(
        in_p1.unit_cell(), mine[None], np.array(list(theirs))[:, None]
    ).min(axis=1)
    assert distance.max() < 0.06


def test_an_empty_map_has_no_peaks():
    cell = uctbx.unit_cell((5, 6, 7, 90, 90, 90))
    index = np.array([[1, 0, 0], [0, 3, 4]])
    sites, heights = highest_peaks(cell, index, np.zeros(2, complex), 5)
    assert (len(sites), len(heights)) == (0, 0)


def test_distances_cross_the_border_of_the_cell():
    cell = uctbx.unit_cell((10, 10, 10, 90, 90, 90))
    distance = apart(cell, np.array([[0.98, 0.0, 0.5]]), np.array([0.01, 0.04, 0.5]))
    assert distance == pytest.approx([0.5])
