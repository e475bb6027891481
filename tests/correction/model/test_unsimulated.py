"""What no simulation holds is added to the errors that the model expects."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.model.general import (
    UNKNOWN,
    UNSIMULATED,
    Corrected,
    correct_prepared,
    unpack,
    with_unsimulated,
)
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL
from dials_spread.rfactor.r1 import r_factor


def found(E, error, N=4.0):
    E, error = np.array(E), np.array(error)
    F, error_F = E * np.sqrt(N), error * np.sqrt(N)
    r1 = error_F.sum() / F.sum()
    return Corrected(E, error, F, error_F, np.zeros(len(E)), float(r1))


MANY = np.full(2, 10**9)
ACENTRIC = np.zeros(2, dtype=bool)


def test_by_hand():
    """Errors of 3 and of 4 add to 5, far from nought, of what was measured often."""
    a, b = UNSIMULATED
    before = found([8.0, 16.0], [0.3, 0.6])
    r_meas = 0.4 / MEAN_OF_NORMAL / np.hypot(a, 8 * b)
    after = with_unsimulated(before, r_meas, MANY, ACENTRIC)
    assert after.error[0] == pytest.approx(0.5, rel=1e-2)
    assert after.error_F[0] == pytest.approx(1.0, rel=1e-2)
    np.testing.assert_allclose(after.E, before.E, rtol=1e-2)
    np.testing.assert_allclose(after.F, 2 * after.E)
    np.testing.assert_allclose(after.sigma_F, after.error_F / MEAN_OF_NORMAL, rtol=1e-3)
    np.testing.assert_allclose(after.intensity, after.F**2 + after.sigma_F**2)
    assert after.predicted_r1 == pytest.approx(after.error.sum() / after.E.sum())
    assert after.simulated_r1 == before.predicted_r1


def test_where_nothing_was_measured_twice_nothing_is_added():
    before = found([1.0, 2.0], [0.03, 0.06])
    after = with_unsimulated(before, float("nan"), MANY, ACENTRIC)
    np.testing.assert_allclose(after.error_F, before.error_F, rtol=5e-3)
    np.testing.assert_allclose(after.F, before.F)
    assert after.predicted_r1 == pytest.approx(before.predicted_r1, rel=5e-3)


def test_a_single_observation_is_trusted_least():
    """Of 25 reflections with one observation one is wrong altogether, so E² by 1."""
    before = found([1e-9, 1e-9], [0.01, 0.01])
    after = with_unsimulated(before, 0.0, np.array([1, 4]), ACENTRIC)
    np.testing.assert_allclose(
        after.intensity / 4, UNKNOWN / np.array([1, 4]), rtol=0.02
    )
    assert after.sigma_F[0] > 1.9 * after.sigma_F[1] > 0.15


@pytest.mark.parametrize("name", ["quartz", "natrolite"])
def test_r1_of_measured_compounds_is_as_expected(name, read_measured, data_folder):
    """The structures took no part in the model; 0.8 to 1.25 is what was asked for."""
    subject = get_subject(*read_measured(f"{name}/integrated"), force=True)
    source = str(data_folder / "structures" / f"{name}.cif")
    reference = find_reference(subject.observations, source)
    true = match(reference, subject.prepared, np.random.default_rng(0)).f_calc
    corrected, _ = correct_prepared(unpack(choose_model()), subject.counted)
    known = np.isfinite(true)
    r1 = r_factor(corrected.F[known], true[known])[0]
    assert 0.8 < r1 / corrected.predicted_r1 < 1.25
    assert corrected.evidence.strength == 1
