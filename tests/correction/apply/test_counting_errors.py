"""The estimate starts from counting errors, whatever the error model of dials.scale."""

from __future__ import annotations

import numpy as np

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import SHIPPED
from dials_spread.correction.model.model_file import read_model


def with_error_model(table, b: float):
    """What dials.scale does to σ: σ'² = σ² + (b I)²."""
    changed = table.copy()
    value = changed["intensity.scale.value"]
    changed["intensity.scale.variance"] += (b * value) ** 2
    return changed


def counted_from(table) -> np.ndarray:
    """By hand: profile-fitted variance times lp², over the squared scale."""
    columns = ("intensity.prf.variance", "lp", "inverse_scale_factor")
    variance, lp, scale = (table[c].as_numpy_array() for c in columns)
    assert "qe" not in table
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(variance) * lp / scale


def test_counting_errors_are_those_of_integration(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    subject = get_subject(experiments, tables)
    found, rows = subject.counted.measured.sigma, subject.observations.row
    expected = counted_from(tables[0])[rows]
    known = expected > 0
    assert known.mean() > 0.99
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-9)
    assert np.median(subject.prepared.measured.sigma / found) > 2


def test_error_model_is_no_noise(read_measured):
    experiments, tables = read_measured("quartz/scaled")
    model = read_model(str(SHIPPED))

    def r1(table) -> float:
        subject = get_subject(experiments, [table])
        return correct_intensities(subject, model, reference="quartz").truth.r1[1]

    as_scaled = r1(tables[0])
    assert as_scaled < 0.16
    assert abs(r1(with_error_model(tables[0], 0.5)) - as_scaled) < 0.01


def test_unscaled_data_are_taken_as_they_are(read_measured):
    experiments, tables = read_measured("quartz/integrated")
    subject = get_subject(experiments, tables)
    assert subject.counted is subject.prepared
