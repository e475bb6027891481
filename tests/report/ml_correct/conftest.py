"""Corrections of simulated crystals whose true amplitudes are known."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction import correct_intensities
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.reference import Reference
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure

N_CRYSTALS = 4


@pytest.fixture(scope="session")
def make_subject():
    """A function that simulates one compound: its data, and the true amplitudes."""
    made = {}

    def make(seed: int, wave: str, thickness: float = 400.0):
        key = (seed, wave, thickness)
        if key not in made:
            structure = random_structure(np.random.default_rng(seed))
            experiments, table = simulate_experiments(
                structure,
                np.random.default_rng(seed + 100),
                n_crystals=N_CRYSTALS,
                d_min=1.1,
                scan_width=50.0,
                wave=wave,
                thickness=ThicknessModel(median=thickness),
                noise=NoiseModel(
                    mean_counts=1000.0, scale_spread=0.5, extra_error=0.05
                ),
            )
            tables = [table.select(table["id"] == k) for k in range(N_CRYSTALS)]
            reference = Reference(
                "true.cif", structure.crystal_symmetry(), structure, None, "structure"
            )
            made[key] = get_subject(experiments, tables), reference
        return made[key]

    return make


@pytest.fixture(scope="session")
def correct(make_subject):
    """A function that corrects a simulated compound with the model of the package."""
    made = {}

    def make(seed: int, wave: str, thickness=400.0, known=False, strength=1.0):
        key = (seed, wave, thickness, known, strength)
        if key not in made:
            subject, reference = make_subject(seed, wave, thickness)
            made[key] = correct_intensities(
                subject,
                choose_model(),
                strength=strength,
                reference=reference if known else None,
            )
        return made[key]

    return make
