"""One simulated crystal, whose truth is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="session")
def crystals():
    """Two crystals of a random compound, 500 and 350 Å thick, without noise."""
    from dials_spread.correction.apply.correct import get_subject
    from dials_spread.scattering.thickness_model import ThicknessModel
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.noise import NoiseModel
    from dials_spread.simulation.structures import random_structure

    rng = np.random.default_rng(1)
    cell = (5.9, 7.1, 9.3, 90.0, 90.0, 90.0)
    structure = random_structure(rng, cell, "P 21 21 21")
    experiments, table = simulate_experiments(
        structure,
        rng,
        n_crystals=3,
        d_min=1.0,
        scan_width=50.0,
        noise=NoiseModel(mean_counts=5000.0),
        wave="dynamical",
        thickness=ThicknessModel(450.0, spread=0.2, within=0.0),
    )
    tables = [table.select(table["id"] == i) for i in range(len(experiments))]
    return SimpleNamespace(
        structure=structure,
        experiments=experiments,
        tables=tables,
        subject=get_subject(experiments, tables, force=True, nproc=2),
    )
