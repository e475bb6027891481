from __future__ import annotations

import numpy as np
import pytest

from dials_spread.ml.measured import measure
from dials_spread.observations import build_observations
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structure_factors import structure_factors
from dials_spread.simulation.structures import random_structure


def split(reflections, n):
    return [reflections.select(reflections["id"] == i) for i in range(n)]


@pytest.fixture(scope="session")
def small_structure():
    """P 21 21 21, 923 Å³."""
    return random_structure(np.random.default_rng(7))


@pytest.fixture(scope="session")
def simulated(small_structure):
    """Experiments and tables of three crystals without multiple scattering."""
    experiments, reflections = simulate_experiments(
        small_structure,
        np.random.default_rng(8),
        n_crystals=3,
        d_min=1.0,
        scan_width=50.0,
        noise=NoiseModel(mean_counts=2000.0, scale_spread=0.5, extra_error=0.05),
    )
    return experiments, split(reflections, 3)


@pytest.fixture(scope="session")
def small(simulated):
    experiments, tables = simulated
    return measure(build_observations(experiments, tables), experiments, tables)


@pytest.fixture(scope="session")
def small_F(small_structure, small):
    return np.abs(structure_factors(small_structure, small.unique_index))
