"""A known structure and its amplitudes, as data without error."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import miller

from dials_spread.rfactor import Merged
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.structures.structure_files import read_structure


@pytest.fixture(scope="session")
def glycine():
    return read_structure("glycine")


@pytest.fixture(scope="session")
def f_calc(glycine) -> miller.array:
    """Electron amplitudes of unique reflections."""
    hkl = miller.build_set(glycine, anomalous_flag=False, d_min=1.0)
    given = hkl.indices().as_vec3_double().as_numpy_array().astype(int)
    from cctbx.array_family import flex

    F = np.abs(structure_factors(glycine, given))
    return hkl.array(flex.double(F)).set_observation_type_xray_amplitude()


@pytest.fixture
def as_merged():
    """A function that turns amplitudes into merged intensities with noise."""

    def make(F: np.ndarray, relative: float = 0.1, seed: int = 0) -> Merged:
        rng = np.random.default_rng(seed)
        I = F**2 * (1 + relative * rng.normal(size=len(F)))
        return Merged(I, 0.1 * I + 1e-3, np.full(len(F), 5))

    return make
