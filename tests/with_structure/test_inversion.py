"""Least squares for amplitudes: closed formulas, and limits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from dials_spread.with_structure.cross_validation import choose_start, cross_validate
from dials_spread.with_structure.inversion import (
    FirstEstimate,
    LinearisedObservations,
    ResidualLaw,
    fit_residual_law,
    solve,
)


def case(n_each=6, u=40, noise=0.05, response=2.0, seed=0):
    """Observations I = F², of reflections whose first estimates are 20 % off."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0.5, 2.0, u)
    first = true * (1 + 0.2 * rng.standard_normal(u))
    unique = np.repeat(np.arange(u), n_each)
    y = true[unique] ** 2 * (1 + noise * rng.standard_normal(len(unique)))
    J = scipy.sparse.csr_matrix(
        (response * first[unique], (np.arange(len(unique)), unique)), (len(unique), u)
    )
    prior = FirstEstimate(first, 0.2 * true, np.ones(u))
    observed = (y, np.full(len(y), 1e-3))
    return true, prior, observed, (first[unique] ** 2, J), unique


def around(observed, calculated, unique, F):
    """Observations with what they are calculated to be."""
    return LinearisedObservations(*observed, *calculated, unique, F)


def rms(F, true):
    return np.sqrt(np.mean((F / true - 1) ** 2))


def test_good_observations_decide():
    true, prior, observed, calculated, unique = case()
    use = np.ones(len(unique), bool)
    F = prior.F
    for _ in range(3):
        J = scipy.sparse.csr_matrix(
            (2 * F[unique], (np.arange(len(unique)), unique)), calculated[1].shape
        )
        given = around(observed, (F[unique] ** 2, J), unique, F)
        step = solve(given, prior, use, intraclass=0.0)
        F = step.F
    # 5 % of an intensity are 2.5 % of an amplitude, six times; of its error nobody knows
    # whether all six share it.
    assert rms(F, true) == pytest.approx(0.025 / np.sqrt(6), rel=0.4)
    assert np.median(step.sigma / F) == pytest.approx(0.025, rel=0.2)
    assert step.information.min() > 0.8


@pytest.mark.parametrize("common", [False, True])
def test_counting_errors_average_and_others_do_not(common):
    """Of a hundred observations, with 10 % of an intensity: 0.5 or 5 % of an amplitude."""
    _, prior, observed, calculated, unique = case(n_each=100)
    I, J = calculated
    rng = np.random.default_rng(1)
    y = I * (1 + 0.1 * rng.standard_normal(len(I)))
    counted = np.full(len(y), 1e-6) if common else 0.1 * I
    prior = FirstEstimate(prior.F, 10 * prior.F, prior.expected)
    use = np.ones(len(y), bool)
    step = solve(around((y, counted), calculated, unique, prior.F), prior, use, 0.0)
    expected = 0.05 if common else 0.05 / np.sqrt(100)
    assert np.median(step.sigma / prior.F) == pytest.approx(expected, rel=0.4)


def test_a_first_estimate_shares_the_error():
    """As good as all observations together, which share theirs: no better with both."""
    _, prior, observed, calculated, unique = case(n_each=100)
    I, _ = calculated
    y = I * (1 + 0.1 * np.random.default_rng(1).standard_normal(len(I)))
    given = around((y, observed[1]), calculated, unique, prior.F)
    use = np.ones(len(y), bool)
    prior = FirstEstimate(prior.F, 0.05 * prior.F, prior.expected)
    step = solve(given, prior, use, intraclass=1.0)
    assert np.median(step.information) == pytest.approx(0.5, abs=0.07)
    assert np.median(step.sigma / prior.sigma) == pytest.approx(1.0, abs=0.1)


def test_predictions_are_exact_in_single_scattering():
    true, prior, observed, calculated, unique = case()
    found = around(observed, calculated, unique, prior.F).predict(true)
    np.testing.assert_allclose(found, true[unique] ** 2, rtol=1e-12)


def test_without_response_nothing_changes():
    true, prior, observed, calculated, unique = case(response=0.0)
    use = np.ones(len(unique), bool)
    step = solve(around(observed, calculated, unique, prior.F), prior, use)
    np.testing.assert_allclose(step.F, prior.F)
    np.testing.assert_allclose(step.sigma, prior.sigma, rtol=1e-6)
    np.testing.assert_allclose(step.information, 0, atol=1e-12)


def test_reflections_left_out_stay():
    true, prior, observed, calculated, unique = case()
    use = unique >= 10
    step = solve(around(observed, calculated, unique, prior.F), prior, use)
    np.testing.assert_allclose(step.F[:10], prior.F[:10])
    assert rms(step.F[10:], true[10:]) < 0.5 * rms(prior.F[10:], true[10:])


def test_shared_errors_make_many_observations_worth_a_few():
    """With ρ = 0.25, a hundred observations are worth 100 / (1 + 0.25 99) = 3.9."""
    _, prior, observed, calculated, unique = case(n_each=100)
    use = np.ones(len(unique), bool)
    given = around(observed, calculated, unique, prior.F)
    alone = solve(given, prior, use, intraclass=0.0)
    shared = solve(given, prior, use, intraclass=0.25)
    of_data = [s.information / (1 - s.information) for s in (alone, shared)]
    np.testing.assert_allclose(of_data[0] / of_data[1], 1 + 0.25 * 99, rtol=1e-6)


def test_outliers_count_little():
    true, prior, observed, calculated, unique = case(n_each=8)
    y = observed[0].copy()
    y[::8] *= 10
    use = np.ones(len(unique), bool)
    step = solve(around((y, observed[1]), calculated, unique, prior.F), prior, use, 0.0)
    assert rms(step.F, true) < 0.5 * rms(prior.F, true)


def test_the_law_of_errors_is_found_again():
    rng = np.random.default_rng(5)
    E, counted = rng.uniform(0.1, 2.5, 20000), np.full(20000, 0.01)
    sigma = ResidualLaw(1.0, 0.06, 0.15).sigma(E, counted)
    law = fit_residual_law(sigma * rng.standard_normal(20000), counted, E)
    ratio = law.sigma(E, counted) / sigma
    np.testing.assert_allclose(np.quantile(ratio, [0.05, 0.5, 0.95]), 1, atol=0.15)


def test_held_out_observations_decide_and_a_single_part_says_nothing():
    true, prior, observed, calculated, unique = case(n_each=8)
    given = (around(observed, calculated, unique, prior.F), prior, 0.0)
    rng = np.random.default_rng(2)
    folds = [rng.integers(0, 5, len(unique)) for _ in range(2)]
    found = cross_validate(*given, folds)
    assert found.z > 2 and found.after < 0.6 * found.before
    # With true amplitudes at the start there is nothing to gain.
    I = true[unique] ** 2
    J = scipy.sparse.csr_matrix(
        (2 * true[unique], (np.arange(len(I)), unique)), calculated[1].shape
    )
    first = FirstEstimate(true, prior.sigma, prior.expected)
    assert (
        cross_validate(around(observed, (I, J), unique, true), first, 0.0, folds).z < 1
    )
    alone = cross_validate(*given, [np.zeros(len(unique), int)])
    assert alone.z == 0 and alone.before == alone.after


@pytest.mark.parametrize("stated, least, most", [(0.2, 0.7, 1.4), (2.0, 0.25, 0.35)])
def test_observations_are_followed_as_far_as_they_predict(stated, least, most):
    """First estimates that are 20 % off, and of which 20 or 200 % are stated."""
    true, prior, observed, calculated, unique = case(n_each=5, u=150, noise=0.4)
    prior = FirstEstimate(prior.F, stated * true, prior.expected)
    folds = [np.random.default_rng(4).integers(0, 5, len(unique))]
    given = around(observed, calculated, unique, prior.F)
    _, found, predicted = choose_start(
        [(given, np.ones(len(unique)))], prior, 0.0, folds
    )
    assert predicted.z > 2
    assert least <= found.width <= most
    every = np.ones(len(unique), bool)
    step, wide = (solve(given, one, every, 0.0) for one in (found, prior))
    assert rms(step.F, true) <= rms(wide.F, true) + 1e-9
    # Errors stay those of what was stated, however far observations are followed.
    np.testing.assert_allclose(found.sigma, prior.sigma)
    assert step.undetermined.mean() < 0.5


def test_without_response_errors_stay_whatever_the_width():
    true, prior, observed, calculated, unique = case(response=0.0)
    use = np.ones(len(unique), bool)
    narrow = FirstEstimate(prior.F, prior.sigma, prior.expected, width=0.25)
    step = solve(around(observed, calculated, unique, prior.F), narrow, use)
    np.testing.assert_allclose(step.sigma, prior.sigma, rtol=1e-6)
    assert step.undetermined.all()


def test_where_nothing_is_to_be_learnt_no_width_helps():
    """True amplitudes at the start, observations with 40 % error: twenty times."""
    z = []
    for seed in range(20):
        true, prior, observed, _, unique = case(n_each=5, noise=0.4, seed=seed)
        I = true[unique] ** 2
        J = scipy.sparse.csr_matrix(
            (2 * true[unique], (np.arange(len(I)), unique)), (len(I), len(true))
        )
        first = FirstEstimate(true, prior.sigma, prior.expected)
        fold = np.random.default_rng(seed).integers(0, 5, len(unique))
        start = around(observed, (I, J), unique, true), np.ones(len(unique))
        z.append(choose_start([start], first, 0.0, [fold])[2].z)
    assert np.mean(np.array(z) > 2) <= 0.05
