"""Hydrogen in the difference map of a model without hydrogen."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.refinement.hydrogen_search import hydrogen_peaks
from dials_spread.refinement.refining import RefinementSettings
from dials_spread.structures.structure_files import read_structure

SETTINGS = RefinementSettings(start_shift=0.0)


@pytest.mark.slow
def test_exact_intensities_show_all_hydrogen_of_glycine(glycine, intensities):
    found = hydrogen_peaks(
        glycine,
        intensities(glycine, 0.8),
        settings=SETTINGS,
        rng=np.random.default_rng(1),
    )
    assert (found.n_sites, found.n_found, found.n_found_of_twice) == (5, 5, 5)
    assert found.mean_distance < 0.15
    assert len(found.found) == 5
    assert found.as_dict()["n_found"] == 5


@pytest.mark.slow
def test_intensities_without_hydrogen_show_none(glycine, intensities):
    from cctbx.array_family import flex

    heavy = flex.bool([s.scattering_type != "H" for s in glycine.scatterers()])
    rng = np.random.default_rng(1)
    f_sq = intensities(glycine.select(heavy), 0.8, relative=0.05, rng=rng)
    found = hydrogen_peaks(glycine, f_sq, settings=SETTINGS, rng=rng)
    assert found.n_found <= 1


def test_no_hydrogen(intensities):
    quartz = read_structure("quartz")
    rng = np.random.default_rng(1)
    assert hydrogen_peaks(quartz, intensities(quartz, 1.0), rng=rng) is None
