"""The R1 that is expected of all of a correction, and where the data bear out a part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model, estimate
from dials_spread.correction.apply.expected_r1 import expected_r1
from dials_spread.correction.model.general import R1_RANGE
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.report.ml_correct.expected_sentences import expected_sentence
from dials_spread.rfactor import amplitudes
from dials_spread.rfactor.r1 import r_factor


@pytest.fixture(scope="module")
def undecided(simulated):
    """Single scattering, of which the data are taken to leave open how they scatter."""
    subject = get_subject([*simulated[0]], simulated[1], nproc=1)
    found = estimate(subject.counted, choose_model(), 1)
    evidence = replace(found.evidence, strength=0.3, probability=0.3)
    return subject, replace(found, evidence=evidence)


def test_between_none_and_all_of_the_correction(undecided):
    subject, found = undecided
    told = expected_r1(found, 0.3, subject)
    assert told.full == found.predicted_r1 and told.plain < told.full
    assert np.log(told.value) == pytest.approx(
        0.3 * np.log(told.full) + 0.7 * np.log(told.plain)
    )
    low, high = R1_RANGE
    assert told.limits == (low * told.value, high * told.full)


def test_without_multiple_scattering_the_plain_merge_is_that_good(undecided, simulated):
    """Equivalents differ by what is wrong with their mean: no reference tells."""
    subject, found = undecided
    F = true_amplitudes(subject.observations, simulated[1])
    known = np.isfinite(F)
    merged = amplitudes(subject.prepared.merged)
    r1 = r_factor(merged[known], F[known])[0]
    told = expected_r1(found, 0.3, subject)
    assert 0.8 < r1 / told.plain < 1.25
    assert r1 < 0.7 * told.full  # which knows of multiple scattering alone


def test_what_the_data_decide_and_what_a_user_wants(undecided):
    subject, found = undecided
    by_data = correct_intensities(subject, choose_model(), ready=found, nproc=1)
    assert by_data.strength == 0.3
    assert by_data.expected == expected_r1(found, 0.3, subject)
    told = expected_sentence(by_data, by_data.expected)
    assert f"the plain merge has {by_data.expected.plain:.3f}" in told
    assert f"{by_data.expected.value:.3f} is between both" in told
    wanted = correct_intensities(subject, choose_model(), 0.3, ready=found, nproc=1)
    assert wanted.expected.value == found.predicted_r1
    assert wanted.expected.plain is None
    assert "that at full strength" in expected_sentence(wanted, wanted.expected)


def test_nothing_is_expected_of_weights_alone(undecided):
    subject = undecided[0]
    found = estimate(subject.counted, None, 1)
    assert expected_r1(found, 1.0, subject) is None
