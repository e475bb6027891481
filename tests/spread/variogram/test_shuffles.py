"""Growth of the disagreement with the angle, against shuffled observations."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.spread.size.residuals import residuals_of_arrays
from dials_spread.spread.variogram.directions import ObservationDirections
from dials_spread.spread.variogram.pair_table import BETWEEN, COUNT, EDGES, sum_pairs
from dials_spread.spread.variogram.shuffles import (
    GAMMA,
    WEIGHT,
    WITHIN,
    shuffle_pairs,
    shuffled_p_value,
)
from dials_spread.statistics.bootstrap import group_crystals

N_CRYSTALS, N_UNIQUE = 10, 120


def data(rng, relative):
    """Observations of each reflection in each crystal, tilted by up to 10° in a plane."""
    unique = np.repeat(np.arange(N_UNIQUE), N_CRYSTALS)
    crystal = np.tile(np.arange(N_CRYSTALS), N_UNIQUE)
    tilt = np.radians(rng.uniform(-10, 10, len(unique)))
    beam = np.column_stack([np.sin(tilt), 0 * tilt, np.cos(tilt)])
    intensity = 100 * (1 + relative(unique, np.degrees(tilt)))
    n = len(unique)
    residuals = residuals_of_arrays(
        unique, crystal, crystal, intensity, np.full(n, 1.0)
    )
    directions = ObservationDirections.without_symmetry(beam, N_UNIQUE)
    return residuals, directions


def p_value(rng, relative) -> float:
    shuffled = shuffle_pairs(*data(rng, relative), rng, nproc=1)
    return shuffled_p_value(shuffled, True, False, 10)


def test_unshuffled_sums_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    residuals, directions = data(rng, lambda u, x: 0.1 * rng.standard_normal(len(u)))
    groups = group_crystals(residuals.crystal, N_CRYSTALS, rng)
    every = sum_pairs(residuals, directions, groups, rng, nproc=1)
    found = shuffle_pairs(residuals, directions, rng, nproc=1)
    for k, angle in enumerate(WITHIN):
        near = EDGES[1:] <= angle
        cells = every.sums[:, :, BETWEEN][:, :, near].sum(axis=(0, 1, 2))
        assert found.pairs[0, k] == cells[COUNT]
        np.testing.assert_allclose(found.sums[0, 0, k, [WEIGHT, GAMMA]], cells[:2])
    # Weights stay where they are; only what is weighted changes.
    assert np.ptp(found.sums[:, 0, -1, WEIGHT]) < 1e-9
    assert np.ptp(found.sums[:, 0, -1, GAMMA]) > 0


def test_threads_and_the_numbering_of_crystals_do_not_matter():
    rng = np.random.default_rng(1)
    given = data(rng, lambda u, x: 0.1 * rng.standard_normal(len(u)))
    one, two = (
        shuffle_pairs(*given, np.random.default_rng(5), nproc=n).sums for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_wild_observations_do_not_pass_for_growth():
    """One observation in 40 is wild: p-values of 60 null sets are as even as can be told."""

    def relative(u, x):
        wild = rng.random(len(u)) < 0.025
        return 0.05 * rng.standard_normal(len(u)) * np.where(wild, 12, 1)

    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found.append(p_value(rng, relative))
    # Binomial of 60: 8 or more of probability .05 come once in 130 times.
    assert np.sum(np.array(found) <= 0.05) < 8
    assert 0.35 < np.mean(found) < 0.65


def test_growth_within_two_degrees_is_found():
    def relative(u, x):
        phase = np.random.default_rng(3).uniform(0, 2 * np.pi, N_UNIQUE)[u]
        return 0.1 * np.cos(2 * np.pi * x / 4 + phase)

    assert p_value(np.random.default_rng(2), relative) == pytest.approx(1 / 200)
