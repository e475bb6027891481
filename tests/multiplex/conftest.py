"""Data and runs for the tests of the step inside xia2."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.multiplex.releases import find_xia2
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


@pytest.fixture(scope="session")
def simulated():
    """Experiments and one table of three crystals, simulated with multiple scattering."""
    return simulate_experiments(
        random_structure(np.random.default_rng(7)),
        np.random.default_rng(8),
        n_crystals=3,
        d_min=1.2,
        scan_width=50.0,
        noise=NoiseModel(mean_counts=500.0, scale_spread=0.5, extra_error=0.1),
    )


@pytest.fixture(scope="session")
def xia2():
    """What is used of xia2; without it the test is skipped."""
    try:
        return find_xia2()
    except ValueError as error:
        pytest.skip(str(error))
