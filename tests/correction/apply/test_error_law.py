"""Errors that are drawn as predicted are found to be so, and others are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dials_spread.correction.apply.error_law import (
    ErrorLaw,
    coverage,
    cross_fitted,
    error_parts,
    fit_error_law,
    law_from,
    law_settings,
)

TRUE = ErrorLaw(floor=0.05, strong=0.1, scatter=1.0, members=0.5, mean=0.8)


def drawn(n: int, seed: int, noise: str = "normal"):
    """Amplitudes, what is known of their errors, and errors of the true size."""
    rng = np.random.default_rng(seed)
    E = rng.gamma(3.0, 0.35, n)
    parts = np.column_stack([rng.gamma(1.0, 0.01, n), rng.gamma(1.0, 0.02, n)])
    sd = TRUE.predict(E, parts)
    if noise == "normal":
        return E, parts, rng.normal(size=n) * sd, sd
    return E, parts, rng.standard_t(2, n) * sd, sd


def test_the_variance_is_the_sum_that_it_should_be():
    E, parts = np.array([2.0]), np.array([[0.3, 0.7]])
    expected = 0.05**2 + 0.1**2 * 4 + 0.3 + 0.5**2 * 0.7
    assert TRUE.predict(E, parts)[0] ** 2 == pytest.approx(expected)


def test_normal_errors_are_predicted_as_they_were_drawn():
    E, parts, error, sd = drawn(4000, 0)
    law = fit_error_law(E, parts, error)
    assert np.corrcoef(law.predict(E, parts), sd)[0, 1] > 0.97
    np.testing.assert_allclose(np.median(law.predict(E, parts) / sd), 1, atol=0.05)
    assert law.mean == pytest.approx(np.sqrt(2 / np.pi), abs=0.03)
    found = coverage(error, cross_fitted(E, parts, error, np.arange(4000), _rng()))
    assert found.n == 4000
    # Standard deviations of such counts are 0.007 and 0.003.
    assert found.within_one == pytest.approx(stats.norm.cdf(1) * 2 - 1, abs=0.025)
    assert found.within_two == pytest.approx(stats.norm.cdf(2) * 2 - 1, abs=0.015)
    spearman = stats.spearmanr(np.abs(error), sd)[0]
    assert found.rank_correlation == pytest.approx(spearman, abs=0.03)


def test_heavy_tails_leave_two_thirds_within_one_and_more_beyond_two():
    E, parts, error, _ = drawn(4000, 1, "heavy")
    found = coverage(error, cross_fitted(E, parts, error, np.arange(4000), _rng()))
    assert found.within_one == pytest.approx(0.683, abs=0.025)
    assert found.within_two < 0.93
    assert fit_error_law(E, parts, error).mean > 0.9


def test_errors_that_nothing_foretells_get_one_size():
    E, parts, _, _ = drawn(2000, 2)
    error = _rng().normal(0, 0.2, 2000)
    predicted = fit_error_law(E, parts, error).predict(E, parts)
    assert np.std(predicted) < 0.15 * np.mean(predicted)
    assert np.mean(predicted) == pytest.approx(0.2, rel=0.06)


def test_a_compound_is_predicted_without_its_own_errors():
    E, parts, error, _ = drawn(600, 3)
    groups = np.repeat([0, 1, 2], 200)
    loud = np.where(groups == 2, 10 * error, error)
    quiet = cross_fitted(E, parts, error, groups, _rng())
    again = cross_fitted(E, parts, loud, groups, _rng())
    np.testing.assert_allclose(again[groups == 2], quiet[groups == 2])
    assert (again[groups != 2] > quiet[groups != 2]).mean() > 0.9


def test_parts_are_the_variance_of_a_mean_and_of_the_members():
    rng = np.random.default_rng(4)
    unique, corrected = rng.integers(0, 20, 100), rng.normal(size=100)
    unique[0], corrected = 20, np.append(corrected, 1.0)[:100]
    spread = rng.random(100)
    found = error_parts(corrected, spread, unique, 21)
    for u in range(20):
        own = unique == u
        sem = stats.sem(corrected[own])
        np.testing.assert_allclose(found[u], [sem**2, np.mean(spread[own] ** 2)])
    # One observation does not say how it scatters; others do.
    variances = [np.var(corrected[unique == u], ddof=1) for u in range(20)]
    assert found[20, 0] == pytest.approx(np.median(variances))


def test_too_few_errors_predict_nothing():
    E, parts, error, _ = drawn(40, 5)
    error[15:] = np.nan
    with pytest.raises(ValueError, match="15 errors tell nothing; 30 are needed"):
        fit_error_law(E, parts, error)
    assert coverage(error, cross_fitted(E, parts, error, np.arange(40), _rng())) is None


def test_a_model_file_keeps_the_law_and_nonsense_is_refused():
    assert law_from(law_settings(TRUE)) == TRUE
    assert law_from({"strength": 1.0}) is None
    for wrong in (-1.0, 1e9, float("nan")):
        with pytest.raises(ValueError, match=r"error_floor=.* makes no sense"):
            law_from({**law_settings(TRUE), "error_floor": wrong})
    with pytest.raises(ValueError, match="makes no sense"):
        law_from({"error_floor": 0.1})


def _rng() -> np.random.Generator:
    return np.random.default_rng(9)
