"""Medians over pairs: by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dials_spread.pairs.summary import PART, _medians_of_draws, median_over_pairs

SEEDS = 60

INSIDE = 0.9
"""Part of the intervals that hold the truth."""


def test_bootstrap_samples_by_brute_force():
    """A pair counts with the product of its crystals' weights: repeat it as often."""
    rng = np.random.default_rng(0)
    for n in (1, 2, PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 1):
        x = rng.normal(size=n).round(2)
        a, b = rng.integers(0, 4, (2, n))
        weights = np.concatenate([np.ones((1, 4)), rng.integers(1, 4, (20, 4))])
        found = _medians_of_draws(x, a, b, weights)
        for value, w in zip(found, weights.astype(int)):
            times = np.where(a == b, w[a], w[a] * w[b])
            assert value == pytest.approx(np.median(np.repeat(x, times)))


def test_two_crystals_have_no_interval_and_three_have():
    rng = np.random.default_rng(1)
    x = np.array([0.3, 0.1, np.nan, 0.2, 0.5])
    a, b = np.array([0, 0, 0, 4, 4]), np.array([4, 4, 4, 0, 4])
    two = median_over_pairs(x, a, b, rng)
    assert (two.median, two.n_pairs, two.n_crystals) == (0.25, 4, 2)
    assert np.isnan([two.low, two.high]).all()
    three = median_over_pairs(x, a, np.array([4, 9, 9, 0, 4]), rng)
    assert three.n_crystals == 3 and three.low < 0.25 < three.high
    nothing = median_over_pairs(x[2:3], a[2:3], b[2:3], rng)
    assert np.isnan(nothing.median) and nothing.n_pairs == 0


def test_intervals_stay_within_what_a_statistic_can_be():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 6, (2, 200))
    cc = 1 - 0.02 * rng.exponential(1, 200)
    found = median_over_pairs(cc, a, b, rng, correlation=True)
    assert found.low < found.median < found.high < 1
    # Nearer to the bound than away from it, as ratios of what is missing are.
    assert found.high - found.median < found.median - found.low
    # More than half of the pairs need no spread, as few draws do not.
    s = np.maximum(rng.normal(-0.01, 0.1, 200), 0)
    found = median_over_pairs(s, a, b, rng)
    assert found.low == 0 < found.high


CASES = {
    "crystals differ": (0.3, 0.0, 0.1),
    "pairs of crystals differ": (0.0, 0.3, 0.1),
    "everything differs": (0.2, 0.2, 0.3),
}


def make_pairs(rng, n_crystals, of_crystal, of_crystals, of_pair):
    """A statistic with the median 1; some pairs of crystals have many pairs of images."""
    a, b = np.triu_indices(n_crystals, 1)
    n = 1 + rng.poisson(5 * rng.exponential(1, len(a)))
    cell = np.repeat(np.arange(len(a)), n)
    own = of_crystal * rng.standard_normal(n_crystals)
    common = of_crystals * rng.standard_normal(len(a))
    log_x = own[a] + own[b] + common
    noise = of_pair * rng.standard_normal(len(cell))
    return np.exp(log_x[cell] + noise), a[cell], b[cell]


@pytest.mark.parametrize("n_crystals", [4, 6, 12])
@pytest.mark.parametrize("case", CASES)
def test_intervals_hold_the_truth(case, n_crystals):
    inside = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        found = median_over_pairs(*make_pairs(rng, n_crystals, *CASES[case]), rng)
        inside += found.low <= 1 <= found.high
    assert inside >= INSIDE * SEEDS


@st.composite
def statistics_of_pairs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_crystals = draw(st.integers(1, 300)), draw(st.integers(3, 8))
    a, b = rng.integers(0, n_crystals, (2, n))
    x = np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(-1, 0.8, n))
    return x, a, b, rng


def told(x, a, b, correlation=False):
    found = median_over_pairs(x, a, b, np.random.default_rng(7), correlation)
    return np.array([*found.as_dict().values()], dtype=float)


@settings(max_examples=40, deadline=None)
@given(statistics_of_pairs(), st.floats(1e-3, 1e3))
def test_neither_side_order_nor_unit_of_pairs_matters(data, unit):
    x, a, b, rng = data
    found = told(x, a, b)
    order, swapped = rng.permutation(len(x)), rng.random(len(x)) < 0.5
    one, two = np.where(swapped, b, a), np.where(swapped, a, b)
    np.testing.assert_allclose(told(x[order], one[order], two[order]), found)
    again = told(unit * x, a, b)
    np.testing.assert_allclose(again, found * [unit, unit, unit, 1, 1], atol=1e-12)
    finite = x[np.isfinite(x)]
    if len(finite):
        assert found[0] == pytest.approx(np.median(finite))
        assert not found[1] > found[0] and not found[2] < found[0]
