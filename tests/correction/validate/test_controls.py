"""The controls: what each of them leaves, and the law on data that obey it."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.validate.controls import (
    Law,
    apply_law,
    fit_law,
    resolution_table,
    shuffled_targets,
)
from dials_spread.rfactor.r1 import r_factor


def amplitudes(n=800, seed=0):
    rng = np.random.default_rng(seed)
    d = rng.uniform(0.7, 5.0, n)
    return np.sqrt(rng.exponential(1.0, n)) * np.exp(-1 / d**2), d, rng


def test_the_law_by_hand():
    found = apply_law(np.array([0.0, 1.0, np.sqrt(2), 3.0]), Law(1.0, 0.5, 0, 0))
    np.testing.assert_allclose(found, [0, 0, 1, 8**0.25])


@pytest.mark.parametrize("e, b", [(0.2, 0.7), (0.1, 1.0), (0.3, 1.4)])
@pytest.mark.parametrize("unit", [1.0, 1e4])
def test_the_law_is_found_on_data_that_obey_it(e, b, unit):
    f_c, _, _ = amplitudes()
    f_c = f_c[f_c > 0.02]
    observed = np.sqrt(f_c ** (2 / b) + e**2)
    found = fit_law(unit * observed, f_c)
    assert found.r1 < 1e-3 and found.n == len(f_c)
    assert found.e == pytest.approx(unit * e, rel=0.02)
    assert found.b == pytest.approx(b, rel=0.02)


def test_the_law_is_never_worse_than_nothing():
    f_c, _, rng = amplitudes()
    observed = np.abs(f_c + 0.2 * rng.normal(size=len(f_c)))
    observed[5] = np.nan
    plain = r_factor(observed, f_c)[0]
    found = fit_law(observed, f_c)
    assert found.r1 <= plain + 1e-12
    assert r_factor(apply_law(observed, found), f_c)[0] == pytest.approx(found.r1)
    # It takes the data as they come: no part of the fit depends on their order.
    order = rng.permutation(len(f_c))
    again = fit_law(observed[order], f_c[order])
    assert again.r1 == pytest.approx(found.r1, abs=1e-9)
    with pytest.raises(ValueError, match="None of 3"):
        fit_law(np.zeros(3), np.ones(3))


def test_shuffled_targets_keep_the_fall_off_and_nothing_else():
    f_c, d, rng = amplitudes(6000)
    target = np.where(np.arange(6000) % 7 == 0, np.nan, f_c)
    shuffled = shuffled_targets(target, d, rng)
    np.testing.assert_array_equal(np.isnan(shuffled), np.isnan(target))
    known = np.isfinite(target)
    np.testing.assert_array_equal(np.sort(shuffled[known]), np.sort(target[known]))
    near = known & (d > 1.0) & (d < 1.05)
    assert np.mean(shuffled[near]) == pytest.approx(np.mean(target[near]), rel=0.1)
    ratio = target[known] * np.exp(1 / d[known] ** 2)
    drawn = shuffled[known] * np.exp(1 / d[known] ** 2)
    assert abs(np.corrcoef(ratio, drawn)[0, 1]) < 0.05


def test_resolution_is_all_that_the_table_tells():
    table = resolution_table(np.array([1.0, 2.0]), np.array([1, 1, 0]))
    np.testing.assert_array_equal(table, [[0.25], [0.25], [1.0]])
