"""Intervals over crystals: what must not matter, and what they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dials_spread.statistics.bootstrap import (
    group_crystals,
    interval,
    median_interval,
    variance_interval,
)

PROPERTY = settings(max_examples=60, deadline=None)


@st.composite
def draws_of_a_mean(draw):
    """The weighted means of some crystals' numbers, as bootstrap samples have them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(3, 20))
    x = draw(st.sampled_from([0.0, 1.0, 10.0])) + rng.normal(0, 1, n) ** 2
    groups = group_crystals(np.arange(n), n, rng)
    weights = groups.draws(rng, 200)
    return weights @ x / weights.sum(axis=1), n, rng


@PROPERTY
@given(draws_of_a_mean(), st.floats(1e-4, 1e4))
@pytest.mark.parametrize("of", [interval, median_interval, variance_interval])
def test_intervals_have_the_unit_of_the_estimate(of, data, unit):
    values, n, rng = data
    found = np.array(of(values, n))
    np.testing.assert_allclose(of(unit * values, n), unit * found, rtol=1e-9)
    mixed = np.concatenate([values[:1], rng.permutation(values[1:])])
    np.testing.assert_allclose(of(mixed, n), found, rtol=1e-9)
    assert found[0] <= values[0] <= found[1]


@PROPERTY
@given(draws_of_a_mean(), st.floats(-100, 100))
def test_an_interval_that_reaches_zero_moves_with_the_estimate(data, shift):
    """On a linear scale, as for what can be negative, no place is special."""
    values, n, _ = data
    values = values - values[0] - 1e3  # far below zero: no logarithms
    found = np.array(interval(values, n))
    np.testing.assert_allclose(interval(values + shift, n), found + shift, rtol=1e-9)
    turned = np.array(interval(-values, n))
    assert turned[0] < -values[0] < turned[1]


@PROPERTY
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12))
def test_crystals_are_dealt_out_evenly_and_weights_have_a_mean_of_one(
    seed, n_crystals, most
):
    rng = np.random.default_rng(seed)
    crystal = rng.integers(0, n_crystals, 60)
    groups = group_crystals(crystal, n_crystals, rng, most)
    there = np.unique(crystal)
    assert groups.n_crystals == len(there) and groups.n == min(len(there), most)
    np.testing.assert_array_equal(np.flatnonzero(groups.of_crystal >= 0), there)
    sizes = np.bincount(groups.of_crystal[there], minlength=groups.n)
    assert np.ptp(sizes) <= 1 and sizes.sum() == len(there)
    weights = groups.draws(rng, 20)
    assert len(weights) == (21 if groups.n >= 3 else 1)
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_allclose(weights.mean(axis=1), 1)
    assert (weights > 0).all()


@PROPERTY
@given(draws_of_a_mean())
def test_a_doubled_scatter_of_draws_widens_every_interval(data):
    values, n, _ = data
    values = values + 20  # far from zero
    wild = values[0] + 2 * (values - values[0])
    for of in (interval, variance_interval):
        narrow, wide = np.array(of(values, n)), np.array(of(wild, n))
        assert np.diff(wide) >= np.diff(narrow)
