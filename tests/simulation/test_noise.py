from __future__ import annotations

import numpy as np
import pytest

from dials_spread.simulation import noise


@pytest.mark.parametrize("expected", [0.0, 50.0, 5000.0])
def test_counts_are_unbiased_and_variances_right(expected):
    rng = np.random.default_rng(2)
    n = 20000
    n_foreground, n_background = np.full(n, 25), np.full(n, 80)
    result = noise.count(rng, np.full(n, expected), 2.0, n_foreground, n_background)
    sd = np.sqrt(expected + 2 * 25 * (1 + 25 / 80))
    assert result.value.mean() == pytest.approx(expected, abs=5 * sd / np.sqrt(n))
    assert result.value.var() == pytest.approx(sd**2, rel=0.05)
    assert result.variance.mean() == pytest.approx(sd**2, rel=0.02)
    assert result.background.mean() == pytest.approx(2.0, rel=0.01)


def test_relative_errors():
    factors = noise.relative_errors(np.random.default_rng(2), 50000, 0.12)
    assert factors.mean() == pytest.approx(1, abs=0.003)
    assert factors.std() == pytest.approx(0.12, rel=0.02)
    assert noise.relative_errors(np.random.default_rng(2), 50000, 0.5).min() == 0


def test_log_normal_factors():
    factors = noise.log_normal_factors(np.random.default_rng(2), 50000, 0.4)
    assert factors.min() > 0
    assert factors.mean() == pytest.approx(1, abs=0.01)
    assert factors.std() == pytest.approx(0.4, rel=0.03)


def test_no_spread_is_exactly_one():
    rng = np.random.default_rng(2)
    assert np.all(noise.relative_errors(rng, 10, 0.0) == 1)
    assert np.all(noise.log_normal_factors(rng, 10, 0.0) == 1)


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"extra_error": -0.1, "background": -1}, "background=-1, extra_error=-0.1"),
        ({"mean_counts": float("nan")}, "mean_counts=nan"),
    ],
)
def test_bad_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        noise.NoiseModel(**wrong)
