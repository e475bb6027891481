"""What no simulation holds is added to the errors that the model expects."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.correction.apply.against_reference import find_reference, match
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.model.general import (
    UNSIMULATED,
    Corrected,
    correct_prepared,
    unpack,
    with_unsimulated,
)
from dials_spread.rfactor.r1 import r_factor


def found(E, error, N=4.0):
    E, error = np.array(E), np.array(error)
    F, error_F = E * np.sqrt(N), error * np.sqrt(N)
    r1 = error_F.sum() / F.sum()
    return Corrected(E, error, F, error_F, np.zeros(3), float(r1))


def test_by_hand():
    """3 and 4 add to 5, of every strength in the same proportion."""
    before = found([1.0, 2.0], [0.3, 0.6])
    after = with_unsimulated(before, 0.4 / UNSIMULATED)
    np.testing.assert_allclose(after.error, [0.5, 1.0])
    np.testing.assert_allclose(after.error_F, [1.0, 2.0])
    assert after.predicted_r1 == pytest.approx(0.5)
    np.testing.assert_array_equal(after.E, before.E)


def test_where_nothing_was_measured_twice_nothing_is_added():
    before = found([1.0, 2.0], [0.3, 0.6])
    after = with_unsimulated(before, float("nan"))
    np.testing.assert_allclose(after.error_F, before.error_F)
    assert after.predicted_r1 == pytest.approx(before.predicted_r1)


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
