"""The share of the spread that a simulation explains, where the truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dials_spread.spread.sources.explained import explained_spread


def drawn(rng, known=0.3, unknown=0.2, n_crystals=12, n_unique=150, multiplicity=10):
    """
    Intensities whose spread is partly known, log-normal factors of given size.

    Returns:
        unique, crystal, intensity, variance, and the simulated intensities.
    """
    unique = np.repeat(np.arange(n_unique), multiplicity)
    crystal = rng.integers(n_crystals, size=len(unique))
    true = rng.exponential(100.0, size=n_unique)[unique] + 50.0
    factor = 1 + known * np.clip(rng.standard_normal(len(unique)), -2.5, 2.5)
    expected = true * factor
    noise = unknown * true * rng.standard_normal(len(unique))
    sigma = np.full(len(unique), 2.0)
    intensity = expected + noise + sigma * rng.standard_normal(len(unique))
    simulated = expected * rng.uniform(0.5, 2.0, size=n_crystals)[crystal]
    return unique, crystal, intensity, sigma**2, simulated


def test_shares_are_those_put_in():
    rng = np.random.default_rng(1)
    result = explained_spread(*drawn(rng), rng)
    assert result.before == pytest.approx(np.hypot(0.3 * 0.985, 0.2), rel=0.05)
    assert result.after == pytest.approx(0.2, rel=0.08)
    truth = 1 - 0.04 / (0.04 + (0.3 * 0.985) ** 2)
    assert result.share == pytest.approx(truth, abs=0.05)
    assert result.share_interval[0] < truth < result.share_interval[1]
    assert result.control < 0
    assert result.n_crystals == 12 and result.n_unique == 150 and not result.note


def test_a_simulation_that_knows_nothing_explains_nothing():
    rng = np.random.default_rng(2)
    unique, crystal, intensity, variance, _ = drawn(rng)
    kinematic = np.random.default_rng(0).exponential(size=150)[unique] + 0.1
    result = explained_spread(unique, crystal, intensity, variance, kinematic, rng)
    # The scale of a crystal is fitted to its own intensities: that may take a little.
    assert abs(result.share) < 0.05
    misled = drawn(np.random.default_rng(3))[-1]
    result = explained_spread(unique, crystal, intensity, variance, misled, rng)
    assert result.share < 0


def test_kinematic_intensities_common_to_a_reflection_change_nothing():
    rng = np.random.default_rng(4)
    unique, crystal, intensity, variance, simulated = drawn(rng)
    by_reflection = np.random.default_rng(0).uniform(0.5, 2, size=150)[unique]
    # One crystal, so that no scale of crystals is there to be disturbed.
    zero = np.zeros_like(crystal)
    results = [
        explained_spread(
            unique, zero, intensity, variance, values, np.random.default_rng(0)
        ).share
        for values in (np.ones(len(unique)), by_reflection)
    ]
    assert results[0] == pytest.approx(results[1], abs=0.01)
    assert results[0] == pytest.approx(0, abs=0.01)


@pytest.mark.slow
def test_intervals_hold_the_truth():
    """In 40 seeded draws, at least nine of ten."""
    truth = 1 - 0.04 / (0.04 + (0.3 * 0.985) ** 2)
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        low, high = explained_spread(*drawn(rng, n_unique=60), rng).share_interval
        held += low <= truth <= high
    assert held >= 36


def test_what_cannot_be_said_is_null_and_told():
    rng = np.random.default_rng(5)
    unique, crystal, intensity, variance, simulated = drawn(rng)
    one = explained_spread(
        unique, np.zeros_like(crystal), intensity, variance, simulated, rng
    ).as_dict()
    assert one["explained_share"] is not None
    assert one["explained_share_interval"] == [None, None]
    assert "one crystal" in one["note"]
    alone = np.arange(len(unique))
    none = explained_spread(alone, crystal, intensity, variance, simulated, rng)
    unknown = np.full(len(unique), np.nan)
    for empty in (
        none,
        explained_spread(unique, crystal, intensity, variance, unknown, rng),
    ):
        document = json.loads(json.dumps(empty.as_dict(), allow_nan=False))
        assert document["observations"] == 0 and document["explained_share"] is None
        assert "twice" in document["note"]
