"""Posterior means against quadrature, and against the tables of French & Wilson in cctbx."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate

from cctbx.french_wilson import fw_acentric

from dials_spread.correction.model.posterior import cut_at_nought, posterior


def wilson(x, centric):
    if centric:
        return np.sqrt(2 / np.pi) * np.exp(-x * x / 2)
    return 2 * x * np.exp(-x * x)


def moment(density, power):
    total = integrate.quad(density, 0, 12, limit=400)[0]
    return integrate.quad(lambda x: x**power * density(x), 0, 12, limit=400)[0] / total


def one(E, sigma, centric):
    columns = (np.array([E]), np.array([sigma]), np.array([centric]))
    return [float(x[0]) for x in cut_at_nought(*columns)]


@pytest.mark.parametrize("centric", [True, False])
@pytest.mark.parametrize(
    "E, sigma", [(0.0, 0.04), (0.05, 0.2), (0.3, 0.3), (1.0, 0.2), (2.0, 0.05)]
)
def test_cut_distributions_by_quadrature(E, sigma, centric):
    def density(x):
        return x ** (0 if centric else 1) * np.exp(-((x - E) ** 2) / (2 * sigma**2))

    m1, m2 = moment(density, 1), moment(density, 2)
    mean, sd = one(E, sigma, centric)
    assert mean == pytest.approx(m1, rel=1e-6)
    assert sd == pytest.approx(np.sqrt(m2 - m1**2), rel=1e-4)


@pytest.mark.parametrize("h", [0.0, 0.5, 1.0, 2.0, 2.9])
def test_as_french_and_wilson_have_it(h):
    """
    Where the mean intensity is large, their J of acentric reflections is what is left of a
    normal distribution cut at nought, ours of centric amplitudes; and mean square over mean
    of the same is ours of acentric ones. Their tables have three digits.
    """
    J, sigma_J, _, _ = fw_acentric(h, 1.0, 1e9, -4.0)
    assert one(h, 1.0, True) == pytest.approx([J, sigma_J], abs=4e-3)
    assert one(h, 1.0, False)[0] == pytest.approx((J**2 + sigma_J**2) / J, abs=4e-3)


def test_what_the_network_knows_is_left_as_it_is():
    E = np.array([0.0, 0.3, 1.0, 2.5])
    known = np.full(4, 0.2)
    for centric in (np.ones(4, bool), np.zeros(4, bool)):
        told = posterior(E, known, known, centric)
        np.testing.assert_allclose(told.E, E)
        np.testing.assert_allclose(told.I, told.E**2 + told.sigma_E**2)
        assert (told.sigma_E > 0.1).all()
        np.testing.assert_allclose(told.sigma_E[-1], 0.2, rtol=0.02)


def test_further_errors_lift_the_weak_and_leave_the_strong():
    E, known = np.array([0.0, 0.1, 3.0]), np.array([0.04, 0.05, 0.1])
    told = posterior(E, known, np.full(3, 0.2), np.zeros(3, bool))
    lift = told.E - E
    assert lift[0] > lift[1] > 0.05 and lift[2] == pytest.approx(0.01, abs=0.003)
    # Nought ± 0.04 becomes an amplitude that a reflection of 0.5 is no outlier of.
    assert (0.5 - told.E[0]) / told.sigma_E[0] < 3
    assert (0.25 - told.I[0]) / told.sigma_I[0] < 5


@pytest.mark.parametrize("centric", [True, False])
def test_reflections_of_which_nothing_is_known(centric):
    """All of Wilson's distribution, and its moments; 1 - u of it of a sharp estimate."""
    E, s, c = np.array([0.7]), np.array([0.01]), np.array([centric])
    told = posterior(E, s, s, c, 1.0)

    def density(x):
        return wilson(x, centric)

    mean = moment(density, 1)
    assert float(told.E[0]) == pytest.approx(mean, rel=1e-6)
    assert float(told.I[0]) == pytest.approx(1.0)
    assert float(told.sigma_I[0]) == pytest.approx(np.sqrt(2.0 if centric else 1.0))
    off = integrate.quad(lambda x: abs(x - mean) * density(x), 0, 12, points=[mean])[0]
    assert float(told.error[0]) == pytest.approx(off, rel=1e-6)
    some = posterior(E, s, s, c, 0.1)
    assert float(some.E[0]) == pytest.approx(0.9 * 0.7 + 0.1 * mean, abs=1e-3)


@pytest.mark.parametrize("centric", [True, False])
def test_means_are_right_of_what_is_drawn(centric):
    """True amplitudes with the phase space as prior, estimates with normal errors."""
    rng = np.random.default_rng(5)
    n, sigma = 400_000, 0.3
    true = 4 * rng.uniform(size=n) ** (1 if centric else 0.5)
    E = true + sigma * rng.normal(size=n)
    kept = (E > 0) & (E < 3)
    true, E = true[kept], E[kept]
    mean, sd = cut_at_nought(E, np.full(len(E), sigma), np.full(len(E), centric))
    for own in (E < 0.3, E > 1):
        assert np.mean((true - mean)[own]) == pytest.approx(0, abs=0.02)
        assert np.mean((true - mean)[own] ** 2 / sd[own] ** 2) == pytest.approx(
            1, abs=0.08
        )
