"""Right elements are not doubted, and those of another row are."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.eltbx.e_scattering import (
    ito_vol_c_2011_table_4_3_2_2_entry_as_gaussian as table,
)

from dials_spread.refinement import RefinementSettings, refine
from dials_spread.refinement.element_check import check_elements

SETTINGS = RefinementSettings(start_shift=0.0)


def checked(structure, f_sq):
    one = refine(structure, f_sq, settings=SETTINGS, rng=np.random.default_rng(0))
    return {x.element: x for x in check_elements(one, f_sq)}


def called(structure, old, new):
    other = structure.deep_copy_scatterers()
    for scatterer in other.scatterers():
        if scatterer.scattering_type == old:
            scatterer.scattering_type = new
    return other


@pytest.mark.parametrize("seed", [0, 1])
def test_right_elements(glycine, intensities, seed):
    """Errors of 20 % of the intensity beyond σ."""
    rng = np.random.default_rng(seed)
    found = checked(glycine, intensities(glycine, 0.8, relative=0.2, rng=rng))
    assert set(found) == {"C", "N"}
    for one in found.values():
        assert one.relative_to == "O" and abs(one.z) < 3.3
        assert one.ratio == pytest.approx(1, abs=0.1) and one.su < 0.04


def test_an_element_of_the_next_row(glycine, intensities):
    rng = np.random.default_rng(0)
    f_sq = intensities(glycine, 0.8, relative=0.2, rng=rng)
    found = checked(called(glycine, "N", "P"), f_sq)
    assert found["P"].z < -4 and abs(found["C"].z) < 3.3
    # As N over P in cctbx, in the middle of the resolution range.
    f = [table(x).at_stol(0.25) for x in ("N", "P")]
    assert found["P"].ratio == pytest.approx(f[0] / f[1], rel=0.1)


def test_an_element_that_scatters_most(glycine, intensities):
    """All others are then too strong beside it."""
    rng = np.random.default_rng(0)
    f_sq = intensities(glycine, 0.8, relative=0.2, rng=rng)
    found = checked(called(glycine, "C", "Si"), f_sq)
    assert {x.relative_to for x in found.values()} == {"Si"}
    assert all(x.z > 4 and x.ratio > 1.3 for x in found.values())


def test_how_much_too_little_an_atom_scatters(glycine, intensities):
    """N that is only at 70 % of its places, taken as full: the occupancy itself."""
    part = glycine.deep_copy_scatterers()
    for scatterer in part.scatterers():
        if scatterer.label == "N1":
            scatterer.occupancy = 0.7
    found = checked(glycine, intensities(part, 0.8))
    assert found["N"].ratio == pytest.approx(0.7, abs=0.04)
    assert found["C"].ratio == pytest.approx(1.0, abs=0.04)


def test_one_element_alone_tells_nothing(polar, intensities):
    alone = called(called(polar, "N", "C"), "O", "C")
    assert checked(alone, intensities(alone, 0.8)) == {}
