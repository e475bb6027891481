"""
The R1 that is to be expected of what is written.

All of a correction has the errors that the model expects, with their allowance. None of it has
those of the plain mean, of data that scatter once: how equivalents differ tells these. Where
the data leave it open whether there is multiple scattering, a part is applied, amplitudes
lie between both in the logarithm, and so does what is expected of them. As it is open, the
limits reach from those of the one to those of the other.

Classes:
    ExpectedR1: a value with its limits

Functions:
    expected_r1: of a correction
    plain_sigma: of intensities as they were merged
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.correction.apply.estimates import (
    CorrectedAmplitudes,
    amplitude_sigma,
)
from dials_spread.correction.apply.subject import Subject
from dials_spread.correction.apply.table_errors import plain_errors
from dials_spread.correction.model.general import R1_RANGE
from dials_spread.correction.model.posterior import MEAN_OF_NORMAL
from dials_spread.rfactor import amplitudes


@dataclass(frozen=True)
class ExpectedR1:
    """
    R1 against kinematic |F| to be expected.

    Attributes:
        value: Of what is written.
        limits: Between which it is to be expected; None where nothing says it.
        full: Of all of the correction.
        plain: Of none of it, if there is no multiple scattering; None where that was
            not needed.
    """

    value: float
    limits: tuple[float, float] | None
    full: float
    plain: float | None = None


def expected_r1(
    found: CorrectedAmplitudes, strength: float, subject: Subject
) -> ExpectedR1 | None:
    """
    Say which R1 is to be expected.

    Args:
        found: All of the correction.
        strength: The part of it that the data bear out; 1 where they did not decide.
        subject: The data.

    Returns:
        None where nothing says it.
    """
    full, plain = found.predicted_r1, None
    if full is None:
        return None
    value = full
    if 0 < strength < 1:
        plain = _plain_r1(subject)
        value = full**strength * plain ** (1 - strength)
    limits = None
    if found.simulated_r1 is not None:
        low, high = R1_RANGE
        limits = low * min(value, full), high * max(value, full)
    return ExpectedR1(value, limits, full, plain)


def _plain_r1(subject: Subject) -> float:
    """From the errors of plain means."""
    merged = subject.prepared.merged
    sigma = amplitude_sigma(merged, plain_sigma(subject))
    return float(MEAN_OF_NORMAL * sigma.sum() / amplitudes(merged).sum())


def plain_sigma(subject: Subject) -> np.ndarray:
    """
    Give σ of the intensities as they were merged.

    Args:
        subject: The data.

    Returns:
        Shape (u,), positive.
    """
    scaled, prepared = subject.prepared.scaled, subject.prepared
    columns = (scaled.intensity, subject.counted.sigma, scaled.unique)
    return plain_errors(*columns, scaled.crossings(), prepared.N)
