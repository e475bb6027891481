from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.validate.learning import describe_compound, pool
from dials_spread.scattering.structure_factors import structure_factors
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


@pytest.fixture(scope="session")
def two_compounds():
    """What is to be learnt of two random compounds, three and two crystals."""
    made, first = [], 0
    for seed, n_crystals in ((7, 3), (11, 2)):
        structure = random_structure(np.random.default_rng(seed))
        experiments, table = simulate_experiments(
            structure,
            np.random.default_rng(seed + 1),
            n_crystals=n_crystals,
            d_min=1.2,
            scan_width=50.0,
            noise=NoiseModel(mean_counts=500.0, scale_spread=0.5, extra_error=0.1),
        )
        tables = [table.select(table["id"] == k) for k in range(n_crystals)]
        prepared = get_subject(experiments, tables, force=True).prepared
        F = np.abs(structure_factors(structure, prepared.measured.unique_index))
        numbers = np.arange(first, first + n_crystals)
        more = ("physical", numbers)
        made.append(describe_compound(f"compound {seed}", prepared, F, *more))
        first += n_crystals
    return pool([compound for compound, _ in made], made[0][1])
