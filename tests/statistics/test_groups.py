from __future__ import annotations

import numpy as np
import pytest

from dials_spread.statistics.groups import (
    group_means,
    group_quantiles,
    group_spreads,
    group_sums,
    means_of_others,
)

LEVELS = (0, 0.1, 0.25, 0.5, 0.9, 1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 9, 60)
    group[group == 4] = 5  # one stays empty
    group[0] = 8
    return rng.normal(size=60), group, rng.uniform(0.1, 2, 60)


def test_every_group_is_as_numpy_has_it(data):
    x, group, weights = data
    quantiles = group_quantiles(x, group, 9, LEVELS)
    sums, means = group_sums(x, group, 9), group_means(x, group, 9, weights)
    spreads = group_spreads(x, group, 9)
    for g in range(9):
        own = x[group == g]
        assert sums[g] == pytest.approx(own.sum())
        if not len(own):
            assert np.isnan(means[g]) and np.isnan(quantiles[:, g]).all()
            continue
        expected = np.average(own, weights=weights[group == g])
        assert means[g] == pytest.approx(expected)
        np.testing.assert_allclose(quantiles[:, g], np.quantile(own, LEVELS))
        if len(own) > 1:
            assert spreads[g] == pytest.approx(own.std(ddof=1))
        else:
            assert np.isnan(spreads[g])


def test_the_mean_of_others_leaves_the_element_out(data):
    x, group, _ = data
    found = means_of_others(x, group, 9)
    for i in range(len(x)):
        others = np.delete(x, i)[np.delete(group, i) == group[i]]
        if len(others):
            assert found[i] == pytest.approx(others.mean())
        else:
            assert np.isnan(found[i])
