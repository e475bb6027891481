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


def test_recorded_fraction_of_a_weak_and_a_strong_spot():
    # The outside opinion: electrons one by one, each in a pixel at a time, dropped where
    # the same pixel has counted another less than the dead time before.
    rng = np.random.default_rng(5)
    dead_time, duration = 1e-3, 0.2
    for n in (50, 5000):
        counted = 0
        for _ in range(20):
            arrivals = np.sort(duration * rng.standard_normal(n))
            x, y = np.rint(0.8 * rng.standard_normal((2, n))).astype(int)
            free: dict[tuple[int, int], float] = {}
            for pixel, time in zip(zip(x, y), arrivals):
                if time >= free.get(pixel, -np.inf):
                    counted += 1
                    free[pixel] = time + dead_time
        expected = np.array([float(n)])
        fraction = noise.recorded_fraction(expected, np.array([duration]), dead_time)
        sd = 1 / np.sqrt(20 * n)
        assert fraction[0] == pytest.approx(counted / (20 * n), abs=4 * sd + 0.003)
    assert 0.2 < fraction[0] < 0.8


def test_recorded_fraction_has_the_right_limits():
    duration = np.full(4, 0.1)
    expected = np.array([0.0, 1.0, 1e3, 1e9])
    fraction = noise.recorded_fraction(expected, duration, 1e-6)
    assert fraction[0] == 1 and np.all(np.diff(fraction) < 0) and fraction[3] > 0
    # To first order a τ N / duration, a being the overlap of the spot with itself.
    assert 1 - fraction[1] == pytest.approx(1e-5 * 0.5 / np.sqrt(np.pi) * 0.1, rel=0.5)
    assert np.all(noise.recorded_fraction(expected, duration, 0.0) == 1)


def test_the_reference_intensity_has_the_mean_counts():
    model = noise.NoiseModel(mean_counts=700)
    counts = model.counts_per_intensity(mean_intensity=3.0, wavelength=0.025, d_min=0.9)
    lorentz = 3 * np.pi / 16 * 0.025 / 0.9
    assert 3.0 * counts / lorentz == pytest.approx(700)
