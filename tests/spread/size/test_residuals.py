"""Deviations from the mean of the others, by hand and from loops."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.observations import build_observations
from dials_spread.spread.size.residuals import (
    SINGLE,
    WEAK,
    build_residuals,
    images_of_observations,
    leave_one_out,
    residuals_of_arrays,
)


def test_a_table_by_hand():
    """Three reflections: one observed three times, one once, one too weak."""
    unique = np.array([2, 0, 1, 0, 2, 0])
    intensity = np.array([1.0, 10.0, 50.0, 20.0, -3.0, 60.0])
    variance = np.array([4.0, 1.0, 1.0, 4.0, 4.0, 9.0])
    crystal = np.array([0, 0, 0, 1, 1, 2])
    image = np.array([0, 0, 1, 2, 2, 3])
    found = residuals_of_arrays(unique, crystal, image, intensity, variance)
    assert found.observation.tolist() == [1, 3, 5]
    assert found.mean.tolist() == [40.0, 35.0, 15.0]
    assert found.mean_variance.tolist() == [13 / 4, 10 / 4, 5 / 4]
    assert found.number.tolist() == [2, 2, 2]
    np.testing.assert_allclose(found.r, [-1.0, -0.5, 1.5])
    np.testing.assert_allclose(found.relative_sigma, [1 / 30, 2 / 30, 3 / 30])
    assert found.left_out == {SINGLE: 1, WEAK: 2}
    assert found.start.tolist() == [0, 3]
    assert (found.n_crystals, found.n_images) == (3, 4)


def test_means_are_those_of_a_loop():
    rng = np.random.default_rng(3)
    unique, x = rng.integers(0, 40, 200), rng.normal(10, 3, 200)
    variance = rng.uniform(1, 2, 200)
    mean, mean_variance, number = leave_one_out(unique, x, variance)
    for i in range(200):
        others = (unique == unique[i]) & (np.arange(200) != i)
        assert number[i] == others.sum()
        if number[i]:
            assert mean[i] == pytest.approx(x[others].mean())
            assert mean_variance[i] == pytest.approx(
                variance[others].sum() / number[i] ** 2
            )
        else:
            assert np.isnan(mean[i]) and np.isnan(mean_variance[i])


def test_order_and_scale_do_not_matter():
    rng = np.random.default_rng(4)
    n = 300
    unique = rng.integers(0, 50, n)
    columns = [rng.integers(0, 5, n), rng.integers(0, 30, n)]
    values = [rng.normal(10, 3, n), rng.uniform(1, 9, n)]
    found = residuals_of_arrays(unique, *columns, *values)
    order = rng.permutation(n)
    other = residuals_of_arrays(
        unique[order],
        *(c[order] for c in columns),
        7 * values[0][order],
        49 * values[1][order],
    )
    assert other.left_out == found.left_out
    match = np.argsort(order[other.observation])
    np.testing.assert_allclose(other.r[match], found.r[np.argsort(found.observation)])


def test_nothing_left_is_no_error():
    """No reflection twice."""
    one = np.ones(4)
    index = np.arange(4)
    found = residuals_of_arrays(index, index, index, one, one)
    assert len(found) == 0
    assert found.left_out == {SINGLE: 4}
    assert found.start.tolist() == [0]


def test_measured_observations_lie_on_their_images(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    for assign in ("centroid", "extent"):
        observations = build_observations(experiments, tables, assign=assign)
        image = images_of_observations(observations)
        entries = zip(observations.entry.tolist(), observations.entry_image.tolist())
        assert set(enumerate(image.tolist())) <= set(entries)
    residuals = build_residuals(observations)
    assert len(residuals) + sum(residuals.left_out.values()) == len(observations)
    assert np.diff(residuals.unique).min() == 0
    assert (residuals.level > 0).all()
