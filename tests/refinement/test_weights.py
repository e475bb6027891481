"""Weights by hand, those of smtbx, and what they are sought for."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx.array_family import flex
from smtbx.refinement import least_squares

from dials_spread.refinement import weights


def test_by_hand():
    # P = (4 + 2 × 1) / 3 = 2 and, Fo² being negative, P = 2 × 3 / 3 = 2.
    w = weights.shelxl_weights(
        np.array([4.0, -5.0]), np.array([1.0, 2.0]), np.array([1.0, 3.0]), 0.5, 1.5
    )
    assert w == pytest.approx([1 / (1 + 1 + 3), 1 / (4 + 1 + 3)])


def test_those_of_smtbx():
    rng = np.random.default_rng(1)
    fo_sq, sigma, fc_sq = rng.gamma(1, 10, (3, 50))
    fo_sq[:10] *= -0.1
    own = weights.shelxl_weights(fo_sq, sigma, fc_sq, 0.13, 0.7)
    scheme = least_squares.mainstream_shelx_weighting(a=0.13, b=0.7)
    other = scheme(*(flex.double(x) for x in (fo_sq, sigma, fc_sq)), 1.0)
    assert own == pytest.approx(np.array(other))


def simulated(a, b, rng, n=3000):
    fc_sq = rng.gamma(1, 20, n)
    sigma = np.full(n, 0.3)
    p = fc_sq
    error = np.sqrt(sigma**2 + (a * p) ** 2 + b * p)
    return fc_sq + error * rng.normal(size=n), sigma, fc_sq, rng.random(n)


@pytest.mark.parametrize("a, b", [(0.1, 0.0), (0.15, 0.0), (0.05, 0.8), (0.0, 0.0)])
def test_the_goodness_of_fit_becomes_flat(a, b):
    fo_sq, sigma, fc_sq, d_star_sq = simulated(a, b, np.random.default_rng(4))
    found = weights.suggest_weights(fo_sq, sigma, fc_sq, d_star_sq, 0)
    w = weights.shelxl_weights(fo_sq, sigma, fc_sq, *found)
    plain = weights.shelxl_weights(fo_sq, sigma, fc_sq, 0, 0)
    group = weights.ranges(fc_sq)
    flat, uneven = (
        [np.sqrt(np.mean((x * (fo_sq - fc_sq) ** 2)[group == g])) for g in range(10)]
        for x in (w, plain)
    )
    assert flat == pytest.approx(np.ones(10), abs=0.12)
    if a or b:
        assert max(uneven) > 2
    if a and not b:
        # P follows Fo², which lowers the error that is found a little.
        assert found[0] == pytest.approx(a, abs=0.025)
    if not (a or b):
        assert found[0] < 0.02 and found[1] < 0.02


def test_a_stops_where_shelxl_stops():
    fo_sq, sigma, fc_sq, d_star_sq = simulated(0.6, 0.0, np.random.default_rng(4))
    assert weights.suggest_weights(fo_sq, sigma, fc_sq, d_star_sq, 0)[0] <= 0.2


def test_weights_that_are_as_good_stay():
    fo_sq, sigma, fc_sq, d_star_sq = simulated(0.1, 0.0, np.random.default_rng(4))
    found = weights.suggest_weights(fo_sq, sigma, fc_sq, d_star_sq, 0)
    near = (found[0] * 1.0005, found[1])
    again = weights.suggest_weights(fo_sq, sigma, fc_sq, d_star_sq, 0, current=near)
    assert again == near
    far = weights.suggest_weights(fo_sq, sigma, fc_sq, d_star_sq, 0, current=(0.2, 3.0))
    assert far == found


def test_ranges_are_equally_filled():
    group = weights.ranges(np.random.default_rng(1).random(105))
    assert set(np.bincount(group)) == {10, 11}
