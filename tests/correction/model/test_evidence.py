"""Whether data show multiple scattering, against data made with and without."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.model.evidence import (
    ODDS,
    Evidence,
    evidence_of,
    probability_of_scattering,
    size_of,
    slope_of,
)
from dials_spread.correction.model.general import correct_prepared, unpack
from dials_spread.general_model.gather import measured_of, true_amplitudes
from dials_spread.prepare.prepared import prepare
from dials_spread.report.ml_correct.correction_sentences import evidence_sentences
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor
from dials_spread.scattering.thickness_model import ThicknessModel
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


def made(slope: float, seed: int = 0, n: int = 400):
    """Amplitudes that differ by a slope times what is expected, and by noise."""
    rng = np.random.default_rng(seed)
    unique = np.repeat(np.arange(n), 5)
    expected, sigma = rng.normal(0, 0.1, 5 * n), rng.uniform(0.05, 0.15, 5 * n)
    E = rng.rayleigh(0.7, n)[unique] + slope * expected
    return E + sigma * rng.normal(size=5 * n), expected, sigma, unique


@pytest.mark.parametrize("true", [0.0, 0.5, 1.0])
def test_the_slope_and_its_uncertainty_are_right(true):
    off = []
    for seed in range(40):
        slope, su, n = slope_of(*made(true, seed))
        assert n == 400
        off.append((slope - true) / su)
    assert abs(np.mean(off)) < 0.6
    assert 0.75 < np.std(off) < 1.35


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-2, 2), st.floats(0.2, 5))
def test_neither_amplitudes_nor_units_count(seed, shift, unit):
    E, expected, sigma, unique = made(1.0, seed, 60)
    of_reflection = np.random.default_rng(seed).normal(shift, 1, 60)[unique]
    slope, su, _ = slope_of(E, expected, sigma, unique)
    other = slope_of(
        unit * (E + of_reflection),
        unit * (expected + of_reflection),
        unit * sigma,
        unique,
    )
    np.testing.assert_allclose(other[:2], (slope, su), rtol=1e-6)


def test_single_observations_tell_nothing():
    slope, su, n = slope_of(*(np.arange(1.0, 9), np.ones(8), np.ones(8), np.arange(8)))
    assert np.isnan(slope) and np.isnan(su) and n == 0


def test_the_size_of_differences_by_hand():
    """Two of one reflection, ± 0.1 about their mean; one alone has none."""
    expected, sigma = np.array([0.3, 0.5, 9.0]), np.array([0.2, 0.2, 0.1])
    size = size_of(expected, sigma, np.array([0, 0, 1]))
    assert size == pytest.approx(np.sqrt((0.25 + 0.25 + 0) / 3))


@pytest.mark.parametrize("size, told", [(1.0, True), (0.05, False)])
def test_differences_that_are_too_small_tell_nothing(size, told):
    """What scales leave correlates with them, however small they are."""
    E, expected, sigma, unique = made(1.0)
    mean = np.bincount(unique, E) / np.bincount(unique)
    E = (
        E + (1 - size) * expected
    )  # the slope on what is expected now is 1 / size and more
    prepared = SimpleNamespace(
        measured=SimpleNamespace(unique=unique),
        E_k=mean,
        E_i=E,
        sigma=2 * mean[unique] * sigma,
        N=np.ones(len(mean)),
    )
    found = evidence_of(prepared, size * expected)
    assert np.isfinite(found.probability) == told
    assert found.strength == 1.0
    result = SimpleNamespace(
        estimate=SimpleNamespace(evidence=found), by_evidence=True, strength=1.0
    )
    (text,) = evidence_sentences(result)
    assert ("cannot be told" in text) is not told
    if not told:
        assert "by less than a tenth of their errors" in text
    few = SimpleNamespace(
        estimate=SimpleNamespace(evidence=Evidence(0.0, 1.0, 7, float("nan"), 1.0))
    )
    assert "7 reflections measured more than once" in evidence_sentences(few)[0]


def test_the_probability_has_the_limits_that_it_must():
    assert probability_of_scattering(0.0, 0.03) < 0.1
    assert probability_of_scattering(1.0, 0.1) > 0.99
    assert (
        probability_of_scattering(3.0, 0.2) > 0.99
    )  # more than usual is no sign against
    assert probability_of_scattering(-1.0, 0.1) < 0.1
    # Nothing is known: what it was before.
    assert probability_of_scattering(0.3, 1e4) == pytest.approx(ODDS / (1 + ODDS), 1e-3)
    told = [probability_of_scattering(x, 0.1) for x in np.linspace(0, 1, 21)]
    assert np.all(np.diff(told) > 0)


@pytest.mark.parametrize("wave", ["kinematic", "dynamical"])
def test_simulated_crystals_show_what_they_have(wave):
    """Of kinematic ones the whole correction would make amplitudes worse."""
    structure = random_structure(np.random.default_rng(7))
    experiments, table = simulate_experiments(
        structure,
        np.random.default_rng(5),
        n_crystals=4,
        d_min=1.1,
        scan_width=50.0,
        wave=wave,
        thickness=ThicknessModel(median=500.0),
        noise=NoiseModel(mean_counts=1000.0, extra_error=0.05),
    )
    tables = [table.select(table["id"] == k) for k in range(4)]
    observations, measured = measured_of(experiments, tables)
    prepared = prepare(measured, 1)
    found, _ = correct_prepared(unpack(choose_model()), prepared, 1)
    true = true_amplitudes(observations, tables)
    r1 = [r_factor(F, true)[0] for F in (amplitudes(prepared.merged), found.F)]
    if wave == "kinematic":
        assert found.evidence.strength == 0.0 and found.evidence.probability < 0.1
        assert abs(found.evidence.slope) < 4 * found.evidence.slope_su
        assert r1[1] > r1[0]
    else:
        assert found.evidence.strength == 1.0 and found.evidence.slope > 0.4
        assert r1[1] < r1[0]
